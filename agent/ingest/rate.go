package ingest

import (
	"cmp"
	"slices"
	"time"
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

// inlineBudget shares the cluster's inline rate among agents that only see the sum. Everybody sees the whole journal:
// above the budget each halves its own allowance, below it each adds a little (AIMD). An allowance is a rate of
// bytes per second, spent through a bucket.
type inlineBudget struct {
	budget    float64
	allowance float64
	credit    float64
	at        time.Duration // of credit
	window    time.Duration // start of the second being measured
	sum       int           // the cluster's inline bytes in it
}

const minAllowance = 16 << 10

func newInlineBudget(perSecond int) inlineBudget {
	b := float64(perSecond)
	return inlineBudget{budget: b, allowance: b, credit: b}
}

// allows reports whether a small batch may go inline now. What goes is accounted for when it is seen applied.
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

// seen counts inline bytes of any agent. The agent's own are spent from its credit by spend.
func (b *inlineBudget) seen(now time.Duration, n int) {
	if now-b.window >= time.Second {
		rate := float64(b.sum) / (now - b.window).Seconds()
		if rate > b.budget {
			b.allowance = max(b.allowance/2, minAllowance)
		} else {
			b.allowance = min(b.allowance+b.budget/16, b.budget)
		}
		b.window, b.sum = now, 0
	}
	b.sum += n
}

func (b *inlineBudget) spend(now time.Duration, n int) {
	b.refill(now)
	b.credit -= float64(n)
}

func sortKeys(keys []connPartition) {
	slices.SortFunc(keys, func(a, b connPartition) int {
		return cmp.Or(
			cmp.Compare(a.conn, b.conn),
			cmp.Compare(a.partition.Topic, b.partition.Topic),
			cmp.Compare(a.partition.Index, b.partition.Index),
		)
	})
}
