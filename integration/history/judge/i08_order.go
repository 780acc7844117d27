package judge

import (
	"slices"

	h "wadi/integration/history"
)

// order: I8. What a producer sent to a partition and was not told to have failed lies in the order in which it was sent; who
// reads gets ascending offsets and leaves nothing out, but where it may jump: a seek, a rebalance, a rewind.
//
// A send that failed may come late: a request that nobody waits for any more is judged when it arrives.
func order(x *index, r *Result) {
	sendOrder(x, r)
	visible, all := x.contents(true), x.contents(false)
	for _, name := range x.names {
		rd := x.readers[name]
		for _, l := range rd.sorted() {
			readOrder(rd, l, visible[l], all[l], r)
		}
	}
}

func sendOrder(x *index, r *Result) {
	type stream struct {
		who string
		log h.Log
	}
	last := map[stream]*send{}
	for _, s := range x.sends {
		at, ok := x.orderly(s)
		if !ok {
			continue
		}
		k := stream{s.attempt.Who, s.attempt.Log()}
		if before := last[k]; before != nil {
			r.judged("I8", 1)
			if was, _ := x.orderly(before); at <= was {
				r.violation("I8", []int64{before.attempt.N, s.attempt.N}, "%s sent %s (offset %d) before %s (offset %d) to %s/%d", k.who,
					brief(before.attempt.Value), was, brief(s.attempt.Value), at, k.log.Topic, k.log.Partition)
			}
		}
		last[k] = s
	}
}

// orderly is the offset of a send that was acknowledged, or was never answered and appeared.
func (x *index) orderly(s *send) (offset int64, ok bool) {
	places := x.places[s.attempt.Value]
	switch {
	case len(s.acks) > 0:
		return s.acks[0].Offset, true
	case s.fail == nil && len(places) > 0:
		return places[0].offset, true
	}
	return -1, false
}

// contents are the offsets that hold a value for readers of an isolation, ascending: what last readers of it got. What
// one last reader of several got counts for all.
func (x *index) contents(committed bool) map[h.Log][]int64 {
	out := map[h.Log][]int64{}
	for _, d := range x.drains {
		if d.Committed != committed {
			continue
		}
		for _, f := range x.readers[d.Who].reads(d.Log()) {
			out[d.Log()] = append(out[d.Log()], f.Offset)
		}
	}
	for l, list := range out {
		slices.Sort(list)
		out[l] = slices.Compact(list)
	}
	return out
}

func readOrder(rd *reader, l h.Log, visible, all []int64, r *Result) {
	var last *h.Fact
	seeks := rd.all
	for _, f := range rd.logs[l] {
		for len(seeks) > 0 && seeks[0].N < f.N {
			seeks, last = seeks[1:], nil
		}
		if f.Kind == h.Seek {
			last = nil
			continue
		}
		if last != nil {
			r.judged("I8", 1)
			there := all
			if f.Committed {
				there = visible
			}
			i, _ := slices.BinarySearch(there, last.Offset+1)
			switch {
			case f.Offset <= last.Offset:
				r.violation("I8", []int64{last.N, f.N}, "%s read %s/%d offset %d after %d", rd.name, l.Topic, l.Partition, f.Offset, last.Offset)
			case i < len(there) && there[i] < f.Offset:
				r.violation("I8", []int64{last.N, f.N}, "%s went from offset %d to %d of %s/%d and left %d out",
					rd.name, last.Offset, f.Offset, l.Topic, l.Partition, there[i])
			}
		}
		last = f
	}
}
