package ingest

import (
	"container/heap"
	"time"
)

// Sequences. The agent holds back a batch that came before its turn: another connection or agent may bring the one
// before it within a moment, and State would refuse it. The expectation is State's, advanced by what is pending here.

type producerKey struct {
	partition Partition
	pid       int64
}

// expectation is what follows the batches of a producer that are pending here.
type expectation struct {
	epoch   int16
	next    int32
	pending int
}

type connPartition struct {
	conn      uint64
	partition Partition
}

// heldQueue is a connection's batches of one partition that wait behind one that is early.
type heldQueue struct {
	items []*Item
	until time.Duration // the first one goes on then, whatever State will say
}

// early reports whether the batch's sequence lies ahead of what its partition expects.
func (c *Core) early(it *Item) bool {
	if it.pid < 0 {
		return false
	}
	if e := c.expected[producerKey{it.Partition, it.pid}]; e != nil {
		if it.epoch != e.epoch {
			return it.epoch > e.epoch && it.seq != 0
		}
		return ahead(it.seq, e.next)
	}
	next, known, fresh := c.prod.Next(it.Partition, it.pid, it.epoch)
	if !known {
		return fresh && it.seq != 0
	}
	return ahead(it.seq, next)
}

// ahead compares on the ring of sequences: seq lies within half of it behind next.
func ahead(seq, next int32) bool {
	d := uint32(seq-next) & 0x7fffffff
	return d != 0 && d < 1<<30
}

func (c *Core) expect(it *Item) {
	if it.pid < 0 {
		return
	}
	k := producerKey{it.Partition, it.pid}
	e := c.expected[k]
	if e == nil {
		e = &expectation{epoch: it.epoch, next: it.seq}
		c.expected[k] = e
	}
	e.pending++
	next := addSequence(it.seq, it.records)
	if it.epoch > e.epoch || it.epoch == e.epoch && (it.seq == e.next || ahead(next, e.next)) {
		e.epoch, e.next = it.epoch, next
	}
}

func (c *Core) unexpect(it *Item) {
	if it.pid < 0 {
		return
	}
	k := producerKey{it.Partition, it.pid}
	if e := c.expected[k]; e != nil {
		if e.pending--; e.pending == 0 {
			delete(c.expected, k)
		}
	}
}

// hold keeps an early batch, or one behind such, back. It reports whether it did.
func (c *Core) hold(conn uint64, it *Item) bool {
	k := connPartition{conn, it.Partition}
	q := c.held[k]
	if q == nil {
		if !c.early(it) {
			return false
		}
		q = &heldQueue{until: c.now + maxHold}
		c.held[k] = q
	}
	q.items = append(q.items, it)
	c.heldCount++
	return true
}

// releaseHeld lets go what has its turn in a partition, on every connection, until nothing moves any more.
func (c *Core) releaseHeld(p Partition) bool {
	if c.heldCount == 0 {
		return false
	}
	any := false
	for moved := true; moved; {
		moved = false
		for _, k := range c.heldKeys(p) {
			q := c.held[k]
			for len(q.items) > 0 && !c.early(q.items[0]) {
				c.pop(k, q)
				moved, any = true, true
			}
		}
	}
	return any
}

// heldKeys lists the held queues of a partition in the order of their connections, so that a replay takes the same way.
func (c *Core) heldKeys(p Partition) []connPartition {
	var keys []connPartition
	for k := range c.held {
		if k.partition == p {
			keys = append(keys, k)
		}
	}
	sortKeys(keys)
	return keys
}

// pop admits the first item of a queue. What follows gets a new second.
func (c *Core) pop(k connPartition, q *heldQueue) {
	it := q.items[0]
	q.items = q.items[1:]
	c.heldCount--
	q.until = c.now + maxHold
	if len(q.items) == 0 {
		delete(c.held, k)
	}
	c.admit(it)
}

// releaseOverdue lets the first batch of each overdue queue go: State refuses it, and the client hears why.
func (c *Core) releaseOverdue() {
	if c.heldCount == 0 {
		return
	}
	var keys []connPartition
	for k, q := range c.held {
		if c.now >= q.until {
			keys = append(keys, k)
		}
	}
	sortKeys(keys)
	for _, k := range keys {
		if q := c.held[k]; q != nil && c.now >= q.until {
			c.pop(k, q)
			c.releaseHeld(k.partition)
		}
	}
}

func (c *Core) nextHeld() time.Duration {
	at := forever
	for _, q := range c.held {
		at = min(at, q.until)
	}
	return at
}

func (c *Core) failHeld(err error) {
	var keys []connPartition
	for k := range c.held {
		keys = append(keys, k)
	}
	sortKeys(keys)
	for _, k := range keys {
		q := c.held[k]
		delete(c.held, k)
		c.heldCount -= len(q.items)
		for _, it := range q.items {
			c.resolve(it, Result{Err: err, Base: -1})
		}
	}
}

// deadlineHeap orders the requests that are not answered by their deadline.
type deadlineHeap []*Request

func (h deadlineHeap) Len() int           { return len(h) }
func (h deadlineHeap) Less(i, j int) bool { return h[i].Deadline < h[j].Deadline }
func (h deadlineHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *deadlineHeap) Push(x any) {
	r := x.(*Request)
	r.index = len(*h)
	*h = append(*h, r)
}
func (h *deadlineHeap) Pop() any {
	old := *h
	r := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	r.index = -1
	return r
}

var _ heap.Interface = (*deadlineHeap)(nil)
