package fsck

import (
	"fmt"
	"math"

	"wadi/internal/batch"
)

// tally follows a run's batches from its first offset to its last.
//
// Batches that agents took follow each other, whatever offsets they carry. Those of a placed run carry their own, and
// below the offset up to which the partition was compacted some may be missing, between batches and within them.
type tally struct {
	r      piece
	next   int64 // the offset that is due
	newest int64 // timestamp
	absent int64 // offsets in the log where no record is
	ends   int   // of transactions
	aborts []mark
	err    error
}

func newTally(r piece) tally { return tally{r: r, next: r.Base, newest: math.MinInt64} }

func (t *tally) add(b batch.Batch) {
	records := int64(b.NumRecords())
	t.newest = max(t.newest, b.MaxTimestamp())
	if !t.r.Placed() {
		t.next += records
		return
	}
	base, behind := b.BaseOffset(), b.LastOffset()+1
	switch {
	case t.err != nil:
		return
	case base < t.next || behind > t.r.Last+1:
		t.err = fmt.Errorf("a batch holds offsets %d to %d where one from %d to %d at most is due", base, behind-1, t.next, t.r.Last)
		return
	}
	t.gap(base)
	if missing := behind - base - records; missing > 0 {
		t.missing(base, behind-1)
		if base >= t.r.of.start {
			t.absent += missing
		}
	}
	if t.next = behind; b.Control() {
		t.ends++
		if base >= t.r.of.start {
			t.absent += records
		}
		if aborts(b) {
			t.aborts = append(t.aborts, mark{base, b.ProducerID()})
		}
	}
}

// gap passes over offsets that no batch holds.
func (t *tally) gap(to int64) {
	if to == t.next {
		return
	}
	t.missing(t.next, to-1)
	t.absent += max(0, to-max(t.next, t.r.of.start))
	t.next = to
}

// missing judges a range of offsets of which some are not there.
func (t *tally) missing(first, last int64) {
	if last >= t.r.of.compacted && t.err == nil {
		t.err = fmt.Errorf("offsets are missing from %d to %d, the partition is compacted up to %d", first, last, t.r.of.compacted)
	}
}

func (t *tally) end() error {
	if t.r.Placed() && t.err == nil {
		t.gap(t.r.Last + 1)
	}
	switch {
	case t.err != nil:
		return t.err
	case t.next != t.r.Last+1:
		return fmt.Errorf("its batches hold the records up to offset %d", t.next-1)
	case t.newest != t.r.MaxTimestamp:
		return fmt.Errorf("its newest timestamp is %d instead of %d", t.newest, t.r.MaxTimestamp)
	}
	return nil
}

// checkBytes checks that data is exactly the run: whole valid batches with its records and its newest timestamp.
func checkBytes(r piece, data []byte) (tally, error) {
	t := newTally(r)
	for len(data) > 0 {
		b, rest, err := batch.Split(data)
		if err != nil {
			return t, err
		}
		if b, err = batch.Validate(b, batch.Rules{Stored: true, AllowZstd: true, AllowControl: true}); err != nil {
			return t, err
		}
		t.add(b)
		data = rest
	}
	return t, t.end()
}

// read counts what was read of a run that is whole.
func (c *checker) read(t tally) {
	if t.ends > 0 || t.absent > 0 {
		c.count(func(n *Counts) { n.Markers += t.ends; n.Records -= t.absent })
	}
	if len(t.aborts) > 0 {
		c.mu.Lock()
		t.r.of.aborts = append(t.r.of.aborts, t.aborts...)
		c.mu.Unlock()
	}
}
