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
// goroutine per partition.
type waiters struct {
	mu struct {
		sync.Mutex
		byPartition map[PartitionRef]map[*subscription]struct{}
		byTopic     map[uint64]int // subscriptions to its partitions
	}
}

type subscription struct {
	refs []PartitionRef
	wake func()
}

func (w *waiters) init() {
	w.mu.byPartition = map[PartitionRef]map[*subscription]struct{}{}
	w.mu.byTopic = map[uint64]int{}
}

// Subscribe calls wake, on the view's goroutine, after each entry that appended to one of the partitions or deleted its
// topic, until cancel is called; a call may still be under way then. wake must not block. refs is retained.
//
// To lose nothing: subscribe first, then read State, then wait.
func (v *View) Subscribe(refs []PartitionRef, wake func()) (cancel func()) {
	return v.waiters.subscribe(&subscription{refs: refs, wake: wake})
}

func (w *waiters) subscribe(s *subscription) func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range s.refs {
		m := w.mu.byPartition[r]
		if m == nil {
			m = map[*subscription]struct{}{}
			w.mu.byPartition[r] = m
			w.mu.byTopic[r.Topic]++
		}
		m[s] = struct{}{}
	}
	return func() { w.unsubscribe(s) }
}

func (w *waiters) unsubscribe(s *subscription) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range s.refs {
		m, ok := w.mu.byPartition[r]
		if !ok {
			continue
		}
		delete(m, s)
		if len(m) == 0 {
			delete(w.mu.byPartition, r)
			if w.mu.byTopic[r.Topic]--; w.mu.byTopic[r.Topic] == 0 {
				delete(w.mu.byTopic, r.Topic)
			}
		}
	}
}

// notify wakes whoever waits for a partition that the entry touched. Rejected batches wake too: harmless.
func (w *waiters) notify(body *pb.Entry) {
	w.mu.Lock()
	var woken map[*subscription]struct{}
	add := func(m map[*subscription]struct{}) {
		for s := range m {
			if woken == nil {
				woken = map[*subscription]struct{}{}
			}
			woken[s] = struct{}{}
		}
	}
	if len(w.mu.byPartition) > 0 {
		for _, c := range body.GetCommands() {
			if a := c.GetAppendBatches(); a != nil {
				for i := range a.Topics {
					if i < len(a.Partitions) {
						add(w.mu.byPartition[PartitionRef{a.Topics[i], int32(a.Partitions[i])}])
					}
				}
			}
			if d := c.GetDeleteTopic(); d != nil && w.mu.byTopic[d.Topic] > 0 {
				for r, m := range w.mu.byPartition {
					if r.Topic == d.Topic {
						add(m)
					}
				}
			}
		}
	}
	w.mu.Unlock()
	for s := range woken {
		s.wake()
	}
}

func (w *waiters) notifyAll() {
	w.mu.Lock()
	woken := map[*subscription]struct{}{}
	for _, m := range w.mu.byPartition {
		for s := range m {
			woken[s] = struct{}{}
		}
	}
	w.mu.Unlock()
	for s := range woken {
		s.wake()
	}
}
