package sim

import (
	"time"

	"wadi/agent/ingest"
)

// conn is a producer's connection to one agent: requests arrive in their order, answers may overtake each other.
type conn struct {
	id      uint64
	p       *producer
	a       *agent
	life    int
	arrives time.Duration // of the request before
	closed  bool
	open    []*rpc // not answered as far as the producer knows
}

// rpc is one Produce request.
type rpc struct {
	conn     *conn
	attempts []*attempt
	timeout  time.Duration

	answered, released bool // by the agent
}

// connect opens the producer's connection to an agent, if there is a process.
func (p *producer) connect(a *agent) *conn {
	if c := p.conns[a.id]; c != nil {
		return c
	}
	if !a.up {
		return nil
	}
	p.w.nextConn++
	c := &conn{id: p.w.nextConn, p: p, a: a, life: a.life}
	p.conns[a.id] = c
	return c
}

func (c *conn) send(r *rpc) {
	w := c.p.w
	c.open = append(c.open, r)
	for _, at := range r.attempts {
		w.note("send producer=%d conn=%d agent=%d log=%d batch=%d seq=%d attempt=%d", c.p.id, c.id, c.a.id,
			at.batch.stream.log, at.batch.n, at.batch.seq, at.id)
	}
	c.arrives = max(c.arrives, w.now+w.latency())
	w.after(c.arrives-w.now, func() {
		if c.life == c.a.life {
			c.a.deliver(func() { c.a.produce(r) })
		}
	})
	if r.conn.p.idempotent {
		c.copies(r)
	}
	// Nothing comes back for long after the timeout: the client gives the connection up.
	w.after(r.timeout+ttl, func() {
		if c.waits(r) {
			c.close()
		}
	})
}

// copies lets the request come again, late, from somewhere on the way: nobody waits for the answer.
func (c *conn) copies(r *rpc) {
	w, p := c.p.w, c.p
	if !w.chance(w.faults.copied) {
		return
	}
	w.nextConn++
	ghost := &rpc{conn: &conn{id: w.nextConn, p: p, a: c.a, life: c.life, closed: true}, timeout: r.timeout}
	for _, at := range r.attempts {
		x := w.oracle.newAttempt(at.batch, ghost.conn.id)
		x.by = at.by
		x.data = p.build(x)
		ghost.attempts = append(ghost.attempts, x)
	}
	w.after(w.between(0, copiesWithin), func() {
		if c.life == c.a.life {
			c.a.deliver(func() {
				w.note("late produce of producer=%d", p.id)
				w.stats.Late++
				c.a.produce(ghost)
			})
		}
	})
}

func (c *conn) waits(r *rpc) bool {
	for _, x := range c.open {
		if x == r {
			return true
		}
	}
	return false
}

// reply carries an answer back, or loses it with the connection.
func (c *conn) reply(r *rpc, results []ingest.Result) {
	w := c.p.w
	if w.chance(w.faults.replyLost) {
		w.after(w.latency(), c.close)
		return
	}
	w.after(w.latency(), func() { c.p.deliver(func() { c.answered(r, results) }) })
}

func (c *conn) answered(r *rpc, results []ingest.Result) {
	if c.closed || !c.waits(r) {
		return
	}
	for i, x := range c.open {
		if x == r {
			c.open = append(c.open[:i], c.open[i+1:]...)
			break
		}
	}
	for i, at := range r.attempts {
		c.p.result(at, results[i])
	}
	c.p.pump()
}

// close ends the connection: what was not answered has an unknown outcome.
func (c *conn) close() {
	if c.closed {
		return
	}
	c.closed = true
	if c.p.conns[c.a.id] == c {
		c.p.conns[c.a.id] = nil
	}
	open := c.open
	c.open = nil
	c.p.deliver(func() {
		for _, r := range open {
			for _, at := range r.attempts {
				c.p.result(at, ingest.Result{Err: ingest.ErrUnknown, Base: -1})
			}
		}
		c.p.pump()
	})
}

// dropConnections ends the connections of an agent whose process died.
func (a *agent) dropConnections() {
	for _, p := range a.w.producers {
		if c := p.conns[a.id]; c != nil {
			a.w.after(a.w.latency(), c.close)
		}
	}
}
