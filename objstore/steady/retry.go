package steady

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"wadi/objstore"
)

// ErrBudget: a request failed in a way that may pass and was not repeated, because too many fail. The same call may
// succeed later.
var ErrBudget = errors.New("too many requests fail to repeat this one")

// name is what a call is called in errors that the store did not make.
type name struct{ op, key string }

func (n name) of(err error) error { return fmt.Errorf("%s %s: %w", n.op, n.key, err) }

// repeat makes attempts at a call until one succeeds, fails for good, or attempts, budget or ctx have ended. Refusals are
// counted apart where a gate paces them: they cost the store next to nothing, and waiting is all that helps.
func repeat[T any](ctx context.Context, l *lane, call name, once func(ctx context.Context, n int) (T, error)) (T, error) {
	var none T
	for n, refused := 1, 0; ; {
		if err := ctx.Err(); err != nil {
			return none, call.of(err)
		}
		v, err := once(ctx, n)
		if err == nil {
			l.earn()
			return v, nil
		}
		if ended := ctx.Err(); ended != nil {
			if errors.Is(err, ended) {
				return none, err
			}
			return none, fmt.Errorf("%w (attempt %d: %w)", ended, n+refused, err)
		}
		if !objstore.Repeatable(err) {
			return none, err
		}
		if l.gate != nil && errors.Is(err, objstore.ErrThrottled) {
			if refused++; refused > l.cfg.Limit.Refusals {
				return none, fmt.Errorf("refused %d times: %w", refused, err)
			}
			l.cfg.Observe.Retried(l.op)
			continue // it waits at the gate
		}
		if n == l.cfg.Attempts {
			return none, fmt.Errorf("after %d attempts: %w", n+refused, err)
		}
		if !l.spend() {
			l.cfg.Observe.Spent(l.op)
			return none, fmt.Errorf("%w: %w", ErrBudget, err)
		}
		if ended := sleep(ctx, l.pause(n, err)); ended != nil {
			return none, fmt.Errorf("%w (attempt %d: %w)", ended, n+refused, err)
		}
		l.cfg.Observe.Retried(l.op)
		n++
	}
}

// pause is before the attempt after the nth.
func (l *lane) pause(n int, err error) time.Duration {
	d := l.cfg.Pause << min(n-1, 16)
	if errors.Is(err, objstore.ErrThrottled) {
		d *= 4
	}
	d = min(d, l.cfg.MaxPause)
	return d/2 + rand.N(d/2+1)
}

func sleep(ctx context.Context, d time.Duration) error {
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

// attempt makes one request, bounded in time.
func attempt[T any](ctx context.Context, cfg *Config, n int, r request[T], f func(context.Context) (T, error)) (T, error) {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(cfg.timeout(n, r.sent), func() { cancel(objstore.ErrNoAnswer) })
	defer timer.Stop()
	limited = objstore.WithAttempt(limited, n, func(more int64) { timer.Reset(cfg.timeout(n, more)) })
	v, err := f(limited)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(limited), objstore.ErrNoAnswer) {
		return v, r.name.of(objstore.ErrNoAnswer)
	}
	return v, err
}

func (c *Config) timeout(n int, bytes int64) time.Duration {
	return c.Timeout>>max(3-n, 0) + time.Duration(float64(bytes)/float64(c.BytesPerSecond)*float64(time.Second))
}
