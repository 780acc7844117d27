package fetch

import "sync"

// blockKey names a stretch of bytes: an object's whole content (Length 0), a range of it, or the inline bytes of the
// entry at a position (Object 0).
type blockKey struct {
	Object uint64
	Offset int64
	Length int64
}

// cache holds blocks, and remembers of which objects one range was read lately.
type cache struct {
	lru[blockKey, *block]
	missed struct {
		sync.Mutex
		first map[uint64]uint32 // by object: the offset of that range
	}
}

// maxMissed bounds the memory of the objects that were read in part.
const maxMissed = 1 << 16

func newCache(limit int64) *cache {
	c := &cache{}
	c.init(limit)
	c.missed.first = map[uint64]uint32{}
	return c
}

// blockOverhead is about what a block takes beside its bytes: entry, list element, map slot, one patched run.
const blockOverhead = 512

func (b *block) cost() int64 { return int64(len(b.data)) + blockOverhead }

// second reports whether another range of the object was asked for before, and remembers that this one was.
func (c *cache) second(object uint64, offset uint32) bool {
	c.missed.Lock()
	defer c.missed.Unlock()
	if first, ok := c.missed.first[object]; ok {
		return first != offset
	}
	if len(c.missed.first) >= maxMissed {
		clear(c.missed.first)
	}
	c.missed.first[object] = offset
	return false
}
