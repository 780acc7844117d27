package history

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var p0 = Partition{"t", 0}

func rec(value string) Record { return Record{Key: []byte("k"), Value: []byte(value), Timestamp: 7} }

// good is a history with nothing wrong: two producers, three records, one of them never answered.
func good() (*History, *Reader) {
	h := New()
	h.Attempt("a", p0, rec("a1")).Acked(0)
	h.Attempt("b", p0, rec("b1")).Acked(1)
	h.Attempt("a", p0, rec("a2"))
	d := h.Reader("drain")
	d.Read(p0, 0, rec("a1"))
	d.Read(p0, 1, rec("b1"))
	d.Read(p0, 2, rec("a2"))
	return h, d
}

func TestGoodHistory(t *testing.T) {
	h, d := good()
	v := h.Judge(d)
	if err := v.Err(); err != nil {
		t.Fatal(err)
	}
	if v.Attempts != 3 || v.Acked != 2 || v.Unknown != 1 || v.Read != 3 {
		t.Fatal(v)
	}
	if err := New().Judge().Err(); err == nil {
		t.Fatal("an empty history proves nothing")
	}
}

// TestEachViolationIsFound: every invariant, broken in one way each, is named and nothing else is.
func TestEachViolationIsFound(t *testing.T) {
	for _, c := range []struct {
		name, want, text string
		spoil            func(h *History, d *Reader)
	}{
		{"lost below what was read", "I1", "did not read it", func(h *History, d *Reader) {
			d.reads[p0].offsets = []int64{1, 2}
		}},
		{"never read", "I2", "did not read it", func(h *History, _ *Reader) { h.Attempt("a", p0, rec("x")).Acked(3) }},
		{"two values at an offset", "I3", "offset 1 holds", func(h *History, _ *Reader) {
			h.Reader("other").Read(p0, 1, rec("a2"))
		}},
		{"doubled", "I4", "is at offsets [1 3]", func(_ *History, d *Reader) { d.Read(p0, 3, rec("b1")) }},
		{"acknowledged elsewhere", "I3", "offset 0 holds", func(h *History, _ *Reader) {
			h.sends[2].Acked(0) // the spurious offset 0
		}},
		{"acknowledged without offset", "I4", "without an offset", func(h *History, _ *Reader) {
			h.sends[2].Acked(-1)
		}},
		{"refused and there", "I5", "was refused and is at offset 2", func(h *History, _ *Reader) { h.sends[2].Refused() }},
		{"reordered", "I8", `sent "c1"... (offset 4) before "c2"... (offset 3)`, func(h *History, d *Reader) {
			h.Attempt("c", p0, rec("c1"))
			h.Attempt("c", p0, rec("c2"))
			d.Read(p0, 3, rec("c2"))
			d.Read(p0, 4, rec("c1"))
		}},
		{"reader jumps back", "I8", "read offset 0 after 2", func(_ *History, d *Reader) { d.Read(p0, 0, rec("a1")) }},
		{"reader skips", "I8", "skipped", func(h *History, _ *Reader) {
			r := h.Reader("other")
			r.Read(p0, 0, rec("a1"))
			r.Read(p0, 2, rec("a2"))
		}},
		{"from nowhere", "I10", "which nobody sent", func(_ *History, d *Reader) { d.Read(p0, 3, rec("zz")) }},
		{"changed key", "I10", "changed", func(h *History, _ *Reader) {
			h.Attempt("a", p0, rec("x"))
			h.Reader("other").Read(p0, 3, Record{Value: []byte("x"), Timestamp: 7})
		}},
		{"changed time", "I10", "timestamp", func(h *History, _ *Reader) {
			h.Attempt("a", p0, rec("x"))
			h.Reader("other").Read(p0, 3, Record{Key: []byte("k"), Value: []byte("x"), Timestamp: 8})
		}},
		{"wrong partition", "I10", "was sent to t/0", func(h *History, _ *Reader) {
			h.Attempt("a", p0, rec("x"))
			h.Reader("other").Read(Partition{"t", 1}, 0, rec("x"))
		}},
		{"watermark goes back", "I11", "and then", func(h *History, _ *Reader) {
			r := h.Reader("other")
			r.Marks(p0, 0, 3, 3)
			r.Marks(p0, 0, 2, 2)
		}},
		{"stable above high", "I11", "last stable offset 4", func(h *History, _ *Reader) {
			h.Reader("other").Marks(p0, 0, 4, 3)
		}},
		{"out of range", "I11", "out of range", func(h *History, d *Reader) { d.OutOfRange(p0, 1, 0) }},
		{"end below an acknowledged offset", "I11", "told end 1", func(h *History, _ *Reader) { h.Ask("x", p0).Answer(1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, d := good()
			c.spoil(h, d)
			v := h.Judge(d)
			if len(v.Violations) == 0 {
				t.Fatal("not found")
			}
			hit := false
			for _, x := range v.Violations {
				what := strings.ReplaceAll(x.What, `"...`, `"`)
				hit = hit || x.Invariant == c.want && strings.Contains(what, strings.ReplaceAll(c.text, `"...`, `"`))
			}
			if !hit {
				t.Fatalf("want %s %q, got %v", c.want, c.text, v.Violations)
			}
			if v.Err() == nil {
				t.Fatal("no error")
			}
		})
	}
}

func TestOutOfRangeIsRightBelowTheLogStartAndBeyondTheEnd(t *testing.T) {
	h, d := good()
	d.OutOfRange(p0, 0, 1)
	d.OutOfRange(p0, 9, 0)
	if err := h.Judge(d).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPulse()
		time.Sleep(time.Second)
		p.Beat()
		time.Sleep(3 * time.Second)
		p.Beat()
		time.Sleep(2 * time.Second)
		if g := p.Take(); g.Length != 3*time.Second || g.Beats != 2 {
			t.Fatal(g)
		}
		time.Sleep(5 * time.Second)
		if g := p.Take(); g.Length != 5*time.Second || g.Beats != 0 {
			t.Fatal("the gap that lasts counts:", g)
		}
	})
}
