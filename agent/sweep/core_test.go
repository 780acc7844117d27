package sweep

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var limits = Config{Pause: 20 * time.Millisecond, Retry: time.Second, Patience: 10 * time.Second}

// The agent of the lowest rank sweeps at its pace until nothing is left, and proposes nothing while one is under way or
// nothing is to be swept.
func TestFirstRankSweepsAtItsPace(t *testing.T) {
	c := NewCore(limits)
	ms := time.Millisecond
	if c.Tick(0, Look{}) {
		t.Error("sweeps without a backlog")
	}
	if !c.Tick(ms, Look{Unswept: 3}) || c.Tick(2*ms, Look{Unswept: 3}) {
		t.Error("not one sweep for a backlog")
	}
	c.Done(5*ms, 100, true)
	if c.Tick(24*ms, Look{Unswept: 2, LastSweep: 100}) || !c.Tick(25*ms, Look{Unswept: 2, LastSweep: 100}) {
		t.Error("not at its pace")
	}
	c.Done(30*ms, 0, false)
	if c.Tick(1029*ms, Look{Unswept: 2, LastSweep: 100}) || !c.Tick(1030*ms, Look{Unswept: 2, LastSweep: 100}) {
		t.Error("not tried again in time")
	}
	c.Done(1031*ms, 200, true)
	if c.Tick(time.Hour, Look{LastSweep: 200}) {
		t.Error("sweeps when all is done")
	}
	if c.Tick(time.Hour, Look{Unswept: 1, Rank: -1}) {
		t.Error("sweeps although it is not to")
	}
}

// An agent of a higher rank leaves it to the others as long as somebody sweeps. Once it is its turn, it goes on at full
// pace: its own sweeps are no reason to wait.
func TestHigherRankWaits(t *testing.T) {
	c := NewCore(limits)
	sec := time.Second
	look := Look{Unswept: 9, Rank: 1, LastSweep: 50}
	for now := range 30 {
		look.LastSweep++ // somebody sweeps
		if c.Tick(time.Duration(now)*sec, look) {
			t.Fatalf("second %d: sweeps beside another", now)
		}
	}
	if c.Tick(38*sec, look) || !c.Tick(39*sec, look) {
		t.Error("does not take over after 10 s")
	}
	c.Done(39*sec, 90, true)
	look.LastSweep = 90
	if !c.Tick(40*sec, look) {
		t.Error("its own sweep makes it wait")
	}
	c.Done(40*sec, 91, true)
	look.LastSweep = 95 // the other is back
	if c.Tick(41*sec, look) {
		t.Error("goes on beside another")
	}
}

// Whoever dies, an agent that lives gets the backlog swept, and no faster than at each agent's pace.
func TestSomebodySweeps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const agents = 3
		var cores [agents]*Core
		for i := range cores {
			cores[i] = NewCore(limits)
		}
		alive := [agents]bool{true, true, true}
		silent := [agents]bool{} // listed as alive, proposes nothing: it is frozen
		backlog, sweeps, position := rapid.IntRange(1, 20).Draw(t, "backlog"), 0, int64(0)
		limit := time.Duration(0)
		for now := time.Duration(0); backlog > 0; now += 10 * time.Millisecond {
			if limit == 0 && rapid.IntRange(0, 5).Draw(t, "fate") == 0 {
				i := rapid.IntRange(0, agents-1).Draw(t, "who")
				alive[0], silent[i] = rapid.Bool().Draw(t, "lives"), rapid.Bool().Draw(t, "frozen")
				limit = now + agents*limits.Patience + time.Minute
			}
			if limit != 0 && now > limit {
				t.Fatalf("%d left after %v, alive %v, frozen %v", backlog, now, alive, silent)
			}
			rank := 0
			for i, c := range cores {
				if !alive[i] {
					continue
				}
				l := Look{Unswept: backlog, LastSweep: position, Rank: rank}
				rank++
				if silent[i] || backlog == 0 || !c.Tick(now, l) {
					continue
				}
				position++
				sweeps++
				backlog--
				c.Done(now, position, true)
			}
			if most := 1 + int(now/limits.Pause); sweeps > agents*most {
				t.Fatalf("%d sweeps within %v", sweeps, now)
			}
		}
	})
}
