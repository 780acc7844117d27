package objstore

import (
	"context"
	"errors"
)

// ErrNoAnswer: one attempt at a call got no answer in the time that it had. It is the cause (context.Cause) of an
// attempt's context that ran out of time, and never wraps context.DeadlineExceeded: the caller's own time is not over.
var ErrNoAnswer = errors.New("no answer in time")

// Attempt is what a store may know of the repetitions around it. Stores make one attempt per call; who repeats calls
// (objstore/steady) bounds each attempt's time and tells its number, both in the context.
type Attempt struct {
	// N counts the attempts at one call, from 1.
	N      int
	extend func(bytes int64)
}

type attemptKey struct{}

// WithAttempt makes n and extend known to the store that is called with the context.
func WithAttempt(ctx context.Context, n int, extend func(bytes int64)) context.Context {
	return context.WithValue(ctx, attemptKey{}, Attempt{N: n, extend: extend})
}

// AttemptOf is what WithAttempt put into ctx, or the first and only attempt with all the time of ctx.
func AttemptOf(ctx context.Context) Attempt {
	if a, ok := ctx.Value(attemptKey{}).(Attempt); ok {
		return a
	}
	return Attempt{N: 1}
}

// Extend allows the attempt, from now on, the time of one that moves so many bytes: its size was not known before, or
// there is a second request to be made.
func (a Attempt) Extend(bytes int64) {
	if a.extend != nil {
		a.extend(bytes)
	}
}

// Final marks an error that no repetition of the call mends, although its kind does not say so. Its text stays.
func Final(err error) error { return &final{err} }

type final struct{ err error }

func (f *final) Error() string { return f.err.Error() }
func (f *final) Unwrap() error { return f.err }

// Repeatable reports whether the same call may succeed when it is made again: whatever is neither marked with Final nor
// of a kind that describes the object or the caller. It does not look at contexts.
func Repeatable(err error) bool {
	if err == nil {
		return false
	}
	for _, kind := range []error{ErrNotFound, ErrExists, ErrConflict, ErrRange, ErrKey, ErrDenied} {
		if errors.Is(err, kind) {
			return false
		}
	}
	var marked *final
	return !errors.As(err, &marked)
}

// EitherPutter is a Store that can try a second name when the first takes long: objstore/steady's, which is the outermost
// of several decorators. No other one passes the call on.
type EitherPutter interface {
	// PutEither is Put under first, and when that is slow also under second; nothing else may be stored under either
	// name. On nil the object is durable under the key returned, one of the two. The same bytes may lie, now or later,
	// under the other one too, also after an error. When it returns no attempt reads the body any more.
	PutEither(ctx context.Context, first, second string, body Body) (key string, err error)
}

// PutEither is store's PutEither, or a Put under first where store has none.
func PutEither(ctx context.Context, store Store, first, second string, body Body) (string, error) {
	if s, ok := store.(EitherPutter); ok {
		return s.PutEither(ctx, first, second, body)
	}
	return first, store.Put(ctx, first, body)
}
