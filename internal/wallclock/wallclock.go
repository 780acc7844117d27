// Package wallclock is this machine's clock for what expires by time. It counts only while the object store's clock
// agrees: a machine that is days ahead must not delete what is not due.
package wallclock

import (
	"context"
	"fmt"
	"time"
)

const (
	// MaxSkew is how far this machine's clock may be from the store's.
	MaxSkew = 60 * time.Second
	// keep is how long a comparison is good, and again how soon one that told nothing good is repeated: an idle process asks
	// the store for hardly more than this.
	keep, again = 10 * time.Minute, time.Minute
	// timeout bounds one look at the store's clock.
	timeout = 10 * time.Second
)

// Clock compares the two when it is asked, at most once in ten minutes, or in one where they do not agree. In between it
// goes on by the monotonic clock, so that a jump of this machine's moves nothing. It is not safe for concurrent use.
type Clock struct {
	date func(context.Context) (time.Time, error)

	checked time.Time     // with its monotonic reading
	good    time.Duration // from then on
	wall    time.Time     // at that moment
	err     error
}

// New makes a Clock by a store's, objstore.Store.Date.
func New(date func(context.Context) (time.Time, error)) *Clock { return &Clock{date: date} }

// Now is the time: that of the two clocks which is behind, so that nothing is due too early. An error says why nobody can
// tell.
func (c *Clock) Now(ctx context.Context) (time.Time, error) {
	if c.checked.IsZero() || time.Since(c.checked) >= c.good {
		c.check(ctx)
	}
	if c.err != nil {
		return time.Time{}, c.err
	}
	return c.wall.Add(time.Since(c.checked)), nil
}

func (c *Clock) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	there, err := c.date(ctx)
	c.checked, c.good, c.err = time.Now(), again, nil
	if err != nil {
		c.err = fmt.Errorf("the store's clock: %w", err)
		return
	}
	c.wall = c.checked.Round(0) // without its monotonic reading
	if there.Before(c.wall) {
		c.wall = there
	}
	if skew := c.checked.Round(0).Sub(there).Abs(); skew > MaxSkew {
		c.err = fmt.Errorf("this machine's clock is %v from the store's", skew.Round(time.Second))
		return
	}
	c.good = keep
}
