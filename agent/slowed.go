package agent

import (
	"log/slog"
	"sync"
	"time"

	"wadi/agent/api"
)

// slowed tells operators why producers are told to wait: nothing else shows in an agent's log, and where no process has
// the compactor role the wait ends only when one is started.
type slowed struct {
	log        *slog.Logger
	limit      int // compactor.debt
	compactors func() int

	mu struct {
		sync.Mutex
		next time.Time // when the log is written to again
	}
}

// slowedEvery is how often the log says that producers wait, as long as they do.
const slowedEvery = time.Minute

// throttled takes each wait that a producer is told of.
func (s *slowed) throttled(t api.Throttle) {
	s.mu.Lock()
	now := time.Now()
	due := !now.Before(s.mu.next)
	if due {
		s.mu.next = now.Add(slowedEvery)
	}
	s.mu.Unlock()
	if !due {
		return
	}
	text := "producers are told to wait: the compactor does not keep up"
	n := s.compactors()
	if n == 0 {
		text = "producers are told to wait: nothing is merged, as no live process has the compactor role"
	}
	s.log.Warn(text, "wait", t.Wait, "unmerged_objects", t.Unmerged, "compactor.debt", s.limit, "runs", t.Runs, "compactors", n)
}
