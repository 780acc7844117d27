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
	if got, want := len(o.Result.Batches), len(f.items); got != want {
		return nil, fmt.Errorf("%w: %d verdicts for %d batches", ErrUnknown, got, want)
	}
	list := make([]Result, len(f.items))
	start, of := int64(-1), Partition{}
	for i, b := range o.Result.Batches {
		if id := f.items[i].Partition; i == 0 || id != of {
			start, of = -1, id
			if p := partitionOf(s, id); p != nil {
				start = p.LogStart
			}
		}
		list[i] = Result{Code: b.Code, Base: b.Base, Time: b.Time, LogStart: start}
	}
	return list, nil
}

// Expected is what State says of a producer in a partition, in the terms of Producers.
func Expected(s *state.State, part Partition, pid int64, epoch int16) (seq int32, known, fresh bool) {
	fresh = pid > s.HighestExpiredProducerID()
	if p := partitionOf(s, part); p != nil {
		if p.ProducerFenced(pid, epoch) {
			return 0, false, false // State refuses it now or later: nothing to wait for
		}
		seq, known = p.ProducerNext(pid, epoch)
	}
	return seq, known, fresh
}

func partitionOf(s *state.State, id Partition) *state.Partition {
	if t := s.TopicByNumber(id.Topic); t != nil {
		return t.Partition(id.Index)
	}
	return nil
}

// concerns reports whether an entry is one that Core.Applied must hear of: it holds batches, or moves inline bytes to an
// archive.
func concerns(body *pb.Entry) bool {
	for _, c := range body.Commands {
		switch c.Kind.(type) {
		case *pb.Command_AppendBatches, *pb.Command_Archived:
			return true
		}
	}
	return false
}

// Applied tells of an entry that was applied and what State says is outstanding then. Only entries with batches, and
// those that record an archive, matter.
func (c *Core) Applied(now time.Duration, body *pb.Entry, outstanding int64) {
	c.Seen(now, len(body.Inline), outstanding)
	if c.held.count == 0 {
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
