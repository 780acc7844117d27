package ingest

import (
	"slices"
	"time"

	"wadi/internal/layout"
)

// bucket allows a number of small flushes per second, with a second's worth of burst.
type bucket struct {
	rate   float64 // 0 = no limit
	tokens float64
	at     time.Duration
}

func newBucket(perSecond int) bucket {
	return bucket{rate: float64(perSecond), tokens: float64(perSecond)}
}

func (b *bucket) level(now time.Duration) float64 {
	return min(b.rate, b.tokens+(now-b.at).Seconds()*b.rate)
}

// next is when the next small flush is within the rate: now or later.
func (b *bucket) next(now time.Duration) time.Duration {
	if b.rate == 0 {
		return now
	}
	missing := 1 - b.level(now)
	if missing <= 0 {
		return now
	}
	return now + time.Duration(missing/b.rate*float64(time.Second)) + 1
}

func (b *bucket) take(now time.Duration) {
	if b.rate > 0 {
		b.tokens, b.at = max(0, b.level(now)-1), now
	}
}

// inlineBudget shares the cluster's inline rate among agents that talk to each other through the journal alone.
// Everybody sees all of it: who appended, and how much. Above the budget each agent cuts its own allowance by the same
// factor, below it all of them together add an eighth of the budget per second, in equal parts (AIMD): the sum stays
// near the budget whatever the number of agents, and differences between those that want more shrink with every cut.
// An allowance is a rate of bytes per second, spent through a bucket.
type inlineBudget struct {
	budget    float64
	allowance float64
	credit    float64
	at        time.Duration    // of credit
	window    time.Duration    // start of the second being measured
	sum       int              // the cluster's inline bytes in it
	agents    []layout.Session // who sent them
}

const (
	minAllowance = 16 << 10
	maxAgents    = 256 // that are told apart
)

// newInlineBudget starts with a quarter: agents that start together must not send several times the budget, and one
// that is alone has it all after a few seconds.
func newInlineBudget(perSecond int) inlineBudget {
	b := float64(perSecond)
	return inlineBudget{budget: b, allowance: b / 4, credit: b / 4}
}

// allows reports whether a small batch may go inline now. It is spent when its flush closes.
func (b *inlineBudget) allows(now time.Duration) bool {
	if b.budget == 0 {
		return false
	}
	b.refill(now)
	return b.credit > 0
}

func (b *inlineBudget) refill(now time.Duration) {
	b.credit = min(b.allowance, b.credit+(now-b.at).Seconds()*b.allowance)
	b.at = now
}

// seen counts inline bytes of any agent, this one included.
func (b *inlineBudget) seen(now time.Duration, n int) {
	if elapsed := (now - b.window).Seconds(); elapsed >= 1 {
		b.adjust(elapsed)
		b.window, b.sum, b.agents = now, 0, b.agents[:0]
	}
	b.sum += n
}

// shares counts an agent that sends inline bytes.
func (b *inlineBudget) shares(by layout.Session) {
	if len(b.agents) < maxAgents && !slices.Contains(b.agents, by) {
		b.agents = append(b.agents, by)
	}
}

func (b *inlineBudget) adjust(elapsed float64) {
	rate := float64(b.sum) / elapsed
	if rate > b.budget {
		b.allowance *= max(0.85*b.budget/rate, 0.125)
	} else {
		b.allowance += elapsed * b.budget / 8 / float64(max(len(b.agents), 1))
	}
	b.allowance = min(max(b.allowance, minAllowance), b.budget)
}

func (b *inlineBudget) spend(now time.Duration, n int) {
	b.refill(now)
	b.credit -= float64(n)
}
