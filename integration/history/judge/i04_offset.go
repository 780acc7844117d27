package judge

// oneOffset: I4. A value has one offset, over all acknowledgements and reads, and it is one.
func oneOffset(x *index, r *Result) {
	for _, s := range x.sends {
		list := x.places[s.attempt.Value]
		r.judged("I4", len(list))
		for _, p := range list {
			if p.offset < 0 {
				r.violation("I4", []int64{s.attempt.N, p.by.N}, "%s was acknowledged at offset %d", brief(s.attempt.Value), p.offset)
			}
		}
		if len(list) > 1 {
			r.violation("I4", []int64{s.attempt.N, list[0].by.N, list[1].by.N}, "%s is at %s/%d offset %d and at %s/%d offset %d",
				brief(s.attempt.Value), list[0].log.Topic, list[0].log.Partition, list[0].offset,
				list[1].log.Topic, list[1].log.Partition, list[1].offset)
		}
	}
}
