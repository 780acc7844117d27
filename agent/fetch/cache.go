package fetch

import (
	"container/list"
	"context"
	"sync"
)

// blockKey names a stretch of bytes: an object's whole content (Length 0), a range of it, or the inline bytes of the
// entry at a position (Object 0).
type blockKey struct {
	Object uint64
	Offset int64
	Length int64
}

// cache is a bounded, single-flight LRU of blocks: concurrent readers of one key share one load, and a load that fails
// is not remembered. What readers hold is theirs: eviction only forgets.
type cache struct {
	limit int64
	mu    struct {
		sync.Mutex
		entries map[blockKey]*list.Element // of *entry
		lru     *list.List                 // front = newest
		size    int64
		loads   map[blockKey]*load
		missed  map[uint64]uint32 // objects of which one range was loaded lately: its offset
	}
}

type entry struct {
	key   blockKey
	block *block
}

type load struct {
	done  chan struct{}
	block *block
	err   error
}

// maxMissed bounds the memory of the objects that were read in part.
const maxMissed = 1 << 16

func newCache(limit int64) *cache {
	c := &cache{limit: limit}
	c.mu.entries = map[blockKey]*list.Element{}
	c.mu.lru = list.New()
	c.mu.loads = map[blockKey]*load{}
	c.mu.missed = map[uint64]uint32{}
	return c
}

func (c *cache) lookup(k blockKey) *block {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lookupLocked(k)
}

func (c *cache) lookupLocked(k blockKey) *block {
	e, ok := c.mu.entries[k]
	if !ok {
		return nil
	}
	c.mu.lru.MoveToFront(e)
	return e.Value.(*entry).block
}

// insert remembers a block and returns it, or the one that was there first: its bytes may be patched already, and two
// blocks could share theirs.
func (c *cache) insert(k blockKey, b *block) *block {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.lookupLocked(k); old != nil {
		return old
	}
	c.insertLocked(k, b)
	return b
}

func (c *cache) insertLocked(k blockKey, b *block) {
	if b.cost() > c.limit {
		return
	}
	if old, ok := c.mu.entries[k]; ok {
		c.dropLocked(old)
	}
	c.mu.entries[k] = c.mu.lru.PushFront(&entry{k, b})
	c.mu.size += b.cost()
	for c.mu.size > c.limit {
		c.dropLocked(c.mu.lru.Back())
	}
}

// blockOverhead is about what a block takes beside its bytes: entry, list element, map slot, one patched run.
const blockOverhead = 512

func (b *block) cost() int64 { return int64(len(b.data)) + blockOverhead }

// drop forgets a block if it is still there.
func (c *cache) drop(k blockKey, b *block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.mu.entries[k]; ok && e.Value.(*entry).block == b {
		c.dropLocked(e)
	}
}

func (c *cache) dropLocked(e *list.Element) {
	x := c.mu.lru.Remove(e).(*entry)
	delete(c.mu.entries, x.key)
	c.mu.size -= x.block.cost()
}

// get returns the block under k, loading it when it is not there. The load runs under the context of whoever started
// it; another waiter whose own context is still good starts over when that ends.
func (c *cache) get(ctx context.Context, k blockKey, fill func(context.Context) ([]byte, error)) (*block, error) {
	for {
		c.mu.Lock()
		if b := c.lookupLocked(k); b != nil {
			c.mu.Unlock()
			return b, nil
		}
		l, running := c.mu.loads[k]
		if !running {
			l = &load{done: make(chan struct{})}
			c.mu.loads[k] = l
		}
		c.mu.Unlock()
		if !running {
			return c.run(ctx, k, l, fill)
		}
		select {
		case <-l.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if l.err == nil || !isContext(l.err) {
			return l.block, l.err
		}
	}
}

func (c *cache) run(ctx context.Context, k blockKey, l *load, fill func(context.Context) ([]byte, error)) (*block, error) {
	data, err := fill(ctx)
	if l.err = err; err == nil {
		l.block = &block{data: data}
	}
	c.mu.Lock()
	delete(c.mu.loads, k)
	if err == nil {
		c.insertLocked(k, l.block)
	}
	c.mu.Unlock()
	close(l.done)
	return l.block, l.err
}

// second reports whether another range of the object was asked for before, and remembers that this one was.
func (c *cache) second(object uint64, offset uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if first, ok := c.mu.missed[object]; ok {
		return first != offset
	}
	if len(c.mu.missed) >= maxMissed {
		clear(c.mu.missed)
	}
	c.mu.missed[object] = offset
	return false
}
