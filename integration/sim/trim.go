package sim

import (
	"time"

	"wadi/agent/sweep"
	"wadi/internal/kafkaconfig"
	"wadi/internal/layout"
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
		if w.chance(0.05) {
			w.alter(a, s)
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
			w.oracle.compactions.asked[place{int32(i), offset}] = true
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

// alter changes for how long records of orders stay: from the moment that the client hears of it nothing goes that is not
// due by what it said.
func (w *World) alter(a *agent, s *state.State) {
	k := &pb.AlterConfigs{Type: uint32(state.TopicConfigs), Topic: w.orders, Set: configs(map[string]string{kafkaconfig.RetentionMs: w.ms(1500, 10_000)})}
	if w.chance(0.4) {
		k.Set[0].Value = "-1"
	}
	a.propose(&pb.Command{Base: s.Position(), Kind: &pb.Command_AlterConfigs{AlterConfigs: k}}, func(session.Outcome) {})
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
