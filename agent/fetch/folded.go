package fetch

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"wadi/agent/api"
	"wadi/metadata/manifest"
	"wadi/metadata/state"
	"wadi/metadata/view"
	"wadi/objstore"
)

// A fetch of what lies in a manifest looks at State twice. The first look, under the view's lock, finds out that it needs
// the manifest and of which offsets (want); what the manifest says of them is brought without the lock (folded), and the
// second look uses it, if State names the same manifest still. Else it wants the new one, for a few rounds.

// Bounds of what one fetch reads of manifests.
const (
	maxRounds = 4
	maxWants  = 64 // of a round
)

// want is what a look needs to know of a manifest.
type want struct {
	view.PartitionRef
	volume volume
	offset int64
	runs   int   // so many at most
	bytes  int64 // until so many are there
}

// folded is what a manifest says from an offset on, or why it does not.
type folded struct {
	object  uint64
	offset  int64
	last    int64          // of the manifest
	runs    []manifest.Run // two at least, if there are
	whole   bool           // they go to the manifest's end
	aborted []manifest.Aborted
	err     error
}

// unfold returns what is known of a part's manifest, nil when it has to be brought or cannot: then the plan says so.
func (f *fetch) unfold(l *look, m *state.Manifest, part *api.FetchPart, p *plan, room int, limit int64) *folded {
	ref := view.PartitionRef{Topic: part.Topic, Partition: part.Partition}
	old := f.folded[ref]
	switch {
	case old == nil || old.object != m.Object || old.offset != part.Offset:
		// What it will add to the answer is not known. Whoever comes behind it must not read in vain.
		l.left -= min(limit, m.Bytes)
		l.runs++
		if len(f.wants) < maxWants {
			f.wants = append(f.wants, want{ref, volumeOf(l.state, l.lookup, part.Partition), part.Offset, room, limit})
		}
		return nil
	case errors.Is(old.err, objstore.ErrNotFound):
		p.retry, l.error = old.err, true // a fold may have replaced it
		return nil
	case old.err != nil:
		p.err, l.error = readError(old.err), true
		return nil
	}
	return old
}

// look looks at State until the plans are whole, for a few rounds, and reports whether the request can be answered now.
// With cached it reads nothing, and whole is false when it would have to.
func (f *fetch) look(cached bool) (ready, whole bool) {
	for round := 0; ; round++ {
		ready = f.plan()
		if len(f.wants) == 0 {
			return ready, true
		}
		if round == maxRounds || !f.bring(cached) {
			break
		}
	}
	if cached {
		return false, false
	}
	for _, w := range f.wants { // the manifests change faster than they can be read, or come after what the answer has room for
		for i := range f.call.Parts {
			if part := &f.call.Parts[i]; len(f.places) == 0 && part.Topic == w.Topic && part.Partition == w.Partition {
				f.plans[i].err = fmt.Errorf("%w: manifest %d has changed again", api.ErrStoreUnavailable, w.volume.Object)
			}
		}
	}
	return true, true
}

// bring fetches what the last look wanted. It reports false when something is not in memory and cached is set.
func (f *fetch) bring(cached bool) bool {
	if f.folded == nil {
		f.folded = make(map[view.PartitionRef]*folded, len(f.wants))
	}
	list := make([]*folded, len(f.wants))
	if cached {
		for i := range f.wants {
			if list[i] = f.collect(f.ctx, &f.wants[i], true); list[i].err != nil {
				return false
			}
		}
	} else {
		ctx, cancel := context.WithTimeout(f.ctx, readTimeout)
		defer cancel()
		var group errgroup.Group
		group.SetLimit(loadsPerFetch)
		for i := range f.wants {
			group.Go(func() error {
				list[i] = f.collect(ctx, &f.wants[i], false)
				return nil
			})
		}
		_ = group.Wait() // each holds its own error
	}
	for i := range f.wants {
		f.folded[f.wants[i].PartitionRef] = list[i]
	}
	return true
}

// forget lets go of what could not be brought, so that it is tried again.
func (f *fetch) forget() {
	for ref, x := range f.folded {
		if x.err != nil {
			delete(f.folded, ref)
		}
	}
}

// collect is what a manifest says of what is wanted. The runs are a copy: blocks may leave the memory.
func (f *fetch) collect(ctx context.Context, w *want, cached bool) *folded {
	x := &folded{object: w.volume.Object, offset: w.offset, last: w.volume.Last}
	x.err = x.fill(ctx, f.log.src.manifests, w, f.call.ReadCommitted, cached)
	return x
}

func (x *folded) fill(ctx context.Context, m *manifests, w *want, committed, cached bool) error {
	r, err := m.reader(ctx, &w.volume, cached)
	if err != nil {
		return err
	}
	blocks, bytes := r.RunBlocks(), int64(0)
	for i := r.BlockOf(w.offset); i < len(blocks); i++ {
		runs, err := m.runs(ctx, &w.volume, r, i, cached)
		if err != nil {
			return err
		}
		for _, y := range runs[firstAt(runs, w.offset):] {
			if n := len(x.runs); n >= w.runs && n > 0 || n >= 2 && bytes >= w.bytes {
				return x.fillAborted(ctx, m, w, r, committed, cached)
			}
			if len(x.runs) > 0 {
				bytes += int64(y.Length) // the first one may be entered at its end
			}
			x.runs = append(x.runs, y)
		}
	}
	x.whole = true
	return x.fillAborted(ctx, m, w, r, committed, cached)
}

func (x *folded) fillAborted(ctx context.Context, m *manifests, w *want, r *manifest.Reader, committed, cached bool) (err error) {
	if committed {
		x.aborted, err = m.aborted(ctx, &w.volume, r, w.offset, x.runs[len(x.runs)-1].Last, cached, nil)
	}
	return err
}

// runsFrom is Partition.RunsFrom through the manifest; x nil is none.
func (x *folded) runsFrom(p *state.Partition, offset int64, maxRuns int, maxBytes int64, dst []state.Run) []state.Run {
	if x == nil || offset > x.last {
		return p.RunsFrom(offset, maxRuns, maxBytes, dst)
	}
	for _, y := range x.runs[firstAt(x.runs, offset):] {
		if maxRuns <= 0 {
			return dst
		}
		dst = append(dst, y.Run)
		maxRuns--
		if maxBytes -= int64(y.Length); maxBytes <= 0 {
			return dst
		}
	}
	if !x.whole || maxRuns <= 0 {
		return dst
	}
	return p.RunsFrom(x.last+1, maxRuns, maxBytes, dst)
}

// holds reports whether a run lies in the manifest; place is where.
func (x *folded) holds(r state.Run) bool { return x != nil && r.Last <= x.last }

func (x *folded) place(r state.Run) place { return placed(x.runs[firstAt(x.runs, r.Base)]) }
