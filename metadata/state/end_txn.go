package state

import (
	"math"
	"slices"

	pb "wadi/metadata/metadatapb"
)

// markerBytes is the size of a marker as a control batch (KIP-98): 61 bytes of header, a record of 17.
const markerBytes = 78

// applyInitProducer gives a producer its id and epoch. For a transactional id it is the fence: whoever used the id
// before is shut out, and what was open is aborted, in this one step (Semantics lines 69 to 72).
func (s *State) applyInitProducer(base int64, c *pb.InitProducer, res *Result) Code {
	if c.TransactionalId == "" {
		res.ID = s.newProducerID()
		return OK
	}
	if len(c.TransactionalId) > math.MaxInt16 || c.TimeoutMs <= 0 {
		return Invalid
	}
	t := s.Txn(c.TransactionalId)
	if t == nil {
		if s.txns.len() >= MaxTxns || s.txnBytes+int64(len(c.TransactionalId)) > MaxTxnBytes {
			return TooMany
		}
		t = s.addTxn(c.TransactionalId)
		t.TimeoutMs = c.TimeoutMs
		s.touchTxn(t)
		res.ID = t.ProducerID
		return OK
	}
	repeat, code := t.judgeInit(c)
	switch {
	case code != OK:
		return code
	case repeat:
		res.ID, res.Epoch = t.ProducerID, t.Epoch
		return OK
	case t.changedSince(base, s.session):
		return Conflict
	}
	t = s.editTxn(t.Number)
	before := t.Epoch
	if t.Status == TxnOngoing {
		s.end(t, false, true, res)
	}
	s.bump(t)
	t.previousEpoch = noEpoch
	if c.Resume {
		t.previousEpoch = before
	}
	t.Status, t.ended, t.TimeoutMs = TxnEmpty, txnEnd{}, c.TimeoutMs
	s.touchTxn(t)
	res.ID, res.Epoch = t.ProducerID, t.Epoch
	return OK
}

// judgeInit says whether a producer may go on under the id (KIP-360), and whether it was told its epoch before.
func (t *Txn) judgeInit(c *pb.InitProducer) (repeat bool, code Code) {
	switch id, epoch := c.ProducerId, c.ProducerEpoch; {
	case !c.Resume:
		return false, OK
	case id == t.ProducerID && epoch == int32(t.Epoch):
		return false, OK
	case id == t.ProducerID && t.previousEpoch != noEpoch && epoch == int32(t.previousEpoch) && t.Status != TxnOngoing:
		return true, OK
	case id == t.previousID && epoch == int32(MaxProducerEpoch) && t.Epoch == 0 && t.previousEpoch == MaxProducerEpoch && t.Status != TxnOngoing:
		return true, OK
	}
	return false, ProducerFenced
}

// judgeProducer finds the transactional id of a request's producer and says whether it may act.
func (s *State) judgeProducer(base, id int64, epoch int32) (*Txn, Code) {
	t := s.TxnByProducer(id)
	switch {
	case t == nil:
		return nil, UnknownTxn
	case id != t.ProducerID || epoch != int32(t.Epoch):
		return t, ProducerFenced
	case t.changedSince(base, s.session):
		return t, Conflict
	}
	return t, OK
}

// applyEndTxn ends a transaction, wherever it left something. The same request again gets the same answer, until the
// producer begins another one (Semantics lines 76 to 79).
func (s *State) applyEndTxn(base int64, c *pb.EndTxn, res *Result) Code {
	t := s.TxnByProducer(c.ProducerId)
	switch {
	case c.Fence && c.Commit:
		return Invalid
	case t == nil:
		return UnknownTxn
	}
	res.ID, res.Epoch = t.ProducerID, t.Epoch
	if t.ended.known && t.Status != TxnOngoing && !c.Fence && t.ended.id == c.ProducerId && int32(t.ended.epoch) == c.ProducerEpoch &&
		(t.ended.epoch != t.Epoch || t.ended.id != t.ProducerID || !c.Bump) {
		if (t.Status == TxnCommitted) != c.Commit {
			return InvalidTxnState
		}
		return OK
	}
	t, code := s.judgeProducer(base, c.ProducerId, c.ProducerEpoch)
	if code != OK {
		return code
	}
	if t.Status != TxnOngoing && (c.Commit || !c.Bump || c.Fence) {
		return InvalidTxnState // an empty abort is a way to a new epoch (KIP-890), nothing else is
	}
	t = s.editTxn(t.Number)
	if t.Status == TxnOngoing {
		s.end(t, c.Commit, c.Bump || c.Fence, res)
	} else {
		t.Status = TxnAborted
	}
	t.ended, t.previousEpoch = txnEnd{}, noEpoch
	if !c.Fence {
		t.ended = txnEnd{known: true, id: t.ProducerID, epoch: t.Epoch}
		if c.Bump {
			t.previousEpoch = t.Epoch
		}
	}
	if c.Bump || c.Fence {
		s.bump(t)
	}
	s.touchTxn(t)
	res.ID, res.Epoch = t.ProducerID, t.Epoch
	return OK
}

// end writes the markers of an open transaction and moves or drops its positions. bumped tells that its epoch ends with
// it: markers carry the next one then, as Kafka's do.
func (s *State) end(t *Txn, commit, bumped bool, res *Result) {
	epoch := t.Epoch
	if bumped {
		epoch++
	}
	for _, part := range t.parts {
		if part.first == noFirstOffset {
			continue
		}
		topic := s.TopicByNumber(part.topic)
		if topic == nil {
			continue // deleted: nobody can read it any more (Semantics line 82)
		}
		p := s.editPartition(s.editTopic(part.topic), part.partition)
		base := s.mark(p, t, part.first, epoch, commit)
		if prod := p.producers.get(uint64(t.ProducerID)); prod != nil && !commit && !bumped {
			p.producers.edit(uint64(t.ProducerID), s.gen).forget()
		}
		res.Touched = append(res.Touched, PartRef{part.topic, part.partition})
		res.Batches = append(res.Batches, BatchResult{Base: base, Time: -1})
	}
	for i := range t.groups {
		s.settle(t, &t.groups[i], commit)
	}
	t.parts, t.groups = nil, nil
	t.Began, t.BeganMs = 0, 0
	t.Status = TxnAborted
	if commit {
		t.Status = TxnCommitted
	}
	s.growTxn(t, int64(len(t.Name))-t.bytes)
	s.openTxns.remove(t.Number, s.gen)
}

// mark ends a transaction on one partition and returns the marker's offset.
func (s *State) mark(p *Partition, t *Txn, first int64, epoch int16, commit bool) int64 {
	i := slices.Index(p.open, OpenTxn{t.ProducerID, first})
	open := make([]OpenTxn, 0, len(p.open)-1) // a snapshot may hold the old one
	p.open = append(append(open, p.open[:i]...), p.open[i+1:]...)
	r := Run{
		Base: p.Next, Last: p.Next, MaxTimestamp: s.atMs, Place: uint64(t.ProducerID), Offset: uint32(epoch),
		Length: markerBytes, Flags: RunMarker,
	}
	if commit {
		r.Flags |= RunCommit
	}
	p.runs.append(r)
	s.runCount++
	p.Next++
	if !commit {
		p.aborted.append(AbortedTxn{ProducerID: t.ProducerID, First: first, Last: r.Base, stable: p.LSO()})
		s.abortedCount++
	}
	return r.Base
}

// settle makes a group's pending positions its own, or drops them.
func (s *State) settle(t *Txn, tg *txnGroup, commit bool) {
	if tg.offsets.len() == 0 {
		return
	}
	g := s.editGroup(tg.name)
	i := slices.Index(g.pending, t.Number)
	g.pending = append(slices.Clone(g.pending[:i]), g.pending[i+1:]...)
	s.pendingOffsets -= tg.offsets.len()
	t.offsets -= tg.offsets.len()
	if !commit {
		return
	}
	g.commits.touch(s.position, s.session)
	for _, key := range sortedKeys(&tg.offsets) {
		topic, partition := splitOffsetKey(key)
		if live := s.TopicByNumber(topic); live == nil || int(partition) >= len(live.parts) {
			continue
		}
		o := *tg.offsets.get(key)
		o.AtMs = s.atMs
		s.putOffset(g, key, o)
	}
}
