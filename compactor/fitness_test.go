package compactor

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/objstore"
)

// A process rests when its calls of the store have failed for a while and nothing else; an answer of any kind ends that.
func TestFitness(t *testing.T) {
	var f Fitness
	cut, sec := errors.New("no route"), time.Second
	now := time.Duration(0)
	fail := func(n int) {
		for range n {
			now += 10 * sec
			f.Called(now, cut)
		}
	}
	fail(4)
	require.True(t, f.Fit(now), "four failures")
	f.Called(now, objstore.ErrNotFound)
	fail(4)
	require.True(t, f.Fit(now), "an answer came between")
	f.Called(now, context.Canceled)
	require.True(t, f.Fit(now), "what was given up says nothing")
	fail(1)
	require.False(t, f.Fit(now))
	f.Called(now, nil)
	require.False(t, f.Fit(now+restWhenUnfit-1), "it rests")
	require.True(t, f.Fit(now+restWhenUnfit))
	for range 10 {
		f.Called(now+restWhenUnfit, cut)
	}
	require.True(t, f.Fit(now+restWhenUnfit+unfitFor-1), "all within a moment")
	require.False(t, f.Fit(now+restWhenUnfit+unfitFor))
}
