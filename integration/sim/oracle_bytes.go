package sim

import (
	"fmt"

	"wadi/internal/batch"
	"wadi/metadata/state"
)

// keyed is a record of a table, as its producer made it.
type keyed struct {
	key       string
	tombstone bool
	ms        int64
}

// wire is an entry of a log as every reader gets it, wherever it lies: the batch that was sent, with its offsets, or the
// marker.
func (x *logged) wire() batch.Batch {
	if x.attempt == nil {
		return batch.Marker{Base: x.base, ProducerID: x.txn.by.id, Epoch: x.epoch, Ms: x.ms, Commit: x.txn.fate == committed}.AppendTo(nil)
	}
	data := append(batch.Batch(nil), x.attempt.data...)
	data.SetBaseOffset(x.base)
	data.SetPartitionLeaderEpoch(0)
	return data
}

// placed gives the batches of a run that carry no offsets those that they have.
func placed(r state.Run, data []byte) ([]byte, error) {
	if r.Placed() {
		return data, nil
	}
	next := r.Base
	for rest := data; len(rest) > 0; {
		b, tail, err := batch.Split(rest)
		if err != nil {
			return nil, err
		}
		b.SetBaseOffset(next)
		b.SetPartitionLeaderEpoch(0)
		next, rest = b.LastOffset()+1, tail
	}
	return data, nil
}

// holds compares a stretch of a log as a reader gets it with what was written: the same bytes and nothing else, or, of one
// that was compacted, the records that are left, each where it was. seen, if not nil, hears of each entry, and which of
// its records are there.
func (o *oracle) holds(log int32, base, last int64, data []byte, compacted bool, seen func(x *logged, there []bool)) error {
	list := o.logs[log]
	i := find(list, base)
	if i > 0 && list[i-1].last >= base {
		return fmt.Errorf("offset %d lies within a batch", base)
	}
	for ; i < len(list) && list[i].base <= last; i++ {
		x := &list[i]
		if x.last > last {
			return fmt.Errorf("offset %d lies within a batch", last)
		}
		there, rest, err := x.in(data, compacted)
		if err != nil {
			return err
		}
		if data = rest; seen != nil {
			seen(x, there)
		}
	}
	if len(data) > 0 {
		return fmt.Errorf("%d bytes from offset %d on are nowhere in the log", len(data), batch.Batch(data).BaseOffset())
	}
	return nil
}

// in finds an entry at the beginning of what a reader gets: which of its records are there, and what comes behind it.
func (x *logged) in(data []byte, compacted bool) (there []bool, rest []byte, err error) {
	there = make([]bool, x.last-x.base+1)
	if compacted && (len(data) == 0 || batch.Batch(data).BaseOffset() > x.last) {
		return there, data, nil
	}
	b, rest, err := batch.Split(data)
	if err != nil {
		return nil, nil, fmt.Errorf("at offset %d: %w", x.base, err)
	}
	want := x.wire()
	if string(b) == string(want) {
		for i := range there {
			there[i] = true
		}
		return there, rest, nil
	}
	if !compacted {
		return nil, nil, fmt.Errorf("offset %d reads other bytes than were written", x.base)
	}
	return there, rest, x.remains(b, want, there)
}

// remains checks a batch of which compaction took records: it says of itself what it said before, and has some of its
// records, each as it was.
func (x *logged) remains(b, want batch.Batch, there []bool) error {
	switch {
	case b.ComputeCRC() != b.CRC():
		return fmt.Errorf("the batch at offset %d has a wrong checksum", b.BaseOffset())
	case b.BaseOffset() < x.base || b.LastOffset() > x.last:
		return fmt.Errorf("a batch from offset %d to %d where one from %d to %d was", b.BaseOffset(), b.LastOffset(), x.base, x.last)
	case b.ProducerID() != want.ProducerID() || b.ProducerEpoch() != want.ProducerEpoch() || b.Transactional() != want.Transactional() ||
		b.Control() != want.Control() || b.Codec() != want.Codec() || b.LogAppendTime() != want.LogAppendTime():
		return fmt.Errorf("the batch at offset %d is of another producer, or of another kind, than it was", x.base)
	}
	records := map[int64]batch.Record{}
	before := want.Iter()
	for r, ok := before.Next(); ok; r, ok = before.Next() {
		records[r.Offset] = r
	}
	it := b.Iter()
	defer it.Close()
	for r, ok := it.Next(); ok; r, ok = it.Next() {
		old, ok := records[r.Offset]
		if !ok || fmt.Sprint(old) != fmt.Sprint(r) || (old.Value == nil) != (r.Value == nil) {
			return fmt.Errorf("the record at offset %d is not the one that was written", r.Offset)
		}
		there[r.Offset-x.base] = true
	}
	return it.Err()
}
