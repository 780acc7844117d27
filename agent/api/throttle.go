package api

import (
	"time"

	"wadi/metadata/state"
)

// Producers are slowed down while the compactor is behind: the more, the longer they are told to wait after each request.
// docs/operations.md names the limits.
const (
	// The wait is full at so many times Config.MergeDebt objects of flushes that are not merged. Readers of old data, and
	// checkpoints, which list all objects, suffer from many of them.
	debtFull = 5
	// Runs in State. At the most they take 800 MB in every process.
	runsFrom, runsFull = 12 << 20, 16 << 20
	// maxThrottle is the longest wait: producers go on, and slower, however far the compactor is behind.
	maxThrottle = time.Second
)

// Throttle is how long a producer is told to wait before its next request, and why.
type Throttle struct {
	Wait     time.Duration // in whole milliseconds, as the protocol has it; 0 = not at all
	Unmerged int           // objects of flushes that wait for the compactor
	Runs     int           // in State
}

func throttle(s *state.State, from int) Throttle {
	t := Throttle{Runs: s.RunCount()}
	t.Unmerged, _ = s.Unmerged()
	t.Wait = max(share(t.Unmerged, from, debtFull*from), share(t.Runs, runsFrom, runsFull)).Truncate(time.Millisecond)
	return t
}

// share grows from 0 at from to maxThrottle at full, and stays there.
func share(n, from, full int) time.Duration {
	return maxThrottle * time.Duration(min(max(0, n-from), full-from)) / time.Duration(full-from)
}
