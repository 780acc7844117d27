package judge

import (
	"math"
	"slices"

	h "wadi/integration/history"
)

// commit is one attempt to set a group's offset: it took effect, if at all, between two facts.
type commit struct {
	offset      int64
	start, done int64 // N; done is never where no answer says so
	acked       bool
	fact        *h.Fact
}

const never = math.MaxInt64

// groupOffsets: I12. A committed offset that is told is the last one that took effect, whoever coordinates: it goes back
// only where somebody committed a lower one. With require_stable nothing is told while a transaction holds an offset.
func groupOffsets(x *index, r *Result) {
	commits, replies := x.commits()
	oneStep := x.planned(OneStep)
	asks := map[int64]*h.Fact{}
	told := map[groupLog][]*h.Fact{}
	for i := range x.facts {
		f := &x.facts[i]
		if f.Kind == h.OffsetAsk {
			asks[f.N] = f
		}
		if f.Kind != h.OffsetTold || f.Outcome != h.OK || asks[f.Ref] == nil {
			continue
		}
		r.judged("I12", 1)
		k := groupLog{f.Name, f.Log()}
		strict := oneStep || f.Committed
		before := told[k]
		if strict && !oneStep {
			before = slices.DeleteFunc(slices.Clone(before), func(t *h.Fact) bool { return !t.Committed })
		}
		legal(commits[k], before, f, strict, r)
		told[k] = append(told[k], f)
		if f.Committed {
			pending(x, replies, f, r)
		}
	}
}

// OneStep is a plan for clusters where what a transaction commits is there when its end is acknowledged. On others only
// who asks with require_stable is safe from what was before.
const OneStep = "transactions end in one step"

func (x *index) planned(name string) bool {
	for i := range x.facts {
		if x.facts[i].Kind == h.Plan && x.facts[i].Name == name {
			return true
		}
	}
	return false
}

// legal holds an answer against what took effect and what was told before the question. strict also counts transactions
// by the acknowledgement of their end.
func legal(commits []commit, told []*h.Fact, f *h.Fact, strict bool, r *Result) {
	// What ended before began is overwritten for sure.
	began, by := int64(0), f
	for _, c := range commits {
		if c.acked && (strict || c.fact.Txn == 0) && c.done < f.Ref && c.offset != f.Offset && c.start > began {
			began, by = c.start, c.fact
		}
	}
	for _, t := range told {
		if t.N < f.Ref && t.Offset != f.Offset && t.Ref > began {
			began, by = t.Ref, t
		}
	}
	if f.Offset < 0 && began == 0 {
		return
	}
	for _, c := range commits {
		if c.offset == f.Offset && c.start < f.N && (c.done >= began || !strict && c.fact.Txn != 0) {
			return
		}
	}
	r.violation("I12", []int64{by.N, f.Ref, f.N}, "group %s: offset %d of %s/%d was told to %s, after %d (fact %d) was known",
		f.Name, f.Offset, f.Topic, f.Partition, f.Who, by.Offset, by.N)
}

// commits are all that may have taken effect. replies are those to transactional ones, by the attempt's N.
func (x *index) commits() (map[groupLog][]commit, map[int64]*h.Fact) {
	replies := map[int64]*h.Fact{}
	for i := range x.facts {
		if f := &x.facts[i]; f.Kind == h.CommitReply {
			replies[f.Ref] = f
		}
	}
	out := map[groupLog][]commit{}
	for i := range x.facts {
		f := &x.facts[i]
		if f.Kind != h.CommitAttempt {
			continue
		}
		c := commit{offset: f.Offset, start: f.N, done: never, fact: f}
		if f.Txn != 0 {
			t := x.txn(f.Txn)
			if t.aborted() {
				continue
			}
			c.start = t.asked.N
			if t.committed() {
				c.done, c.acked = t.reply.N, true
			}
		} else if a := replies[f.N]; a != nil {
			if a.Outcome == h.Refused {
				continue
			}
			if a.Outcome == h.OK {
				c.done, c.acked = a.N, true
			}
		}
		out[groupLog{f.Name, f.Log()}] = append(out[groupLog{f.Name, f.Log()}], c)
	}
	return out, replies
}

// pending: f was told with require_stable; no transaction may have held the offset from the question to the answer.
func pending(x *index, replies map[int64]*h.Fact, f *h.Fact, r *Result) {
	for _, n := range x.numbers {
		t := x.txns[n]
		if t.begin == nil || t.begin.N > f.N || t.end != nil && t.end.N < f.N || f.At-t.begin.At > t.begin.Limit*8/10 {
			continue
		}
		for _, o := range t.offsets {
			a := replies[o.N]
			if a == nil || a.Outcome != h.OK || a.N > f.Ref || o.Name != f.Name || o.Log() != f.Log() || x.takenOver(t, f.N) {
				continue
			}
			r.violation("I12", []int64{o.N, a.N, f.Ref, f.N}, "group %s: %s was told offset %d of %s/%d as stable while transaction %d held it",
				f.Name, f.Who, f.Offset, f.Topic, f.Partition, n)
		}
	}
}

// takenOver reports whether somebody asked for the producer id of the transaction after it began and before n.
func (x *index) takenOver(t *txn, n int64) bool {
	for i := t.begin.N; i < n && i < int64(len(x.facts)); i++ {
		if f := &x.facts[i]; f.Kind == h.InitAttempt && f.Name == t.begin.Name {
			return true
		}
	}
	return false
}
