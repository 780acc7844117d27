package state

import (
	"crypto/sha256"
	"encoding/binary"
	"sort"
	"strings"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

// TopicID is a topic's UUID: new for every creation, the same on every replica.
type TopicID [16]byte

// Topic is one topic. What a reader gets is valid until the next Apply and must not be changed.
type Topic struct {
	Number        uint64 // from a counter, never reused; commands name topics by it
	Name          string
	ID            TopicID
	Configs       []*pb.Config // those set explicitly, sorted by name
	Created       int64        // position
	Changed       int64        // position of the last change to the topic itself
	ChangedBy     layout.Session
	Deleted       int64 // position of the deletion, 0 = live
	LogAppendTime bool  // message.timestamp.type, parsed

	ownTimestampType bool // message.timestamp.type is set

	gen   uint64
	parts []*Partition
	swept uint32
}

// Partition is one partition's log. What a reader gets is valid until the next Apply.
type Partition struct {
	LogStart int64  // first offset that can be read
	Next     int64  // offset of the next record: the high watermark
	Version  uint64 // raised when runs are replaced

	// CompactedTo: below it compaction may have left offsets without a record.
	CompactedTo int64

	// Manifest lists what lies in front of the runs; nil = nothing does.
	Manifest *Manifest

	gen       uint64
	runs      runList
	producers table[producer]
	open      []OpenTxn // in the order of their first records; replaced as a whole
	aborted   abortedList
	queued    bool // in State.trimmed, unless the topic is deleted
}

// Runs is the number of runs.
func (p *Partition) Runs() int { return p.runs.len() }

// RunsFrom appends to dst the runs from the one that holds offset on, until maxRuns or maxBytes is reached; the first
// comes whatever its size.
func (p *Partition) RunsFrom(offset int64, maxRuns int, maxBytes int64, dst []Run) []Run {
	return p.runs.from(offset, maxRuns, maxBytes, dst)
}

// EachRun visits all runs in offset order. Those that end below LogStart wait for a sweep.
func (p *Partition) EachRun(visit func(Run)) { p.runs.each(visit) }

// RunAtTime is the first run, from the one that holds LogStart on, that holds a record with a timestamp of at least ms,
// judged by its maximum.
func (p *Partition) RunAtTime(ms int64) (Run, bool) {
	c, i := p.runs.seek(p.LogStart)
	for ; c < len(p.runs.chunks); c, i = c+1, 0 {
		for _, r := range p.runs.chunks[c][i:] {
			if r.MaxTimestamp >= ms {
				return r, true
			}
		}
	}
	return Run{}, false
}

// ProducerNext is the sequence that the partition expects next of a producer id in an epoch: 0 for an epoch above the
// remembered one. known is false when nothing is remembered of the id.
func (p *Partition) ProducerNext(id int64, epoch int16) (seq int32, known bool) {
	st := p.producers.get(uint64(id))
	if st == nil {
		return 0, false
	}
	if epoch != st.epoch() {
		return 0, true
	}
	return NextSequence(st.lastSeq), true
}

// ProducerFenced reports whether the partition remembers a higher epoch of a producer id: what comes under this one is
// refused, whatever its sequence.
func (p *Partition) ProducerFenced(id int64, epoch int16) bool {
	st := p.producers.get(uint64(id))
	return st != nil && epoch < st.epoch()
}

// Partitions is the number of partitions.
func (t *Topic) Partitions() int { return len(t.parts) }

// Partition returns one partition, nil when there is none of that index.
func (t *Topic) Partition(i int32) *Partition {
	if i < 0 || int(i) >= len(t.parts) {
		return nil
	}
	return t.parts[i]
}

// Config returns a config that was set explicitly.
func (t *Topic) Config(name string) (string, bool) {
	for _, c := range t.Configs {
		if c.Name == name {
			return c.Value, true
		}
	}
	return "", false
}

// changedSince reports whether another session changed the topic after base, so that a command that was judged there
// must not undo it.
func (t *Topic) changedSince(base int64, session layout.Session) bool {
	return t.Changed > base && t.ChangedBy != session
}

func (t *Topic) parseConfigs() {
	v, set := t.Config(topicTimestampType)
	t.LogAppendTime, t.ownTimestampType = v == logAppendTime, set
}

// topicID makes a topic's UUID from the cluster and the topic's number, in the form of a version 8 UUID (RFC 9562).
func topicID(clusterID string, incarnation uint32, number uint64) TopicID {
	b := append([]byte("wadi topic "), clusterID...)
	b = binary.BigEndian.AppendUint32(b, incarnation)
	b = binary.BigEndian.AppendUint64(b, number)
	sum := sha256.Sum256(b)
	var id TopicID
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// collisionKey is equal for names that differ in '.' and '_' only: Kafka's metric names confuse those.
func collisionKey(name string) string { return strings.ReplaceAll(name, ".", "_") }

// Topic finds a live topic by name.
func (s *State) Topic(name string) *Topic {
	if n, ok := s.byName[name]; ok {
		return s.TopicByNumber(n)
	}
	return nil
}

// Collides is the name of a live topic that makes name impossible, as it differs in '.' and '_' only; "" when there is
// none.
func (s *State) Collides(name string) string {
	if t := s.TopicByNumber(s.byCollision[collisionKey(name)]); t != nil && t.Name != name {
		return t.Name
	}
	return ""
}

// TopicByID finds a live topic by UUID.
func (s *State) TopicByID(id TopicID) *Topic {
	if n, ok := s.byID[id]; ok {
		return s.TopicByNumber(n)
	}
	return nil
}

// TopicByNumber finds a live topic by number.
func (s *State) TopicByNumber(n uint64) *Topic {
	if t := s.topics.get(n); t != nil && (*t).Deleted == 0 {
		return *t
	}
	return nil
}

// EachTopic visits the live topics in the order of their creation.
func (s *State) EachTopic(visit func(*Topic)) {
	for _, t := range s.sortedTopics() {
		if t.Deleted == 0 {
			visit(t)
		}
	}
}

// Topics and Partitions count what is live.
func (s *State) Topics() int     { return s.topics.len() - len(s.deleted) }
func (s *State) Partitions() int { return s.livePartitions }

func (s *State) editTopic(n uint64) *Topic {
	slot := s.topics.edit(n, s.gen)
	if slot == nil {
		return nil
	}
	if t := *slot; t.gen != s.gen {
		c := *t
		c.gen = s.gen
		c.parts = append([]*Partition(nil), t.parts...)
		*slot = &c
	}
	return *slot
}

func (s *State) editPartition(t *Topic, i uint32) *Partition {
	p := t.parts[i]
	if p.gen != s.gen {
		c := *p
		c.gen = s.gen
		c.runs = p.runs.share()
		c.producers = p.producers.share()
		c.aborted = p.aborted.share()
		t.parts[i] = &c
		p = &c
	}
	return p
}

func (s *State) applyCreateTopic(base int64, c *pb.CreateTopic, res *Result) Code {
	switch {
	case c.Name == "" || len(c.Name) > 249 || c.Partitions == 0:
		return Invalid
	case s.byName[c.Name] != 0:
		res.ID = int64(s.byName[c.Name])
		return TopicExists
	case s.byCollision[collisionKey(c.Name)] != 0:
		return NameCollision
	case s.deletedSince(c.Name, base):
		return Conflict
	case s.topics.len() >= MaxTopics || s.heldPartitions+int(c.Partitions) > MaxPartitions:
		return TooMany
	}
	for i, cfg := range c.Configs {
		if cfg == nil || (i > 0 && c.Configs[i-1].Name >= cfg.Name) {
			return Invalid
		}
	}
	t := &Topic{
		Number: s.nextTopic, Name: c.Name, ID: topicID(s.clusterID, s.incarnation, s.nextTopic), Configs: c.Configs,
		Created: s.position, Changed: s.position, ChangedBy: s.session, gen: s.gen,
		parts: make([]*Partition, c.Partitions),
	}
	t.parseConfigs()
	block := make([]Partition, c.Partitions)
	for i := range t.parts {
		block[i].gen = s.gen
		t.parts[i] = &block[i]
	}
	s.nextTopic++
	s.topics.put(t.Number, t, s.gen)
	s.heldPartitions += len(t.parts)
	s.indexTopic(t)
	res.ID = int64(t.Number)
	return OK
}

func (s *State) indexTopic(t *Topic) {
	s.byName[t.Name] = t.Number
	s.byCollision[collisionKey(t.Name)] = t.Number
	s.byID[t.ID] = t.Number
	s.livePartitions += len(t.parts)
}

// deletedSince reports whether a topic of that name may have been deleted by another session after base, so that a
// creation that lands late does not undo it. Deletions whose topic has been swept count for every name.
func (s *State) deletedSince(name string, base int64) bool {
	if s.forgottenDeletes > base {
		return true
	}
	for _, n := range s.deleted {
		t := *s.topics.get(n)
		if t.Name == name && t.Deleted > base && t.ChangedBy != s.session {
			return true
		}
	}
	return false
}

// applyDeleteTopic only marks; Sweep drops the runs.
func (s *State) applyDeleteTopic(base int64, c *pb.DeleteTopic, res *Result) Code {
	t := s.TopicByNumber(c.Topic)
	switch {
	case t == nil:
		return UnknownTopic
	case t.changedSince(base, s.session):
		return Conflict
	}
	t = s.editTopic(c.Topic)
	t.Deleted, t.Changed, t.ChangedBy = s.position, s.position, s.session
	s.queueDeleted(t)
	delete(s.byName, t.Name)
	delete(s.byCollision, collisionKey(t.Name))
	delete(s.byID, t.ID)
	s.livePartitions -= len(t.parts)
	res.ID = int64(t.Number)
	return OK
}

// queueDeleted puts a topic in line for the sweep. The order depends on what a base holds alone: a replica that loads
// one sweeps as the others do.
func (s *State) queueDeleted(t *Topic) {
	at := sort.Search(len(s.deleted), func(i int) bool { return deletedBefore(t, *s.topics.get(s.deleted[i])) })
	line := make([]uint64, 0, len(s.deleted)+1) // a snapshot may hold the old one
	line = append(line, s.deleted[:at]...)
	line = append(line, t.Number)
	s.deleted = append(line, s.deleted[at:]...)
}

func deletedBefore(a, b *Topic) bool {
	return a.Deleted < b.Deleted || (a.Deleted == b.Deleted && a.Number < b.Number)
}
