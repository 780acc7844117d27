package ingest

import (
	"errors"
	"fmt"
	"math"
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

// TurnIn is what State says of a producer in a partition. Of one with a transactional id, that alone tells whether the
// epoch is over; the partition tells it of the others. An epoch that is not over yet may still be one that nobody was
// given: then State refuses the batch when it comes.
func TurnIn(s *state.State, part Partition, pid int64, epoch int16) Turn {
	t := Turn{Asked: true, Fresh: pid > s.HighestExpiredProducerID()}
	if x := s.TxnByProducer(pid); x != nil && (pid != x.ProducerID || epoch < x.Epoch) {
		t.Over = true
		return t
	}
	if p := partitionOf(s, part); p != nil {
		t.Over = p.ProducerFenced(pid, epoch)
		t.Next, t.Known = p.ProducerNext(pid, epoch)
	}
	return t
}

func partitionOf(s *state.State, id Partition) *state.Partition {
	if t := s.TopicByNumber(id.Topic); t != nil {
		return t.Partition(id.Index)
	}
	return nil
}

// concerns reports whether an entry is one that Core.Applied must hear of: it holds batches, moves inline bytes to an
// archive, or ends a producer's epoch.
func concerns(body *pb.Entry) bool {
	for _, c := range body.Commands {
		switch k := c.Kind.(type) {
		case *pb.Command_AppendBatches, *pb.Command_Archived, *pb.Command_EndTxn:
			return true
		case *pb.Command_InitProducer:
			if k.InitProducer.TransactionalId != "" {
				return true
			}
		}
	}
	return false
}

// Applied tells of an entry that was applied, what it did, and what State says is outstanding then. Only entries with
// batches, those that record an archive, and those that end producers' epochs matter.
func (c *Core) Applied(now time.Duration, body *pb.Entry, res *state.Results, outstanding int64) {
	c.Seen(now, len(body.Inline), outstanding)
	if c.held.count == 0 {
		return
	}
	for i, cmd := range body.Commands {
		switch k := cmd.Kind.(type) {
		case *pb.Command_AppendBatches:
			a := k.AppendBatches
			for i := range min(len(a.Topics), len(a.Partitions)) {
				c.Advanced(now, Partition{a.Topics[i], int32(a.Partitions[i])})
			}
		case *pb.Command_EndTxn, *pb.Command_InitProducer:
			if i >= len(res.Commands) || res.Commands[i].Code != state.OK {
				continue
			}
			id := res.Commands[i].ID
			c.Began(now, id, res.Commands[i].Epoch)
			if e := cmd.GetEndTxn(); e != nil && e.ProducerId != id {
				c.Began(now, e.ProducerId, math.MaxInt16) // its epochs have run out
			}
		}
	}
}
