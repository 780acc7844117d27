package steady

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"wadi/objstore"
)

// errQueue: more requests wait than may. Nothing was sent.
var errQueue = errors.New("too many requests wait for the store")

// gate lets requests through as its limiter decides. A nil gate lets everything through.
type gate struct {
	began   time.Time
	observe func(allowed int)
	mu      struct {
		sync.Mutex
		core    limiter
		timer   *time.Timer // calls pump; nil until it is needed first
		allowed int         // as observed last
	}
}

func newGate(cfg Limit, observe func(int)) *gate {
	if cfg.Max <= 0 {
		return nil
	}
	g := &gate{began: time.Now(), observe: observe}
	g.mu.core = newLimiter(cfg)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.observeLocked()
	return g
}

// pass is a request's permission to be under way. It is given back with done.
type pass struct {
	gate   *gate
	number uint64
}

// enter waits for a request's turn or the end of ctx.
func (g *gate) enter(ctx context.Context, ticket uint64) (pass, error) {
	if g == nil {
		return pass{}, ctx.Err()
	}
	w := &waiter{ticket: ticket, ready: make(chan struct{})}
	g.mu.Lock()
	if !g.mu.core.ask(w) {
		g.mu.Unlock()
		return pass{}, objstore.Final(fmt.Errorf("%w: %w", objstore.ErrThrottled, errQueue))
	}
	g.pumpLocked()
	g.mu.Unlock()
	select {
	case <-w.ready:
		return pass{g, w.number}, nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.index >= 0 {
		g.mu.core.leave(w)
	} else {
		g.doneLocked(w.number, unclear) // its turn came at the same moment
	}
	return pass{}, ctx.Err()
}

// tryEnter is for a request that nobody waits for; see limiter.spare.
func (g *gate) tryEnter() (pass, bool) {
	if g == nil {
		return pass{}, true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	number, ok := g.mu.core.spare(time.Since(g.began))
	return pass{g, number}, ok
}

// done gives the pass back and tells how its request ended.
func (p pass) done(err error) {
	if p.gate == nil {
		return
	}
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	p.gate.doneLocked(p.number, answerOf(err))
}

func (g *gate) doneLocked(number uint64, a answer) {
	g.mu.core.done(time.Since(g.began), number, a, rand.Float64())
	g.pumpLocked()
}

func (g *gate) pump() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pumpLocked()
}

// pumpLocked lets through whoever may go, and comes back when that changes by itself.
func (g *gate) pumpLocked() {
	now := time.Since(g.began)
	for w := g.mu.core.next(now); w != nil; w = g.mu.core.next(now) {
		close(w.ready)
	}
	if at, ok := g.mu.core.wake(); ok {
		if g.mu.timer == nil {
			g.mu.timer = time.AfterFunc(at-now, g.pump)
		} else {
			g.mu.timer.Reset(at - now)
		}
	}
	g.observeLocked()
}

func (g *gate) observeLocked() {
	if n := g.mu.core.allowed(); n != g.mu.allowed {
		g.mu.allowed = n
		g.observe(n)
	}
}

// answerOf says what a request's end tells about the store. What describes the object was answered by a store that is
// well.
func answerOf(err error) answer {
	switch {
	case err == nil, errors.Is(err, objstore.ErrNotFound), errors.Is(err, objstore.ErrExists), errors.Is(err, objstore.ErrRange):
		return answered
	case errors.Is(err, objstore.ErrThrottled):
		return throttled
	}
	return unclear
}
