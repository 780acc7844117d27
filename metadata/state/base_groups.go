package state

import (
	"fmt"

	pb "wadi/metadata/metadatapb"

	"wadi/internal/layout"
)

// A base's record of a group stays below about a megabyte, whatever the group holds.
const (
	baseGroupBytes     = 1 << 20
	baseOffsetsPerPart = 8192
)

// encodeGroups writes each group with its members, then its offsets.
func (s *State) encodeGroups(put func(*pb.BaseRecord) error) error {
	var err error
	s.EachGroup(func(g *Group) {
		if err == nil {
			err = g.encodeMembers(put)
		}
		if err == nil {
			err = g.encodeOffsets(put)
		}
	})
	return err
}

func (g *Group) encodeMembers(put func(*pb.BaseRecord) error) error {
	record := func() *pb.BaseGroup {
		return &pb.BaseGroup{
			Number: g.Number, Name: g.Name, Version: g.Version, EmptySince: g.EmptySince, EmptyMs: g.EmptyMs,
			Committed: g.commits.at, CommittedBy: int64(g.commits.by), CommittedOther: g.commits.other,
			Header: &pb.GroupHeader{
				Type: uint32(g.Type), State: uint32(g.State), ProtocolType: g.ProtocolType, Protocol: g.Protocol, Leader: g.Leader,
				Generation: g.Generation, AssignmentEpoch: g.AssignmentEpoch, MetadataHash: g.MetadataHash,
			},
		}
	}
	r, size := record(), int64(0)
	for _, m := range g.members {
		n := memberBytes(m)
		if size += n; size > baseGroupBytes && len(r.Members) > 0 {
			if err := put(&pb.BaseRecord{Kind: &pb.BaseRecord_Group{Group: r}}); err != nil {
				return err
			}
			r, size = record(), n
		}
		r.Members = append(r.Members, m)
	}
	return put(&pb.BaseRecord{Kind: &pb.BaseRecord_Group{Group: r}})
}

func (g *Group) encodeOffsets(put func(*pb.BaseRecord) error) error {
	r, size, named := &pb.BaseGroupOffsets{Group: g.Number}, 0, false
	flush := func() error {
		if !named {
			r.Metadata = nil
		}
		err := put(&pb.BaseRecord{Kind: &pb.BaseRecord_GroupOffsets{GroupOffsets: r}})
		r, size, named = &pb.BaseGroupOffsets{Group: g.Number}, 0, false
		return err
	}
	var err error
	g.EachOffset(func(topic uint64, partition int32, o Offset) {
		if err != nil {
			return
		}
		if len(r.Topics) == baseOffsetsPerPart || size+len(o.Metadata) > baseGroupBytes && len(r.Topics) > 0 {
			if err = flush(); err != nil {
				return
			}
		}
		size += len(o.Metadata)
		named = named || o.Metadata != ""
		r.Topics, r.Partitions = append(r.Topics, topic), append(r.Partitions, uint32(partition))
		r.Offsets, r.LeaderEpochs = append(r.Offsets, o.Offset), append(r.LeaderEpochs, o.LeaderEpoch)
		r.AtMs, r.Metadata = append(r.AtMs, o.AtMs), append(r.Metadata, o.Metadata)
	})
	if err == nil && len(r.Topics) > 0 {
		err = flush()
	}
	return err
}

// group takes a group's first record or one that goes on with its members.
func (l *Loader) group(r *pb.BaseGroup) error {
	s := l.s
	g := l.lastGroup
	switch {
	case g != nil && g.Number == r.Number && l.groupOpen && len(r.Members) > 0 && len(g.members) > 0:
	case r.Header == nil || r.Number == 0 || r.Number > s.groupsMade || s.byGroup[r.Name] != 0 || (g != nil && g.Number >= r.Number):
		return fmt.Errorf("group %d: %w", r.Number, ErrBase)
	default:
		h := r.Header
		g = &Group{
			Number: r.Number, Name: r.Name, Type: GroupType(h.Type), State: GroupState(h.State), ProtocolType: h.ProtocolType,
			Protocol: h.Protocol, Leader: h.Leader, Generation: h.Generation, AssignmentEpoch: h.AssignmentEpoch,
			MetadataHash: h.MetadataHash, Version: r.Version, EmptySince: r.EmptySince, EmptyMs: r.EmptyMs, gen: s.gen,
			commits: change{at: r.Committed, by: layout.Session(r.CommittedBy), other: r.CommittedOther},
		}
		s.groups.put(g.Number, g, s.gen)
		s.byGroup[g.Name] = g.Number
		s.growGroup(g, int64(len(g.Name)))
		l.lastGroup, l.groupOpen = g, true
	}
	for _, m := range r.Members {
		s.growGroup(g, memberBytes(m))
	}
	g.members = append(g.members, r.Members...)
	return nil
}

func (l *Loader) groupOffsets(r *pb.BaseGroupOffsets) error {
	s, g := l.s, l.lastGroup
	n := len(r.Topics)
	if g == nil || g.Number != r.Group || n == 0 || len(r.Partitions) != n || len(r.Offsets) != n || len(r.LeaderEpochs) != n ||
		len(r.AtMs) != n || (len(r.Metadata) != 0 && len(r.Metadata) != n) {
		return fmt.Errorf("offsets of group %d: %w", r.Group, ErrBase)
	}
	l.groupOpen = false
	for i, topic := range r.Topics {
		if !validOffsetKey(topic, r.Partitions[i]) || g.offsets.get(offsetKey(topic, r.Partitions[i])) != nil {
			return fmt.Errorf("offset of topic %d, partition %d, in group %d: %w", topic, r.Partitions[i], r.Group, ErrBase)
		}
		o := Offset{Offset: r.Offsets[i], LeaderEpoch: r.LeaderEpochs[i], AtMs: r.AtMs[i]}
		if len(r.Metadata) > 0 {
			o.Metadata = r.Metadata[i]
		}
		s.putOffset(g, offsetKey(topic, r.Partitions[i]), o)
	}
	return nil
}
