package sim

import (
	"time"

	"wadi/agent/sweep"
	"wadi/internal/layout"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// trims moves log starts of the topic that is checked, and makes it grow beyond the partitions that are, all the time:
// what is left must be what was written, and what is gone must go everywhere.
func (w *World) trims() {
	if w.now < w.opts.Active {
		w.after(w.between(200*time.Millisecond, time.Second), w.trims)
	}
	a := w.anyAgent()
	if !a.up || !a.opened || !a.caughtUp || w.orders == 0 {
		return
	}
	a.deliver(func() {
		s := a.view.State()
		t := s.TopicByNumber(w.orders)
		if t == nil {
			return
		}
		if w.chance(0.1) {
			a.propose(&pb.Command{Base: s.Position(), Kind: &pb.Command_CreatePartitions{
				CreatePartitions: &pb.CreatePartitions{Topic: w.orders, Count: uint32(t.Partitions() + w.rng.IntN(2))},
			}}, func(session.Outcome) {})
			return
		}
		trim := &pb.TrimPartitions{}
		for range 1 + w.rng.IntN(2) {
			i := w.rng.IntN(partitions)
			p := t.Partition(int32(i))
			offset := p.LogStart + w.rng.Int64N(p.Next-p.LogStart+1)
			switch n := w.rng.IntN(10); {
			case n == 0:
				offset = p.Next
			case n == 1:
				offset = p.Next + 3 // there by the time it lands, or refused
			case n > 3:
				offset = p.LogStart + (offset-p.LogStart)/4
			}
			trim.Topics, trim.Partitions = append(trim.Topics, w.orders), append(trim.Partitions, uint32(i))
			trim.Offsets = append(trim.Offsets, offset)
		}
		a.propose(&pb.Command{Base: s.Position(), Kind: &pb.Command_TrimPartitions{TrimPartitions: trim}}, func(o session.Outcome) {
			if o.Err != nil || o.Result.Code != state.OK {
				return
			}
			for i, r := range o.Result.Batches {
				if p := trim.Partitions[i]; r.Code == state.OK {
					w.oracle.toldStart[p] = max(w.oracle.toldStart[p], r.Base)
				}
			}
		})
	})
}

// cutOff checks State's verdict on each log start.
func (o *oracle) cutOff(e journal.Entry, base int64, c *pb.TrimPartitions, results []state.BatchResult) {
	for i, r := range results {
		p, ok := o.w.logOf(c.Topics[i], c.Partitions[i])
		offset, next := c.Offsets[i], o.end(p)
		if !ok {
			continue
		}
		o.w.note("trim partition=%d offset=%d: %s start=%d", p, offset, r.Code, r.Base)
		right := false
		switch r.Code {
		case state.OK:
			o.starts[p] = max(o.starts[p], offset)
			right = offset <= next && r.Base == o.starts[p]
			o.w.stats.Trims++
		case state.OffsetOutOfRange:
			right = offset > next
		case state.Conflict:
			right = o.grown > base
		}
		if !right {
			o.w.violated("position %d: a log start of partition %d moves to %d: %s %d; it is at %d, the next offset %d",
				e.Position, p, offset, r.Code, r.Base, o.starts[p], next)
		}
	}
}

// sweepUp proposes sweeps, as agents do. Who lives is taken from State, which is late to know.
func (a *agent) sweepUp() {
	_, own, open := a.sess.Session()
	s := a.view.State()
	l := sweep.Look{Unswept: s.Unswept(), LastSweep: s.LastSweep()}
	s.EachSession(func(_ layout.Session, v state.Session) {
		if v.Closed == 0 && v.NodeID < own {
			l.Rank++
		}
	})
	if !open {
		l.Rank = -1
	}
	if a.sweeper.Tick(a.mono(), l) {
		a.propose(&pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: state.MaxSweep}}}, func(o session.Outcome) {
			a.sweeper.Done(a.mono(), o.Position, o.Err == nil)
		})
	}
}
