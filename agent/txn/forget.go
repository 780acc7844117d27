package txn

import (
	"context"
	"fmt"
	"time"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// forgetIDs proposes to forget the transactional ids that this agent coordinates and that nobody has used for long. State
// judges each again, so one that is used at that moment stays (Semantics line 80).
func (k *Keeper) forgetIDs(ctx context.Context) error {
	before, err := k.before(ctx, k.o.IDExpiration)
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

// producersStep is how many producers, partitions and topics are looked at while State is held; a partition is not
// looked at by halves.
const producersStep = 10_000

// silentPartitions are those of a step of topics in which somebody has been silent for long.
type silentPartitions struct {
	topics     []uint64
	partitions []uint32
}

// forgetProducers proposes to forget what partitions know of producers that have been silent for long. One agent does it
// for all partitions: any, but the same for everybody who sees the same agents.
func (k *Keeper) forgetProducers(ctx context.Context) error {
	var expiration time.Duration
	k.o.View.Read(func(s *state.State) { expiration = k.o.ProducerExpiration(s) })
	before, err := k.before(ctx, expiration)
	if err != nil || k.o.Routing.Rank("") != 0 {
		return err
	}
	for at := (place{}); !at.end && ctx.Err() == nil; {
		var found silentPartitions
		k.o.View.Read(func(s *state.State) { found, at = silent(s, at, before) })
		for len(found.topics) > 0 {
			n := min(len(found.topics), state.MaxExpirePartitions)
			if err := k.expire(ctx, before, found.topics[:n], found.partitions[:n]); err != nil {
				return err
			}
			found.topics, found.partitions = found.topics[n:], found.partitions[n:]
		}
	}
	return nil
}

// expire proposes until State has forgotten all that is due in the partitions, as many as one command may at a time.
func (k *Keeper) expire(ctx context.Context, before int64, topics []uint64, partitions []uint32) error {
	for forgotten := int64(state.MaxSweep); forgotten >= state.MaxSweep && ctx.Err() == nil; k.pause(ctx) {
		err := k.propose(ctx, &pb.Command{Kind: &pb.Command_ExpireProducers{ExpireProducers: &pb.ExpireProducers{
			BeforeMs: before, Topics: topics, Partitions: partitions,
		}}}, func(r session.Outcome) { forgotten = r.Result.ID })
		if err != nil {
			return fmt.Errorf("producers of %d partitions: %w", len(topics), err)
		}
	}
	return nil
}

// place is where a walk over all partitions has come to: topics up to after are done, and those partitions of the next
// one that are below partition.
type place struct {
	after     uint64
	partition int
	end       bool
}

// silent looks through some partitions, from a place on.
func silent(s *state.State, at place, before int64) (found silentPartitions, _ place) {
	for left := producersStep; left > 0 && !at.end; left-- {
		var t *state.Topic
		next := s.SomeTopics(at.after, 1, func(x *state.Topic) { t = x })
		for ; t != nil && at.partition < t.Partitions(); at.partition++ {
			if left <= 0 {
				return found, at
			}
			p := t.Partition(int32(at.partition))
			left -= 1 + p.ProducerCount()
			if s.HasExpiredProducers(p, before) {
				found.topics, found.partitions = append(found.topics, t.Number), append(found.partitions, uint32(at.partition))
			}
		}
		at = place{after: next, end: next == 0}
	}
	return found, at
}

// before is the time, in Unix milliseconds, up to which what happened is that long ago.
func (k *Keeper) before(ctx context.Context, long time.Duration) (int64, error) {
	now, err := k.clock.Now(ctx)
	return now.Add(-long).UnixMilli(), err
}

func (k *Keeper) pause(ctx context.Context) {
	select {
	case <-time.After(pace):
	case <-ctx.Done():
	}
}
