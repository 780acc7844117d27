package history_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wadi/integration/history/plain"
)

var p0 = plain.Partition{Topic: "t"}

func rec(value string) plain.Record {
	return plain.Record{Key: []byte("k"), Value: []byte(value), Timestamp: 7}
}

// plainly is a history with nothing wrong: two producers, three records, one of them never answered. The last reader
// gets what read names.
func plainly(read ...int) (*plain.History, *plain.Reader, []*plain.Send) {
	h := plain.New()
	var sends []*plain.Send
	d := h.Reader("drain")
	for i, x := range []struct{ producer, value string }{{"a", "a1"}, {"b", "b1"}, {"a", "a2"}} {
		sends = append(sends, h.Attempt(x.producer, p0, rec(x.value)))
		if i < 2 {
			sends[i].Acked(int64(i))
		}
	}
	for _, i := range read {
		d.Read(p0, int64(i), rec([]string{"a1", "b1", "a2"}[i]))
	}
	return h, d, sends
}

func TestPlainHistory(t *testing.T) {
	h, d, _ := plainly(0, 1, 2)
	v := h.Judge(d)
	if err := v.Err(); err != nil {
		t.Fatal(err)
	}
	if v.Attempts != 3 || v.Acked != 2 || v.Unknown != 1 || v.Read != 3 {
		t.Fatal(v)
	}
	if err := plain.New().Judge().Err(); err == nil {
		t.Fatal("an empty history proves nothing")
	}
}

// TestEachPlainViolationIsFound: every invariant, broken in one way each, is named and nothing else is.
func TestEachPlainViolationIsFound(t *testing.T) {
	for _, c := range []struct {
		name, want, text string
		spoil            func(h *plain.History, d *plain.Reader, sends []*plain.Send)
	}{
		{"never read", "I2", "beyond all", func(h *plain.History, _ *plain.Reader, _ []*plain.Send) { h.Attempt("a", p0, rec("x")).Acked(3) }},
		{"two values at an offset", "I3", "offset 1 holds", func(h *plain.History, _ *plain.Reader, _ []*plain.Send) {
			h.Reader("other").Read(p0, 1, rec("a2"))
		}},
		{"doubled", "I4", "is at t/0 offset 1 and at t/0 offset 3", func(_ *plain.History, d *plain.Reader, _ []*plain.Send) { d.Read(p0, 3, rec("b1")) }},
		{"acknowledged elsewhere", "I3", "offset 0 holds", func(h *plain.History, _ *plain.Reader, sends []*plain.Send) {
			sends[2].Acked(0) // the spurious offset 0
		}},
		{"acknowledged without offset", "I4", "at offset -1", func(h *plain.History, _ *plain.Reader, sends []*plain.Send) {
			sends[2].Acked(-1)
		}},
		{"refused and there", "I5", "was refused, and drain read it", func(h *plain.History, _ *plain.Reader, sends []*plain.Send) { sends[2].Refused() }},
		{"reordered", "I8", "c sent c1 (offset 4) before c2 (offset 3)", func(h *plain.History, d *plain.Reader, _ []*plain.Send) {
			h.Attempt("c", p0, rec("c1"))
			h.Attempt("c", p0, rec("c2"))
			d.Read(p0, 3, rec("c2"))
			d.Read(p0, 4, rec("c1"))
		}},
		{"reader jumps back", "I8", "read t/0 offset 0 after 2", func(_ *plain.History, d *plain.Reader, _ []*plain.Send) { d.Read(p0, 0, rec("a1")) }},
		{"reader skips", "I8", "left 1 out", func(h *plain.History, _ *plain.Reader, _ []*plain.Send) {
			r := h.Reader("other")
			r.Read(p0, 0, rec("a1"))
			r.Read(p0, 2, rec("a2"))
		}},
		{"from nowhere", "I10", "nobody sent", func(_ *plain.History, d *plain.Reader, _ []*plain.Send) { d.Read(p0, 3, rec("zz")) }},
		{"changed key", "I10", "changed", func(h *plain.History, _ *plain.Reader, _ []*plain.Send) {
			h.Attempt("a", p0, rec("x"))
			h.Reader("other").Read(p0, 3, plain.Record{Value: []byte("x"), Timestamp: 7})
		}},
		{"changed time", "I10", "timestamp", func(h *plain.History, _ *plain.Reader, _ []*plain.Send) {
			h.Attempt("a", p0, rec("x"))
			h.Reader("other").Read(p0, 3, plain.Record{Key: []byte("k"), Value: []byte("x"), Timestamp: 8})
		}},
		{"wrong partition", "I10", "was sent to t/0", func(h *plain.History, _ *plain.Reader, _ []*plain.Send) {
			h.Attempt("a", p0, rec("x"))
			h.Reader("other").Read(plain.Partition{Topic: "t", Index: 1}, 0, rec("x"))
		}},
		{"watermark goes back", "I11", "and then", func(h *plain.History, _ *plain.Reader, _ []*plain.Send) {
			r := h.Reader("other")
			r.Marks(p0, 0, 3, 3)
			r.Marks(p0, 0, 2, 2)
		}},
		{"stable above high", "I11", "stable 4", func(h *plain.History, _ *plain.Reader, _ []*plain.Send) {
			h.Reader("other").Marks(p0, 0, 4, 3)
		}},
		{"out of range", "I11", "out of range", func(h *plain.History, d *plain.Reader, _ []*plain.Send) { d.OutOfRange(p0, 1, 0) }},
		{"end below an acknowledged offset", "I11", "told end 1", func(h *plain.History, _ *plain.Reader, _ []*plain.Send) { h.Ask("x", p0).Answer(1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, d, sends := plainly(0, 1, 2)
			c.spoil(h, d, sends)
			v := h.Judge(d)
			if len(v.Violations) == 0 {
				t.Fatal("not found")
			}
			hit := false
			for _, x := range v.Violations {
				hit = hit || x.Invariant == c.want && strings.Contains(x.What, c.text)
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

func TestALastReaderLeavesNothingOut(t *testing.T) {
	h, d, _ := plainly(1, 2)
	v := h.Judge(d)
	var got []string
	for _, x := range v.Violations {
		got = append(got, x.Invariant+" "+x.What)
	}
	if len(got) != 2 || !strings.HasPrefix(got[0], "I1 a1 was acknowledged") || !strings.HasPrefix(got[1], "I1 drain found offset 1") {
		t.Fatal(got)
	}
}

func TestLongValues(t *testing.T) {
	h := plain.New()
	long := strings.Repeat("x", 1000)
	h.Attempt("a", p0, rec(long+"1")).Acked(0)
	h.Attempt("a", p0, rec(long+"2")).Acked(1)
	d := h.Reader("drain")
	d.Read(p0, 0, rec(long+"1"))
	d.Read(p0, 1, rec(long+"2"))
	if err := h.Judge(d).Err(); err != nil {
		t.Fatal(err)
	}
	d.Read(p0, 2, rec(long+"3"))
	if err := h.Judge(d).Err(); err == nil {
		t.Fatal("a value that nobody sent")
	}
}

func TestOutOfRangeIsRightBelowTheLogStartAndBeyondTheEnd(t *testing.T) {
	h, d, _ := plainly(0, 1, 2)
	d.OutOfRange(p0, 0, 1)
	d.OutOfRange(p0, 9, 0)
	if err := h.Judge(d).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plain.NewPulse()
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
