package sim

import (
	"errors"
	"fmt"
	"time"

	"wadi/internal/batch"
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
	if maxRuns < p.Runs() {
		from += w.rng.Int64N(p.Next - p.LogStart + 1)
	}
	runs := p.RunsFrom(from, maxRuns, 1<<40, nil)
	if len(runs) > 0 && (runs[0].Base > from || runs[0].Last < from) {
		w.violated("agent %d: the run from %d to %d does not hold offset %d", a.id, runs[0].Base, runs[0].Last, from)
	}
	for _, r := range runs {
		if err := a.readRun(partition, r); err != nil {
			return err
		}
	}
	w.stats.Reads += len(runs)
	return nil
}

func (a *agent) readRun(partition int32, r state.Run) error {
	if r.Marker() {
		a.readMarker(partition, r)
		return nil
	}
	data, err := a.fetch(r)
	if errors.Is(err, objstore.ErrNotFound) {
		// As fetches do: a barrier, and one more look.
		if err := a.pass(); err != nil {
			return err
		}
		if p := a.partition(partition); p.LogStart > r.Last {
			return nil // deleted meanwhile
		}
		if data, err = a.fetch(r); errors.Is(err, objstore.ErrNotFound) {
			a.w.violated("agent %d: the bytes of offset %d of partition %d are nowhere: %v", a.id, r.Base, partition, err)
		}
	}
	if err != nil {
		return err
	}
	log := a.w.oracle.logs[partition]
	i := find(log, r.Base)
	for next := r.Base; next <= r.Last; i++ {
		b, rest, err := batch.Split(data)
		if err != nil || i >= len(log) || log[i].base != next || log[i].attempt == nil || string(b) != string(log[i].attempt.data) {
			a.w.violated("agent %d: partition %d offset %d reads other bytes than were written (%v)", a.id, partition, next, err)
			return err
		}
		data, next = rest, log[i].last+1
	}
	if len(data) > 0 {
		a.w.violated("agent %d: partition %d: run from %d has %d bytes too many", a.id, partition, r.Base, len(data))
	}
	return nil
}

// readMarker compares the end of a transaction, as fetches make it, with the log.
func (a *agent) readMarker(log int32, r state.Run) {
	list := a.w.oracle.logs[log]
	i := find(list, r.Base)
	if i == len(list) || list[i].base != r.Base || list[i].attempt != nil || r.Last != r.Base || r.Length != batch.MarkerBytes {
		a.w.violated("agent %d: log %d: a marker at offset %d", a.id, log, r.Base)
		return
	}
	id, epoch := r.MarkerProducer()
	data := batch.Batch(batch.AppendMarker(nil, r.Base, id, epoch, r.MaxTimestamp, r.MarkerCommits()))
	x := list[i]
	if data.BaseOffset() != x.base || data.ProducerID() != x.txn.by.id || data.ProducerEpoch() != x.epoch || !data.Control() ||
		!data.Transactional() || r.MarkerCommits() != (x.txn.fate == committed) {
		a.w.violated("agent %d: log %d: the marker at offset %d is %v %d/%d, it must be of %v with epoch %d",
			a.id, log, r.Base, r.MarkerCommits(), id, epoch, x.txn, x.epoch)
	}
}

// find is the index of the batch that starts at an offset.
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

// fetch brings a run's bytes from where State says they lie.
func (a *agent) fetch(r state.Run) ([]byte, error) {
	s := a.view.State()
	if !r.Inline() {
		o, ok := s.Object(r.Place)
		if !ok {
			a.w.violated("agent %d: run in unknown object %d", a.id, r.Place)
		}
		return bucketClient{a}.Get(background, o.Key(a.objects), int64(r.Offset), int64(r.Length))
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
	return data[r.Offset : r.Offset+r.Length], nil
}
