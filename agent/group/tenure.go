package group

import (
	"sync"
	"time"

	"wadi/internal/layout"
)

// settle is how long an agent whose session was replaced answers for no group. A process that was frozen finds requests in
// its sockets that are as old as its sleep: their clients have gone to another coordinator meanwhile, and nothing in an
// OffsetCommit tells that it was sent before those that the other one took. They are read in the first moments; by the time
// that the agent coordinates again they have been refused. The first session of a process has nothing behind it.
const settle = time.Second

// tenure knows since when an agent has its session.
type tenure struct {
	mu      sync.Mutex
	session layout.Session
	from    time.Duration // when it may answer for groups
}

// settled is asked with every request of a group, so that the first one after a change sees it.
func (t *tenure) settled(now time.Duration, session layout.Session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if session != t.session {
		if t.session != 0 {
			t.from = now + settle
		}
		t.session = session
	}
	return now >= t.from
}
