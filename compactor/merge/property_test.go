package merge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"wadi/internal/batch"
	"wadi/internal/kafkaconfig"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
)

// history is what a random test has going on.
type history struct {
	*rig
	t        *rapid.T
	producer state.Result
	sequence map[part]int32
	open     bool
	fill     byte
	created  int
}

// Whatever is written, in whatever lane, trimmed and deleted, and whenever merges run, fail and lose their proposals: every
// partition reads the same before and after, byte for byte, and no name is used twice.
func TestReadersSeeTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{
			FanIn: rapid.IntRange(2, 6).Draw(t, "fan in"), Debt: rapid.IntRange(8, 12).Draw(t, "debt"), Crowd: rapid.IntRange(8, 20).Draw(t, "crowd"), MaxRun: rapid.Int64Range(400, 4000).Draw(t, "run"),
			Gap: rapid.SampledFrom([]int64{-1, 100, 1 << 20}).Draw(t, "gap"), Parallel: rapid.SampledFrom([]int{1, 1, 3}).Draw(t, "parallel"),
		}
		c.Medium = c.MaxRun / 2
		c.Small = c.Medium / 4
		c.Own = 2 * c.MaxRun
		c.MaxOutput = 3 * c.Own
		c.MaxInput = 2 * c.MaxOutput
		c.MaxInline = c.MaxRun
		h := &history{rig: newRig(t, c, 2, 3), t: t, sequence: map[part]int32{}}
		h.configs = &kafkaconfig.Effective{
			Delete: true, RetentionMs: rapid.SampledFrom([]int64{-1, 1, 8000, 80_000}).Draw(t, "retention"), SegmentMs: 1 << 40,
			SegmentBytes: rapid.SampledFrom([]int64{1, 1 << 30}).Draw(t, "segment"),
		}
		h.producer = h.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{TransactionalId: "t", TimeoutMs: 1}}})[0]
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			h.step()
			h.check()
		}
		// All goes well from now on, and comes to an end.
		h.lose = func() fate { return answered }
		h.archive()
		h.settle()
		h.check()
		h.checkNames()
		h.checkTails(h.task.c)
	})
}

func (h *history) step() {
	t := h.t
	parts := h.parts()
	p := rapid.SampledFrom(parts).Draw(t, "partition")
	switch rapid.IntRange(0, 15).Draw(t, "step") {
	case 0:
		if rapid.Bool().Draw(t, "forget") {
			clear(h.journal)
		} else {
			h.archive()
		}
	case 1:
		x := h.s.TopicByNumber(p.topic).Partition(int32(p.partition))
		h.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_TrimPartitions{TrimPartitions: &pb.TrimPartitions{
			Topics: []uint64{p.topic}, Partitions: []uint32{p.partition}, Offsets: []int64{rapid.Int64Range(0, x.Next).Draw(t, "trim")},
		}}})
	case 2:
		h.apply(nil, &pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: uint32(rapid.IntRange(0, 10).Draw(t, "sweep"))}}})
	case 3:
		if h.open {
			h.producer = h.endTxn(h.producer.ID, int32(h.producer.Epoch), rapid.Bool().Draw(t, "commit"))
			h.open, h.sequence = false, map[part]int32{}
		}
	case 4:
		if h.created++; h.created <= 2 {
			h.create(fmt.Sprint("more", h.created), 2)
		} else if !h.open && len(parts) > 4 {
			h.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: p.topic}}})
			for _, q := range parts {
				if q.topic == p.topic {
					delete(h.want, q)
				}
			}
		}
	case 5:
		h.transactional(p)
	case 6, 7, 8:
		h.failingPass()
	default:
		list := []part{p}
		if rapid.Bool().Draw(t, "several") {
			list = parts
		}
		var flush []written
		for _, q := range list {
			flush = append(flush, plain(q, h.batches()...))
		}
		h.write(rapid.Bool().Draw(t, "inline"), flush...)
	}
}

func (h *history) batches() (list []batch.Batch) {
	for range rapid.IntRange(1, 3).Draw(h.t, "batches") {
		h.fill++
		list = append(list, aBatch(rapid.IntRange(1, 3).Draw(h.t, "records"), rapid.IntRange(1, 80).Draw(h.t, "size"), h.fill, rapid.Int64Range(500, 9000).Draw(h.t, "ms")))
	}
	return list
}

func (h *history) transactional(p part) {
	list := h.batches()
	records := int32(0)
	for i, b := range list {
		records += b.NumRecords()
		list[i] = inTransaction(b, h.producer.ID, h.producer.Epoch)
	}
	h.write(rapid.Bool().Draw(h.t, "inline"), written{
		part: p, producer: h.producer.ID, epoch: int32(h.producer.Epoch), sequence: h.sequence[p], txn: true, batches: list,
	})
	h.sequence[p] += records
	h.open = true
}

// failingPass runs a pass in which something may go wrong, now and then in the same way for several calls.
func (h *history) failingPass() {
	t := h.t
	outcome := rapid.SampledFrom([]fate{answered, answered, answered, lostBefore, lostAfter, late}).Draw(t, "fate")
	h.lose = func() fate { return outcome }
	f := fault.Fault{Nth: rapid.IntRange(1, 6).Draw(t, "nth"), Times: rapid.IntRange(1, 2).Draw(t, "times")}
	kind := rapid.IntRange(0, 9).Draw(t, "fault")
	switch kind {
	case 0:
		f.Op, f.Do = fault.Get, fault.FailBefore(nil)
	case 1:
		f.Op, f.Do = fault.Get, fault.TornBody(rapid.IntRange(0, 200).Draw(t, "torn"))
	case 2:
		f.Op, f.Times, f.Do = fault.Get, 1, fault.FlipByte(rapid.IntRange(0, 2000).Draw(t, "flipped"))
	case 3:
		f.Op, f.Nth, f.Do = fault.Put, 1, fault.FailBefore(nil)
	case 4:
		f.Op, f.Nth, f.Do = fault.Put, 1, fault.FailAfter(objstore.ErrThrottled)
	case 5:
		f.Op, f.Nth, f.Do = fault.Put, 1, fault.FailAfter(objstore.ErrExists)
	case 6:
		f.Op, f.Nth, f.Do = fault.Put, 1, fault.FailBefore(objstore.ErrConflict)
	default:
		f.Op, f.Do = fault.List, fault.FailBefore(nil) // nothing
	}
	armed := h.store.Script(f)
	_, err := h.pass(context.Background())
	armed.Disarm()
	for _, known := range []error{session.ErrUnknown, fault.ErrInjected, objstore.ErrThrottled} {
		if errors.Is(err, known) {
			return
		}
	}
	if err != nil {
		t.Fatalf("fault %d: %v", kind, err)
	}
}

// checkNames checks that no merged object was begun twice.
func (r *rig) checkNames() {
	seen := map[string]bool{}
	for _, c := range r.store.TakeTranscript() {
		if c.Op == fault.Put || c.Op == fault.Begin {
			if seen[c.Key] {
				r.t.Fatalf("%s is written twice", c.Key)
			}
			seen[c.Key] = true
		}
	}
}

// checkTails checks that no partition has too many runs left that may be merged.
func (r *rig) checkTails(c Config) {
	eachTail(r.s, c, Scope{Bad: r.task.bad.has}, func(tail int) {
		if tail >= tiers*c.Debt+c.Crowd {
			r.t.Fatalf("a tail of %d runs", tail)
		}
	})
}

// inTransaction marks a batch as a transaction's.
func inTransaction(b batch.Batch, producer int64, epoch int16) batch.Batch {
	return sealed(slices.Clone(b), producer, epoch)
}
