package server

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is one client connection.
type Conn struct {
	// ID counts connections from 1 within this process.
	ID uint64
	// Listener is the index of the listener it came in on: Metadata answers with that one's advertised address.
	Listener int
	// ClientHost is the peer's address without the port.
	ClientHost string
	// Principal is who the client is. Without authentication it is User:ANONYMOUS.
	Principal string

	srv    *Server
	nc     net.Conn
	ctx    context.Context
	cancel context.CancelCauseFunc

	lastClientID string // reader only
	software     atomic.Pointer[Software]
	mutedUntil   atomic.Int64 // time since the server was made, in ns

	mu struct {
		sync.Mutex
		queue    []*slot // replies owed, in the order of their requests
		pending  int     // requests in queue and replies being written
		bytes    int64   // frame bytes of the pending requests
		serial   map[int16]int
		stopping bool // no more requests will be read
		dead     bool // nothing can be written any more
	}
	room chan struct{} // wakes the reader: the queue shrank
	wake chan struct{} // wakes the writer: the head is ready, or the reader stopped
}

// Software is what a client says of itself in ApiVersions (KIP-511).
type Software struct{ Name, Version string }

// Software is the client's software, empty when it has not said.
func (c *Conn) Software() Software {
	if s := c.software.Load(); s != nil {
		return *s
	}
	return Software{}
}

// SetSoftware is called by the ApiVersions handler. The strings are copied, as they alias a frame.
func (c *Conn) SetSoftware(s Software) {
	c.software.Store(&Software{Name: strings.Clone(s.Name), Version: strings.Clone(s.Version)})
}

// Drain ends when the server begins to drain. Requests that only wait for something to happen, such as a Fetch, should
// then answer with what they have.
func (c *Conn) Drain() context.Context { return c.srv.drain }

// maxMute bounds how long one call of Mute keeps requests waiting.
const maxMute = 5 * time.Second

// Mute leaves what the client sends unread for d from now on, at most maxMute. Requests that were read already are
// answered all the same, and so is the one that is being handled: its reply says how long, and goes out at once (KIP-219,
// Semantics line 95). Of several calls the one that ends last counts.
func (c *Conn) Mute(d time.Duration) {
	until := int64(time.Since(c.srv.made) + min(d, maxMute))
	for {
		old := c.mutedUntil.Load()
		if old >= until || c.mutedUntil.CompareAndSwap(old, until) {
			return
		}
	}
}

// awaitVoice waits, in the reader, until the connection is not muted. It fails when ctx ends.
func (c *Conn) awaitVoice(ctx context.Context) error {
	for {
		wait := time.Duration(c.mutedUntil.Load()) - time.Since(c.srv.made)
		if wait <= 0 {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// slot is a place in the queue of replies.
type slot struct {
	api           *API
	correlationID int32
	bytes         int64
	ready         bool
	out           outcome
}

// outcome is how a request ended: a reply of one of two kinds, no reply, or the end of the connection.
type outcome struct {
	resp  responder
	enc   Encoder
	err   error
	close bool
}

// responder is the part of kmsg.Response that the writer needs.
type responder interface {
	AppendTo([]byte) []byte
	IsFlexible() bool
}

// admit waits until the connection may take one more request of size bytes. It fails when ctx ends.
func (c *Conn) admit(ctx context.Context, api *API, size int64) error {
	for {
		c.mu.Lock()
		ok := c.mu.pending == 0 || (c.mu.pending < c.srv.cfg.MaxInFlight && c.mu.bytes+size <= c.srv.cfg.MaxConnBytes)
		if ok && api != nil && api.Serial && c.mu.serial[api.Key] > 0 {
			ok = false
		}
		c.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-c.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// enqueue gives a request its place among the replies.
func (c *Conn) enqueue(r *Request) {
	s := &slot{api: r.api, correlationID: r.CorrelationID, bytes: int64(r.Frame.Len())}
	r.slot = s
	c.mu.Lock()
	c.mu.queue = append(c.mu.queue, s)
	c.mu.pending++
	c.mu.bytes += s.bytes
	if s.api.Serial {
		if c.mu.serial == nil {
			c.mu.serial = make(map[int16]int)
		}
		c.mu.serial[s.api.Key]++
	}
	c.mu.Unlock()
}

// complete fills a slot. When the connection can no longer send, the outcome is given up at once.
func (c *Conn) complete(s *slot, o outcome) {
	c.mu.Lock()
	dead := c.mu.dead
	s.out, s.ready = o, true
	head := len(c.mu.queue) > 0 && c.mu.queue[0] == s
	c.mu.Unlock()
	if dead {
		o.release()
	} else if head {
		signal(c.wake)
	}
}

func (o outcome) release() {
	if o.enc != nil {
		o.enc.Release()
	}
}

// take moves the slots that are ready at the head of the queue to dst. done tells that no slot will ever follow.
func (c *Conn) take(dst []*slot) (ready []*slot, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.mu.queue) && c.mu.queue[n].ready {
		dst = append(dst, c.mu.queue[n])
		n++
	}
	rest := copy(c.mu.queue, c.mu.queue[n:])
	clear(c.mu.queue[rest:])
	c.mu.queue = c.mu.queue[:rest]
	return dst, rest == 0 && c.mu.stopping
}

// written gives the room of answered requests back to the reader. It is separate from take, as the bytes of a reply
// count as in flight until the client took them.
func (c *Conn) written(slots []*slot) {
	c.mu.Lock()
	c.mu.pending -= len(slots)
	for _, s := range slots {
		c.mu.bytes -= s.bytes
		if s.api.Serial {
			c.mu.serial[s.api.Key]--
		}
	}
	c.mu.Unlock()
	signal(c.room)
}

func (c *Conn) inFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.pending
}

// stopReading tells the writer that the queue will not grow any more.
func (c *Conn) stopReading() {
	c.mu.Lock()
	c.mu.stopping = true
	c.mu.Unlock()
	signal(c.wake)
}

// abandon gives up every reply that is still owed. Handlers that answer later find the connection dead.
func (c *Conn) abandon() {
	c.mu.Lock()
	c.mu.dead = true
	queue := c.mu.queue
	c.mu.queue = nil
	var ready []outcome
	for _, s := range queue {
		if s.ready {
			ready = append(ready, s.out)
		}
	}
	c.mu.Unlock()
	for _, o := range ready {
		o.release()
	}
}

// signal wakes a waiter, now or when it next looks.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

var (
	errIdle     = errors.New("idle for too long")
	errDraining = errors.New("server is draining")
	errClosed   = errors.New("closed by a handler")
)
