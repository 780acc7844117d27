package etcdkv

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// maxSilence is how long a connection may leave calls without any answer before it is hung up.
//
// A member that is frozen, or a firewall that has forgotten the connection, takes bytes and gives none. gRPC finds that
// out by a ping, 13 s later at best, as it allows one every 10 s only; a session is over by then. A new connection is
// made at once, to another member if need be. What was in flight has an unknown outcome, as after any timeout.
const maxSilence = 2 * time.Second

// silence watches the connections of one client. A nil silence, of an embedded server, watches none.
type silence struct {
	mu         sync.Mutex
	waiting    int       // calls without an answer
	unanswered bool      // the last call that ended got none
	since      time.Time // when the silence began, if there is one
	ended      time.Time // of the last call
	lines      []*net.TCPConn
}

// dial is what gRPC connects with. The connection is passed on as it is: gRPC sets options on TCP connections only.
func (s *silence) dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lines = append(slices.DeleteFunc(s.lines, isClosed), tcp)
	}
	return conn, nil
}

// isClosed reports whether gRPC is done with a connection.
func isClosed(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}

// asked notes that a call begins. Silence lasts over calls that were given up, as long as they come one after the other.
func (s *silence) asked() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.waiting == 0 && (!s.unanswered || now.Sub(s.ended) > maxSilence/2) {
		s.since = now
	}
	s.waiting++
}

// done notes how a call ended: an error by the caller's own context is no answer.
func (s *silence) done(ctx context.Context, err error) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting--
	s.ended, s.unanswered = time.Now(), err != nil && ctx.Err() != nil
	if !s.unanswered {
		s.since = s.ended
	}
}

// heard notes that something came.
func (s *silence) heard() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since, s.unanswered = time.Now(), false
}

// watch hangs up silent connections until ctx ends.
func (s *silence) watch(ctx context.Context) {
	tick := time.NewTicker(maxSilence / 8)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.check()
		case <-ctx.Done():
			return
		}
	}
}

func (s *silence) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == 0 || time.Since(s.since) < maxSilence {
		return
	}
	for _, c := range s.lines {
		_ = c.Close() // where gRPC was faster this is an error that means nothing
	}
	s.lines, s.since = nil, time.Now()
}
