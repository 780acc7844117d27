package sim

import (
	"errors"
	"fmt"
	"time"

	"wadi/metadata/state"
	"wadi/objstore"
)

// startReaders lets reads begin, each at a random agent and place.
func (w *World) startReaders() {
	w.after(w.between(100*time.Millisecond, 300*time.Millisecond), func() {
		if a := w.anyAgent(); a.up && a.caughtUp && w.ready() {
			partition := int32(w.rng.IntN(logs))
			a.deliver(func() {
				a.spawn(func() {
					if w.chance(0.5) {
						a.read(partition, w.chance(0.5), 30)
					} else {
						_, _ = a.readCommitted(partition, -1, w.chance(0.5), 1+w.rng.IntN(30), nil) // what does not answer is read again
					}
				})
			})
		}
		if w.now < w.opts.Active {
			w.startReaders()
		}
	})
}

// all is how many runs a reader takes who reads on to the end.
const all = 1 << 30

// read reads some of a partition's runs and compares each batch with the log. With sure it passes a barrier first: then
// everything acknowledged before must be there.
func (a *agent) read(partition int32, sure bool, maxRuns int) error {
	w := a.w
	if sure {
		acked, start := w.oracle.ackedTo[partition], w.oracle.toldStart[partition]
		if err := a.pass(); err != nil {
			return err
		}
		if p := a.partition(partition); p != nil && p.LogStart < start {
			w.violated("agent %d, behind a barrier, begins partition %d at %d, a client was told %d before", a.id, partition, p.LogStart, start)
		}
		if next := a.partition(partition); next == nil || next.Next < acked {
			w.violated("agent %d, behind a barrier, does not have offset %d of partition %d, which was acknowledged before",
				a.id, acked-1, partition)
		}
	}
	p := a.partition(partition)
	if p == nil {
		return nil
	}
	from := p.LogStart
	if maxRuns < all {
		from += w.rng.Int64N(p.Next - p.LogStart + 1)
	}
	for end := p.Next; from < end; {
		x, err := a.runsFrom(partition, from, end, maxRuns)
		if err == nil && len(x.runs) > 0 {
			err = a.readRuns(partition, x, nil)
		}
		if err != nil || len(x.runs) == 0 || maxRuns < all {
			return err
		}
		from = x.last() + 1
	}
	return nil
}

// readRuns reads runs one by one and compares them with the log; of a table, what is not there must be allowed to be
// missing. seen hears of each entry, and which of its records are there.
func (a *agent) readRuns(log int32, x stretch, seen func(x *logged, there []bool)) error {
	w := a.w
	for i, r := range x.runs {
		data, err := a.bytesOf(log, r, x.keys[i])
		if err != nil || data == nil {
			return err
		}
		err = w.oracle.holds(log, r.Base, r.Last, data, isTable(log) && r.Placed(), func(e *logged, there []bool) {
			w.oracle.missed(fmt.Sprintf("agent %d", a.id), log, e, there, x.to)
			if seen != nil {
				seen(e, there)
			}
		})
		if err != nil {
			w.violated("agent %d: log %d, run from %d to %d: %v", a.id, log, r.Base, r.Last, err)
			return err
		}
	}
	w.stats.Reads += len(x.runs)
	return nil
}

// bytesOf brings a run as fetches give it to their clients: offsets patched in, markers made. Bytes that are not there are
// looked for once more behind a barrier; nil when the run was deleted meanwhile.
func (a *agent) bytesOf(log int32, r state.Run, key string) ([]byte, error) {
	if r.Marker() {
		return r.MarkerBatch().AppendTo(nil), nil
	}
	data, err := a.fetch(r, key)
	if errors.Is(err, objstore.ErrNotFound) {
		// As fetches do: a barrier, and one more look.
		if err := a.pass(); err != nil {
			return nil, err
		}
		p := a.partition(log)
		if p == nil || p.LogStart > r.Last {
			return nil, nil
		}
		var again stretch
		if again, err = a.runsFrom(log, max(r.Base, p.LogStart), r.Last+1, 1); err != nil || len(again.runs) == 0 {
			return nil, err
		}
		if same := again.runs[0]; same != r {
			return nil, nil // it lies elsewhere by now: the reader starts over
		}
		if data, err = a.fetch(r, again.keys[0]); errors.Is(err, objstore.ErrNotFound) {
			a.w.violated("agent %d: the bytes of offset %d of partition %d are nowhere: %v", a.id, r.Base, log, err)
		}
	}
	if err != nil {
		return nil, err
	}
	return placed(r, data)
}

// find is the index of the batch that starts at an offset, or of the next one.
func find(log []logged, base int64) int {
	lo, hi := 0, len(log)
	for lo < hi {
		if m := (lo + hi) / 2; log[m].base < base {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// fetch brings a run's bytes from where State, or a manifest, says they lie.
func (a *agent) fetch(r state.Run, key string) ([]byte, error) {
	s := a.view.State()
	if !r.Inline() {
		if key == "" {
			o, ok := s.Object(r.Place)
			if !ok {
				return nil, objstore.ErrNotFound // forgotten while the reader was on its way
			}
			key = o.Key(a.objects)
		}
		return bucketClient{a}.Get(background, key, int64(r.Offset), int64(r.Length))
	}
	position := int64(r.Place)
	data := a.inline[position]
	if data == nil {
		key, size := "", uint64(0)
		if o, _, ok := s.Archive(position); ok {
			key, size = o.Key(a.objects), o.Size
		}
		var err error
		if data, err = a.archives.Inline(background, key, size, position); err != nil {
			return nil, err
		}
	}
	if uint64(len(data)) < uint64(r.Offset)+uint64(r.Length) {
		return nil, fmt.Errorf("inline data of position %d has %d bytes: %w", position, len(data), objstore.ErrCorrupt)
	}
	return append([]byte(nil), data[r.Offset:r.Offset+r.Length]...), nil
}
