package history

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Violation is one broken invariant.
type Violation struct {
	Invariant string
	Partition Partition
	What      string
}

func (v Violation) String() string { return fmt.Sprintf("%s %s: %s", v.Invariant, v.Partition, v.What) }

// maxKept bounds the violations that are kept; one fault shows in thousands of records.
const maxKept = 200

func (h *History) report(invariant string, p Partition, format string, args ...any) {
	v := Violation{invariant, p, fmt.Sprintf(format, args...)}
	if len(h.found) >= maxKept || h.seen[v] {
		return
	}
	h.seen[v] = true
	h.found = append(h.found, v)
}

// Verdict is what a history amounts to.
type Verdict struct {
	Attempts, Acked, Unknown, Refused int
	Read                              int // different offsets
	Violations                        []Violation
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
	h.mu.Lock()
	defer h.mu.Unlock()
	v := Verdict{Attempts: len(h.sends)}
	places := h.places()
	for _, s := range h.sends {
		switch s.outcome {
		case acked:
			v.Acked++
		case refused:
			v.Refused++
			if at := places[s.value]; len(at) > 0 {
				h.report("I5", s.partition, "%s was refused and is at offset %d", brief(s.value), at[0])
			}
		default:
			v.Unknown++
		}
		if at := places[s.value]; len(at) > 1 {
			h.report("I4", s.partition, "%s is at offsets %v", brief(s.value), at)
		}
	}
	read := map[Partition]map[int64]bool{}
	for _, r := range h.readers {
		for p, log := range r.reads {
			if read[p] == nil {
				read[p] = map[int64]bool{}
			}
			for _, o := range log.offsets {
				read[p][o] = true
			}
		}
	}
	for _, offsets := range read {
		v.Read += len(offsets)
	}
	h.judgeOrder(places)
	h.judgeReaders()
	for _, d := range drains {
		h.judgeDrain(d)
	}
	v.Violations = slices.Clone(h.found)
	return v
}

// places are the offsets of every value, by acknowledgement or read, ascending.
func (h *History) places() map[string][]int64 {
	at := map[string][]int64{}
	for _, log := range h.logs {
		for offset, x := range log {
			at[x.value] = append(at[x.value], offset)
		}
	}
	for _, list := range at {
		slices.Sort(list)
	}
	return at
}

// judgeOrder: one producer's sends to a partition have ascending offsets (I8).
func (h *History) judgeOrder(places map[string][]int64) {
	type stream struct {
		producer string
		p        Partition
	}
	last := map[stream]*Send{}
	at := map[stream]int64{}
	for _, s := range h.sends {
		offsets := places[s.value]
		if len(offsets) == 0 {
			continue
		}
		k := stream{s.producer, s.partition}
		if before := last[k]; before != nil && offsets[0] <= at[k] {
			h.report("I8", s.partition, "%s sent %s (offset %d) before %s (offset %d)",
				s.producer, brief(before.value), at[k], brief(s.value), offsets[0])
		}
		last[k], at[k] = s, offsets[0]
	}
}

// judgeReaders: no reader skipped an offset that is known to hold a value (I8).
func (h *History) judgeReaders() {
	for _, r := range h.readers {
		for p, log := range r.reads {
			for i := 1; i < len(log.offsets); i++ {
				for o := log.offsets[i-1] + 1; o < log.offsets[i]; o++ {
					if x, ok := h.logs[p][o]; ok {
						h.report("I8", p, "%s went from offset %d to %d and skipped %s at %d",
							r.name, log.offsets[i-1], log.offsets[i], brief(x.value), o)
						break
					}
				}
			}
		}
	}
}

// judgeDrain: a reader of everything got every acknowledged record (I1, I2) and no gaps.
func (h *History) judgeDrain(d *Reader) {
	top, got := map[Partition]int64{}, map[Partition]map[int64]bool{}
	for p, log := range d.reads {
		got[p] = map[int64]bool{}
		for i, o := range log.offsets {
			got[p][o] = true
			top[p] = o
			if o != int64(i) {
				h.report("I1", p, "%s found offset %d where %d comes next", d.name, o, i)
				break
			}
		}
	}
	for _, s := range h.sends {
		if s.outcome != acked || got[s.partition][s.offset] {
			continue
		}
		invariant := "I2"
		if t, any := top[s.partition]; any && s.offset <= t {
			invariant = "I1"
		}
		h.report(invariant, s.partition, "%s was acknowledged at offset %d; %s did not read it", brief(s.value), s.offset, d.name)
	}
}
