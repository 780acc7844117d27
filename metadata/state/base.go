package state

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	pb "wadi/metadata/metadatapb"
)

// BaseFormat is the version of the base's records. A loader refuses any other.
const BaseFormat = 1

// ErrBase: a base is damaged, of another format, or not whole.
var ErrBase = errors.New("bad base")

const (
	baseRunsPerRecord      = 4096
	baseObjectsPerRecord   = 8192
	baseProducersPerRecord = 8192 // 640 KiB
	baseSessionsPerRecord  = 8192
	baseTrimmedPerRecord   = 32768
	baseAbortedPerRecord   = 8192
)

// EncodeBase hands out the state as a list of marshalled BaseRecords, in one fixed order: header, sessions, objects,
// archives, topics each followed by its partitions, trimmed partitions, configs, groups each followed by its offsets, transactional
// ids each followed by pending offsets, manifests of no partition, end. It is
// meant for a snapshot from Freeze; the same state gives the same bytes.
func (s *State) EncodeBase(emit func(record []byte) error) error {
	var n uint64
	put := func(r *pb.BaseRecord) error {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
		if err != nil {
			return fmt.Errorf("marshal base record: %w", err)
		}
		n++
		return emit(b)
	}
	for _, step := range []func(func(*pb.BaseRecord) error) error{
		s.encodeHeader, s.encodeSessions, s.encodeObjects, s.encodeTopics, s.encodeTrimmed, s.encodeConfigs, s.encodeGroups,
		s.encodeTxns, s.encodeLoose,
	} {
		if err := step(put); err != nil {
			return err
		}
	}
	return put(&pb.BaseRecord{Kind: &pb.BaseRecord_End{End: &pb.BaseEnd{Records: n}}})
}

func (s *State) encodeHeader(put func(*pb.BaseRecord) error) error {
	h := &pb.BaseHeader{
		Format: BaseFormat, ClusterId: s.clusterID, Incarnation: s.incarnation, FeatureLevel: s.featureLevel,
		Position: s.position, Digest: s.digest[:], NextTopic: s.nextTopic, NextProducerId: s.nextProducerID,
		HighestExpiredProducerId: s.highestExpired, NextObject: s.nextObject, ArchivedTo: s.archivedTo,
		ForgottenDeletes: s.forgottenDeletes, ForgottenConfigs: s.forgottenConfigs, GroupsMade: s.groupsMade,
		TxnsMade: s.txnsMade, NextNodeId: s.nextNodeID, Appended: s.appended, Written: s.written[1:],
	}
	for _, n := range s.nodes {
		h.NodeAddresses, h.NodeIds = append(h.NodeAddresses, n.address), append(h.NodeIds, n.id)
	}
	for _, e := range s.epochs {
		h.InlineEpochs = append(h.InlineEpochs, &pb.InlineEpoch{To: e.to, Runs: e.runs, Bytes: e.bytes})
	}
	return put(&pb.BaseRecord{Kind: &pb.BaseRecord_Header{Header: h}})
}

func (s *State) encodeSessions(put func(*pb.BaseRecord) error) error {
	for part := range slices.Chunk(sortedKeys(&s.sessions), baseSessionsPerRecord) {
		r := &pb.BaseSessions{}
		for _, id := range part {
			v := s.sessions.get(id)
			r.Sessions = append(r.Sessions, &pb.SessionRecord{
				Session: int64(id), LastSeq: v.LastSeq, NodeId: v.NodeID, LastFlush: v.LastFlush, LastMerge: v.LastMerge, Opened: v.Opened,
				Closed: v.Closed, MinFeatureLevel: v.MinFeatureLevel, MaxFeatureLevel: v.MaxFeatureLevel,
			})
		}
		if err := put(&pb.BaseRecord{Kind: &pb.BaseRecord_Sessions{Sessions: r}}); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) encodeObjects(put func(*pb.BaseRecord) error) error {
	for part := range slices.Chunk(sortedKeys(&s.objects), baseObjectsPerRecord) {
		r := &pb.BaseObjects{Number: part}
		for _, k := range part {
			o := s.objects.get(k)
			r.Session = append(r.Session, int64(o.Session))
			r.N = append(r.N, o.N)
			r.Kind = append(r.Kind, uint32(o.Kind))
			r.Size = append(r.Size, o.Size)
			r.Refs = append(r.Refs, o.Refs)
			r.Introduced = append(r.Introduced, o.Introduced)
			r.Lost = append(r.Lost, o.Lost)
			r.LostMs = append(r.LostMs, o.LostMs)
		}
		if err := put(&pb.BaseRecord{Kind: &pb.BaseRecord_Objects{Objects: r}}); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(s.archives, baseObjectsPerRecord) {
		a := &pb.BaseArchives{}
		for _, x := range part {
			a.From, a.To, a.Object = append(a.From, x.From), append(a.To, x.To), append(a.Object, x.Object)
		}
		if err := put(&pb.BaseRecord{Kind: &pb.BaseRecord_Archives{Archives: a}}); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) encodeTopics(put func(*pb.BaseRecord) error) error {
	for _, t := range s.sortedTopics() {
		err := put(&pb.BaseRecord{Kind: &pb.BaseRecord_Topic{Topic: &pb.BaseTopic{
			Number: t.Number, Name: t.Name, Id: t.ID[:], Configs: t.Configs, Partitions: uint32(len(t.parts)),
			Created: t.Created, Changed: t.Changed, ChangedBy: int64(t.ChangedBy), Deleted: t.Deleted, Swept: t.swept,
		}}})
		if err != nil {
			return err
		}
		for i, p := range t.parts {
			if err := encodePartition(t.Number, uint32(i), p, put); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *State) encodeTrimmed(put func(*pb.BaseRecord) error) error {
	for part := range slices.Chunk(s.trimmed, baseTrimmedPerRecord) {
		r := &pb.BaseTrimmed{}
		for _, x := range part {
			r.Topic, r.Partition = append(r.Topic, x.topic), append(r.Partition, x.partition)
		}
		if err := put(&pb.BaseRecord{Kind: &pb.BaseRecord_Trimmed{Trimmed: r}}); err != nil {
			return err
		}
	}
	return nil
}

// encodePartition writes nothing for a partition that was never written to.
func encodePartition(topic uint64, index uint32, p *Partition, put func(*pb.BaseRecord) error) error {
	if p.Next == 0 && p.Version == 0 {
		return nil
	}
	r := newBasePartition(topic, index, p)
	var err error
	next := func() {
		r.More = true
		err = put(&pb.BaseRecord{Kind: &pb.BaseRecord_Partition{Partition: r}})
		r = newBasePartition(topic, index, p)
	}
	for _, id := range sortedKeys(&p.producers) {
		if len(r.Producers) == baseProducersPerRecord*producerBytes {
			next()
		}
		if err != nil {
			return err
		}
		r.Producers = p.producers.get(id).encode(int64(id), r.Producers)
	}
	p.aborted.each(func(a AbortedTxn) {
		if err == nil && len(r.AbortedProducers) == baseAbortedPerRecord {
			next()
		}
		if err != nil {
			return
		}
		r.AbortedProducers, r.AbortedFirst = append(r.AbortedProducers, a.ProducerID), append(r.AbortedFirst, a.First)
		r.AbortedLast, r.AbortedStable = append(r.AbortedLast, a.Last), append(r.AbortedStable, a.Stable)
	})
	p.runs.each(func(run Run) {
		if err == nil && len(r.Base) == baseRunsPerRecord {
			next()
		}
		if err != nil {
			return
		}
		r.Base = append(r.Base, run.Base)
		r.Count = append(r.Count, uint64(run.Last-run.Base+1))
		r.MaxTimestamp = append(r.MaxTimestamp, run.MaxTimestamp)
		r.Place = append(r.Place, run.Place)
		r.Offset = append(r.Offset, run.Offset)
		r.Length = append(r.Length, run.Length)
		r.Flags = append(r.Flags, run.Flags)
	})
	if err != nil {
		return err
	}
	return put(&pb.BaseRecord{Kind: &pb.BaseRecord_Partition{Partition: r}})
}

func newBasePartition(topic uint64, index uint32, p *Partition) *pb.BasePartition {
	r := &pb.BasePartition{
		Topic: topic, Partition: index, LogStart: p.LogStart, NextOffset: p.Next, Version: p.Version, CompactedTo: p.CompactedTo,
	}
	if p.Manifest != nil {
		r.Manifest = p.Manifest.ref()
	}
	return r
}

// baseManifestsPerRecord bounds a record of manifests.
const baseManifestsPerRecord = 8192

func (s *State) encodeLoose(put func(*pb.BaseRecord) error) error {
	for part := range slices.Chunk(sortedKeys(&s.loose), baseManifestsPerRecord) {
		r := &pb.BaseManifests{}
		for _, n := range part {
			r.Manifests = append(r.Manifests, s.loose.get(n).ref())
		}
		if err := put(&pb.BaseRecord{Kind: &pb.BaseRecord_Manifests{Manifests: r}}); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manifest) ref() *pb.ManifestRef {
	return &pb.ManifestRef{
		Object: m.Object, First: m.First, Last: m.Last, Runs: m.Runs, Owned: m.Owned, Released: m.Released,
		Bytes: uint64(m.Bytes), MaxTimestamp: m.MaxTimestamp,
	}
}

func manifestOf(r *pb.ManifestRef) *Manifest {
	return &Manifest{
		Object: r.Object, First: r.First, Last: r.Last, Runs: r.Runs, Owned: r.Owned, Released: r.Released,
		Bytes: int64(r.Bytes), MaxTimestamp: r.MaxTimestamp,
	}
}
