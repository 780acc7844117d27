package judge

import h "wadi/integration/history"

// drained is what one drain read of one partition.
type drained struct {
	fact *h.Fact
	got  map[int64]*h.Fact
	top  int64
}

func (x *index) drain(d *h.Fact) drained {
	out := drained{fact: d, got: map[int64]*h.Fact{}, top: -1}
	for _, f := range x.readers[d.Who].reads(d.Log()) {
		out.got[f.Offset] = f
		out.top = max(out.top, f.Offset)
	}
	return out
}

func (r *reader) reads(l h.Log) []*h.Fact {
	if r == nil {
		return nil
	}
	var list []*h.Fact
	for _, f := range r.logs[l] {
		if f.Kind == h.Read {
			list = append(list, f)
		}
	}
	return list
}

// missing calls what a drain did not read although it was acknowledged, at or below what the drain read or above it.
func (x *index) missing(f *h.Fact, above bool, found func(s *send, ack *h.Fact)) (judged int) {
	d := x.drain(f)
	for _, s := range x.sends {
		if s.attempt.Log() != f.Log() || !s.stays(f.Committed) {
			continue
		}
		for _, a := range s.acks {
			if (a.Offset > d.top) != above || a.Log() != f.Log() {
				continue
			}
			judged++
			if got := d.got[a.Offset]; got == nil {
				found(s, a)
			}
		}
	}
	return judged
}

// noLostWrite: I1. Every acknowledged record at or below the highest offset that the last readers got was read by them.
func noLostWrite(x *index, r *Result) {
	for _, f := range x.drains {
		r.judged("I1", x.missing(f, false, func(s *send, a *h.Fact) {
			r.violation("I1", []int64{s.attempt.N, a.N, f.N}, "%s was acknowledged at %s/%d offset %d, and %s did not read it there",
				brief(a.Value), a.Topic, a.Partition, a.Offset, f.Who)
		}))
	}
}
