package compactor

import (
	"context"
	"errors"
	"sync"
	"time"

	"wadi/objstore"
)

// Limits of a Fitness.
const (
	unfitAfter    = 5                // calls of the store that fail in a row ...
	unfitFor      = 30 * time.Second // ... over this time
	restWhenUnfit = 2 * time.Minute
)

// Fitness decides whether a process can work: one whose own way to the object store is cut would keep its shards, as its
// session lives, and do nothing. It has no clock: now is any time that only grows. It is safe for concurrent use.
type Fitness struct {
	mu struct {
		sync.Mutex
		failed int           // calls in a row
		since  time.Duration // the first of them
		rests  time.Duration // unfit until then, 0 = fit
	}
}

// Called tells of a call of the store.
func (f *Fitness) Called(now time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case errors.Is(err, context.Canceled):
	case answered(err):
		f.mu.failed = 0
	default:
		if f.mu.failed == 0 {
			f.mu.since = now
		}
		f.mu.failed++
	}
}

// answered reports whether the store did, whatever it said of the object.
func answered(err error) bool {
	if err == nil {
		return true
	}
	for _, said := range []error{
		objstore.ErrNotFound, objstore.ErrExists, objstore.ErrConflict, objstore.ErrRange, objstore.ErrCorrupt, objstore.ErrThrottled,
	} {
		if errors.Is(err, said) {
			return true
		}
	}
	return false
}

// Fit reports whether to take part in the work now. After a rest a process tries again, whatever it was.
func (f *Fitness) Fit(now time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.rests == 0 && f.mu.failed >= unfitAfter && now-f.mu.since >= unfitFor {
		f.mu.rests = now + restWhenUnfit
	}
	if f.mu.rests != 0 && now >= f.mu.rests {
		f.mu.rests, f.mu.failed = 0, 0
	}
	return f.mu.rests == 0
}
