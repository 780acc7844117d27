package state

import pb "wadi/metadata/metadatapb"

// applyCreatePartitions adds empty partitions behind those that a topic has. ID tells how many it had.
func (s *State) applyCreatePartitions(base int64, c *pb.CreatePartitions, res *Result) Code {
	t := s.TopicByNumber(c.Topic)
	if t == nil {
		return UnknownTopic
	}
	have := len(t.parts)
	res.ID = int64(have)
	switch {
	case t.changedSince(base, s.session):
		return Conflict
	case int64(c.Count) <= int64(have):
		return NotMore
	case c.Count > MaxTopicPartitions || s.heldPartitions+int(c.Count)-have > MaxPartitions:
		return TooMany
	}
	t = s.editTopic(c.Topic)
	added := int(c.Count) - have
	block := make([]Partition, added)
	for i := range block {
		block[i].gen = s.gen
		t.parts = append(t.parts, &block[i])
	}
	t.Changed, t.ChangedBy = s.position, s.session
	s.livePartitions += added
	s.heldPartitions += added
	return OK
}
