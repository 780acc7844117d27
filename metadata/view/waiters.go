package view

import (
	"sync"

	pb "wadi/metadata/metadatapb"
)

// PartitionRef names a partition by its topic's number.
type PartitionRef struct {
	Topic     uint64
	Partition int32
}

// waiters wakes long polls. A poll subscribes to its partitions once, whatever their number of wake-ups, and there is no
// goroutine per partition. A consumer of a thousand quiet partitions subscribes to all of them with every poll: a
// subscription is one array of list nodes, a node per partition.
type waiters struct {
	mu struct {
		sync.Mutex
		byPartition map[PartitionRef]*waiter // the first one
		byTopic     map[uint64]int           // partitions of it in byPartition
		round       uint64                   // counts notifications
	}
}

type subscription struct {
	wake  func()
	round uint64 // of the last notification that woke it
	nodes []waiter
}

// waiter is a subscription's place in the list of those that wait for one partition.
type waiter struct {
	ref        PartitionRef
	sub        *subscription
	prev, next *waiter
}

func (w *waiters) init() {
	w.mu.byPartition = map[PartitionRef]*waiter{}
	w.mu.byTopic = map[uint64]int{}
}

// Subscribe calls wake, on the view's goroutine, after each entry that appended to one of the partitions, moved its log
// start or deleted its topic, until cancel is called, once; a call may still be under way then. wake must not block.
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
		n.ref, n.sub = r, s
		if head := w.mu.byPartition[r]; head != nil {
			// Behind the head: the map stays as it is.
			n.prev, n.next = head, head.next
			if n.next != nil {
				n.next.prev = n
			}
			head.next = n
			continue
		}
		w.mu.byPartition[r] = n
		w.mu.byTopic[r.Topic]++
	}
	return func() { w.unsubscribe(s) }
}

func (w *waiters) unsubscribe(s *subscription) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range s.nodes {
		n := &s.nodes[i]
		if n.next != nil {
			n.next.prev = n.prev
		}
		switch {
		case n.prev != nil:
			n.prev.next = n.next
		case n.next != nil:
			w.mu.byPartition[n.ref] = n.next
		default:
			delete(w.mu.byPartition, n.ref)
			if w.mu.byTopic[n.ref.Topic]--; w.mu.byTopic[n.ref.Topic] == 0 {
				delete(w.mu.byTopic, n.ref.Topic)
			}
		}
	}
	s.nodes = nil
}

// collectLocked adds the subscriptions of a list that this round has not found yet.
func (w *waiters) collectLocked(n *waiter, woken []func()) []func() {
	for ; n != nil; n = n.next {
		if n.sub.round != w.mu.round {
			n.sub.round = w.mu.round
			woken = append(woken, n.sub.wake)
		}
	}
	return woken
}

// notify wakes whoever waits for a partition that the entry touched. Rejected batches wake too: harmless.
func (w *waiters) notify(body *pb.Entry) {
	for _, wake := range w.touched(body) {
		wake()
	}
}

func (w *waiters) touched(body *pb.Entry) (woken []func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.mu.byPartition) == 0 {
		return nil
	}
	w.mu.round++
	for _, c := range body.GetCommands() {
		if a := c.GetAppendBatches(); a != nil {
			for i := range min(len(a.Topics), len(a.Partitions)) {
				woken = w.collectLocked(w.mu.byPartition[PartitionRef{a.Topics[i], int32(a.Partitions[i])}], woken)
			}
		}
		// Who waits for more bytes from an offset that is gone now must hear of it.
		if x := c.GetTrimPartitions(); x != nil {
			for i := range min(len(x.Topics), len(x.Partitions)) {
				woken = w.collectLocked(w.mu.byPartition[PartitionRef{x.Topics[i], int32(x.Partitions[i])}], woken)
			}
		}
		if d := c.GetDeleteTopic(); d != nil && w.mu.byTopic[d.Topic] > 0 {
			for r, n := range w.mu.byPartition {
				if r.Topic == d.Topic {
					woken = w.collectLocked(n, woken)
				}
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
	for _, n := range w.mu.byPartition {
		woken = w.collectLocked(n, woken)
	}
	return woken
}
