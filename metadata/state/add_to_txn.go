package state

import (
	"slices"

	pb "wadi/metadata/metadatapb"
)

// applyAddToTxn adds partitions and groups to the open transaction, or opens one. All of them or none: what the agent
// has not found to exist it has answered itself (Semantics line 74). What is in already is fine.
func (s *State) applyAddToTxn(base int64, c *pb.AddToTxn) Code {
	if !offsetColumns(c.Topics, c.Partitions) || len(c.Groups) > MaxTxnGroups || len(c.Topics)+len(c.Groups) == 0 {
		return Invalid
	}
	var names int64
	for _, g := range c.Groups {
		if g == "" || len(g) > MaxGroupName {
			return Invalid
		}
		names += int64(len(g)) + groupInTxn
	}
	t, code := s.judgeProducer(base, c.ProducerId, c.ProducerEpoch)
	if code != OK {
		return code
	}
	for i, topic := range c.Topics {
		if live := s.TopicByNumber(topic); live == nil || int(c.Partitions[i]) >= len(live.parts) {
			return UnknownTopic
		}
	}
	// Counted as if all of them were new: that much less fits who adds the same ones over and over in one transaction.
	if len(t.parts)+len(c.Topics) > MaxTxnPartitions || len(t.groups)+len(c.Groups) > MaxTxnGroups ||
		s.txnBytes+names+int64(len(c.Topics))*txnPartBytes > MaxTxnBytes {
		if !t.covers(c) {
			return TooMany
		}
	}
	t = s.editTxn(t.Number)
	if t.Status != TxnOngoing {
		s.begin(t)
	}
	for i, topic := range c.Topics {
		s.addPart(t, topic, c.Partitions[i])
	}
	for _, g := range c.Groups {
		s.addTxnGroup(t, g)
	}
	t.ChangedMs = s.atMs
	return OK
}

// covers reports whether nothing of the command is new to the open transaction.
func (t *Txn) covers(c *pb.AddToTxn) bool {
	for i, topic := range c.Topics {
		if _, ok := t.findPart(topic, c.Partitions[i]); !ok {
			return false
		}
	}
	for _, g := range c.Groups {
		if _, ok := t.findGroup(g); !ok {
			return false
		}
	}
	return t.Status == TxnOngoing
}

func (s *State) addPart(t *Txn, topic uint64, partition uint32) *txnPart {
	i, ok := t.findPart(topic, partition)
	if !ok {
		t.parts = slices.Insert(t.parts, i, txnPart{topic: topic, partition: partition, first: noFirstOffset})
		s.growTxn(t, txnPartBytes)
	}
	return &t.parts[i]
}

func (s *State) addTxnGroup(t *Txn, name string) *txnGroup {
	i, ok := t.findGroup(name)
	if !ok {
		t.groups = slices.Insert(t.groups, i, txnGroup{name: name})
		s.growTxn(t, int64(len(name))+groupInTxn)
	}
	return &t.groups[i]
}

// judgeTxnBatches says whether a producer run's batches may go to a partition, before their sequences are looked at.
// The record of the transactional id alone decides on the epoch. t is the one that has the producer id, or nil.
func judgeTxnBatches(t *Txn, topic uint64, partition uint32, id int64, epoch int32, transactional uint32) Code {
	switch {
	case t == nil && transactional == 0:
		return OK
	case t == nil:
		return UnknownTxn
	case id != t.ProducerID || epoch != int32(t.Epoch):
		return InvalidProducerEpoch
	case transactional == 0 && t.Status == TxnOngoing:
		return InvalidTxnState // Semantics line 75
	case transactional == 0:
		return OK
	}
	_, in := t.findPart(topic, partition)
	switch {
	case in && t.Status == TxnOngoing:
		return OK
	case transactional != 2:
		return InvalidTxnState
	case len(t.parts) >= MaxTxnPartitions:
		return TooMany
	}
	return OK
}

// joinTxn notes that a transactional batch was accepted at an offset. It reports whether it is the transaction's first
// on the partition, which from there on is not stable.
func (s *State) joinTxn(t *Txn, part *Partition, topic uint64, partition uint32, base int64) bool {
	if i, ok := t.findPart(topic, partition); ok && t.parts[i].first != noFirstOffset {
		return false
	}
	t = s.editTxn(t.Number)
	if t.Status != TxnOngoing {
		s.begin(t)
		t.ChangedMs = s.atMs
	}
	s.addPart(t, topic, partition).first = base
	part.open = append(slices.Clone(part.open), OpenTxn{t.ProducerID, base}) // a snapshot may hold the old one
	return true
}

// applyCommitTxnOffsets keeps positions until the transaction ends (KIP-447; Semantics line 83). It makes a group that
// is not there, as CommitOffsets does.
func (s *State) applyCommitTxnOffsets(base int64, c *pb.CommitTxnOffsets, res *Result) Code {
	t, code := s.judgeTxnOffsets(base, c)
	if code != OK {
		return code
	}
	k := c.Offsets
	g := s.editGroup(k.Group)
	if g == nil {
		g = s.addGroup(k.Group)
	}
	t = s.editTxn(t.Number)
	if t.Status != TxnOngoing {
		s.begin(t)
	}
	t.ChangedMs = s.atMs
	tg := s.addTxnGroup(t, k.Group)
	before := tg.offsets.len()
	res.ID = s.eachCommitted(k, func(key uint64, o Offset) { s.putPending(t, tg, key, o) })
	if before == 0 && tg.offsets.len() > 0 {
		g.pending = append(slices.Clone(g.pending), t.Number)
	}
	return OK
}

func (s *State) putPending(t *Txn, tg *txnGroup, key uint64, o Offset) {
	if old := tg.offsets.edit(key, s.gen); old != nil {
		s.growTxn(t, int64(len(o.Metadata)-len(old.Metadata)))
		*old = o
		return
	}
	tg.offsets.put(key, o, s.gen)
	t.offsets++
	s.pendingOffsets++
	s.growTxn(t, int64(len(o.Metadata))+offsetInTxn)
}

func (s *State) judgeTxnOffsets(base int64, c *pb.CommitTxnOffsets) (*Txn, Code) {
	k := c.Offsets
	if k == nil || k.Group == "" || !wellFormedCommit(k) {
		return nil, Invalid
	}
	t, code := s.judgeProducer(base, c.ProducerId, c.ProducerEpoch)
	if code != OK {
		return nil, code
	}
	_, in := t.findGroup(k.Group)
	n := len(k.Topics)
	switch g := s.Group(k.Group); {
	case !c.Implicit && t.Began > base:
		return nil, Conflict // positions of an earlier one, under an epoch that does not tell them apart
	case !c.Implicit && (!in || t.Status != TxnOngoing):
		return nil, InvalidTxnState
	case g == nil && k.Generation >= 0:
		return nil, IllegalGeneration
	case t.offsets+n > MaxTxnOffsets, !in && len(t.groups) >= MaxTxnGroups, s.offsetCount+s.pendingOffsets+n > MaxOffsets:
		return nil, TooMany
	case s.txnBytes+commitMetadata(k)+int64(n)*offsetInTxn > MaxTxnBytes, s.groupBytes+commitMetadata(k) > MaxGroupBytes, g == nil && s.groups.len() >= MaxGroups:
		return nil, TooMany
	case g == nil:
		return t, OK
	default:
		return t, g.judgeTxnCommit(k)
	}
}

// judgeTxnCommit is JudgeCommit for positions of a transaction: who names no member is not asked for one, and members
// may commit while they wait for their assignment.
func (g *Group) judgeTxnCommit(c *pb.CommitOffsets) Code {
	if c.Generation < 0 && c.Member == "" && c.InstanceId == "" {
		return OK
	}
	code := g.JudgeCommit(c)
	if code == RebalanceInProgress {
		return OK
	}
	return code
}
