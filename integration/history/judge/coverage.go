package judge

import (
	"cmp"
	"slices"
	"time"

	h "wadi/integration/history"
)

func sortBy[T any, K cmp.Ordered](list []T, key func(T) K) {
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
}

// works are the kinds of operation of which some must go well while a fault is on, or soon after, for a run to say
// anything about it.
var works = []struct {
	name string
	is   func(*h.Fact) bool
}{
	{"acknowledgement", func(f *h.Fact) bool { return f.Kind == h.Ack }},
	{"read", func(f *h.Fact) bool { return f.Kind == h.Read }},
	{"commit of a transaction", func(f *h.Fact) bool { return f.Kind == h.EndReply && f.Commit && f.Outcome == h.OK }},
	{"commit of offsets", func(f *h.Fact) bool { return f.Kind == h.CommitReply && f.Outcome == h.OK }},
}

// aftermath is how long after a fault something must go well: groups take a session's timeout to notice who is gone.
const aftermath = 12 * time.Second

// coverage says what a run cannot tell.
func coverage(x *index, r *Result) {
	windows := map[string][][2]int64{}
	open := map[[2]string]int64{}
	var plans []string
	for i := range x.facts {
		f := &x.facts[i]
		switch f.Kind {
		case h.Plan:
			if f.Name != OneStep {
				plans = append(plans, f.Name)
			}
		case h.Start:
			r.fault(f.Name).Started++
			open[[2]string{f.Name, f.Who}] = f.At
		case h.Stop:
			if f.Outcome == h.OK {
				r.fault(f.Name).Fired++
				windows[f.Name] = append(windows[f.Name], [2]int64{open[[2]string{f.Name, f.Who}], f.At + int64(aftermath)})
			}
		}
	}
	for _, name := range plans {
		if slices.ContainsFunc(checks, func(c check) bool { return c.name == name }) {
			if r.Judged[name] == 0 {
				r.unknown("nothing that %s could be judged by happened", name)
			}
			continue
		}
		r.fault(name).Planned++
		if r.fault(name).Fired == 0 {
			r.unknown("fault %s never fired", name)
			continue
		}
		x.worked(name, windows[name], r)
	}
}

func (r *Result) fault(name string) *Fault {
	if r.Faults[name] == nil {
		r.Faults[name] = &Fault{}
	}
	return r.Faults[name]
}

// worked wants an operation of every kind that this history has to have gone well in some window.
func (x *index) worked(name string, windows [][2]int64, r *Result) {
	for _, w := range works {
		ever, within := false, false
		for i := range x.facts {
			f := &x.facts[i]
			if !w.is(f) {
				continue
			}
			ever = true
			if slices.ContainsFunc(windows, func(s [2]int64) bool { return f.At >= s[0] && f.At <= s[1] }) {
				within = true
				break
			}
		}
		if ever && !within {
			r.unknown("no %s went well while fault %s was on", w.name, name)
		}
	}
}
