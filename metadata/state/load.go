package state

import (
	"fmt"
	"math"
	"sort"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

// Loader rebuilds a State from the records of a base. Records come in the order in which EncodeBase gave them.
type Loader struct {
	s         *State
	records   uint64
	ended     bool
	more      *pb.BasePartition // the last partition record, when it announced another
	lastGroup *Group            // of the last group record
	lastTxn   *Txn              // of the last transactional id's record
	groupOpen bool              // more of its members may follow
}

// NewLoader starts with nothing loaded.
func NewLoader() *Loader { return &Loader{s: New()} }

// Add takes the next record. After an error, which wraps ErrBase, the loader is of no more use.
func (l *Loader) Add(record []byte) error {
	r := &pb.BaseRecord{}
	if err := proto.Unmarshal(record, r); err != nil {
		return fmt.Errorf("record %d: %w: %w", l.records, ErrBase, err)
	}
	if err := CheckKnown(r.ProtoReflect()); err != nil {
		return fmt.Errorf("record %d: %w: %w", l.records, ErrBase, err)
	}
	_, header := r.GetKind().(*pb.BaseRecord_Header)
	if l.ended || header != (l.records == 0) {
		return fmt.Errorf("record %d is out of place: %w", l.records, ErrBase)
	}
	var err error
	switch k := r.GetKind().(type) {
	case *pb.BaseRecord_Header:
		err = l.header(k.Header)
	case *pb.BaseRecord_Sessions:
		err = l.sessions(k.Sessions)
	case *pb.BaseRecord_Objects:
		err = l.objects(k.Objects)
	case *pb.BaseRecord_Archives:
		err = l.archives(k.Archives)
	case *pb.BaseRecord_Topic:
		err = l.topic(k.Topic)
	case *pb.BaseRecord_Partition:
		err = l.partition(k.Partition)
	case *pb.BaseRecord_Configs:
		err = l.configs(k.Configs)
	case *pb.BaseRecord_Trimmed:
		err = l.trimmed(k.Trimmed)
	case *pb.BaseRecord_Group:
		err = l.group(k.Group)
	case *pb.BaseRecord_GroupOffsets:
		err = l.groupOffsets(k.GroupOffsets)
	case *pb.BaseRecord_Txn:
		err = l.txn(k.Txn)
	case *pb.BaseRecord_TxnOffsets:
		err = l.txnOffsets(k.TxnOffsets)
	case *pb.BaseRecord_Manifests:
		err = l.loose(k.Manifests)
	case *pb.BaseRecord_End:
		l.ended = true
		if k.End.Records != l.records {
			err = fmt.Errorf("%d records of %d: %w", l.records, k.End.Records, ErrBase)
		}
	default:
		err = fmt.Errorf("unknown kind: %w", ErrBase)
	}
	l.records++
	if err != nil {
		return fmt.Errorf("record %d: %w", l.records-1, err)
	}
	return nil
}

// State returns what was loaded, once the end record has been seen.
func (l *Loader) State() (*State, error) {
	if !l.ended || l.more != nil {
		return nil, fmt.Errorf("not whole, %d records: %w", l.records, ErrBase)
	}
	s := l.s
	sort.Slice(s.deleted, func(i, j int) bool {
		return deletedBefore(*s.topics.get(s.deleted[i]), *s.topics.get(s.deleted[j]))
	})
	s.deriveConfigs(s.position)
	s.deriveOpenTxns()
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBase, err)
	}
	return s, nil
}

func (l *Loader) header(h *pb.BaseHeader) error {
	s := l.s
	switch {
	case h.Format != BaseFormat:
		return fmt.Errorf("format %d, this program reads %d: %w", h.Format, BaseFormat, ErrBase)
	case h.FeatureLevel < MinFeatureLevel || h.FeatureLevel > MaxFeatureLevel:
		return fmt.Errorf("feature level %d, this program knows %d to %d: %w",
			h.FeatureLevel, MinFeatureLevel, MaxFeatureLevel, ErrBase)
	case len(h.Digest) != len(s.digest) || len(h.InlineEpochs) == 0 || len(h.NodeAddresses) != len(h.NodeIds) ||
		h.NextNodeId < 0 || h.NextNodeId >= nodeIDs || len(h.Written) > objectKinds-1:
		return ErrBase
	}
	for i, address := range h.NodeAddresses {
		s.nodes = append(s.nodes, nodeAt{address, h.NodeIds[i]})
	}
	s.clusterID, s.incarnation, s.featureLevel = h.ClusterId, h.Incarnation, h.FeatureLevel
	s.position, s.digest = h.Position, Digest(h.Digest)
	s.nextTopic, s.nextProducerID, s.nextObject = h.NextTopic, h.NextProducerId, h.NextObject
	s.groupsMade, s.txnsMade, s.nextNodeID = h.GroupsMade, h.TxnsMade, h.NextNodeId
	s.highestExpired, s.archivedTo, s.forgottenDeletes = h.HighestExpiredProducerId, h.ArchivedTo, h.ForgottenDeletes
	s.forgottenConfigs = h.ForgottenConfigs
	s.appended = h.Appended
	copy(s.written[1:], h.Written)
	s.epochs, s.lastMark = s.epochs[:0], s.archivedTo // archives end at marks
	for _, e := range h.InlineEpochs {
		s.epochs = append(s.epochs, inlineEpoch{to: e.To, runs: e.Runs, bytes: e.Bytes})
		s.lastMark = max(s.lastMark, e.To)
	}
	return nil
}

func (l *Loader) sessions(r *pb.BaseSessions) error {
	for _, v := range r.Sessions {
		if l.s.sessions.get(uint64(v.Session)) != nil {
			return fmt.Errorf("session %x twice: %w", uint64(v.Session), ErrBase)
		}
		l.s.sessions.put(uint64(v.Session), Session{
			LastSeq: v.LastSeq, LastFlush: v.LastFlush, LastMerge: v.LastMerge, NodeID: v.NodeId, Opened: v.Opened, Closed: v.Closed,
			MinFeatureLevel: v.MinFeatureLevel, MaxFeatureLevel: v.MaxFeatureLevel,
		}, l.s.gen)
	}
	return nil
}

func (l *Loader) objects(r *pb.BaseObjects) error {
	n := len(r.Number)
	if len(r.Session) != n || len(r.N) != n || len(r.Kind) != n || len(r.Size) != n || len(r.Refs) != n ||
		len(r.Introduced) != n || len(r.Lost) != n || len(r.LostMs) != n {
		return fmt.Errorf("object columns differ in length: %w", ErrBase)
	}
	for i, number := range r.Number {
		if l.s.objects.get(number) != nil || r.Kind[i] > math.MaxUint8 {
			return fmt.Errorf("object %d twice or of kind %d: %w", number, r.Kind[i], ErrBase)
		}
		o := Object{
			Session: layout.Session(r.Session[i]), N: r.N[i], Kind: ObjectKind(r.Kind[i]), Size: r.Size[i],
			Refs: r.Refs[i], Introduced: r.Introduced[i], Lost: r.Lost[i], LostMs: r.LostMs[i],
		}
		l.s.objects.put(number, o, l.s.gen)
		if o.Refs == 0 {
			l.s.addGarbage(number, o)
		} else {
			l.s.countObject(o, 1)
		}
	}
	return nil
}

func (l *Loader) archives(r *pb.BaseArchives) error {
	if len(r.From) != len(r.To) || len(r.From) != len(r.Object) {
		return fmt.Errorf("archive columns differ in length: %w", ErrBase)
	}
	for i := range r.From {
		l.s.archives = append(l.s.archives, archive{From: r.From[i], To: r.To[i], Object: r.Object[i]})
	}
	return nil
}

func (l *Loader) topic(r *pb.BaseTopic) error {
	if len(r.Id) != len(TopicID{}) || l.s.heldPartitions+int(r.Partitions) > MaxPartitions || l.s.topics.get(r.Number) != nil {
		return fmt.Errorf("topic %d: %w", r.Number, ErrBase)
	}
	t := &Topic{
		Number: r.Number, Name: r.Name, ID: TopicID(r.Id), Configs: r.Configs, Created: r.Created, Changed: r.Changed,
		ChangedBy: layout.Session(r.ChangedBy), Deleted: r.Deleted, gen: l.s.gen, swept: r.Swept,
		parts: make([]*Partition, r.Partitions),
	}
	t.parseConfigs()
	block := make([]Partition, r.Partitions)
	for i := range t.parts {
		block[i].gen = l.s.gen
		t.parts[i] = &block[i]
	}
	l.s.topics.put(t.Number, t, l.s.gen)
	l.s.heldPartitions += len(t.parts)
	if t.Deleted != 0 {
		l.s.deleted = append(l.s.deleted, t.Number)
	} else {
		l.s.indexTopic(t)
	}
	return nil
}

func (l *Loader) partition(r *pb.BasePartition) error {
	slot := l.s.topics.get(r.Topic)
	n := len(r.Base)
	switch {
	case slot == nil || int(r.Partition) >= len((*slot).parts):
		return fmt.Errorf("partition %d of unknown topic %d: %w", r.Partition, r.Topic, ErrBase)
	case l.more != nil && (l.more.Topic != r.Topic || l.more.Partition != r.Partition):
		return fmt.Errorf("partition %d of topic %d is cut short: %w", l.more.Partition, l.more.Topic, ErrBase)
	case len(r.Count) != n || len(r.MaxTimestamp) != n || len(r.Place) != n || len(r.Offset) != n ||
		len(r.Length) != n || len(r.Flags) != n || len(r.Producers)%producerBytes != 0 ||
		len(r.AbortedFirst) != len(r.AbortedProducers) || len(r.AbortedLast) != len(r.AbortedProducers) ||
		len(r.AbortedStable) != len(r.AbortedProducers):
		return fmt.Errorf("run columns differ in length: %w", ErrBase)
	}
	p := (*slot).parts[r.Partition]
	if l.more == nil && (p.Next != 0 || p.Version != 0) {
		return fmt.Errorf("partition %d of topic %d twice: %w", r.Partition, r.Topic, ErrBase)
	}
	p.LogStart, p.Next, p.Version, p.CompactedTo = r.LogStart, r.NextOffset, r.Version, r.CompactedTo
	if r.Manifest != nil {
		p.Manifest = manifestOf(r.Manifest)
	}
	for i := range r.Base {
		p.runs.append(Run{
			Base: r.Base[i], Last: r.Base[i] + int64(r.Count[i]) - 1, MaxTimestamp: r.MaxTimestamp[i],
			Place: r.Place[i], Offset: r.Offset[i], Length: r.Length[i], Flags: r.Flags[i],
		})
	}
	l.s.runCount += n
	for i, id := range r.AbortedProducers {
		p.aborted.append(AbortedTxn{ProducerID: id, First: r.AbortedFirst[i], Last: r.AbortedLast[i], Stable: r.AbortedStable[i]})
	}
	l.s.abortedCount += len(r.AbortedProducers)
	for b := r.Producers; len(b) > 0; b = b[producerBytes:] {
		id, v := decodeProducer(b[:producerBytes])
		if p.producers.get(uint64(id)) != nil {
			return fmt.Errorf("producer %d of partition %d of topic %d twice: %w", id, r.Partition, r.Topic, ErrBase)
		}
		p.producers.put(uint64(id), v, l.s.gen)
		l.s.producerCount++
	}
	if l.more = nil; r.More {
		l.more = r
	}
	return nil
}

func (l *Loader) loose(r *pb.BaseManifests) error {
	for _, m := range r.Manifests {
		if l.s.loose.get(m.Object) != nil {
			return fmt.Errorf("manifest %d twice: %w", m.Object, ErrBase)
		}
		l.s.loose.put(m.Object, *manifestOf(m), l.s.gen)
	}
	return nil
}

func (l *Loader) trimmed(r *pb.BaseTrimmed) error {
	if len(r.Topic) != len(r.Partition) {
		return fmt.Errorf("trimmed columns differ in length: %w", ErrBase)
	}
	for i := range r.Topic {
		x := trimmed{r.Topic[i], r.Partition[i]}
		l.s.trimmed = append(l.s.trimmed, x)
		if t := l.s.TopicByNumber(x.topic); t != nil {
			if int(x.partition) >= len(t.parts) || t.parts[x.partition].queued {
				return fmt.Errorf("partition %d of topic %d was trimmed twice or is not there: %w", x.partition, x.topic, ErrBase)
			}
			t.parts[x.partition].queued = true
		}
	}
	return nil
}
