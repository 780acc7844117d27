package ingest

import (
	"cmp"
	"container/list"
	"slices"
	"time"
)

type connPartition struct {
	conn      uint64
	partition Partition
}

// heldQueue is a connection's batches of one partition that wait behind one that is early.
type heldQueue struct {
	connPartition
	items []*Item
	until time.Duration // the first one goes on then, whatever State will say
	due   *list.Element
}

// heldBatches are all held queues. Every queue waits equally long, so that a list is enough to know the next one.
type heldBatches struct {
	queues map[connPartition]*heldQueue
	at     map[Partition][]*heldQueue // oldest first
	due    *list.List                 // of *heldQueue, by until
	of     map[int64]int              // batches by producer id
	count  int                        // batches
}

func newHeldBatches() heldBatches {
	return heldBatches{
		queues: map[connPartition]*heldQueue{}, at: map[Partition][]*heldQueue{}, due: list.New(), of: map[int64]int{},
	}
}

// add and drop count a batch.
func (h *heldBatches) add(it *Item) {
	h.count++
	h.of[it.pid]++
}

func (h *heldBatches) drop(it *Item) {
	h.count--
	if h.of[it.pid]--; h.of[it.pid] == 0 {
		delete(h.of, it.pid)
	}
}

func (h *heldBatches) open(k connPartition, until time.Duration) *heldQueue {
	q := &heldQueue{connPartition: k, until: until}
	q.due = h.due.PushBack(q)
	h.queues[k] = q
	h.at[k.partition] = append(h.at[k.partition], q)
	return q
}

func (h *heldBatches) close(q *heldQueue) {
	h.due.Remove(q.due)
	delete(h.queues, q.connPartition)
	rest := slices.DeleteFunc(h.at[q.partition], func(x *heldQueue) bool { return x == q })
	if h.at[q.partition] = rest; len(rest) == 0 {
		delete(h.at, q.partition)
	}
}

// full reports whether the item would have to wait in a queue that is as long as it may be. Clients have a handful of
// batches on their way; one that floods a queue must not keep everybody else from the core.
func (h *heldBatches) full(it *Item) bool {
	if h.count == 0 {
		return false
	}
	q := h.queues[connPartition{it.request.Conn, it.Partition}]
	return q != nil && (len(q.items) >= maxQueue || h.count >= 2*maxHeld)
}

func (h *heldBatches) nextDue() time.Duration {
	if e := h.due.Front(); e != nil {
		return e.Value.(*heldQueue).until
	}
	return forever
}

// partitions lists those with held batches in a fixed order, so that a replay takes the same way.
func (h *heldBatches) partitions() []Partition {
	keys := make([]Partition, 0, len(h.at))
	for p := range h.at {
		keys = append(keys, p)
	}
	slices.SortFunc(keys, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Index, b.Index))
	})
	return keys
}

// hold keeps an early batch, or one behind such, back. It reports whether it did. When too many are held, no new queue
// is opened: State refuses what is early, and the client tries again.
func (c *Core) hold(it *Item) bool {
	k := connPartition{it.request.Conn, it.Partition}
	q, at := c.held.queues[k], 0
	if q != nil {
		at = q.place(it)
	}
	if at == 0 && !c.early(it) {
		return false
	}
	if q == nil {
		if c.held.count >= maxHeld {
			return false
		}
		q = c.held.open(k, c.now+maxHold)
	}
	q.items = slices.Insert(q.items, at, it)
	c.held.add(it)
	return true
}

// place is where an item belongs in the queue: before the batches of its producer that follow it. A client whose first
// batch was refused sends it again on the connection on which its later ones are held; behind them, it would keep them
// and itself from their turn.
func (q *heldQueue) place(it *Item) int {
	at := len(q.items)
	for i := len(q.items) - 1; i >= 0 && it.pid >= 0; i-- {
		if x := q.items[i]; x.pid == it.pid && x.epoch == it.epoch {
			if !ahead(x.seq, it.seq) {
				break
			}
			at = i
		}
	}
	return at
}

// releaseHeld lets go what has its turn in a partition, on every connection, until nothing moves any more.
func (c *Core) releaseHeld(p Partition) bool {
	if c.held.count == 0 {
		return false
	}
	released := false
	for moved := true; moved; {
		moved = false
		for _, q := range slices.Clone(c.held.at[p]) {
			for len(q.items) > 0 && !c.early(q.items[0]) {
				c.pop(q)
				moved, released = true, true
			}
		}
	}
	return released
}

// pop admits the first item of a queue. What follows may wait for another gap, and gets a second of its own.
func (c *Core) pop(q *heldQueue) {
	it := q.items[0]
	q.items[0] = nil
	q.items = q.items[1:]
	c.held.drop(it)
	if len(q.items) == 0 {
		c.held.close(q)
	} else {
		q.until = c.now + maxHold
		c.held.due.MoveToBack(q.due)
	}
	c.admit(it)
}

// releaseOverdue lets the first batch of each overdue queue go: State refuses it, and the client hears why.
func (c *Core) releaseOverdue() {
	for c.held.nextDue() <= c.now {
		q := c.held.due.Front().Value.(*heldQueue)
		c.pop(q)
		c.releaseHeld(q.partition)
	}
}

// Began tells that a producer goes on under an epoch: what is held of the epochs before it need not wait for what will
// never come. State refuses it, and its client hears that at once.
func (c *Core) Began(now time.Duration, pid int64, epoch int16) {
	c.now = now
	if c.held.of[pid] == 0 {
		return
	}
	released := false
	for _, p := range c.held.partitions() {
		over := false
		for _, q := range c.held.at[p] {
			for _, it := range q.items {
				if it.pid == pid && it.epoch < epoch {
					it.Turn.Over, over = true, true
				}
			}
		}
		if over && c.releaseHeld(p) {
			released = true
		}
	}
	if released {
		c.overflow()
		c.plan()
	}
}

func (c *Core) refuseHeld(err error) {
	for e := c.held.due.Front(); e != nil; e = c.held.due.Front() {
		q := e.Value.(*heldQueue)
		c.held.close(q)
		for _, it := range q.items {
			c.held.drop(it)
			c.settle(it, Result{Err: err, Base: -1, Time: -1, LogStart: -1})
			c.free(it)
		}
	}
}
