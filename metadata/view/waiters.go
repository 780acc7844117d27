package view

import (
	"sync"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// PartitionRef names a partition by its topic's number.
type PartitionRef struct {
	Topic     uint64
	Partition int32
}

// waiters wakes long polls. A poll subscribes to its partitions once, whatever their number of wake-ups, and there is no
// goroutine per partition. A consumer of a thousand quiet partitions that has no fetch session subscribes to all of them
// with every poll: a subscription is one array of list nodes, a node per partition. Standing is for those with sessions.
type waiters struct {
	mu struct {
		sync.Mutex
		lists map[uint64]map[int32]*waiter // by topic and partition: the first one; no map and no list is empty
		spare []map[int32]*waiter          // empty ones, which keep their room for the next poll
		round uint64                       // counts notifications
	}
}

// maxSpare bounds the empty maps that are kept.
const maxSpare = 16

type subscription struct {
	wake  func() // of a Standing nil while nobody waits
	round uint64 // of the last notification that woke it
	nodes []waiter
	// standing is set for the subscription of one.
	standing *Standing
}

// waiter is a subscription's place in the list of those that wait for one partition.
type waiter struct {
	topic      uint64
	partition  int32
	tag        uint32 // of a Standing's
	sub        *subscription
	prev, next *waiter // prev is the waiter itself while it is in no list
}

func (w *waiters) init() { w.mu.lists = map[uint64]map[int32]*waiter{} }

// Subscribe calls wake, on the view's goroutine, after each entry that appended to one of the partitions, ended a
// transaction there, moved its log start or deleted its topic, until cancel is called, once; a call may still be under way then. wake must not block.
// refs is not retained.
//
// To lose nothing: subscribe first, then read State, then wait.
func (v *View) Subscribe(refs []PartitionRef, wake func()) (cancel func()) {
	return v.waiters.subscribe(refs, wake)
}

func (w *waiters) subscribe(refs []PartitionRef, wake func()) func() {
	s := &subscription{wake: wake, nodes: make([]waiter, len(refs))}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, r := range refs {
		n := &s.nodes[i]
		n.topic, n.partition, n.sub = r.Topic, r.Partition, s
		w.linkLocked(n)
	}
	return func() { w.unsubscribe(s) }
}

func (w *waiters) unsubscribe(s *subscription) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range s.nodes {
		w.unlinkLocked(&s.nodes[i])
	}
	s.nodes = nil
}

func (w *waiters) linkLocked(n *waiter) {
	list := w.mu.lists[n.topic]
	if list == nil {
		if n := len(w.mu.spare); n > 0 {
			list, w.mu.spare = w.mu.spare[n-1], w.mu.spare[:n-1]
		} else {
			list = map[int32]*waiter{}
		}
		w.mu.lists[n.topic] = list
	}
	head := list[n.partition]
	if head == nil {
		n.prev, n.next = nil, nil
		list[n.partition] = n
		return
	}
	// Behind the head: the map stays as it is.
	n.prev, n.next = head, head.next
	if n.next != nil {
		n.next.prev = n
	}
	head.next = n
}

func (w *waiters) unlinkLocked(n *waiter) {
	if n.next != nil {
		n.next.prev = n.prev
	}
	if n.prev != nil {
		n.prev.next = n.next
		return
	}
	list := w.mu.lists[n.topic]
	if n.next != nil {
		list[n.partition] = n.next
		return
	}
	if delete(list, n.partition); len(list) > 0 {
		return
	}
	delete(w.mu.lists, n.topic)
	if len(w.mu.spare) < maxSpare {
		w.mu.spare = append(w.mu.spare, list)
	}
}

// collectLocked adds the subscriptions of a list that this round has not found yet.
func (w *waiters) collectLocked(n *waiter, woken []func()) []func() {
	for n != nil {
		s, next := n.sub, n.next
		if s.standing != nil {
			s.standing.touchLocked(n)
		}
		if s.round != w.mu.round && s.wake != nil {
			s.round = w.mu.round
			woken = append(woken, s.wake)
		}
		n = next
	}
	return woken
}

// notify wakes whoever waits for a partition that the entry touched: whatever moves a high watermark, a last stable
// offset or a log start must be in touched. Rejected batches wake too: harmless.
func (w *waiters) notify(body *pb.Entry, res *state.Results) {
	for _, wake := range w.touched(body, res) {
		wake()
	}
}

func (w *waiters) touched(body *pb.Entry, res *state.Results) (woken []func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.mu.lists) == 0 {
		return nil
	}
	w.mu.round++
	for i := range res.Commands { // of transactions that ended; what others touch their commands say
		for _, p := range res.Commands[i].Touched {
			woken = w.collectLocked(w.mu.lists[p.Topic][int32(p.Partition)], woken)
		}
	}
	for _, c := range body.GetCommands() {
		if a := c.GetAppendBatches(); a != nil {
			for i := range min(len(a.Topics), len(a.Partitions)) {
				woken = w.collectLocked(w.mu.lists[a.Topics[i]][int32(a.Partitions[i])], woken)
			}
		}
		// Who waits for more bytes from an offset that is gone now must hear of it.
		if x := c.GetTrimPartitions(); x != nil {
			for i := range min(len(x.Topics), len(x.Partitions)) {
				woken = w.collectLocked(w.mu.lists[x.Topics[i]][int32(x.Partitions[i])], woken)
			}
		}
		if d := c.GetDeleteTopic(); d != nil {
			for _, n := range w.mu.lists[d.Topic] {
				woken = w.collectLocked(n, woken)
			}
		}
	}
	return woken
}

func (w *waiters) notifyAll() {
	for _, wake := range w.everybody() {
		wake()
	}
}

func (w *waiters) everybody() (woken []func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.round++
	for _, list := range w.mu.lists {
		for _, n := range list {
			woken = w.collectLocked(n, woken)
		}
	}
	return woken
}
