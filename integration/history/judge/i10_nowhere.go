package judge

// nothingFromNowhere: I10. What is read was sent, to that partition, with those bytes and that time.
func nothingFromNowhere(x *index, r *Result) {
	for _, f := range x.reads {
		r.judged("I10", 1)
		s := x.byValue[f.Value]
		switch {
		case s == nil:
			r.violation("I10", []int64{f.N}, "%s/%d offset %d holds %s, which nobody sent", f.Topic, f.Partition, f.Offset, brief(f.Value))
		case s.attempt.N > f.N:
			r.violation("I10", []int64{f.N, s.attempt.N}, "%s was read before it was sent", brief(f.Value))
		case s.attempt.Log() != f.Log():
			r.violation("I10", []int64{s.attempt.N, f.N}, "%s was sent to %s/%d and read from %s/%d", brief(f.Value),
				s.attempt.Topic, s.attempt.Partition, f.Topic, f.Partition)
		case s.attempt.Sum != f.Sum:
			r.violation("I10", []int64{s.attempt.N, f.N}, "key, value or headers of %s changed", brief(f.Value))
		case s.attempt.Timestamp != 0 && s.attempt.Timestamp != f.Timestamp:
			r.violation("I10", []int64{s.attempt.N, f.N}, "the timestamp of %s was %d and is %d", brief(f.Value), s.attempt.Timestamp, f.Timestamp)
		}
	}
}
