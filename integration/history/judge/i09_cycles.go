package judge

import (
	"fmt"
	"strings"

	h "wadi/integration/history"
)

// noCycles: I9 (G1c with wr edges only). No committed transactions read from each other in a circle, at read_committed.
func noCycles(x *index, r *Result) {
	reads := map[int64]map[int64]*h.Fact{} // who was read -> who read -> by which read
	for _, f := range x.reads {
		s := x.byValue[f.Value]
		if f.Txn == 0 || !f.Committed || s == nil || s.txn == nil || s.txn.number == f.Txn || !x.counts(f.Txn) {
			continue
		}
		r.judged("I9", 1)
		if reads[s.txn.number] == nil {
			reads[s.txn.number] = map[int64]*h.Fact{}
		}
		if reads[s.txn.number][f.Txn] == nil {
			reads[s.txn.number][f.Txn] = f
		}
	}
	for _, circle := range circles(x.numbers, reads) {
		var facts []int64
		var names []string
		for i, n := range circle {
			facts = append(facts, reads[n][circle[(i+1)%len(circle)]].N)
			names = append(names, fmt.Sprint(n))
		}
		r.violation("I9", facts, "each of these transactions was read by the next one, the last by the first: %s", strings.Join(names, ", "))
	}
}

// counts reports whether a transaction happened: its commit was acknowledged or something of it is visible.
func (x *index) counts(n int64) bool {
	t := x.txn(n)
	if t.committed() {
		return true
	}
	for _, s := range t.sends {
		if x.visible[s.attempt.Value] {
			return true
		}
	}
	return false
}

// circles finds one circle through each back edge of a depth-first walk.
func circles(nodes []int64, edges map[int64]map[int64]*h.Fact) (found [][]int64) {
	state := map[int64]int{} // 1 = on the path, 2 = done
	var path []int64
	var walk func(n int64)
	walk = func(n int64) {
		state[n] = 1
		path = append(path, n)
		for _, next := range nodes {
			if edges[n][next] == nil {
				continue
			}
			switch state[next] {
			case 0:
				walk(next)
			case 1:
				for i := range path {
					if path[i] == next {
						found = append(found, append([]int64(nil), path[i:]...))
					}
				}
			}
		}
		path = path[:len(path)-1]
		state[n] = 2
	}
	for _, n := range nodes {
		if state[n] == 0 && edges[n] != nil {
			walk(n)
		}
	}
	return found
}
