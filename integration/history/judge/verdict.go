package judge

import (
	"fmt"
	"slices"
	"strings"

	"wadi/integration/history"
)

// Verdict of a run.
type Verdict string

const (
	True    Verdict = "true"
	Unknown Verdict = "unknown"
	False   Verdict = "false"
)

// Violation is one broken invariant. Facts are the N of those that show it.
type Violation struct {
	Invariant string
	What      string
	Facts     []int64
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: %s (facts %v)", v.Invariant, v.What, v.Facts)
}

// Fault counts how often a fault was planned, started and seen to have happened.
type Fault struct{ Planned, Started, Fired int }

// Result is what a history amounts to.
type Result struct {
	Verdict    Verdict
	Violations []Violation
	Reasons    []string       // for Unknown
	Judged     map[string]int // how much each invariant had to look at
	Broken     map[string]int // how often each was broken; Violations keeps the first of them
	Faults     map[string]*Fault
}

// maxKept bounds the violations that are kept of one invariant: one fault shows in thousands of records.
const maxKept = 20

func (r *Result) violation(invariant string, facts []int64, format string, args ...any) {
	if r.Broken[invariant]++; r.Broken[invariant] <= maxKept {
		r.Violations = append(r.Violations, Violation{invariant, fmt.Sprintf(format, args...), facts})
	}
}

func (r *Result) unknown(format string, args ...any) {
	if reason := fmt.Sprintf(format, args...); !slices.Contains(r.Reasons, reason) {
		r.Reasons = append(r.Reasons, reason)
	}
}

func (r *Result) judged(invariant string, n int) { r.Judged[invariant] += n }

func (r *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "verdict %s", r.Verdict)
	for _, v := range r.Violations {
		b.WriteString("\n  " + v.String())
	}
	for _, reason := range r.Reasons {
		b.WriteString("\n  unknown: " + reason)
	}
	if len(r.Broken) > 0 {
		b.WriteString("\n  broken:")
		for _, c := range checks {
			if n := r.Broken[c.name]; n > 0 {
				fmt.Fprintf(&b, " %s %d", c.name, n)
			}
		}
	}
	b.WriteString("\n  judged:")
	for _, c := range checks {
		fmt.Fprintf(&b, " %s %d", c.name, r.Judged[c.name])
	}
	b.WriteString("\n  faults:")
	names := make([]string, 0, len(r.Faults))
	for n := range r.Faults {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		fmt.Fprintf(&b, " %s %d/%d", n, r.Faults[n].Fired, r.Faults[n].Started)
	}
	return b.String()
}

type check struct {
	name  string
	judge func(*index, *Result)
}

// checks are all invariants, in the order of the page.
var checks = []check{
	{"I1", noLostWrite}, {"I2", nothingUnseen}, {"I3", oneValue}, {"I4", oneOffset}, {"I5", noAbortedRead},
	{"I6", noDirtyRead}, {"I7", atomicity}, {"I8", order}, {"I9", noCycles}, {"I10", nothingFromNowhere},
	{"I11", monotonicMarks}, {"I12", groupOffsets}, {"I13", oneOwner}, {"I14", fencing}, {"I15", exactlyOnce},
	{"L1", progress}, {"L2", noStall}, {"L3", settles}, {"L4", starts},
}

// Judge judges a whole history.
func Judge(facts []history.Fact) *Result {
	r := &Result{Verdict: True, Judged: map[string]int{}, Broken: map[string]int{}, Faults: map[string]*Fault{}}
	x := newIndex(facts)
	for _, c := range checks {
		c.judge(x, r)
	}
	coverage(x, r)
	switch {
	case len(r.Violations) > 0:
		r.Verdict = False
	case len(r.Reasons) > 0:
		r.Verdict = Unknown
	}
	return r
}

// Excerpt are the facts that show a violation, and everything about the values and transactions in them.
func Excerpt(facts []history.Fact, v Violation) []history.Fact {
	values, txns := map[string]bool{}, map[int64]bool{}
	for _, n := range v.Facts {
		if n < 1 || n > int64(len(facts)) {
			continue
		}
		f := facts[n-1]
		if f.Value != "" {
			values[f.Value] = true
		}
		if f.Txn != 0 {
			txns[f.Txn] = true
		}
	}
	for _, f := range facts {
		if f.Kind == history.Attempt && values[f.Value] && f.Txn != 0 {
			txns[f.Txn] = true
		}
	}
	var out []history.Fact
	for _, f := range facts {
		if slices.Contains(v.Facts, f.N) || f.Value != "" && values[f.Value] || f.Txn != 0 && txns[f.Txn] {
			out = append(out, f)
		}
	}
	return out
}
