package judge

// noAbortedRead: I5 (G1a). Who reads committed records gets nothing of a transaction that was aborted, and nobody gets
// what was refused for good.
func noAbortedRead(x *index, r *Result) {
	for _, f := range x.reads {
		s := x.byValue[f.Value]
		if s == nil {
			continue // I10
		}
		r.judged("I5", 1)
		switch {
		case s.refused():
			r.violation("I5", []int64{s.attempt.N, s.fail.N, f.N}, "%s was refused, and %s read it at %s/%d offset %d",
				brief(f.Value), f.Who, f.Topic, f.Partition, f.Offset)
		// What has no end yet is I6's.
		case f.Committed && s.txn != nil && s.txn.aborted() && s.txn.end != nil:
			r.violation("I5", []int64{s.attempt.N, s.txn.end.N, f.N}, "%s of aborted transaction %d was read by %s at %s/%d offset %d",
				brief(f.Value), s.txn.number, f.Who, f.Topic, f.Partition, f.Offset)
		}
	}
}
