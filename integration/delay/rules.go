package delay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrEnded means that a connection or the whole proxy ended before the catch was delivered.
var ErrEnded = errors.New("the agent's end of the connection is gone")

// Match says whether a request is meant. It is called for one request at a time, under a lock, and keeps nothing of it.
type Match func(Request) bool

// Transactional matches requests of the given APIs that name the transactional id.
func Transactional(id string, keys ...kmsg.Key) Match {
	return func(r Request) bool {
		return slices.Contains(keys, kmsg.Key(r.Key)) && r.TransactionalID() == id
	}
}

// Rules say what the proxies of a cluster catch. They are safe for concurrent use.
type Rules struct {
	mu struct {
		sync.Mutex
		armed []*Catch // the oldest first
	}
}

// NewRules returns rules that catch nothing.
func NewRules() *Rules { return &Rules{} }

// Hold catches the next request that matches, at whichever proxy, before the agent sees any of it. What the client sends
// after it on the same connection waits behind it. The oldest catch takes a request that several match.
func (r *Rules) Hold(match Match) *Catch { return r.arm(match, false) }

// HoldReply lets the next request that matches go through and catches its answer. It must be a request that is answered.
func (r *Rules) HoldReply(match Match) *Catch { return r.arm(match, true) }

func (r *Rules) arm(match Match, reply bool) *Catch {
	c := &Catch{
		rules: r, match: match, reply: reply,
		caught: make(chan struct{}), let: make(chan struct{}), dropped: make(chan struct{}), done: make(chan struct{}),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.armed = append(r.mu.armed, c)
	return c
}

// take returns the catch that a request belongs to, which catches nothing else any more, or nil.
func (r *Rules) take(req Request) *Catch {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, c := range r.mu.armed {
		if c.match(req) {
			r.mu.armed = slices.Delete(r.mu.armed, i, i+1)
			return c
		}
	}
	return nil
}

// disarm reports whether c was still waiting for its request; now it does not any more.
func (r *Rules) disarm(c *Catch) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.mu.armed, c)
	if i < 0 {
		return false
	}
	r.mu.armed = slices.Delete(r.mu.armed, i, i+1)
	return true
}

// Catch is one request, or one answer, that is or will be held. Its methods are safe for concurrent use.
type Catch struct {
	rules *Rules
	match Match
	reply bool

	// Written before caught is closed.
	request Request
	conn    *conn
	caught  chan struct{}

	once    sync.Once     // of let and dropped
	let     chan struct{} // closed: it may go on
	dropped chan struct{} // closed: it goes nowhere

	// Written before done is closed.
	answer []byte
	err    error
	ended  sync.Once
	done   chan struct{}
}

// Wait returns the request once it, or its answer, is caught.
func (c *Catch) Wait(ctx context.Context) (Request, error) {
	select {
	case <-c.caught:
		return c.request, nil
	default:
	}
	select {
	case <-c.caught:
		return c.request, nil
	case <-c.done: // the answer that was to be caught does not come any more
		return Request{}, ErrEnded
	case <-ctx.Done():
		return Request{}, fmt.Errorf("nothing was caught: %w", ctx.Err())
	}
}

// Cut closes the client's side of the connection. Nothing happens before something is caught.
func (c *Catch) Cut() {
	select {
	case <-c.caught:
		c.conn.leave()
	default:
	}
}

// Gone is closed when the client's side of the connection is: it was cut, or the client gave up. Call it after Wait.
func (c *Catch) Gone() <-chan struct{} {
	<-c.caught
	return c.conn.gone
}

// Release lets what is held go on and returns the agent's answer to it, whether or not the client still hears of it.
// A request to which there is none, a Produce with acks=0, must be let go with Cancel.
func (c *Catch) Release(ctx context.Context) (kmsg.Response, error) {
	select {
	case <-c.caught:
	default:
		return nil, errors.New("nothing is held")
	}
	c.once.Do(func() { close(c.let) })
	select {
	case <-c.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer to what was released: %w", ctx.Err())
	}
	if c.err != nil {
		return nil, c.err
	}
	return c.request.answer(c.answer)
}

// Cancel ends the catch: what it holds goes on its way, and nothing more is caught. It does not wait.
func (c *Catch) Cancel() {
	c.rules.disarm(c)
	c.once.Do(func() { close(c.let) })
}

// Drop ends the catch: what it holds is lost together with its connection, and nothing more is caught.
func (c *Catch) Drop() {
	c.rules.disarm(c)
	c.once.Do(func() { close(c.dropped) })
}

// hold tells that c has what it waited for and returns when that may go on; false when it must not: it was dropped, the
// proxy ends, or the way that it would go is gone.
func (c *Catch) hold(gone <-chan struct{}) bool {
	close(c.caught)
	select {
	case <-c.let:
		return true
	case <-c.dropped:
	case <-gone:
	case <-c.conn.proxy.end:
	}
	return false
}

// finish ends the catch with an answer or an error.
func (c *Catch) finish(answer []byte, err error) {
	c.ended.Do(func() {
		c.answer, c.err = answer, err
		close(c.done)
	})
}
