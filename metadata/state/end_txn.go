package state

import (
	"math"
	"slices"

	recordbatch "wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
)

// markerBytes is the size of a marker as a control batch.
const markerBytes = recordbatch.MarkerBytes

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

// applyEndTxn ends a transaction, wherever it left something (Semantics lines 76 to 79).
func (s *State) applyEndTxn(base int64, c *pb.EndTxn, res *Result) Code {
	if c.Fence && c.Commit {
		return Invalid
	}
	t := s.TxnByProducer(c.ProducerId)
	if t == nil {
		return UnknownTxn
	}
	repeat, code := t.judgeRepeat(c)
	if !repeat {
		_, code = s.judgeProducer(base, c.ProducerId, c.ProducerEpoch)
	}
	res.ID, res.Epoch = t.ProducerID, t.Epoch
	switch {
	case repeat || code != OK:
		return code
	case !(c.Bump && !c.Fence) && t.Began > base:
		// It is about an earlier one: the one that was found to be overdue, or that of a client whose epoch does not tell
		// its transactions apart (KAFKA-17754).
		return Conflict
	case t.Status != TxnOngoing && (c.Commit || !c.Bump || c.Fence):
		return InvalidTxnState // an empty abort is a way to a new epoch (KIP-890), nothing else is
	}
	t = s.editTxn(t.Number)
	if t.Status == TxnOngoing {
		s.end(t, c.Commit, c.Bump || c.Fence, res)
	}
	if !c.Commit {
		t.Status = TxnAborted
	}
	t.ended = txnEnd{known: true, id: t.ProducerID, epoch: t.Epoch, fence: c.Fence}
	t.previousEpoch = noEpoch
	if c.Bump || c.Fence {
		t.previousEpoch = t.Epoch
		s.bump(t)
	}
	s.touchTxn(t)
	res.ID, res.Epoch = t.ProducerID, t.Epoch
	return OK
}

// judgeRepeat finds out whether a request ends what is ended already, by the same producer, and says what it is told
// then: the same direction has worked, until another transaction begins. What was aborted because it was overdue cannot
// be committed, and a producer that aborts it goes on under the new epoch, if it speaks of epochs.
func (t *Txn) judgeRepeat(c *pb.EndTxn) (bool, Code) {
	e := t.ended
	bumped := e.id != t.ProducerID || e.epoch != t.Epoch
	switch {
	case !e.known || t.Status == TxnOngoing || c.Fence || e.id != c.ProducerId || int32(e.epoch) != c.ProducerEpoch:
		return false, OK
	case c.Bump && !bumped:
		return false, OK // the first that it ends in this way under the epoch
	case e.fence && (c.Commit || !c.Bump):
		return true, ProducerFenced
	case (t.Status == TxnCommitted) != c.Commit:
		return true, InvalidTxnState
	}
	return true, OK
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
		base := s.mark(topic, p, t, part.first, epoch, commit)
		if bumped || !commit {
			if prod := p.producers.edit(uint64(t.ProducerID), s.gen); prod != nil {
				prod.ended(epoch)
			}
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
func (s *State) mark(topic *Topic, p *Partition, t *Txn, first int64, epoch int16, commit bool) int64 {
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
	if s.StampsAppendTime(topic) {
		r.Flags |= RunAppendTime
	}
	p.runs.append(r)
	s.runCount++
	p.Next++
	if !commit {
		p.aborted.append(AbortedTxn{ProducerID: t.ProducerID, First: first, Last: r.Base, Stable: p.LSO()})
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
