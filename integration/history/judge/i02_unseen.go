package judge

import h "wadi/integration/history"

// nothingUnseen: I2. After everything healed, every acknowledged record is read within the budget.
func nothingUnseen(x *index, r *Result) {
	for _, f := range x.drains {
		switch f.Outcome {
		case h.OK:
		case h.Unknown:
			r.unknown("%s could not read %s/%d to its end: %s", f.Who, f.Topic, f.Partition, f.Error)
			continue
		default:
			r.violation("I2", []int64{f.N}, "%s could not read %s/%d to its end at %d within its budget: %s",
				f.Who, f.Topic, f.Partition, f.Offset, f.Error)
		}
		r.judged("I2", 1+x.missing(f, true, func(s *send, a *h.Fact) {
			r.violation("I2", []int64{s.attempt.N, a.N, f.N}, "%s was acknowledged at %s/%d offset %d, beyond all that %s got",
				brief(a.Value), a.Topic, a.Partition, a.Offset, f.Who)
		}))
	}
	if len(x.drains) == 0 {
		r.unknown("nobody read everything at the end")
	}
}
