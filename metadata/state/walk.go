package state

// SomeTopics visits the live topics numbered after `after`, looking at no more than limit numbers, and returns where to
// go on; 0 when it has come to the end. It lets a walk over all topics let go of State in between.
func (s *State) SomeTopics(after uint64, limit int, visit func(*Topic)) (next uint64) {
	return s.topics.numbered(after, s.nextTopic-1, limit, func(t **Topic) {
		if (*t).Deleted == 0 {
			visit(*t)
		}
	})
}

// ProducerCount is how many producer ids the partition remembers.
func (p *Partition) ProducerCount() int { return p.producers.len() }
