package ingest

import (
	"errors"
	"fmt"
	"time"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// Judged turns the outcome of a flush's command into what Core.Committed takes: one verdict for each item in section
// order, or an error that says whether the flush can still land. s is the State that the outcome came from; the call must
// be made while the outcome's result is valid.
func (f *Flush) Judged(o session.Outcome, s *state.State) ([]Result, error) {
	switch err := o.Err; {
	case err != nil && (errors.Is(err, session.ErrNotProposed) || errors.Is(err, session.ErrBusy) ||
		errors.Is(err, session.ErrTooLarge)):
		return nil, fmt.Errorf("%w: %w", ErrNoSession, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	case o.Result.Code != state.OK:
		// Refused as a whole: nothing was appended.
		return nil, fmt.Errorf("%w: %s", ErrNoSession, o.Result.Code)
	}
	list := make([]Result, len(o.Result.Batches))
	for i, b := range o.Result.Batches {
		list[i] = Result{Code: b.Code, Base: b.Base, Time: b.Time, LogStart: -1}
		if t := s.TopicByNumber(f.items[i].Partition.Topic); t != nil {
			if p := t.Partition(f.items[i].Partition.Index); p != nil {
				list[i].LogStart = p.LogStart
			}
		}
	}
	return list, nil
}

// Expected is what State says of a producer in a partition, in the terms of Producers.
func Expected(s *state.State, part Partition, pid int64, epoch int16) (seq int32, known, fresh bool) {
	fresh = pid > s.HighestExpiredProducerID()
	if t := s.TopicByNumber(part.Topic); t != nil {
		if x := t.Partition(part.Index); x != nil {
			seq, known = x.ProducerNext(pid, epoch)
		}
	}
	return seq, known, fresh
}

func appends(body *pb.Entry) bool {
	for _, c := range body.Commands {
		if c.GetAppendBatches() != nil {
			return true
		}
	}
	return false
}

// Applied tells of an entry that was applied and what State says is outstanding then. Only entries with batches matter.
func (c *Core) Applied(now time.Duration, body *pb.Entry, outstanding int64) {
	c.Seen(now, len(body.Inline), outstanding)
	if c.heldCount == 0 {
		return
	}
	for _, cmd := range body.Commands {
		if a := cmd.GetAppendBatches(); a != nil && len(a.Partitions) == len(a.Topics) {
			for i := range a.Topics {
				c.Advanced(now, Partition{a.Topics[i], int32(a.Partitions[i])})
			}
		}
	}
}
