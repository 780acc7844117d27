package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Producers wait the longer the more objects are not merged, or the more runs there are, and never longer than a second.
func TestThrottleGrows(t *testing.T) {
	for n, want := range map[int]time.Duration{
		0: 0, 1000: 0, 1004: time.Millisecond, 3000: maxThrottle / 2, 5000: maxThrottle, 500_000: maxThrottle,
	} {
		require.Equal(t, want, share(n, 1000, debtFull*1000), "%d objects", n)
	}
	require.Zero(t, share(runsFrom, runsFrom, runsFull))
	require.Equal(t, maxThrottle/4, share(runsFrom+(runsFull-runsFrom)/4, runsFrom, runsFull))
	require.Equal(t, 0.75, float64(runsFrom)/runsFull)
}
