package state

import (
	"fmt"
	"math"
)

// Check verifies what Apply relies on and keeps: counters equal what they count, references are exact, runs follow each
// other without a gap, indexes agree. It visits everything. Loader runs it on what it loaded, so that a damaged base is
// refused at once and not found out by a panic in Apply; tests run it after every entry.
func (s *State) Check() error {
	c := checker{s: s, refs: map[uint64]uint64{}, open: map[PartRef][]OpenTxn{}, epochs: make([]inlineEpoch, len(s.epochs))}
	for _, step := range []func() error{c.archives, c.topics, c.trimmed, c.loose, c.objects, c.inline, c.configs, c.sessions, c.groups, c.txns} {
		if err := step(); err != nil {
			return fmt.Errorf("state at position %d: %w", s.position, err)
		}
	}
	return nil
}

type checker struct {
	s       *State
	refs    map[uint64]uint64 // counted, by object
	epochs  []inlineEpoch     // counted
	runs    int
	pairs   int
	aborted int
	open    map[PartRef][]OpenTxn // what the partitions of live topics believe to be open
	queued  int                   // partitions of live topics that believe to wait for a sweep
}

func (c *checker) archives() error {
	s := c.s
	before := int64(0)
	for i, e := range s.epochs {
		last := i == len(s.epochs)-1
		if last != (e.to == 0) || (!last && (e.to <= s.archivedTo || e.to < before || e.to > s.position)) {
			return fmt.Errorf("inline epoch %d ends at %d", i, e.to)
		}
		before = e.to
	}
	if len(s.epochs) == 0 || s.archivedTo < 0 || s.archivedTo > s.position {
		return fmt.Errorf("%d inline epochs, archived to %d", len(s.epochs), s.archivedTo)
	}
	before = 0
	for i, a := range s.archives {
		o := s.objects.get(a.Object)
		if a.From < before || a.To <= a.From || a.To > s.archivedTo || o == nil || o.Kind != ArchiveObject {
			return fmt.Errorf("archive %d: %+v", i, a)
		}
		before = a.To
	}
	return nil
}

func (c *checker) topics() error {
	s := c.s
	live, partitions, all := 0, 0, 0
	for _, t := range s.sortedTopics() {
		if t.Number == 0 || t.Number >= s.nextTopic || int(t.swept) > len(t.parts) || (t.swept > 0 && t.Deleted == 0) {
			return fmt.Errorf("topic %d of %d, swept to %d of %d", t.Number, s.nextTopic, t.swept, len(t.parts))
		}
		all += len(t.parts)
		if t.Deleted == 0 {
			live++
			partitions += len(t.parts)
			if s.byName != nil && (s.byName[t.Name] != t.Number || s.byID[t.ID] != t.Number ||
				s.byCollision[collisionKey(t.Name)] != t.Number) {
				return fmt.Errorf("topic %d is not what its name or id leads to", t.Number)
			}
		}
		for i, p := range t.parts {
			if err := c.partition(t, i, p); err != nil {
				return fmt.Errorf("topic %d partition %d: %w", t.Number, i, err)
			}
		}
	}
	if s.byName != nil && (len(s.byName) != live || len(s.byID) != live || len(s.byCollision) != live) {
		return fmt.Errorf("%d live topics, %d by name, %d by id", live, len(s.byName), len(s.byID))
	}
	if partitions != s.livePartitions || all != s.heldPartitions {
		return fmt.Errorf("%d partitions and %d held, counted as %d and %d", partitions, all, s.livePartitions, s.heldPartitions)
	}
	if len(s.deleted) != s.topics.len()-live {
		return fmt.Errorf("%d deleted topics wait, %d are there", len(s.deleted), s.topics.len()-live)
	}
	for i, n := range s.deleted {
		t := s.topics.get(n)
		if t == nil || (*t).Deleted == 0 || (i > 0 && !deletedBefore(*s.topics.get(s.deleted[i-1]), *t)) {
			return fmt.Errorf("topic %d waits out of turn", n)
		}
	}
	if c.runs != s.runCount || c.pairs != s.producerCount {
		return fmt.Errorf("%d runs, %d producers, counted as %d, %d", c.runs, c.pairs, s.runCount, s.producerCount)
	}
	return nil
}

// partition checks that runs cover the log from its start without a gap; those of a deleted topic may lack a tail.
func (c *checker) partition(t *Topic, index int, p *Partition) error {
	next := int64(-1)
	var err error
	first := int64(-1) // offset that the manifest and the runs begin at
	if p.Manifest != nil {
		if err := c.manifest(*p.Manifest); err != nil {
			return err
		}
		first, next = p.Manifest.First, p.Manifest.Last+1
	} else if p.runs.len() > 0 {
		first = p.runs.first().Base
	}
	p.runs.each(func(r Run) {
		if err != nil {
			return
		}
		if r.Base < 0 || r.Last < r.Base || (next >= 0 && r.Base != next) || r.Length == 0 {
			err = fmt.Errorf("run from %d to %d, expected from %d", r.Base, r.Last, next)
			return
		}
		next = r.Last + 1
		err = c.run(r)
	})
	whole := t.Deleted == 0
	switch {
	case err != nil:
		return err
	case p.LogStart < 0 || p.Next < p.LogStart, next > p.Next, whole && next >= 0 && next != p.Next:
		return fmt.Errorf("runs end at %d, log goes from %d to %d", next, p.LogStart, p.Next)
	case p.CompactedTo < 0 || p.CompactedTo > p.Next:
		return fmt.Errorf("compacted to %d of %d", p.CompactedTo, p.Next)
	case whole && next >= 0 && first > p.LogStart:
		return fmt.Errorf("runs begin at %d, the log at %d", first, p.LogStart)
	case whole && p.Manifest != nil && p.Manifest.Last < p.LogStart:
		return fmt.Errorf("the manifest to %d lies below the log start %d", p.Manifest.Last, p.LogStart)
	case whole && p.spent() && !p.queued:
		return fmt.Errorf("the run to %d lies below the log start %d and waits for no sweep", p.runs.first().Last, p.LogStart)
	case whole && next < 0 && p.Next != p.LogStart:
		return fmt.Errorf("no runs, log goes from %d to %d", p.LogStart, p.Next)
	case uint32(index) < t.swept && (p.runs.len() > 0 || p.producers.len() > 0 || p.Manifest != nil):
		return fmt.Errorf("swept, but holds %d runs and %d producers", p.runs.len(), p.producers.len())
	}
	if whole && p.queued {
		c.queued++
	}
	if err := c.transactions(p, whole); err != nil {
		return err
	}
	if whole && len(p.open) > 0 {
		c.open[PartRef{t.Number, uint32(index)}] = p.open
	}
	c.pairs += p.producers.len()
	p.producers.each(func(id uint64, v *producer) {
		if id > math.MaxInt64 || v.lastSeq < noSequence || v.records[0] < 0 || v.lastSeq == noSequence && v.records[0] != 0 || v.epoch() < 0 {
			err = fmt.Errorf("producer %d: %+v", id, *v)
		}
	})
	return err
}

// trimmed checks that the line for the sweep holds the partitions that say so, each once.
func (c *checker) trimmed() error {
	live := map[trimmed]bool{}
	for _, x := range c.s.trimmed {
		if x.topic == 0 || x.topic >= c.s.nextTopic {
			return fmt.Errorf("a partition of topic %d of %d waits for a sweep", x.topic, c.s.nextTopic)
		}
		if t := c.s.TopicByNumber(x.topic); t != nil {
			if int64(x.partition) >= int64(len(t.parts)) || !t.parts[x.partition].queued || live[x] {
				return fmt.Errorf("partition %d of topic %d waits for a sweep twice, or does not know of it", x.partition, x.topic)
			}
			live[x] = true
		}
	}
	if len(live) != c.queued {
		return fmt.Errorf("%d partitions believe that they wait for a sweep, %d do", c.queued, len(live))
	}
	return nil
}

func (c *checker) run(r Run) error {
	c.runs++
	number := r.Place
	if r.Marker() {
		if r.Base != r.Last || r.Length != markerBytes || r.Inline() || r.Place >= uint64(c.s.nextProducerID) {
			return fmt.Errorf("marker %+v", r)
		}
		return nil
	}
	if r.Inline() {
		if r.Place == 0 || r.Place > uint64(c.s.position) {
			return fmt.Errorf("inline run of position %d", r.Place)
		}
		a, ok := c.s.archiveOf(int64(r.Place))
		if !ok {
			e := &c.epochs[c.s.epochAt(int64(r.Place))]
			e.runs++
			e.bytes += uint64(r.Length)
			return nil
		}
		number = a.Object
	}
	o := c.s.objects.get(number)
	if o == nil || (!r.Inline() && uint64(r.Offset)+uint64(r.Length) > o.Size) {
		return fmt.Errorf("run of %d bytes at %d of object %d", r.Length, r.Offset, number)
	}
	c.refs[number]++
	return nil
}

// manifest checks what State keeps of one, and counts its reference.
func (c *checker) manifest(m Manifest) error {
	o := c.s.objects.get(m.Object)
	if o == nil || o.Kind != ManifestObject || m.First < 0 || m.Last < m.First || m.Released >= m.Owned || m.Bytes < 0 {
		return fmt.Errorf("manifest %+v", m)
	}
	c.refs[m.Object]++
	return nil
}

func (c *checker) loose() error {
	var err error
	c.s.loose.each(func(n uint64, m *Manifest) {
		if bad := c.manifest(*m); bad != nil || n != m.Object {
			err = fmt.Errorf("of no partition, number %d: %w", n, bad)
		}
	})
	return err
}

func (c *checker) objects() error {
	var err error
	garbage, garbageBytes, unmerged, unmergedBytes := 0, int64(0), 0, int64(0)
	c.s.objects.each(func(n uint64, o *Object) {
		switch {
		case o.Refs == 0:
			garbage++
			garbageBytes += int64(o.Size)
			if c.s.garbage.get(n) == nil || o.Lost > c.s.lastLost {
				err = fmt.Errorf("object %d without references is not among the garbage", n)
			}
		case o.Kind == FlushObject || o.Kind == FlushHedgeObject:
			unmerged++
			unmergedBytes += int64(o.Size)
		}
		if o.Refs != c.refs[n] || (o.Refs == 0) != (o.Lost != 0) || n == 0 || n >= c.s.nextObject {
			err = fmt.Errorf("object %d of %d: %+v, referenced by %d runs", n, c.s.nextObject, *o, c.refs[n])
		}
	})
	s := c.s
	if err == nil && (garbage != s.garbage.len() || garbageBytes != s.garbageBytes || unmerged != s.unmerged || unmergedBytes != s.unmergedBytes) {
		err = fmt.Errorf("%d objects of garbage of %d bytes, %d not merged of %d bytes, counted as %d, %d, %d, %d", garbage, garbageBytes,
			unmerged, unmergedBytes, s.garbage.len(), s.garbageBytes, s.unmerged, s.unmergedBytes)
	}
	return err
}

func (c *checker) inline() error {
	for i, e := range c.s.epochs {
		if got := c.epochs[i]; got.runs != e.runs || got.bytes != e.bytes {
			return fmt.Errorf("inline epoch %d: %d runs of %d bytes, counted as %+v", i, got.runs, got.bytes, e)
		}
	}
	return nil
}

func (c *checker) sessions() error {
	var err error
	nodes := map[int32]bool{}
	c.s.sessions.each(func(id uint64, v *Session) {
		if (v.Closed == 0) != (v.NodeID >= 0) || nodes[v.NodeID] {
			err = fmt.Errorf("session %x: %+v", id, *v)
		}
		if v.Closed == 0 {
			nodes[v.NodeID] = true
		}
	})
	return err
}
