package state

import pb "wadi/metadata/metadatapb"

// applyExpireTxns forgets transactional ids that nobody has used for long (Semantics line 80). ID tells how many.
func (s *State) applyExpireTxns(c *pb.ExpireTxns, res *Result) Code {
	if len(c.ProducerIds) > MaxCommit {
		return Invalid
	}
	for _, id := range c.ProducerIds {
		t := s.TxnByProducer(id)
		if t != nil && t.ProducerID == id && t.Status != TxnOngoing && t.ChangedMs <= c.BeforeMs {
			s.removeTxn(t)
			res.ID++
		}
	}
	return OK
}

// MaxExpirePartitions bounds the partitions of one ExpireProducers.
const MaxExpirePartitions = 100

// applyExpireProducers forgets what partitions know of producers that have been silent for long. Those that have a
// transactional id stay as long as it. ID tells how many went.
func (s *State) applyExpireProducers(c *pb.ExpireProducers, res *Result) Code {
	if !offsetColumns(c.Topics, c.Partitions) || len(c.Counts) != len(c.Topics) || len(c.Topics) > MaxExpirePartitions ||
		len(c.ProducerIds) > MaxSweep {
		return Invalid
	}
	named := uint64(0)
	for _, n := range c.Counts {
		named += uint64(n)
	}
	if named != uint64(len(c.ProducerIds)) {
		return Invalid
	}
	ids := c.ProducerIds
	for i, topic := range c.Topics {
		mine := ids[:c.Counts[i]]
		ids = ids[c.Counts[i]:]
		if t := s.TopicByNumber(topic); t != nil && int(c.Partitions[i]) < len(t.parts) {
			res.ID += s.expireProducers(t, c.Partitions[i], mine, c.BeforeMs)
		}
	}
	return OK
}

func (s *State) expireProducers(t *Topic, partition uint32, ids []int64, beforeMs int64) (gone int64) {
	p := t.parts[partition]
	for _, id := range ids {
		if v := p.producers.get(uint64(id)); v == nil || !s.silent(id, v, beforeMs) {
			continue
		}
		p = s.editPartition(s.editTopic(t.Number), partition)
		p.producers.remove(uint64(id), s.gen)
		s.producerCount--
		s.highestExpired = max(s.highestExpired, id)
		gone++
	}
	return gone
}

func (s *State) silent(id int64, v *producer, beforeMs int64) bool {
	return v.time() <= beforeMs && s.TxnByProducer(id) == nil
}

// SilentProducers appends to dst the producer ids of a partition that an ExpireProducers with that time would forget,
// looking at about limit of them from a place on, 0 at first, and returns where to go on; 0 when it has come to the end.
// What changes in between may be seen twice or not at all.
func (s *State) SilentProducers(p *Partition, beforeMs int64, from, limit int, dst []int64) (ids []int64, next int) {
	next = p.producers.some(from, limit, func(id uint64, v *producer) {
		if s.silent(int64(id), v, beforeMs) {
			dst = append(dst, int64(id))
		}
	})
	return dst, next
}
