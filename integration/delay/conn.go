package delay

import (
	"bufio"
	"encoding/binary"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// backlog is how many requests are read ahead of the one that is held. A client that sends more blocks.
	backlog = 64
	// linger is how long a connection whose client has left waits for the answers to what was held on it. The agent must
	// not learn earlier that nobody waits for them: it may treat such requests with less effort.
	linger = 2 * time.Minute
)

// conn is a client's connection and the one to the agent that belongs to it. Three goroutines share it: one reads
// requests, one passes them on and is where they are held, one passes answers back.
type conn struct {
	proxy     *Proxy
	near, far net.Conn
	requests  chan Request
	gone      chan struct{} // closed when the client's side is
	ended     chan struct{} // closed when the agent's side is

	goneOnce, endedOnce sync.Once

	mu struct {
		sync.Mutex
		owed    []owed        // requests passed on and not answered yet, in their order
		settled chan struct{} // closed when nothing is owed any more, while somebody waits for that
	}
}

// owed is an answer to come; catch is nil for one that nobody catches.
type owed struct {
	correlation int32
	catch       *Catch
}

func newConn(p *Proxy, near, far net.Conn) *conn {
	return &conn{
		proxy: p, near: near, far: far, requests: make(chan Request, backlog),
		gone: make(chan struct{}), ended: make(chan struct{}),
	}
}

// leave closes the client's side.
func (c *conn) leave() {
	c.goneOnce.Do(func() {
		c.near.Close()
		close(c.gone)
	})
}

// end closes the agent's side.
func (c *conn) end() {
	c.endedOnce.Do(func() {
		c.far.Close()
		close(c.ended)
	})
}

func (c *conn) run() {
	var all sync.WaitGroup
	all.Go(c.read)
	all.Go(c.forward)
	all.Go(c.back)
	all.Wait()
	for _, o := range c.mu.owed {
		o.unanswered()
	}
}

// read takes requests from the client.
func (c *conn) read() {
	defer close(c.requests)
	defer c.leave()
	from := bufio.NewReaderSize(c.near, 64<<10)
	for {
		frame, err := readFrame(from)
		if err != nil {
			return
		}
		r, err := parseRequest(frame)
		if err != nil {
			return
		}
		r.Proxy = c.proxy
		select {
		case c.requests <- r:
		case <-c.ended:
			return
		}
	}
}

// forward passes requests on to the agent and holds those that are to be held, with all that follow.
func (c *conn) forward() {
	defer c.end()
	held := false
	for r := range c.requests {
		catch := c.proxy.rules.take(r)
		if catch != nil {
			catch.request, catch.conn = r, c
			held = true
			if !catch.reply && !catch.hold(c.ended) {
				catch.finish(nil, ErrEnded)
				return
			}
		}
		c.owe(r.Correlation, catch)
		if _, err := c.far.Write(r.frame); err != nil {
			return
		}
	}
	if held {
		c.settle()
	}
}

// owe notes that an answer is to come.
func (c *conn) owe(correlation int32, catch *Catch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.owed = append(c.mu.owed, owed{correlation, catch})
}

// paid notes that an answer has come and returns who catches it. Answers keep the order of their requests: what was
// asked before and has none gets none (a Produce with acks=0).
func (c *conn) paid(correlation int32) *Catch {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.mu.owed, func(o owed) bool { return o.correlation == correlation })
	if i < 0 {
		return nil
	}
	catch := c.mu.owed[i].catch
	for _, o := range c.mu.owed[:i] {
		o.unanswered()
	}
	c.mu.owed = slices.Delete(c.mu.owed, 0, i+1)
	if len(c.mu.owed) == 0 && c.mu.settled != nil {
		close(c.mu.settled)
		c.mu.settled = nil
	}
	return catch
}

func (o owed) unanswered() {
	if o.catch != nil {
		o.catch.finish(nil, ErrEnded)
	}
}

// settle waits until everything is answered, for a while.
func (c *conn) settle() {
	c.mu.Lock()
	if len(c.mu.owed) == 0 {
		c.mu.Unlock()
		return
	}
	settled := make(chan struct{})
	c.mu.settled = settled
	c.mu.Unlock()
	select {
	case <-settled:
	case <-c.ended:
	case <-time.After(linger):
	}
}

// back passes answers on to the client, as long as there is one.
func (c *conn) back() {
	defer c.leave()
	defer c.end()
	from := bufio.NewReaderSize(c.far, 64<<10)
	for {
		frame, err := readFrame(from)
		if err != nil || len(frame) < 8 {
			return
		}
		catch := c.paid(int32(binary.BigEndian.Uint32(frame[4:])))
		if catch != nil {
			if catch.reply && !catch.hold(nil) {
				catch.finish(nil, ErrEnded)
				return
			}
			catch.finish(frame, nil)
		}
		// A client that has left does not hear of it; the agent is not to know.
		_, _ = c.near.Write(frame)
	}
}
