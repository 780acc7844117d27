package judge

import h "wadi/integration/history"

// oneValue: I3. Whoever acknowledges or reads an offset, on whatever broker, sees one value there.
func oneValue(x *index, r *Result) {
	type at struct {
		log    h.Log
		offset int64
	}
	first := map[at]*h.Fact{}
	for i := range x.facts {
		f := &x.facts[i]
		if f.Kind != h.Read && f.Kind != h.Ack {
			continue
		}
		r.judged("I3", 1)
		k := at{f.Log(), f.Offset}
		switch old := first[k]; {
		case old == nil:
			first[k] = f
		case old.Value != f.Value:
			r.violation("I3", []int64{old.N, f.N}, "%s/%d offset %d holds %s (%s %s) and %s (%s %s)", f.Topic, f.Partition, f.Offset,
				brief(old.Value), old.Kind, old.Who, brief(f.Value), f.Kind, f.Who)
		}
	}
}
