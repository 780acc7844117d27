package state

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

// encodeTxns writes each transactional id, then the positions that wait for the end of its transaction.
func (s *State) encodeTxns(put func(*pb.BaseRecord) error) error {
	for _, n := range sortedKeys(&s.txns) {
		t := *s.txns.get(n)
		r := &pb.BaseTxn{
			Number: t.Number, Name: t.Name, ProducerId: t.ProducerID, ProducerEpoch: int32(t.Epoch), Status: uint32(t.Status),
			TimeoutMs: t.TimeoutMs, PreviousId: t.previousID, PreviousEpoch: int32(t.previousEpoch),
			Ended: t.ended.known, EndedByOther: t.ended.fence, EndedId: t.ended.id, EndedEpoch: int32(t.ended.epoch),
			Began: t.Began, BeganMs: t.BeganMs, ChangedMs: t.ChangedMs,
			Changed: t.changes.at, ChangedBy: int64(t.changes.by), ChangedOther: t.changes.other, Groups: t.Groups(),
		}
		for _, p := range t.parts {
			r.Topics, r.Partitions, r.First = append(r.Topics, p.topic), append(r.Partitions, p.partition), append(r.First, p.first)
		}
		if err := put(&pb.BaseRecord{Kind: &pb.BaseRecord_Txn{Txn: r}}); err != nil {
			return err
		}
		for i := range t.groups {
			if err := encodeTxnOffsets(t.Number, &t.groups[i], put); err != nil {
				return err
			}
		}
	}
	return nil
}

func encodeTxnOffsets(txn uint64, g *txnGroup, put func(*pb.BaseRecord) error) error {
	r, size, named := &pb.BaseTxnOffsets{Txn: txn, Group: g.name}, 0, false
	flush := func() error {
		if !named {
			r.Metadata = nil
		}
		err := put(&pb.BaseRecord{Kind: &pb.BaseRecord_TxnOffsets{TxnOffsets: r}})
		r, size, named = &pb.BaseTxnOffsets{Txn: txn, Group: g.name}, 0, false
		return err
	}
	for _, k := range sortedKeys(&g.offsets) {
		topic, partition := splitOffsetKey(k)
		o := g.offsets.get(k)
		if len(r.Topics) == baseOffsetsPerPart || size+len(o.Metadata) > baseGroupBytes && len(r.Topics) > 0 {
			if err := flush(); err != nil {
				return err
			}
		}
		size += len(o.Metadata)
		named = named || o.Metadata != ""
		r.Topics, r.Partitions = append(r.Topics, topic), append(r.Partitions, partition)
		r.Offsets, r.LeaderEpochs = append(r.Offsets, o.Offset), append(r.LeaderEpochs, o.LeaderEpoch)
		r.AtMs, r.Metadata = append(r.AtMs, o.AtMs), append(r.Metadata, o.Metadata)
	}
	if len(r.Topics) == 0 {
		return nil
	}
	return flush()
}

func (l *Loader) txn(r *pb.BaseTxn) error {
	s := l.s
	bad := fmt.Errorf("transactional id %d: %w", r.Number, ErrBase)
	switch {
	case r.Number == 0 || r.Number > s.txnsMade || s.byTxn[r.Name] != 0 || (l.lastTxn != nil && l.lastTxn.Number >= r.Number):
		return bad
	case r.Status > uint32(TxnAborted) || !epochFits(r.ProducerEpoch) || !epochFits(r.PreviousEpoch) || !epochFits(r.EndedEpoch):
		return bad
	case len(r.Partitions) != len(r.Topics) || len(r.First) != len(r.Topics) || !offsetColumns(r.Topics, r.Partitions):
		return bad
	case s.byProducer[r.ProducerId] != 0 || (r.PreviousId != noProducerID && s.byProducer[r.PreviousId] != 0):
		return bad
	}
	t := &Txn{
		Number: r.Number, Name: r.Name, ProducerID: r.ProducerId, Epoch: int16(r.ProducerEpoch), Status: TxnStatus(r.Status),
		TimeoutMs: r.TimeoutMs, Began: r.Began, BeganMs: r.BeganMs, ChangedMs: r.ChangedMs,
		previousID: r.PreviousId, previousEpoch: int16(r.PreviousEpoch),
		ended:   txnEnd{known: r.Ended, id: r.EndedId, epoch: int16(r.EndedEpoch), fence: r.EndedByOther},
		changes: change{at: r.Changed, by: layout.Session(r.ChangedBy), other: r.ChangedOther}, gen: s.gen,
	}
	s.growTxn(t, int64(len(t.Name)))
	for i, topic := range r.Topics {
		t.parts = append(t.parts, txnPart{topic, r.Partitions[i], r.First[i]})
		s.growTxn(t, txnPartBytes)
	}
	for _, name := range r.Groups {
		t.groups = append(t.groups, txnGroup{name: name})
		s.growTxn(t, int64(len(name))+groupInTxn)
	}
	s.txns.put(t.Number, t, s.gen)
	s.byTxn[t.Name] = t.Number
	s.byProducer[t.ProducerID] = t.Number
	if t.previousID != noProducerID {
		s.byProducer[t.previousID] = t.Number
	}
	l.lastTxn = t
	return nil
}

func epochFits(epoch int32) bool { return epoch >= -1 && epoch <= math.MaxInt16 }

func (l *Loader) txnOffsets(r *pb.BaseTxnOffsets) error {
	s, t := l.s, l.lastTxn
	n := len(r.Topics)
	if t == nil || t.Number != r.Txn || n == 0 || len(r.Partitions) != n || len(r.Offsets) != n || len(r.LeaderEpochs) != n ||
		len(r.AtMs) != n || (len(r.Metadata) != 0 && len(r.Metadata) != n) {
		return fmt.Errorf("pending offsets of transactional id %d: %w", r.Txn, ErrBase)
	}
	at, ok := t.findGroup(r.Group)
	g := s.editGroup(r.Group)
	if !ok || g == nil {
		return fmt.Errorf("pending offsets of group %q in transactional id %d: %w", r.Group, r.Txn, ErrBase)
	}
	tg := &t.groups[at]
	if tg.offsets.len() == 0 {
		g.pending = append(g.pending, t.Number)
	}
	for i, topic := range r.Topics {
		key := offsetKey(topic, r.Partitions[i])
		if !validOffsetKey(topic, r.Partitions[i]) || tg.offsets.get(key) != nil {
			return fmt.Errorf("pending offset of topic %d, partition %d, of group %q: %w", topic, r.Partitions[i], r.Group, ErrBase)
		}
		o := Offset{Offset: r.Offsets[i], LeaderEpoch: r.LeaderEpochs[i], AtMs: r.AtMs[i]}
		if len(r.Metadata) > 0 {
			o.Metadata = r.Metadata[i]
		}
		s.putPending(t, tg, key, o)
	}
	return nil
}

// deriveOpenTxns works out from the transactional ids which are open, and what partitions know of that.
func (s *State) deriveOpenTxns() {
	s.txns.each(func(n uint64, slot **Txn) {
		t := *slot
		if t.Status != TxnOngoing {
			return
		}
		s.openTxns.put(n, struct{}{}, s.gen)
		for _, part := range t.parts {
			topic := s.TopicByNumber(part.topic)
			if part.first != noFirstOffset && topic != nil && int(part.partition) < len(topic.parts) {
				p := topic.parts[part.partition]
				p.open = append(p.open, OpenTxn{t.ProducerID, part.first})
			}
		}
	})
	for _, t := range s.sortedTopics() {
		for _, p := range t.parts {
			slices.SortFunc(p.open, func(a, b OpenTxn) int { return cmp.Compare(a.First, b.First) })
		}
	}
}
