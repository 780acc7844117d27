// Package tenure says when an agent may answer as a coordinator, of groups and of transactions alike: while its lease
// cannot be over, and not in the first moments of a session that replaced another one.
package tenure

import (
	"sync"
	"time"

	"wadi/internal/layout"
)

// Settle is how long an agent whose session was replaced coordinates nothing. A process that was frozen finds requests in
// its sockets that are as old as its sleep: their clients have gone to another coordinator meanwhile, and nothing in an
// OffsetCommit, or in an EndTxn of old clients, tells that it was sent before those that the other one took. They are
// read in the first moments; by the time that the agent coordinates again they have been refused. The first session of a
// process has nothing behind it.
const Settle = time.Second

// Session is this agent's place in the journal.
type Session interface {
	// Alive reports whether the lease cannot have expired: its last acknowledged keep-alive was sent less than a TTL ago.
	Alive() bool
	// Current is the session in whose name entries are appended now; open is false when there is none.
	Current() (id layout.Session, node int32, open bool)
}

// Tenure knows since when an agent has its session. Its methods may be called from any goroutine.
type Tenure struct {
	session Session
	began   time.Time

	mu struct {
		sync.Mutex
		session layout.Session
		from    time.Duration // when it may answer
	}
}

// New begins to watch a session.
func New(s Session) *Tenure { return &Tenure{session: s, began: time.Now()} }

// Holds reports whether the agent may answer now. It is asked with every request, so that the first one after a change
// of the session sees it.
func (t *Tenure) Holds() bool {
	session, _, open := t.session.Current()
	return open && t.session.Alive() && t.settled(time.Since(t.began), session)
}

func (t *Tenure) settled(now time.Duration, session layout.Session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if session != t.mu.session {
		if t.mu.session != 0 {
			t.mu.from = now + Settle
		}
		t.mu.session = session
	}
	return now >= t.mu.from
}
