package group

import "sync"

// commits are those whose fate is not known yet. An agent that etcd does not answer cannot learn it: once its lease may be
// over, their clients are sent to the next coordinator, where they commit again. A client's heartbeats are answered in
// order behind its commit, so one that waited here would cost it its membership there.
type commits struct {
	mu struct {
		sync.Mutex
		waiting map[*Commit]struct{}
	}
}

func (c *commits) add(req *Commit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.waiting == nil {
		c.mu.waiting = map[*Commit]struct{}{}
	}
	c.mu.waiting[req] = struct{}{}
}

// take reports whether the request still waits for its answer. Whoever takes it gives it.
func (c *commits) take(req *Commit) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, waits := c.mu.waiting[req]
	delete(c.mu.waiting, req)
	return waits
}

// refuse answers all that wait.
func (c *commits) refuse() {
	c.mu.Lock()
	waiting := c.mu.waiting
	c.mu.waiting = nil
	c.mu.Unlock()
	for req := range waiting {
		req.Done(ErrNotCoordinator)
	}
}
