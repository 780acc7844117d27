package judge

// noDirtyRead: I6. Nothing of a transaction is visible to readers of committed records, its own producer among them,
// before its commit was asked for.
func noDirtyRead(x *index, r *Result) {
	for _, f := range x.reads {
		s := x.byValue[f.Value]
		if s == nil || s.txn == nil || !f.Committed {
			continue
		}
		r.judged("I6", 1)
		if t := s.txn; t.asked == nil && t.end == nil || t.asked != nil && t.asked.N > f.N {
			facts := []int64{s.attempt.N, f.N}
			if t.asked != nil {
				facts = append(facts, t.asked.N)
			}
			r.violation("I6", facts, "%s of transaction %d was read by %s at %s/%d offset %d before anybody asked to commit it",
				brief(f.Value), t.number, f.Who, f.Topic, f.Partition, f.Offset)
		}
	}
}
