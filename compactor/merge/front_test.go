package merge

import (
	"testing"

	"wadi/metadata/state"
)

// A run in an object that others share keeps what follows it in State for no longer than it takes until there is enough for
// an object of its own, also when what follows lies in objects that hold nothing else already.
func TestSharedRunInFrontOfWhatIsFinal(t *testing.T) {
	l, c := newLog(t, 2), Config{FanIn: 4, Crowd: 4}.withDefaults()
	for range 4 {
		l.write(false, 1000, all(1, 2)...)
	}
	l.settle(c)
	for range 100 {
		for range 4 { // enough for an object that stays, and not for one that takes along what lies in front of it
			l.write(false, uint32(c.Own/6), part{1, 0})
		}
		l.settle(c)
	}
	l.check()
	stuck := 0
	l.s.TopicByNumber(1).Partition(0).EachRun(func(r state.Run) {
		if o, _ := l.s.Object(r.Place); stuck > 0 || o.Refs > 1 && r.Length < 1<<20 {
			stuck++
		}
	})
	if stuck > 60 {
		t.Errorf("%d runs wait behind one that cannot fold", stuck)
	}
	if amplification := float64(l.merged) / float64(l.produced); amplification > 2.1 {
		t.Errorf("%.2f bytes merged for a byte produced", amplification)
	} else {
		t.Logf("%.2f bytes merged for a byte produced", amplification)
	}
}
