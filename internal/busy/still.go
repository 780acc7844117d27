package busy

import (
	"sync"
	"sync/atomic"
	"time"
)

// beat is how often the process looks whether it runs. What is less than a beat late is no standstill.
const beat = 20 * time.Millisecond

var (
	watching sync.Once
	began    = time.Now()
	late     atomic.Int64 // nanoseconds in all, of the looks that were made
	due      atomic.Int64 // the next look, in nanoseconds since began
)

// watch looks once a beat, for as long as the process lives: tests that measure at the same time share it.
func watch() {
	due.Store(int64(time.Since(began) + 2*beat))
	go func() {
		for {
			time.Sleep(beat)
			now := int64(time.Since(began))
			late.Add(max(0, now-due.Load()))
			due.Store(now + int64(2*beat))
		}
	}()
}

// still is for how long the process stood still since it began to watch, with a standstill that is just over and that
// the next look has still to notice.
func still() time.Duration {
	sum, next := late.Load(), due.Load()
	return time.Duration(sum + max(0, int64(time.Since(began))-next))
}
