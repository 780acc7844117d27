package sim

import (
	"context"
	"errors"

	"wadi/metadata/manifest"
	"wadi/metadata/state"
	"wadi/objstore"
)

// stretch is what a reader goes by: runs side by side, of one look at State and at a manifest that it names.
type stretch struct {
	runs    []state.Run
	keys    []string // of the objects of runs that a manifest names, "" = State knows
	to      int64    // compaction may have left offsets below without a record
	stable  int64    // where the log was stable then
	aborted []state.AbortedTxn
}

// last is the offset at the end.
func (x *stretch) last() int64 { return x.runs[len(x.runs)-1].Last }

// errGone: the manifest that State named is there no more; another look at State names another one.
var errGone = errors.New("the manifest is gone")

// runsFrom finds runs of a partition, from the one that holds an offset on, as many as maxRuns of the manifest, or of State.
// They end below the offset `end`.
func (a *agent) runsFrom(log int32, from, end int64, maxRuns int) (stretch, error) {
	x, err := a.runsOnce(log, from, end, maxRuns)
	if errors.Is(err, errGone) {
		if err := a.pass(); err != nil {
			return stretch{}, err
		}
		if x, err = a.runsOnce(log, from, end, maxRuns); errors.Is(err, errGone) {
			a.w.violated("agent %d: log %d, behind a barrier: %v", a.id, log, err)
		}
	}
	if err == nil && len(x.runs) > 0 && (x.runs[0].Base > from || x.runs[0].Last < from) {
		a.w.violated("agent %d: the run from %d to %d does not hold offset %d", a.id, x.runs[0].Base, x.runs[0].Last, from)
	}
	return x, err
}

func (a *agent) runsOnce(log int32, from, end int64, maxRuns int) (x stretch, err error) {
	s := a.view.State().Freeze()
	p := a.w.partitionIn(s, log)
	if p == nil || from >= end || from < p.LogStart {
		return x, nil // deleted meanwhile
	}
	x.to, x.stable = p.CompactedTo, p.LSO()
	if m := p.Manifest; m != nil && from <= m.Last {
		return x, a.manifestRuns(s, p, from, end, maxRuns, &x)
	}
	for _, r := range p.RunsFrom(from, maxRuns, 1<<40, nil) {
		if r.Base < end {
			x.runs, x.keys = append(x.runs, r), append(x.keys, "")
		}
	}
	if len(x.runs) > 0 {
		x.aborted = p.Aborted(from, x.last(), nil)
	}
	return x, nil
}

func (a *agent) manifestRuns(s *state.State, p *state.Partition, from, end int64, maxRuns int, x *stretch) error {
	o, ok := s.Object(p.Manifest.Object)
	if !ok {
		a.w.violated("agent %d: State does not know the manifest %d of a partition", a.id, p.Manifest.Object)
		return errGone
	}
	r, err := manifest.Open(background, bucketClient{a}, o.Key(a.objects), o.Size)
	var list []manifest.Run
	if err == nil {
		list, err = r.RunsFrom(background, from, maxRuns)
	}
	for _, run := range list {
		if run.Base < end {
			x.runs, x.keys = append(x.runs, run.Run), append(x.keys, run.Key(a.objects))
		}
	}
	if err == nil && len(x.runs) > 0 {
		// Those whose markers lie behind the manifest may begin in it.
		x.aborted, err = r.Aborted(background, from, x.last())
		x.aborted = p.Aborted(from, x.last(), x.aborted)
	}
	if errors.Is(err, objstore.ErrNotFound) {
		return errors.Join(errGone, err)
	}
	a.w.stats.Indexed += len(x.runs)
	return err
}

// owned visits the objects of a manifest from the one at an index on.
func owned(ctx context.Context, store objstore.Store, key string, size uint64, first uint32, visit func(manifest.Object)) error {
	r, err := manifest.Open(ctx, store, key, size)
	if err != nil {
		return err
	}
	list, err := r.ObjectsFrom(ctx, first, int(r.Info().Objects))
	for _, o := range list {
		visit(o)
	}
	return err
}
