package txn

import (
	"context"
	"fmt"
	"time"

	"wadi/internal/wallclock"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// forget looks for what nobody uses any more, until ctx ends. It begins soon, or agents that are restarted often would
// never come to it.
func (k *Keeper) forget(ctx context.Context) {
	clock := wallclock.New(k.o.Date)
	ids, producers := time.NewTimer(min(k.o.ForgetEvery, firstForget)), time.NewTimer(firstForget)
	defer ids.Stop()
	defer producers.Stop()
	for {
		var err error
		what := "transactional ids"
		select {
		case <-ids.C:
			err = k.forgetIDs(ctx, clock)
			ids.Reset(k.o.ForgetEvery)
		case <-producers.C:
			what, err = "producers", k.forgetProducers(ctx, clock)
			producers.Reset(producersEvery)
		case <-ctx.Done():
			return
		}
		k.report(ctx, what+" that nobody uses are not forgotten", err)
	}
}

// forgetIDs proposes to forget the transactional ids that this agent coordinates and that nobody has used for long. State
// judges each again, so one that is used at that moment stays (Semantics line 80).
func (k *Keeper) forgetIDs(ctx context.Context, clock *wallclock.Clock) error {
	if !k.o.Tenure.Holds() {
		return nil
	}
	before, err := before(ctx, clock, k.o.IDExpiration)
	if err != nil {
		return err
	}
	type idle struct {
		id       string
		producer int64
	}
	for next, first := uint64(0), true; (first || next != 0) && ctx.Err() == nil; first = false {
		var found []idle
		k.o.View.Read(func(s *state.State) {
			next = s.SomeTxns(next, lookStep, func(t *state.Txn) {
				if t.Status != state.TxnOngoing && t.ChangedMs <= before {
					found = append(found, idle{t.Name, t.ProducerID})
				}
			})
		})
		c := &pb.ExpireTxns{BeforeMs: before}
		for _, x := range found {
			if k.o.Routing.Rank(x.id) == 0 {
				c.ProducerIds = append(c.ProducerIds, x.producer)
			}
		}
		if len(c.ProducerIds) == 0 {
			continue
		}
		err := k.propose(ctx, &pb.Command{Kind: &pb.Command_ExpireTxns{ExpireTxns: c}}, func(session.Outcome) {})
		if err != nil {
			return fmt.Errorf("%d transactional ids: %w", len(c.ProducerIds), err)
		}
		k.pause(ctx)
	}
	return nil
}

// firstForget is when an agent that has started looks first for what nobody uses.
const firstForget = time.Minute

// Bounds of one look through partitions while State is held, and of what one command names.
const (
	producersStep  = 10_000
	namedProducers = state.MaxSweep * 9 / 10
)

// forgetProducers proposes to forget what partitions know of producers that have been silent for long. One agent does it
// for all partitions: any, but the same for everybody who sees the same agents.
func (k *Keeper) forgetProducers(ctx context.Context, clock *wallclock.Clock) error {
	if !k.o.Tenure.Holds() || k.o.Routing.Rank("") != 0 {
		return nil
	}
	var expiration time.Duration
	k.o.View.Read(func(s *state.State) { expiration = k.o.ProducerExpiration(s) })
	before, err := before(ctx, clock, expiration)
	if err != nil {
		return err
	}
	for at := (place{}); !at.end && ctx.Err() == nil; {
		var c *pb.ExpireProducers
		k.o.View.Read(func(s *state.State) { c, at = silent(s, at, before) })
		if len(c.ProducerIds) == 0 {
			continue
		}
		err := k.propose(ctx, &pb.Command{Kind: &pb.Command_ExpireProducers{ExpireProducers: c}}, func(session.Outcome) {})
		if err != nil {
			return fmt.Errorf("producers of %d partitions: %w", len(c.Topics), err)
		}
		k.pause(ctx)
	}
	return nil
}

// place is where a walk over all partitions has come to: topics up to after are done, and of the next one the partitions
// below partition, and of that what State.SilentProducers says.
type place struct {
	after     uint64
	partition int
	from      int
	end       bool
}

// silent looks through some partitions, from a place on, and names who has been silent there.
func silent(s *state.State, at place, before int64) (c *pb.ExpireProducers, _ place) {
	c = &pb.ExpireProducers{BeforeMs: before}
	for left := producersStep; left > 0; left-- {
		var t *state.Topic
		next := s.SomeTopics(at.after, 1, func(x *state.Topic) { t = x })
		for t != nil && at.partition < t.Partitions() {
			room := namedProducers - len(c.ProducerIds)
			if left <= 0 || room <= 0 || len(c.Topics) == state.MaxExpirePartitions {
				return c, at
			}
			p, named := t.Partition(int32(at.partition)), len(c.ProducerIds)
			left -= 1 + min(room, p.ProducerCount())
			c.ProducerIds, at.from = s.SilentProducers(p, before, at.from, room, c.ProducerIds)
			c.ProducerIds = c.ProducerIds[:min(len(c.ProducerIds), state.MaxSweep)] // others are found the next time
			if n := len(c.ProducerIds) - named; n > 0 {
				c.Topics, c.Partitions = append(c.Topics, t.Number), append(c.Partitions, uint32(at.partition))
				c.Counts = append(c.Counts, uint32(n))
			}
			if at.from == 0 {
				at.partition++
			}
		}
		if at = (place{after: next, end: next == 0}); at.end {
			break
		}
	}
	return c, at
}

// before is the time, in Unix milliseconds, up to which what happened is that long ago.
func before(ctx context.Context, clock *wallclock.Clock, long time.Duration) (int64, error) {
	now, err := clock.Now(ctx)
	return now.Add(-long).UnixMilli(), err
}

func (k *Keeper) pause(ctx context.Context) {
	select {
	case <-time.After(pace):
	case <-ctx.Done():
	}
}
