package wallclock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The store is asked once in ten minutes, what is behind counts, and a clock that nobody confirms does not, and is looked
// at again after a minute.
func TestNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		skew, asked := -10*time.Second, 0
		var failure error
		c := New(func(context.Context) (time.Time, error) {
			asked++
			return time.Now().Add(skew), failure
		})
		now := func() (time.Duration, error) {
			at, err := c.Now(t.Context())
			return at.Sub(time.Now().Round(0)), err
		}
		behind, err := now()
		require.NoError(t, err)
		require.Equal(t, -10*time.Second, behind)
		skew = 20 * time.Second
		time.Sleep(keep - 1)
		behind, err = now()
		require.NoError(t, err)
		require.Equal(t, -10*time.Second, behind)
		require.Equal(t, 1, asked)
		time.Sleep(time.Nanosecond)
		behind, err = now()
		require.NoError(t, err)
		require.Zero(t, behind, "the store is ahead: this machine's counts")
		time.Sleep(keep)
		for _, skew = range []time.Duration{-MaxSkew - 1, MaxSkew + 1} {
			_, err = now()
			require.Error(t, err)
			time.Sleep(again)
		}
		skew, failure = 0, errors.New("no answer")
		_, err = now()
		require.ErrorIs(t, err, failure)
		failure = nil
		time.Sleep(again - 1)
		_, err = now()
		require.Error(t, err)
		time.Sleep(time.Nanosecond)
		_, err = now()
		require.NoError(t, err)
	})
}
