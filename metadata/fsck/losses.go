package fsck

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"wadi/metadata/state"
	"wadi/objstore"
)

// loss is a run whose bytes are gone. Reading everything takes long, and meanwhile objects are merged, trimmed and deleted.
type loss struct {
	piece
	err error
}

// lost reports records that cannot be read. Where the object is gone it is asked later whether it still should be there.
func (c *checker) lost(r piece, err error) {
	c.mu.Lock()
	r.of.damaged = true
	if errors.Is(err, objstore.ErrNotFound) {
		c.losses = append(c.losses, loss{r, err})
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.reportLoss(r, err)
}

func (c *checker) reportLoss(r piece, err error) {
	c.finding(LostRecords, r.of.String(), "offsets %d to %d: %v", r.Base, r.Last, err)
}

// judgeLosses reports the runs that are gone and that State, as it is now, has where they were.
func (c *checker) judgeLosses(ctx context.Context) error {
	if len(c.losses) == 0 {
		return nil
	}
	now, err := c.fresh(ctx)
	if err != nil {
		return err
	}
	slices.SortStableFunc(c.losses, func(a, b loss) int { return cmp.Compare(a.Base, b.Base) })
	for _, l := range c.losses {
		if stands(now, l) {
			c.reportLoss(l.piece, l.err)
		}
	}
	return nil
}

// stands reports whether a run is still in the log where it was. Folds leave runs where they are.
func stands(s *state.State, l loss) bool {
	t := s.TopicByNumber(l.of.number)
	if t == nil {
		return false
	}
	p := t.Partition(l.of.index)
	if l.Last < p.LogStart {
		return false
	}
	if p.Manifest != nil && l.Base <= p.Manifest.Last {
		return l.Base >= p.Manifest.First
	}
	runs := p.RunsFrom(l.Base, 1, 1, nil)
	return len(runs) == 1 && runs[0] == l.Run
}
