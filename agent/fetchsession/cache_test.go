package fetchsession

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// kafkaCache says Kafka's rules of eviction (KIP-227) with one loop each, for partitions of one byte.
type kafkaCache struct {
	limits Limits
	open   []*entry
}

type entry struct {
	id, size      int
	created, used time.Time
	old           bool
}

func (c *kafkaCache) bytes() (n int) {
	for _, e := range c.open {
		n += e.size
	}
	return n
}

func (c *kafkaCache) drop(id int) {
	c.open = slices.DeleteFunc(c.open, func(e *entry) bool { return e.id == id })
}

// evict makes room for one of `size` partitions; self is not asked to give way.
func (c *kafkaCache) evict(size, self int, now time.Time) (gone int) {
	var stale, small *entry
	for _, e := range c.open {
		switch {
		case e.id == self:
		case now.Sub(e.used) > c.limits.Idle && (stale == nil || e.used.Before(stale.used)):
			stale = e
		case e.old && e.size < size && (small == nil || e.size < small.size || e.size == small.size && e.used.Before(small.used)):
			small = e
		}
	}
	if stale == nil {
		stale = small
	}
	if stale == nil {
		return 0
	}
	c.drop(stale.id)
	return stale.id
}

// Semantics line 39: at most so many sessions. A new one takes the place of one that was not used for two minutes, else
// of the smallest, if that is smaller and has lived for two minutes; else there is no session. The same holds for bytes,
// which Kafka does not bound.
func TestCache(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Sessions: rapid.IntRange(1, 5).Draw(t, "slots"), Bytes: rapid.IntRange(5, 60).Draw(t, "bytes"), Idle: 2 * time.Minute}
		c, want := NewCache[int](limits), &kafkaCache{limits: limits}
		now := time.Unix(1000, 0)
		ids := 0
		compare := func(evicted, expected []int) {
			if !slices.Equal(evicted, expected) {
				t.Fatalf("evicted are %v, not %v", evicted, expected)
			}
			if c.Len() != len(want.open) || c.Total() != (Size{want.bytes(), want.bytes()}) || c.Len() > limits.Sessions || c.Total().Bytes > limits.Bytes {
				t.Fatalf("%d sessions of %+v, not %d of %d; limits are %+v", c.Len(), c.Total(), len(want.open), want.bytes(), limits)
			}
			for _, e := range want.open {
				if s, ok := c.Get(int32(e.id)); !ok || s != e.id {
					t.Fatalf("session %d is %d, %t", e.id, s, ok)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(t *rapid.T) {
				size := rapid.IntRange(0, 20).Draw(t, "size")
				fits := c.Fits(Size{size, size}, now)
				ids++
				var expected []int
				ok := size <= limits.Bytes
				for ok && (len(want.open) == limits.Sessions || want.bytes()+size > limits.Bytes) {
					gone := want.evict(size, 0, now)
					if ok = gone != 0; ok {
						expected = append(expected, gone)
					}
				}
				if ok {
					want.open = append(want.open, &entry{id: ids, size: size, created: now, used: now})
				}
				draws := []int32{0, -5, int32(ids)}
				if len(want.open) > 1 {
					draws = append([]int32{int32(want.open[0].id)}, draws...)
				}
				id, evicted, did := c.Add(func() int32 {
					d := draws[0]
					draws = draws[1:]
					return d
				}, ids, Size{size, size}, now)
				if did != ok || ok && int(id) != ids || !fits && did {
					t.Fatalf("opened %t as %d, not %t; said to fit: %t", did, id, ok, fits)
				}
				compare(evicted, expected)
			},
			"use": func(t *rapid.T) {
				if len(want.open) == 0 {
					return
				}
				e := rapid.SampledFrom(want.open).Draw(t, "session")
				e.size = max(0, e.size+rapid.IntRange(-5, 9).Draw(t, "growth"))
				e.used, e.old = now, now.Sub(e.created) > limits.Idle
				want.open = append(slices.DeleteFunc(want.open, func(x *entry) bool { return x == e }), e)
				var expected []int
				ok := true
				for ok && want.bytes() > limits.Bytes {
					gone := want.evict(e.size, e.id, now)
					if ok = gone != 0; ok {
						expected = append(expected, gone)
					}
				}
				if !ok {
					want.drop(e.id)
				}
				evicted, did := c.Touch(int32(e.id), Size{e.size, e.size}, now)
				if did != ok {
					t.Fatalf("there is room: %t, not %t", did, ok)
				}
				compare(evicted, expected)
			},
			"close": func(t *rapid.T) {
				id := rapid.IntRange(1, ids+1).Draw(t, "id")
				_, known := c.Get(int32(id))
				if s, ok := c.Remove(int32(id)); ok != known || ok && s != id {
					t.Fatalf("closed %d: %d, %t", id, s, ok)
				}
				want.drop(id)
				compare(nil, nil)
			},
			"time": func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second) },
		})
	})
}

// A cache without slots has no sessions, as max.incremental.fetch.session.cache.slots=0 says.
func TestNoSlots(t *testing.T) {
	c := NewCache[int](Limits{Bytes: 100, Idle: time.Minute})
	if c.Fits(Size{}, time.Now()) {
		t.Error("a session fits")
	}
	if _, _, ok := c.Add(func() int32 { return 1 }, 0, Size{}, time.Now()); ok || c.Len() != 0 {
		t.Error("a session was opened")
	}
}
