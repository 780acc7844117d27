package state

import (
	"fmt"
	"slices"
)

// transactions checks what one partition knows of transactions.
func (c *checker) transactions(p *Partition, whole bool) error {
	for i, o := range p.open {
		if o.First < 0 || o.First >= p.Next || (i > 0 && p.open[i-1].First >= o.First) {
			return fmt.Errorf("open transactions %+v in a log that ends at %d", p.open, p.Next)
		}
	}
	n, last := 0, int64(-1)
	var err error
	p.aborted.each(func(a AbortedTxn) {
		if err == nil && (a.First < 0 || a.First >= a.Last || a.Last <= last || a.Last >= p.Next || a.Stable > a.Last+1) {
			err = fmt.Errorf("aborted transaction %+v after marker %d", a, last)
		}
		n, last = n+1, a.Last
	})
	if err == nil && n != p.aborted.n {
		err = fmt.Errorf("%d aborted transactions, counted as %d", n, p.aborted.n)
	}
	c.aborted += n
	if lso := p.LSO(); err == nil && whole && lso > p.LogStart && lso < p.Next {
		if r := p.runs.from(lso, 1, 1, nil); len(r) == 0 || r[0].Base != lso {
			err = fmt.Errorf("no run begins at the last stable offset %d", lso)
		}
	}
	return err
}

// txns checks that transactional ids are what names and producer ids lead to, and that they and the partitions and
// groups agree on what is open.
func (c *checker) txns() error {
	s := c.s
	open, pending, ids, bytes := 0, 0, 0, int64(0)
	groups := map[string][]uint64{}
	for _, n := range sortedKeys(&s.txns) {
		t := *s.txns.get(n)
		if err := c.txn(n, t); err != nil {
			return fmt.Errorf("transactional id %d: %w", n, err)
		}
		ids++
		if t.previousID != noProducerID {
			ids++
		}
		if t.Status == TxnOngoing {
			open++
		}
		for i := range t.groups {
			if k := t.groups[i].offsets.len(); k > 0 {
				groups[t.groups[i].name] = append(groups[t.groups[i].name], n)
				pending += k
			}
		}
		bytes += t.bytes
	}
	for ref, left := range c.open {
		if len(left) > 0 {
			return fmt.Errorf("topic %d partition %d: transactions %+v are open here alone", ref.Topic, ref.Partition, left)
		}
	}
	var err error
	s.groups.each(func(_ uint64, slot **Group) {
		known := slices.Clone((*slot).pending)
		slices.Sort(known)
		if err == nil && !slices.Equal(known, groups[(*slot).Name]) {
			err = fmt.Errorf("group %q waits for %v, which are %v", (*slot).Name, known, groups[(*slot).Name])
		}
		delete(groups, (*slot).Name)
	})
	switch {
	case err != nil:
		return err
	case len(groups) > 0:
		return fmt.Errorf("%d groups with pending positions are not there", len(groups))
	case open != s.openTxns.len() || pending != s.pendingOffsets || bytes != s.txnBytes || c.aborted != s.abortedCount:
		return fmt.Errorf("%d open transactions, %d pending positions, %d bytes, %d aborted, counted as %d, %d, %d, %d",
			open, pending, bytes, c.aborted, s.openTxns.len(), s.pendingOffsets, s.txnBytes, s.abortedCount)
	case s.byTxn != nil && (len(s.byTxn) != s.txns.len() || len(s.byProducer) != ids):
		return fmt.Errorf("%d transactional ids with %d producer ids, %d by name, %d by producer id", s.txns.len(), ids, len(s.byTxn), len(s.byProducer))
	}
	return nil
}

func (c *checker) txn(n uint64, t *Txn) error {
	s := c.s
	ongoing := t.Status == TxnOngoing
	switch {
	case t.Number != n || n == 0 || n > s.txnsMade || t.Name == "" || (s.byTxn != nil && s.byTxn[t.Name] != n):
		return fmt.Errorf("not what its name leads to")
	case s.byProducer != nil && (s.byProducer[t.ProducerID] != n || t.previousID != noProducerID && s.byProducer[t.previousID] != n):
		return fmt.Errorf("not what its producer ids %d and %d lead to", t.ProducerID, t.previousID)
	case t.ProducerID < 0 || t.ProducerID >= s.nextProducerID || t.previousID < noProducerID || t.previousID >= t.ProducerID ||
		t.Epoch < 0 || t.Epoch > MaxProducerEpoch || t.TimeoutMs <= 0 || t.Status > TxnAborted:
		return fmt.Errorf("producer %d, before it %d, epoch %d, timeout %d, status %d", t.ProducerID, t.previousID, t.Epoch, t.TimeoutMs, t.Status)
	case ongoing != (t.Began != 0) || ongoing != (s.openTxns.get(n) != nil) || t.Began < 0 || t.Began > s.position ||
		t.changes.at > s.position || t.changes.at <= 0:
		return fmt.Errorf("status %d, began at %d, changed at %d", t.Status, t.Began, t.changes.at)
	case !ongoing && len(t.parts)+len(t.groups) > 0, len(t.parts) > MaxTxnPartitions, len(t.groups) > MaxTxnGroups:
		return fmt.Errorf("%d partitions and %d groups in status %d", len(t.parts), len(t.groups), t.Status)
	}
	bytes, offsets := int64(len(t.Name)), 0
	for i, p := range t.parts {
		if i > 0 && (t.parts[i-1].topic > p.topic || t.parts[i-1].topic == p.topic && t.parts[i-1].partition >= p.partition) {
			return fmt.Errorf("partitions out of order")
		}
		bytes += txnPartBytes
		if topic := s.TopicByNumber(p.topic); topic == nil || p.first == noFirstOffset {
			continue
		}
		ref := PartRef{p.topic, p.partition}
		at := slices.Index(c.open[ref], OpenTxn{t.ProducerID, p.first})
		if at < 0 {
			return fmt.Errorf("topic %d partition %d does not know of its records from %d on", p.topic, p.partition, p.first)
		}
		c.open[ref] = slices.Delete(slices.Clone(c.open[ref]), at, at+1)
	}
	for i := range t.groups {
		g := &t.groups[i]
		if i > 0 && t.groups[i-1].name >= g.name {
			return fmt.Errorf("groups out of order")
		}
		bytes += int64(len(g.name)) + groupInTxn
		offsets += g.offsets.len()
		g.offsets.each(func(_ uint64, o *Offset) { bytes += int64(len(o.Metadata)) + offsetInTxn })
	}
	if bytes != t.bytes || offsets != t.offsets {
		return fmt.Errorf("%d bytes, %d pending positions, counted as %d, %d", bytes, offsets, t.bytes, t.offsets)
	}
	return nil
}
