package keycompact

import (
	"wadi/internal/batch"
)

// index notes the last offset of each key of a batch of the dirty section. false: the map is full.
func (s *section) index(keys *keyMap, b batch.Batch) (bool, error) {
	if b.Control() || s.isAborted(b) || b.LastOffset() < s.logStart {
		return true, nil
	}
	it := b.Iter()
	defer it.Close()
	for r, ok := it.Next(); ok; r, ok = it.Next() {
		if r.Key != nil && !keys.put(hashOf(r.Key), r.Offset) {
			return false, nil
		}
	}
	return true, it.Err()
}

// ending says what of the batch that ends a range stays in any case.
type ending int

const (
	within     ending = iota // it does not end the range
	endsMarker               // a marker stays: State may remember its transaction
	endsRange                // a marker stays, or the last record: a reader who stands there gets on
)

// sieve appends to dst what stays of a batch, and says how many records that is; of markers one. 0: nothing.
func (s *section) sieve(keys *keyMap, b batch.Batch, end ending, dst []byte) ([]byte, int32, error) {
	if b.Control() {
		// With its marker a transaction that ends within the range is gone: what was aborted of it lies before.
		if end == within {
			return dst, 0, nil
		}
		return append(dst, b...), b.NumRecords(), nil
	}
	gone := s.isAborted(b) || b.LastOffset() < s.logStart
	if gone && end != endsRange {
		return dst, 0, nil
	}
	horizon, has := b.DeleteHorizon()
	expired := has && horizon <= s.now
	last := b.NumRecords() - 1
	out, left, err := batch.Filter(b, s.horizon, func(i int32, r *batch.Record) bool {
		switch {
		case i == last && end == endsRange:
			return true
		case gone, r.Key == nil, r.Value == nil && expired:
			return false
		}
		return keys.last(hashOf(r.Key)) <= r.Offset
	}, dst)
	return out, left.Records, err
}
