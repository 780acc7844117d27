package judge

import h "wadi/integration/history"

// monotonicMarks: I11. Log start, last stable offset and high watermark do not go back for one client at one broker; an
// end that was asked for counts all that was acknowledged, or told by any broker, before the question; an offset that
// was acknowledged is not out of range.
func monotonicMarks(x *index, r *Result) {
	marks(x, r)
	ends(x, r)
	acked := map[h.Log]*h.Fact{}
	for i := range x.facts {
		switch f := &x.facts[i]; f.Kind {
		case h.Ack:
			if top := acked[f.Log()]; top == nil || f.Offset > top.Offset {
				acked[f.Log()] = f
			}
		case h.OutOfRange:
			r.judged("I11", 1)
			if top := acked[f.Log()]; top != nil && f.Offset <= top.Offset+1 && f.Offset >= max(f.LogStart, 0) {
				r.violation("I11", []int64{top.N, f.N}, "%s was told that offset %d of %s/%d is out of range; %d is acknowledged and the log starts at %d",
					f.Who, f.Offset, f.Topic, f.Partition, top.Offset, f.LogStart)
			}
		}
	}
}

func marks(x *index, r *Result) {
	type at struct {
		who, broker string
		log         h.Log
	}
	last := map[at]*h.Fact{}
	for i := range x.facts {
		f := &x.facts[i]
		if f.Kind != h.Marks {
			continue
		}
		r.judged("I11", 1)
		k := at{f.Who, f.Broker, f.Log()}
		if old := last[k]; old != nil && (f.LogStart < old.LogStart || f.Stable < old.Stable || f.High < old.High) {
			r.violation("I11", []int64{old.N, f.N}, "%s was told log start, stable and high %d, %d, %d of %s/%d by %s and then %d, %d, %d",
				f.Who, old.LogStart, old.Stable, old.High, f.Topic, f.Partition, f.Broker, f.LogStart, f.Stable, f.High)
		}
		if f.Stable > f.High || f.LogStart > f.High {
			r.violation("I11", []int64{f.N}, "%s was told log start %d, stable %d, high %d of %s/%d by %s",
				f.Who, f.LogStart, f.Stable, f.High, f.Topic, f.Partition, f.Broker)
		}
		last[k] = f
	}
}

// ends goes through questions and answers with the floor that each question was asked at.
func ends(x *index, r *Result) {
	type at struct {
		log       h.Log
		committed bool
	}
	floor := map[at]*h.Fact{}    // the fact that says how far the log reaches at least
	asked := map[int64]*h.Fact{} // the floor of a question
	reach := func(f *h.Fact) int64 {
		switch {
		case f == nil:
			return -1
		case f.Kind == h.Ack:
			return f.Offset + 1
		}
		return f.Offset
	}
	for i := range x.facts {
		f := &x.facts[i]
		switch f.Kind {
		case h.Ack:
			if k := (at{f.Log(), false}); f.Offset+1 > reach(floor[k]) {
				floor[k] = f
			}
		case h.EndAsk:
			asked[f.N] = floor[at{f.Log(), f.Committed}]
		case h.EndTold:
			r.judged("I11", 1)
			if before := asked[f.Ref]; before != nil && f.Offset < reach(before) {
				r.violation("I11", []int64{before.N, f.Ref, f.N}, "%s was told end %d of %s/%d (stable: %t) by %s, after it was known to be %d",
					f.Who, f.Offset, f.Topic, f.Partition, f.Committed, f.Broker, reach(before))
			}
			if k := (at{f.Log(), f.Committed}); f.Offset > reach(floor[k]) {
				floor[k] = f
			}
		}
	}
}
