package s3

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"wadi/objstore"
)

// Retry bounds every call. Zero values are the defaults.
type Retry struct {
	// Attempts is the most requests that one call makes, 6 by default.
	Attempts int
	// Pause is before the second attempt, 50 ms by default; it doubles up to MaxPause, 3 s by default. A service that asks
	// to slow down gets four times as long. Each pause is drawn evenly between a half and the whole of that.
	Pause    time.Duration
	MaxPause time.Duration
	// Timeout is one attempt's, 10 s by default, and gets longer with the bytes to be moved, at BytesPerSecond: 1 MB/s by
	// default. The first attempt gets a quarter of it and the second a half: an answer that late is mostly one that never
	// comes, on a connection that died without a word.
	Timeout        time.Duration
	BytesPerSecond int64

	timedOut func() // hears of attempts that got no answer in time
}

func (r Retry) withDefaults() Retry {
	if r.Attempts <= 0 {
		r.Attempts = 6
	}
	if r.Pause <= 0 {
		r.Pause = 50 * time.Millisecond
	}
	if r.MaxPause <= 0 {
		r.MaxPause = 3 * time.Second
	}
	if r.Timeout <= 0 {
		r.Timeout = 10 * time.Second
	}
	if r.BytesPerSecond <= 0 {
		r.BytesPerSecond = 1e6
	}
	return r
}

// errTimeout stands for the deadline of an attempt. It does not wrap context.DeadlineExceeded: the caller's own context
// has not ended.
var errTimeout = errors.New("no answer in time")

// attempt is what a call knows about the request it makes.
type attempt struct {
	n      int         // from 1
	extend func(int64) // allows time for more bytes, counted from now
}

// do makes the call until it succeeds, fails for good, or attempts or ctx have ended. The error is classified.
func (r Retry) do(ctx context.Context, bytes int64, call func(context.Context, attempt) error) error {
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := r.once(ctx, n, bytes, call)
		if err == nil {
			return nil
		}
		if ended := ctx.Err(); ended != nil {
			return fmt.Errorf("%w (attempt %d: %w)", ended, n, err)
		}
		err, again := classify(err)
		if !again {
			return err
		}
		if n == r.Attempts {
			return fmt.Errorf("after %d attempts: %w", n, err)
		}
		if ended := sleep(ctx, r.pause(n, err)); ended != nil {
			return fmt.Errorf("%w (attempt %d: %w)", ended, n, err)
		}
	}
}

func (r Retry) once(ctx context.Context, n int, bytes int64, call func(context.Context, attempt) error) error {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(r.timeout(n, bytes), func() { cancel(errTimeout) })
	defer timer.Stop()
	err := call(limited, attempt{n: n, extend: func(more int64) { timer.Reset(r.timeout(n, more)) }})
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(limited), errTimeout) {
		if r.timedOut != nil {
			r.timedOut()
		}
		return errTimeout
	}
	return err
}

func (r Retry) timeout(n int, bytes int64) time.Duration {
	return r.Timeout>>max(3-n, 0) + time.Duration(float64(bytes)/float64(r.BytesPerSecond)*float64(time.Second))
}

func (r Retry) pause(n int, err error) time.Duration {
	d := r.Pause << min(n-1, 16)
	if errors.Is(err, objstore.ErrThrottled) {
		d *= 4
	}
	d = min(d, r.MaxPause)
	return d/2 + rand.N(d/2+1)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
