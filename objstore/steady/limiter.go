package steady

import (
	"container/heap"
	"time"
)

// answer is what a request's end tells about the store.
type answer uint8

const (
	unclear   answer = iota // cancelled, cut, failed: nothing about its load
	answered                // the store did what it was asked to, or said why not
	throttled               // it asked to slow down
)

// limiter decides which requests of a lane may be sent when. Its clock is whatever its caller counts from.
//
// Requests are numbered as they are sent. A refusal of one that was sent before the last cut is about the congestion
// which that cut answered, so it changes nothing; neither does such a request's success end a hold.
type limiter struct {
	cfg     Limit
	limit   float64
	flying  int
	sent    uint64        // the number of the last request
	cut     uint64        // what was sent last when the limit was cut
	hold    time.Duration // 0 = not held
	until   time.Duration // when the next probe may be sent, while held
	probe   uint64        // the last one
	refused time.Duration // when the store last asked to slow down; valid while sent before it
	ever    bool          // it has
	queue   waiters
}

// waiter is a request that waits for its turn. Its ticket is its call's: lower ones go first.
type waiter struct {
	ticket uint64
	index  int    // in the queue, -1 = not in it
	number uint64 // once it is sent
	ready  chan struct{}
}

func newLimiter(cfg Limit) limiter { return limiter{cfg: cfg, limit: float64(cfg.Max)} }

// ask queues a request, or reports that too many wait.
func (l *limiter) ask(w *waiter) bool {
	if len(l.queue) >= l.cfg.Queue {
		return false
	}
	heap.Push(&l.queue, w)
	return true
}

// leave takes a request out of the queue.
func (l *limiter) leave(w *waiter) {
	if w.index >= 0 {
		heap.Remove(&l.queue, w.index)
	}
}

// next takes the first request out of the queue that may be sent now, nil when none may.
func (l *limiter) next(now time.Duration) *waiter {
	if len(l.queue) == 0 || !l.room(now) {
		return nil
	}
	w := heap.Pop(&l.queue).(*waiter)
	w.number = l.send(now)
	return w
}

func (l *limiter) room(now time.Duration) bool {
	if l.hold != 0 {
		return now >= l.until
	}
	return l.flying < int(l.limit)
}

// send counts a request. A probe that hangs must not stop the lane for as long: the next one may follow after a while.
func (l *limiter) send(now time.Duration) uint64 {
	l.flying++
	l.sent++
	if l.hold != 0 {
		l.probe, l.until = l.sent, now+l.cfg.Calm
	}
	return l.sent
}

// spare sends a request that nobody needs: only when there is room, so that none waits, and the store is calm.
func (l *limiter) spare(now time.Duration) (number uint64, ok bool) {
	if !l.room(now) || !l.calm(now) {
		return 0, false
	}
	return l.send(now), true
}

func (l *limiter) calm(now time.Duration) bool { return !l.ever || now-l.refused > l.cfg.Calm }

// done takes a request's end. draw, evenly from [0, 1), spreads the probes of agents that were refused together.
func (l *limiter) done(now time.Duration, number uint64, a answer, draw float64) {
	full := len(l.queue) > 0 || l.flying >= int(l.limit)
	l.flying--
	switch {
	case a == throttled:
		l.refused, l.ever = now, true
		if number <= l.cut {
			return
		}
		l.cut = l.sent
		l.limit = max(float64(l.cfg.Min), min(l.limit, float64(l.flying+1))/2)
		l.hold = min(max(l.hold+l.hold/4, l.cfg.Hold), l.cfg.MaxHold)
		l.until = now + l.hold/2 + time.Duration(draw*float64(l.hold/2))
	case a == unclear && number == l.probe && l.hold != 0:
		l.until = now // it brought no news: another one
	case a == answered && number > l.cut:
		l.hold = 0
		if !full {
			return // it does not bind, so nothing is known about more
		}
		step := 1 / l.limit
		if l.calm(now) {
			step = 1
		}
		l.limit = min(float64(l.cfg.Max), l.limit+step)
	}
}

// wake is when next may return something although nothing else has happened.
func (l *limiter) wake() (at time.Duration, ok bool) {
	return l.until, l.hold != 0 && len(l.queue) > 0
}

// allowed is how many requests may be under way.
func (l *limiter) allowed() int {
	if l.hold != 0 {
		return 1
	}
	return int(l.limit)
}

// waiters is a heap by ticket.
type waiters []*waiter

func (q waiters) Len() int           { return len(q) }
func (q waiters) Less(i, j int) bool { return q[i].ticket < q[j].ticket }
func (q waiters) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *waiters) Push(x any) {
	w := x.(*waiter)
	w.index = len(*q)
	*q = append(*q, w)
}

func (q *waiters) Pop() any {
	last := len(*q) - 1
	w := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	w.index = -1
	return w
}
