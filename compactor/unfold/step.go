package unfold

import (
	"context"
	"fmt"
	"slices"

	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// Limits bound a step. Fields that are zero are what State takes. A step brings one object at least, whatever its runs.
type Limits struct {
	Runs    int
	Objects int
	Aborted int
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, most int) {
		if *v <= 0 || *v > most {
			*v = most
		}
	}
	set(&l.Runs, state.MaxReplacedRuns)
	set(&l.Objects, state.MaxUnfoldedObjects)
	set(&l.Aborted, state.MaxReplacedRuns)
	return l
}

// step is what comes back with one command, all from the oldest to the newest. Where one object holds more aborted
// transactions than a step takes, some come ahead, without runs.
type step struct {
	runs    []manifest.Run
	objects []manifest.Object
	aborted []manifest.Aborted
	last    int64 // last offset of what stays
	stays   int   // objects that stay
}

// next finds the step that a manifest is due for. It holds a block more of each kind than the limits say, and all objects.
func next(ctx context.Context, r *manifest.Reader, m state.Manifest, l Limits) (x step, err error) {
	objects, err := r.ObjectsFrom(ctx, m.Released, int(m.Owned))
	if err != nil {
		return x, err
	}
	aborted, floor, err := newestAborted(ctx, r, m.First, l.Aborted)
	if err != nil {
		return x, err
	}
	runs, err := newestRuns(ctx, r, objects[len(objects)-1].First, l.Runs)
	if err != nil {
		return x, err
	}
	k, at := len(objects), len(runs)
	for k > 0 && len(objects)-k < l.Objects {
		o, from := objects[k-1], at
		for from > 0 && runs[from-1].Index == m.Released+uint32(k-1) {
			from--
		}
		many := len(runs)-from > l.Runs && k < len(objects)
		if from == at || runs[from].Base != o.First || many || o.First-1 < floor {
			break
		}
		k, at = k-1, from
	}
	x = step{runs: runs[at:], objects: objects[k:], last: m.Last, stays: k}
	if at < len(runs) {
		x.last = runs[at].Base - 1
		aborted = slices.DeleteFunc(aborted, func(a manifest.Aborted) bool { return a.Last <= x.last })
	}
	if x.aborted = aborted; len(x.runs) == 0 && len(aborted) == 0 {
		return x, fmt.Errorf("%w: the runs of its last object do not lie together", manifest.ErrCorrupt)
	}
	return x, nil
}

// newestRuns are the newest runs: those of one object at least, which begins at an offset, and about as many as a limit.
func newestRuns(ctx context.Context, r *manifest.Reader, first int64, limit int) (list []manifest.Run, err error) {
	for i := len(r.RunBlocks()) - 1; i >= 0 && (len(list) <= limit || list[0].Base > first); i-- {
		some, err := r.RunBlock(ctx, i)
		if err != nil {
			return nil, err
		}
		list = append(some, list...)
	}
	return list, nil
}

// newestAborted are the newest aborted transactions with markers from an offset on, up to a limit. floor is the marker of
// the newest one that is not among them; none has one above the offset before the first.
func newestAborted(ctx context.Context, r *manifest.Reader, first int64, limit int) (list []manifest.Aborted, floor int64, err error) {
	blocks := r.AbortedBlocks()
	for i := len(blocks) - 1; i >= 0 && blocks[i].Last >= first && len(list) <= limit; i-- {
		some, err := r.AbortedBlock(ctx, i)
		if err != nil {
			return nil, 0, err
		}
		list = append(some, list...)
	}
	list = slices.DeleteFunc(list, func(a manifest.Aborted) bool { return a.Last < first })
	if n := len(list) - limit; n > 0 {
		return list[n:], list[n-1].Last, nil
	}
	return list, first - 1, nil
}

// command is the step's, but for what names and describes the new manifest.
func (x *step) command(v *volume) *pb.UnfoldRuns {
	c := &pb.UnfoldRuns{Topic: v.Topic, Partition: v.Partition, Version: v.version, Old: v.Object, Released: v.Released}
	for _, o := range x.objects {
		c.Sessions, c.Ns, c.Sizes = append(c.Sessions, int64(o.Session)), append(c.Ns, o.N), append(c.Sizes, o.Size)
		c.Introduced, c.ObjectRuns = append(c.Introduced, o.Introduced), append(c.ObjectRuns, 0)
	}
	ms := int64(0)
	for _, r := range x.runs {
		c.ObjectRuns[r.Index-v.Released-uint32(x.stays)]++
		c.RunCounts, c.MaxTimestamps = append(c.RunCounts, uint64(r.Last-r.Base+1)), append(c.MaxTimestamps, r.MaxTimestamp-ms)
		c.Offsets, c.Lengths = append(c.Offsets, uint64(r.Offset)), append(c.Lengths, r.Length)
		ms = r.MaxTimestamp
	}
	marker := int64(0)
	for _, a := range x.aborted {
		c.ProducerIds, c.Markers = append(c.ProducerIds, a.ProducerID), append(c.Markers, uint64(a.Last-marker))
		c.Records, c.Stables = append(c.Records, uint64(a.Last-a.First)), append(c.Stables, a.Stable-a.Last)
		marker = a.Last
	}
	return c
}
