package gc

import (
	"testing"
	"time"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// Each rule with what breaks it by one.
func TestNamed(t *testing.T) {
	kept := func(position int64, roots ...int64) *pb.Pointer {
		p := &pb.Pointer{Position: position}
		for _, r := range roots {
			p.Kept = append(p.Kept, &pb.KeptRoot{Position: r})
		}
		return p
	}
	o := state.Object{Introduced: 100, Lost: 200}
	for _, c := range []struct {
		what string
		p    *pb.Pointer
		want Reason
	}{
		{"there is no checkpoint", nil, Checkpoint},
		{"a checkpoint right before the loss: its successor's mark may lie there, too", kept(199), Checkpoint},
		{"a checkpoint at the loss", kept(200), Due},
		{"a root from before the object", kept(300, 99, 300), Due},
		{"a root at its introduction", kept(300, 100, 300), Root},
		{"a root right before the loss", kept(300, 50, 199, 300), Root},
		{"a root at the loss", kept(300, 50, 200, 300), Due},
		{"roots around it", kept(300, 10, 99, 200, 300), Due},
	} {
		if got := named(o, c.p); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

func TestOld(t *testing.T) {
	a := &ages{grace: 1000}
	for _, c := range []struct {
		o    state.Object
		aged int64
		now  int64
		want bool
	}{
		{state.Object{Lost: 5, LostMs: 5000}, 0, 5999, false},
		{state.Object{Lost: 5, LostMs: 5000}, 0, 6000, true},
		{state.Object{Lost: 5, LostMs: 90_000}, 4, 6000, false}, // the proposer's clock was ahead
		{state.Object{Lost: 5, LostMs: 90_000}, 5, 6000, true},
	} {
		if a.aged = c.aged; old(c.o, a, c.now) != c.want {
			t.Errorf("%+v with %d aged at %d: %t", c.o, c.aged, c.now, !c.want)
		}
	}
}

// A position is aged when it has been seen for the grace, a sixteenth late at most; never early, whatever the clock does.
func TestAges(t *testing.T) {
	a := &ages{grace: 1600}
	first := map[int64]int64{} // when a position was seen
	position, now := int64(0), int64(50_000)
	check := func(step int64) {
		t.Helper()
		now += step
		position++
		first[position] = now
		for p := range first {
			first[p] = min(first[p], now) // what the clock said before it went back counts as now
		}
		before := a.aged
		a.see(position, now)
		for p, at := range first {
			if before < p && p <= a.aged && now-at < a.grace {
				t.Fatalf("at %d position %d is aged, it was seen at %d", now, p, at)
			}
			if p > a.aged && now-at >= a.grace+a.grace/samplesPerGrace+max(step, 0) {
				t.Fatalf("at %d position %d is not aged, it was seen at %d", now, p, at)
			}
		}
		if len(a.samples) > 2*samplesPerGrace {
			t.Fatalf("%d samples", len(a.samples))
		}
	}
	for range 1000 {
		check(7)
	}
	check(-40_000)
	for range 50 {
		check(130)
		check(-20)
		check(-20)
	}
	check(90_000)
	none := &ages{}
	if none.see(9, 1); none.aged != 9 {
		t.Error("without a grace everything is aged")
	}
}

// Deletes go up by a step while they are answered soon, and down by half when not.
func TestPace(t *testing.T) {
	p := newPace()
	for _, c := range []struct {
		took   int64 // ms
		failed bool
		want   int
		rest   int64
	}{
		{10, false, 500, 10}, {10, false, 750, 10}, {10, false, 1000, 10}, {10, false, 1000, 10}, {3000, false, 500, 2000},
		{5, true, 250, 5}, {5, true, 125, 5}, {5, true, 62, 5}, {5, true, 31, 5}, {5, true, 15, 5}, {5, true, 10, 5},
		{5, true, 10, 5}, {1000, false, 260, 1000},
	} {
		rest := p.done(p.keys, ms(c.took), c.failed)
		if p.keys != c.want || rest != ms(c.rest) {
			t.Errorf("%+v: %d keys, %v", c, p.keys, rest)
		}
	}
	if p.done(3, ms(1), false); p.keys != 260 {
		t.Errorf("a request that was not full says nothing: %d keys", p.keys)
	}
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
