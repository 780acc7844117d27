package fetchsession

import (
	"container/list"
	"time"
)

// Limits of a Cache.
type Limits struct {
	Sessions int           // max.incremental.fetch.session.cache.slots
	Bytes    int           // of all sessions together
	Idle     time.Duration // a session unused for longer gives way to any other; one younger than this gives way to none
}

// DefaultLimits are Kafka's, and a bound on memory that Kafka has not.
func DefaultLimits() Limits { return Limits{Sessions: 1000, Bytes: 128 << 20, Idle: 2 * time.Minute} }

// Size of a session.
type Size struct{ Partitions, Bytes int }

// Cache holds the open sessions of an agent, with whatever belongs to each. Sessions are not tied to connections: a client
// that goes without a word leaves its own behind, until another needs the room. It must be used by one goroutine at a
// time.
type Cache[S any] struct {
	limits Limits
	byID   map[int32]*list.Element // of *cached[S]
	used   *list.List              // front = unused for longest
	total  Size
}

type cached[S any] struct {
	id            int32
	session       S
	size          Size
	created, used time.Time
	old           bool // it was older than Limits.Idle when it was last used
}

// NewCache makes an empty cache.
func NewCache[S any](l Limits) *Cache[S] {
	return &Cache[S]{limits: l, byID: map[int32]*list.Element{}, used: list.New()}
}

// Len is the number of sessions, Total what they hold together.
func (c *Cache[S]) Len() int { return len(c.byID) }

// Total: see Len.
func (c *Cache[S]) Total() Size { return c.total }

// Get returns an open session.
func (c *Cache[S]) Get(id int32) (s S, ok bool) {
	e := c.byID[id]
	if e == nil {
		return s, false
	}
	return e.Value.(*cached[S]).session, true
}

// Remove closes a session.
func (c *Cache[S]) Remove(id int32) (s S, ok bool) {
	e := c.byID[id]
	if e == nil {
		return s, false
	}
	return c.drop(e), true
}

func (c *Cache[S]) drop(e *list.Element) S {
	x := c.used.Remove(e).(*cached[S])
	delete(c.byID, x.id)
	c.total.Partitions -= x.size.Partitions
	c.total.Bytes -= x.size.Bytes
	return x.session
}

// Fits reports whether Add would take a session now.
func (c *Cache[S]) Fits(size Size, now time.Time) bool {
	switch {
	case size.Bytes > c.limits.Bytes || c.limits.Sessions <= 0:
		return false
	case len(c.byID) < c.limits.Sessions && c.total.Bytes+size.Bytes <= c.limits.Bytes:
		return true
	}
	return c.victim(size, now, nil) != nil
}

// Add opens a session under an id of draw that is positive and not in use. evicted are those that gave way to it. Without
// room there is none: ok is false, and what was evicted nevertheless stays so.
func (c *Cache[S]) Add(draw func() int32, s S, size Size, now time.Time) (id int32, evicted []S, ok bool) {
	if c.limits.Sessions <= 0 {
		return 0, nil, false
	}
	if evicted, ok = c.room(c.limits.Sessions-1, size, now, nil); !ok {
		return 0, evicted, false
	}
	for id = draw(); id <= 0 || c.byID[id] != nil; {
		id = draw()
	}
	c.byID[id] = c.used.PushBack(&cached[S]{id: id, session: s, size: size, created: now, used: now})
	c.total.Partitions += size.Partitions
	c.total.Bytes += size.Bytes
	return id, evicted, true
}

// Touch says that a session is used, and how large it is by now. ok is false when there is no room for it any more: it is
// closed, and not among the evicted. A session that is not open any more is none of the cache's business, and ok.
func (c *Cache[S]) Touch(id int32, size Size, now time.Time) (evicted []S, ok bool) {
	e := c.byID[id]
	if e == nil {
		return nil, true
	}
	x := e.Value.(*cached[S])
	c.used.MoveToBack(e)
	c.total.Partitions += size.Partitions - x.size.Partitions
	c.total.Bytes += size.Bytes - x.size.Bytes
	x.size, x.used, x.old = size, now, now.Sub(x.created) > c.limits.Idle
	if evicted, ok = c.room(c.limits.Sessions, Size{Partitions: size.Partitions}, now, x); !ok {
		c.drop(e)
	}
	return evicted, ok
}

// room evicts until there are at most `sessions` sessions, and bytes for size. Each one that goes is a victim of its own
// right, so that in the end without room nobody was robbed.
func (c *Cache[S]) room(sessions int, size Size, now time.Time, self *cached[S]) (evicted []S, ok bool) {
	if size.Bytes > c.limits.Bytes {
		return nil, false
	}
	for len(c.byID) > sessions || c.total.Bytes+size.Bytes > c.limits.Bytes {
		e := c.victim(size, now, self)
		if e == nil {
			return evicted, false
		}
		evicted = append(evicted, c.drop(e))
	}
	return evicted, true
}

// victim is the session that gives way to one of the given size: the one unused for longest, if that is longer than
// Limits.Idle; else the smallest of those that have lived for so long, if it is smaller. (KIP-227 also lets followers'
// sessions win over clients'; there are no followers.) self does not give way to itself.
func (c *Cache[S]) victim(size Size, now time.Time, self *cached[S]) *list.Element {
	if e := c.used.Front(); e != nil {
		if x := e.Value.(*cached[S]); x != self && now.Sub(x.used) > c.limits.Idle {
			return e
		}
	}
	var least *list.Element
	for e := c.used.Front(); e != nil; e = e.Next() {
		x := e.Value.(*cached[S])
		if x == self || !x.old || x.size.Partitions >= size.Partitions {
			continue
		}
		if least == nil || x.size.Partitions < least.Value.(*cached[S]).size.Partitions {
			least = e
		}
	}
	return least
}
