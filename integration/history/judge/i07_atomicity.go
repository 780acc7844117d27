package judge

import h "wadi/integration/history"

// atomicity: I7. Of a transaction all is visible in the end or nothing, its records and its offsets; all when its commit
// was acknowledged, nothing when its abort was.
func atomicity(x *index, r *Result) {
	if len(x.drains) == 0 {
		return
	}
	last := x.lastOffsets()
	for _, n := range x.numbers {
		t := x.txns[n]
		var seen, unseen *send
		for _, s := range t.sends {
			switch {
			case x.visible[s.attempt.Value]:
				seen = s
			case len(s.acks) > 0 && x.complete(s.attempt.Log()):
				unseen = s
			}
		}
		r.judged("I7", 1)
		switch {
		case seen != nil && t.aborted():
			r.violation("I7", []int64{seen.attempt.N, x.firstRead(seen).N}, "transaction %d was never committed, and %s is visible",
				n, brief(seen.attempt.Value))
		case seen != nil && unseen != nil:
			r.violation("I7", []int64{seen.attempt.N, unseen.attempt.N}, "transaction %d is torn: %s is visible, %s is not",
				n, brief(seen.attempt.Value), brief(unseen.attempt.Value))
		case unseen != nil && t.committed():
			r.violation("I7", []int64{unseen.attempt.N, t.reply.N}, "the commit of transaction %d was acknowledged, and %s is not visible",
				n, brief(unseen.attempt.Value))
		}
		if seen == nil && !t.committed() {
			continue
		}
		for _, o := range t.offsets {
			end := last[groupLog{o.Name, o.Log()}]
			if end != nil && end.Offset < o.Offset {
				r.violation("I7", []int64{o.N, end.N}, "transaction %d is visible, and its offset %d of %s/%d for group %s is not: %d",
					n, o.Offset, o.Topic, o.Partition, o.Name, end.Offset)
			}
		}
	}
}

// complete reports whether some last reader of committed records read all of a partition.
func (x *index) complete(l h.Log) bool {
	for _, d := range x.drains {
		if d.Committed && d.Log() == l && d.Outcome == h.OK {
			return true
		}
	}
	return false
}

func (x *index) firstRead(s *send) *h.Fact {
	for _, f := range x.reads {
		if f.Committed && f.Value == s.attempt.Value {
			return f
		}
	}
	return s.attempt
}

type groupLog struct {
	group string
	log   h.Log
}

// lastOffsets are the last answers of all to who asked for committed offsets, after everything had healed and no
// transaction was open.
func (x *index) lastOffsets() map[groupLog]*h.Fact {
	settled := false
	last := map[groupLog]*h.Fact{}
	for i := range x.facts {
		switch f := &x.facts[i]; f.Kind {
		case h.Settled:
			settled = true
		case h.OffsetTold:
			if settled && f.Outcome == h.OK {
				last[groupLog{f.Name, f.Log()}] = f
			}
		}
	}
	return last
}
