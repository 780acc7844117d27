package plain

import (
	"fmt"
	"sync"
	"time"
)

// Pulse measures the longest time in which nothing happened.
type Pulse struct {
	mu      sync.Mutex
	last    time.Time
	longest time.Duration
	ended   time.Time // of the longest
	beats   int
}

// NewPulse starts to measure.
func NewPulse() *Pulse { return &Pulse{last: time.Now()} }

// Beat records that something happened.
func (p *Pulse) Beat() {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beats++
	p.step(now)
}

func (p *Pulse) step(now time.Time) {
	if gap := now.Sub(p.last); gap > p.longest {
		p.longest, p.ended = gap, now
	}
	p.last = now
}

// Take returns the longest gap since the last Take, the present one included, and starts anew.
func (p *Pulse) Take() Gap {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step(now)
	g := Gap{Length: p.longest, Ended: p.ended, Beats: p.beats}
	p.longest, p.beats = 0, 0
	return g
}

// Since is the time since the last beat.
func (p *Pulse) Since() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.last)
}

// Gap is a time in which nothing happened, and how much happened around it.
type Gap struct {
	Length time.Duration
	Ended  time.Time
	Beats  int
}

func (g Gap) String() string {
	return fmt.Sprintf("%v (%d beats)", g.Length.Round(time.Millisecond), g.Beats)
}
