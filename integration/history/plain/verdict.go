package plain

import (
	"errors"
	"fmt"
	"strings"

	"wadi/integration/history"
	"wadi/integration/history/judge"
)

// Verdict is what a history amounts to.
type Verdict struct {
	Attempts, Acked, Unknown, Refused int
	Read                              int // different offsets
	Violations                        []judge.Violation
}

func (v Verdict) String() string {
	return fmt.Sprintf("%d attempts, %d acknowledged, %d unknown, %d refused; %d offsets read; %d violations",
		v.Attempts, v.Acked, v.Unknown, v.Refused, v.Read, len(v.Violations))
}

// Err is nil without violations. A history in which nothing was acknowledged or nothing was read proves nothing and is
// an error too.
func (v Verdict) Err() error {
	if len(v.Violations) == 0 {
		if v.Acked == 0 || v.Read == 0 {
			return errors.New("nothing was acknowledged or nothing was read: " + v.String())
		}
		return nil
	}
	var b strings.Builder
	b.WriteString(v.String())
	for i, x := range v.Violations {
		if i == 20 {
			fmt.Fprintf(&b, "\n... and %d more", len(v.Violations)-i)
			break
		}
		b.WriteString("\n" + x.String())
	}
	return errors.New(b.String())
}

// Judge judges the whole history. drains are the readers that read every partition from its start to its end after all
// faults were healed and all producers had their answers; there must be one at least. Offsets must be contiguous from 0.
func (h *History) Judge(drains ...*Reader) Verdict {
	facts := h.facts.Facts()
	h.mu.Lock()
	v := h.mu.count
	v.Unknown = v.Attempts - v.Acked - v.Refused
	partitions := map[Partition]bool{}
	for p := range h.mu.acked {
		partitions[p] = true
	}
	read := map[Partition]map[int64]bool{}
	for _, r := range h.mu.readers {
		r.mu.Lock()
		for p, offsets := range r.mu.offsets {
			partitions[p] = true
			if read[p] == nil {
				read[p] = map[int64]bool{}
			}
			for _, o := range offsets {
				read[p][o] = true
			}
		}
		r.mu.Unlock()
	}
	h.mu.Unlock()
	for _, offsets := range read {
		v.Read += len(offsets)
	}
	var gaps []judge.Violation
	for _, d := range drains {
		for p := range partitions {
			offsets := d.mu.offsets[p]
			for i, o := range offsets {
				if o != int64(i) {
					gaps = append(gaps, judge.Violation{
						Invariant: "I1", What: fmt.Sprintf("%s found offset %d of %s where %d comes next", d.name, o, p, i),
					})
					break
				}
			}
			f := d.fact(history.Drained, p, int64(len(offsets)))
			f.N, f.Outcome = int64(len(facts)+1), history.OK
			facts = append(facts, f)
		}
	}
	v.Violations = append(judge.Judge(facts).Violations, gaps...)
	return v
}
