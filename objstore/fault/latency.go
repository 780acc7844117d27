package fault

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"wadi/objstore"
)

// Sleeper lets d pass and returns nil, or the context's error as soon as that ends.
type Sleeper func(ctx context.Context, d time.Duration) error

// Sleep is the Sleeper of a real, or synctest's, clock.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Lognormal is a distribution of durations by two of its quantiles, cut off below.
type Lognormal struct {
	Median time.Duration
	P99    time.Duration
	Floor  time.Duration
}

// z99 is the standard normal distribution's 99th percentile.
const z99 = 2.3263478740408408

// at is the duration for a standard normal variable z.
func (l Lognormal) at(z float64) time.Duration {
	if l.Median <= 0 {
		return l.Floor
	}
	sigma := math.Log(float64(l.P99)/float64(l.Median)) / z99
	return max(l.Floor, time.Duration(float64(l.Median)*math.Exp(sigma*z)))
}

// Profile is how long the calls of a service take.
type Profile struct {
	Write     Lognormal // Put, Delete and the calls of an upload
	FirstByte Lognormal // Get, List, Uploads and Date
	// One in StallEvery writes takes Stall instead, and one in StallReads reads. 0: none.
	StallEvery int
	StallReads int
	Stall      time.Duration
	// BytesPerSecond is the rate of one Get's stream after its first byte. 0: at once.
	BytesPerSecond float64
	// Bursts are when the service asks to slow down.
	Bursts Bursts
}

// S3 is the profile that benchmarks use for Amazon S3 in the agent's own region.
func S3() Profile {
	return Profile{
		Write:          Lognormal{Median: 90 * time.Millisecond, P99: 250 * time.Millisecond, Floor: 60 * time.Millisecond},
		FirstByte:      Lognormal{Median: 30 * time.Millisecond, P99: 80 * time.Millisecond},
		StallEvery:     1000,
		Stall:          time.Second,
		BytesPerSecond: 80e6,
	}
}

// BadDay is S3 on a day that an agent has to live through: one in 100 writes takes 2 s, and in one of ten periods of 10 s
// everything is refused for half a second.
func BadDay() Profile {
	p := S3()
	p.StallEvery, p.Stall = 100, 2*time.Second
	p.Bursts = Bursts{Every: 10 * time.Second, Length: 500 * time.Millisecond, Chance: 0.1, Answer: 15 * time.Millisecond}
	return p
}

// WithLatency makes every call take its time. The nth call of a seed always draws the same numbers. A nil sleep is Sleep.
func WithLatency(p Profile, seed uint64, sleep Sleeper) Option {
	if sleep == nil {
		sleep = Sleep
	}
	return func(s *Store) {
		s.latency = &latency{
			profile: p, sleep: sleep, rand: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), seed: seed, began: time.Now(),
		}
	}
}

type latency struct {
	profile Profile
	sleep   Sleeper
	seed    uint64
	began   time.Time
	mu      sync.Mutex
	rand    *rand.Rand
}

// wait is the latency of one call, in the part before its effect and the part after it.
type wait struct {
	latency *latency // nil: none
	refused bool     // by a burst
	first   time.Duration
	rest    time.Duration
	stream  bool
}

// draw takes the same three numbers for every call, so that one call's kind does not change the next one's latency.
func (l *latency) draw(c Call, atLeast float64) wait {
	if l == nil {
		return wait{}
	}
	l.mu.Lock()
	z, stall, share := l.rand.NormFloat64(), l.rand.Float64(), l.rand.Float64()
	l.mu.Unlock()
	p := l.profile
	if p.Bursts.at(l.seed, time.Since(l.began)) {
		return wait{latency: l, refused: true, first: p.Bursts.Answer}
	}
	d, every := p.FirstByte.at(z), p.StallReads
	if c.Op.writes() {
		d, every = p.Write.at(z), p.StallEvery
	}
	if every > 0 && stall < 1/float64(every) {
		d = p.Stall
	}
	first := time.Duration(float64(d) * max(atLeast, share))
	return wait{latency: l, first: first, rest: d - first, stream: c.Op == Get}
}

func (w wait) before(ctx context.Context) error {
	if w.latency == nil {
		return nil
	}
	err := w.latency.sleep(ctx, w.first)
	if err == nil && w.refused {
		return objstore.ErrThrottled
	}
	return err
}

func (w wait) after(ctx context.Context, size int64) error {
	if w.latency == nil {
		return nil
	}
	d := w.rest
	if rate := w.latency.profile.BytesPerSecond; w.stream && rate > 0 {
		d += time.Duration(float64(size) / rate * float64(time.Second))
	}
	return w.latency.sleep(ctx, d)
}
