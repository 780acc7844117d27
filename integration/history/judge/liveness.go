package judge

import (
	"sort"
	"time"

	h "wadi/integration/history"
)

// progress: L1. Soon after everything healed each partition takes a record, each consumer goes on, a producer id is given,
// and nobody restarts anything by hand. The run tries it and says how it went.
func progress(x *index, r *Result) { probes(x, r, "L1") }

// starts: L4. An agent starts, and keeps trying, while etcd or the object store is down.
func starts(x *index, r *Result) { probes(x, r, "L4") }

func probes(x *index, r *Result, invariant string) {
	for i := range x.facts {
		f := &x.facts[i]
		if f.Kind != h.Probe || f.Value != invariant {
			continue
		}
		r.judged(invariant, 1)
		switch f.Outcome {
		case h.Refused:
			r.violation(invariant, []int64{f.N}, "%s: %s", f.Name, f.Error)
		case h.Unknown:
			r.unknown("%s: %s", f.Name, f.Error)
		}
	}
}

// settles: L3. When no producer is alive, the last stable offset of every partition reaches the high watermark within the
// transactions' timeout and some slack.
func settles(x *index, r *Result) {
	for i := range x.facts {
		f := &x.facts[i]
		if f.Kind != h.Settled {
			continue
		}
		r.judged("L3", 1)
		switch {
		case f.Outcome == h.Unknown:
			r.unknown("the ends of %s/%d at %s are not known: %s", f.Topic, f.Partition, f.Broker, f.Error)
		case f.Outcome != h.OK || f.Stable != f.High:
			r.violation("L3", []int64{f.N}, "the last stable offset of %s/%d at %s is %d and the high watermark %d, with no producer alive",
				f.Topic, f.Partition, f.Broker, f.Stable, f.High)
		}
	}
}

// Stall is how long a consumer may get nothing of what there is while no fault is on, and Grace how long a fault counts
// as on after it stopped.
const (
	Stall = 20 * time.Second
	Grace = 5 * time.Second
)

// noStall: L2. A consumer by assignment gets what another one of its isolation got, within Stall of time in which no
// fault of a broker was on, as long as it runs: its end is its last seek.
func noStall(x *index, r *Result) {
	quiet := quietTime(x)
	type known struct {
		log       h.Log
		committed bool
	}
	first := map[known][]*h.Fact{} // the first read of each offset by anybody, ascending offsets not needed
	seen := map[known]map[int64]bool{}
	for _, f := range x.reads {
		k := known{f.Log(), f.Committed}
		if seen[k] == nil {
			seen[k] = map[int64]bool{}
		}
		if !seen[k][f.Offset] {
			seen[k][f.Offset] = true
			first[k] = append(first[k], f)
		}
	}
	for _, name := range x.names {
		rd := x.readers[name]
		for _, l := range rd.sorted() {
			list := rd.logs[l]
			watch := stallWatch(list)
			if watch == nil {
				continue
			}
			reads := rd.reads(l)
			for _, f := range first[known{l, watch.Committed}] {
				if f.N < watch.N {
					continue
				}
				r.judged("L2", 1)
				end := rd.last()
				if i := sort.Search(len(reads), func(i int) bool { return reads[i].Offset >= f.Offset }); i < len(reads) {
					end = reads[i].At
				}
				if end-f.At > int64(Stall) && quiet(f.At, end) > Stall {
					r.violation("L2", []int64{f.N, reads[len(reads)-1].N}, "%s read offset %d of %s/%d and %s did not, though nothing was wrong for %v",
						f.Who, f.Offset, l.Topic, l.Partition, name, quiet(f.At, end).Round(time.Second))
					break
				}
			}
		}
	}
}

// Live marks the seek with which a consumer begins that is to keep up.
const Live = "live"

// stallWatch is the first read of a consumer that is to keep up with a partition.
func stallWatch(list []*h.Fact) *h.Fact {
	if len(list) == 0 || list[0].Kind != h.Seek || list[0].Name != Live {
		return nil
	}
	for _, f := range list {
		if f.Kind == h.Read {
			return f
		}
	}
	return nil
}

// last is when the reader was heard of the last time.
func (r *reader) last() int64 {
	var at int64
	for _, list := range r.logs {
		at = max(at, list[len(list)-1].At)
	}
	if n := len(r.all); n > 0 {
		at = max(at, r.all[n-1].At)
	}
	return at
}

// quietTime measures the time between two moments in which no fault of a broker was on.
func quietTime(x *index) func(from, to int64) time.Duration {
	type edge struct {
		at int64
		by int
	}
	var edges []edge
	for i := range x.facts {
		f := &x.facts[i]
		if f.Broker == "" {
			continue // a fault of one client, or of one connection
		}
		switch f.Kind {
		case h.Start:
			edges = append(edges, edge{f.At, 1})
		case h.Stop:
			edges = append(edges, edge{f.At + int64(Grace), -1})
		}
	}
	sortBy(edges, func(e edge) int64 { return e.at })
	return func(from, to int64) time.Duration {
		var sum, at int64 = 0, from
		on := 0
		for _, e := range edges {
			if e.at >= to {
				break
			}
			if e.at > from {
				if on == 0 {
					sum += e.at - at
				}
				at = e.at
			}
			on += e.by
		}
		if on == 0 && to > at {
			sum += to - at
		}
		return time.Duration(sum)
	}
}
