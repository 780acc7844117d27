package fetch

import (
	"context"
	"sync"
)

// weighed is what an lru holds: it says what it takes in memory, in bytes.
type weighed interface {
	comparable
	cost() int64
}

// lru is a bounded, single-flight cache: concurrent readers of one key share one load, and a load that fails is not
// remembered. What readers hold is theirs: eviction only forgets.
type lru[K comparable, V weighed] struct {
	limit int64
	mu    struct {
		sync.Mutex
		entries map[K]*entry[K, V]
		ring    entry[K, V] // of all entries: behind it the newest, before it the oldest
		size    int64
		loads   map[K]*load[V]
	}
}

type entry[K comparable, V weighed] struct {
	key          K
	value        V
	newer, older *entry[K, V]
}

func (e *entry[K, V]) remove() { e.newer.older, e.older.newer = e.older, e.newer }

// putBehind makes e the next older one.
func (e *entry[K, V]) putBehind(newer *entry[K, V]) {
	e.newer, e.older = newer, newer.older
	e.newer.older, e.older.newer = e, e
}

type load[V weighed] struct {
	done  chan struct{}
	value V
	err   error
}

func (c *lru[K, V]) init(limit int64) {
	c.limit = limit
	c.mu.entries = map[K]*entry[K, V]{}
	c.mu.ring.newer, c.mu.ring.older = &c.mu.ring, &c.mu.ring
	c.mu.loads = map[K]*load[V]{}
}

// lookup is the value under k, the zero value when there is none.
func (c *lru[K, V]) lookup(k K) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, _ := c.lookupLocked(k)
	return v
}

func (c *lru[K, V]) lookupLocked(k K) (v V, ok bool) {
	e, ok := c.mu.entries[k]
	if !ok {
		return v, false
	}
	if c.mu.ring.older != e {
		e.remove()
		e.putBehind(&c.mu.ring)
	}
	return e.value, true
}

// insert remembers a value and returns it, or the one that was there first: of blocks, the bytes may be patched already,
// and two could share theirs.
func (c *lru[K, V]) insert(k K, v V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.lookupLocked(k); ok {
		return old
	}
	c.insertLocked(k, v)
	return v
}

func (c *lru[K, V]) insertLocked(k K, v V) {
	if v.cost() > c.limit {
		return
	}
	if old, ok := c.mu.entries[k]; ok {
		c.dropLocked(old)
	}
	e := &entry[K, V]{key: k, value: v}
	e.putBehind(&c.mu.ring)
	c.mu.entries[k] = e
	c.mu.size += v.cost()
	for c.mu.size > c.limit {
		c.dropLocked(c.mu.ring.newer)
	}
}

// drop forgets a value if it is still there.
func (c *lru[K, V]) drop(k K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.mu.entries[k]; ok && e.value == v {
		c.dropLocked(e)
	}
}

func (c *lru[K, V]) dropLocked(e *entry[K, V]) {
	e.remove()
	delete(c.mu.entries, e.key)
	c.mu.size -= e.value.cost()
}

// get returns the value under k, loading it when it is not there. The load runs under the context of whoever started
// it; another waiter whose own context is still good starts over when that ends.
func (c *lru[K, V]) get(ctx context.Context, k K, fill func(context.Context) (V, error)) (v V, err error) {
	for {
		c.mu.Lock()
		if v, ok := c.lookupLocked(k); ok {
			c.mu.Unlock()
			return v, nil
		}
		l, running := c.mu.loads[k]
		if !running {
			l = &load[V]{done: make(chan struct{})}
			c.mu.loads[k] = l
		}
		c.mu.Unlock()
		if !running {
			return c.run(ctx, k, l, fill)
		}
		select {
		case <-l.done:
		case <-ctx.Done():
			return v, ctx.Err()
		}
		if l.err == nil || !isContext(l.err) {
			return l.value, l.err
		}
	}
}

func (c *lru[K, V]) run(ctx context.Context, k K, l *load[V], fill func(context.Context) (V, error)) (V, error) {
	l.value, l.err = fill(ctx)
	c.mu.Lock()
	delete(c.mu.loads, k)
	if l.err == nil {
		c.insertLocked(k, l.value)
	}
	c.mu.Unlock()
	close(l.done)
	return l.value, l.err
}
