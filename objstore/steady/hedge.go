package steady

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wadi/objstore"
)

// request is one attempt at a call, as the store is asked. second is the one that hedges; nil means that there is none.
type request[T any] struct {
	name          name
	bytes         int64 // the size that latencies are told apart by, -1 = not known
	sent          int64 // bytes that every attempt has to move, whatever the store finds
	first, second func(context.Context) (T, error)
}

// send makes the nth attempt at a call: a request and, when it takes long, a second one. It returns when both have
// ended.
func send[T any](ctx context.Context, l *lane, ticket uint64, n int, r request[T]) (T, error) {
	p, err := l.gate.enter(ctx, ticket)
	if err != nil {
		var none T
		return none, r.name.of(err)
	}
	if r.second == nil || l.cfg.Hedge.Quantile == 0 {
		v, err := attempt(ctx, l.cfg, n, r, r.first)
		p.done(err)
		return v, err
	}
	return race(ctx, l, p, n, r)
}

// outcome is how one of two requests ended.
type outcome[T any] struct {
	value  T
	err    error
	second bool
}

// race runs the first request, and the second when its time has come.
func race[T any](ctx context.Context, l *lane, p pass, n int, r request[T]) (T, error) {
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan outcome[T], 2)
	run := func(p pass, second bool, f func(context.Context) (T, error)) {
		began := time.Now()
		v, err := attempt(both, l.cfg, n, r, f)
		p.done(err)
		lost := both.Err() != nil && ctx.Err() == nil
		if !second && (err == nil || lost || errors.Is(err, objstore.ErrNoAnswer)) {
			l.took(r.bytes, time.Since(began))
		}
		ended <- outcome[T]{v, err, second}
	}
	delay := l.delay(r.bytes)
	go run(p, false, r.first)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	lasting := false
	var best outcome[T]
	for running := 1; ; {
		select {
		case <-timer.C:
			if p, ok := l.hedge(lasting); ok {
				l.cfg.Observe.Hedged(l.op)
				running++
				go run(p, true, r.second)
			} else {
				lasting = true
				timer.Reset(delay / 2) // the store may be calm by then, or the budget have recovered
			}
			continue
		case o := <-ended:
			running--
			if best.err != nil && o.err != nil {
				o.err = fmt.Errorf("%w (the other request: %w)", o.err, best.err)
			}
			best = o
		}
		if running > 0 && objstore.Repeatable(best.err) && ctx.Err() == nil {
			continue // the other one may do better
		}
		cancel()
		for ; running > 0; running-- {
			<-ended // only now is nothing of the call under way
		}
		if best.second && best.err == nil {
			l.cfg.Observe.HedgeWon(l.op)
		}
		return best.value, best.err
	}
}
