package view

// Standing follows partitions for longer than one poll, for a fetch session: it collects which of them were touched since
// its owner last asked, so that the owner looks at those alone.
//
// A partition that was touched leaves the view's lists until Take puts it back. However often it is written to meanwhile,
// a session that nobody reads any more costs its writers nothing, and one that is read pays per partition with news.
type Standing struct {
	w *waiters
	// All of it is guarded by the waiters' lock.
	sub     subscription
	nodes   []*waiter // by tag; nil = not followed
	touched []*waiter // in no list, each once
	spare   []*waiter // followed once: what comes and goes for ever pins no more than the most there were at a time
}

// Stand makes a Standing that follows nothing yet. Its methods may be called from any goroutine.
func (v *View) Stand() *Standing { return v.waiters.stand() }

func (w *waiters) stand() *Standing {
	s := &Standing{w: w}
	s.sub.standing = s
	return s
}

// Follow begins to follow refs[i] under tags[i]. Tags are small numbers, not in use, that Take returns. To lose nothing:
// follow first, then read State. Neither slice is retained.
func (s *Standing) Follow(refs []PartitionRef, tags []uint32) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	fresh := make([]waiter, max(0, len(refs)-len(s.spare)))
	for i, r := range refs {
		var n *waiter
		if i < len(fresh) {
			n = &fresh[i]
		} else {
			n = s.spare[len(s.spare)-1]
			s.spare = s.spare[:len(s.spare)-1]
		}
		tag := tags[i]
		n.topic, n.partition, n.tag, n.sub = r.Topic, r.Partition, tag, &s.sub
		if grow := int(tag) + 1 - len(s.nodes); grow > 0 {
			s.nodes = append(s.nodes, make([]*waiter, grow)...)
		}
		s.nodes[tag] = n
		s.w.linkLocked(n)
	}
}

// Unfollow ends what Follow began. Tags that are not in use are ignored. Take does not return them any more.
func (s *Standing) Unfollow(tags []uint32) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	forgotten := false
	for _, tag := range tags {
		if int(tag) >= len(s.nodes) || s.nodes[tag] == nil {
			continue
		}
		n := s.nodes[tag]
		s.nodes[tag] = nil
		if n.prev == n {
			n.sub, forgotten = nil, true
		} else {
			s.w.unlinkLocked(n)
			s.spare = append(s.spare, n)
		}
	}
	if !forgotten {
		return
	}
	kept := s.touched[:0]
	for _, n := range s.touched {
		if n.sub != nil {
			kept = append(kept, n)
		} else {
			s.spare = append(s.spare, n)
		}
	}
	clear(s.touched[len(kept):])
	s.touched = kept
}

// touchLocked notes that a partition was touched.
func (s *Standing) touchLocked(n *waiter) {
	s.w.unlinkLocked(n)
	n.prev, n.next = n, nil
	s.touched = append(s.touched, n)
}

// Take appends to dst the tags of the partitions that were touched since the last Take by an entry that Subscribe would
// wake for, or whose State was replaced. Each comes once. State shows whatever touched them.
func (s *Standing) Take(dst []uint32) []uint32 {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for _, n := range s.touched {
		dst = append(dst, n.tag)
		s.w.linkLocked(n)
	}
	clear(s.touched)
	s.touched = s.touched[:0]
	return dst
}

// Wake has wake called, on the view's goroutine and not blocking it, when a partition is touched, until Wake is called
// again; nil is nobody. A call of the one before may still be under way. It reports whether Take has something already,
// for which nobody is woken.
func (s *Standing) Wake(wake func()) (touched bool) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.sub.wake = wake
	return len(s.touched) > 0
}

// Close follows nothing any more. Closing twice is harmless.
func (s *Standing) Close() {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for _, n := range s.nodes {
		if n != nil && n.prev != n {
			s.w.unlinkLocked(n)
		}
	}
	s.nodes, s.touched, s.spare, s.sub.wake = nil, nil, nil, nil
}
