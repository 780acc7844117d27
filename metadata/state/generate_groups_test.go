package state

import (
	"maps"
	"slices"

	"pgregory.net/rapid"

	pb "wadi/metadata/metadatapb"
)

var drawnGroups = []string{"g", "h", "i", ""}

// group draws a command about a group: mostly one that fits what is there.
func (d *drawing) group(t *rapid.T, base int64) *pb.Command {
	name := rapid.SampledFrom(drawnGroups[:3]).Draw(t, "group")
	if rarely(t, "no group") {
		name = ""
	}
	g := d.w.groups.byName[name]
	switch op := rapid.SampledFrom([]byte("uuuucccccddex")).Draw(t, "group command"); op {
	case 'u':
		return &pb.Command{Kind: &pb.Command_UpdateGroup{UpdateGroup: d.update(t, name, g)}}
	case 'c':
		return &pb.Command{Base: base, Kind: &pb.Command_CommitOffsets{CommitOffsets: d.commit(t, name, g)}}
	case 'd':
		return &pb.Command{Base: base, Kind: &pb.Command_DeleteGroup{DeleteGroup: &pb.DeleteGroup{Group: name}}}
	case 'e':
		k := &pb.DeleteOffsets{Group: name}
		if g != nil {
			k.Version = g.version
		}
		k.Topics, k.Partitions = d.positions(t)
		return &pb.Command{Base: base, Kind: &pb.Command_DeleteOffsets{DeleteOffsets: k}}
	default:
		k := &pb.ExpireOffsets{Group: name, BeforeMs: 1_700_000_000_000 + rapid.Int64Range(-50_000, 200_000).Draw(t, "before")}
		k.Topics, k.Partitions = d.positions(t)
		return &pb.Command{Kind: &pb.Command_ExpireOffsets{ExpireOffsets: k}}
	}
}

func (d *drawing) positions(t *rapid.T) (topics []uint64, partitions []uint32) {
	for range rapid.IntRange(0, 4).Draw(t, "positions") {
		topic, partition := d.partition(t)
		topics, partitions = append(topics, topic), append(partitions, partition)
	}
	if rarely(t, "columns") {
		topics = append(topics, 1)
	}
	return topics, partitions
}

func (d *drawing) update(t *rapid.T, name string, g *twinGroup) *pb.UpdateGroup {
	k := &pb.UpdateGroup{Group: name, Header: &pb.GroupHeader{Type: 1, ProtocolType: "consumer"}}
	left := map[string]bool{}
	if g != nil {
		k.Version, k.Header.Type, k.Header.Generation = g.version, g.header.Type, g.header.Generation
		for id := range g.members {
			left[id] = true
		}
	}
	for _, id := range []string{"a", "b", "c"} {
		switch rapid.IntRange(0, 3).Draw(t, "member") {
		case 0:
			k.Members = append(k.Members, d.member(t, id))
			left[id] = true
		case 1:
			if left[id] {
				k.Removed = append(k.Removed, id)
				delete(left, id)
			}
		}
	}
	if rapid.Bool().Draw(t, "type") && len(left) == 0 {
		k.Header.Type = uint32(rapid.SampledFrom([]int{1, 2, 2}).Draw(t, "other type"))
	}
	switch {
	case len(left) == 0:
		k.Header.Generation++
	case rapid.Bool().Draw(t, "begins") && (k.Header.Type == 1 || rarely(t, "begins as no consumer group does")):
		k.Header.State = 1
		k.Header.Generation++
	default:
		k.Header.State = 2
		for _, id := range []string{"a", "b", "c"} {
			if left[id] && rapid.Bool().Draw(t, "assigned") {
				k.Assigned, k.Assignments = append(k.Assigned, id), append(k.Assignments, []byte{byte(len(k.Assigned))})
			}
		}
	}
	for _, id := range []string{"c", "b", "a"} {
		if left[id] {
			k.Header.Leader = id
		}
	}
	if rarely(t, "deform group") {
		d.deformUpdate(t, k)
	}
	return k
}

func (d *drawing) member(t *rapid.T, id string) *pb.GroupMember {
	m := &pb.GroupMember{
		Id: id, InstanceId: rapid.SampledFrom([]string{"", "", "s", id}).Draw(t, "instance"), SessionTimeoutMs: 6000,
		Protocols:  []*pb.GroupProtocol{{Name: "range", Metadata: []byte(rapid.SampledFrom([]string{"", "x", "yy"}).Draw(t, "metadata"))}},
		Epoch:      int32(rapid.IntRange(0, 4).Draw(t, "epoch")),
		Assignment: []byte(rapid.SampledFrom([]string{"", "old"}).Draw(t, "assignment")),
	}
	if rapid.IntRange(0, 3).Draw(t, "modern") > 0 {
		m.Protocols = nil
	}
	m.Owned, m.Revoking = d.assigned(t), d.assigned(t)
	return m
}

// assigned draws partitions with the epochs under which they were, each its own or one for all of a topic; without any, as
// in records of before; or with a list of them that does not fit.
func (d *drawing) assigned(t *rapid.T) (set []*pb.GroupPartitions) {
	topics := map[uint64][]uint32{}
	for range rapid.IntRange(1, 3).Draw(t, "assigned partitions") {
		topic, partition := d.partition(t)
		topics[topic] = append(topics[topic], partition)
	}
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		slices.Sort(topics[topic])
		p := &pb.GroupPartitions{Topic: topic, Partitions: slices.Compact(topics[topic])}
		n := rapid.SampledFrom([]int{0, 1, len(p.Partitions), len(p.Partitions), len(p.Partitions) + 1}).Draw(t, "epochs")
		for range n {
			p.Epochs = append(p.Epochs, int32(rapid.SampledFrom([]int{0, 0, 0, 1, 2, 4}).Draw(t, "assigned under")))
		}
		set = append(set, p)
	}
	return set
}

func (d *drawing) deformUpdate(t *rapid.T, k *pb.UpdateGroup) {
	switch rapid.IntRange(0, 8).Draw(t, "deform") {
	case 0:
		k.Version++
	case 1:
		k.Header.State = uint32(rapid.IntRange(0, 3).Draw(t, "state"))
	case 2:
		k.Header.Type = uint32(rapid.SampledFrom([]int{0, 1, 2, 3}).Draw(t, "type"))
	case 3:
		k.Header.Generation += int32(rapid.IntRange(-2, 2).Draw(t, "generation"))
	case 4:
		k.Header.Leader = rapid.SampledFrom([]string{"a", "b", "z", ""}).Draw(t, "leader")
	case 5:
		k.Removed = append(k.Removed, rapid.SampledFrom([]string{"a", "c", "z"}).Draw(t, "removed"))
	case 6:
		k.Assigned = append(k.Assigned, rapid.SampledFrom([]string{"a", "c", "z"}).Draw(t, "assigned"))
		if rapid.Bool().Draw(t, "with") {
			k.Assignments = append(k.Assignments, []byte("?"))
		}
	case 7:
		slices.Reverse(k.Members)
		k.Members = append(k.Members, d.member(t, rapid.SampledFrom([]string{"a", "z", ""}).Draw(t, "id")))
	default:
		k.Header = nil
	}
}

func (d *drawing) commit(t *rapid.T, name string, g *twinGroup) *pb.CommitOffsets {
	k := &pb.CommitOffsets{Group: name, Generation: -1}
	k.Topics, k.Partitions = d.positions(t)
	for range k.Topics {
		k.Offsets = append(k.Offsets, rapid.Int64Range(-1, 100).Draw(t, "offset"))
		k.LeaderEpochs = append(k.LeaderEpochs, int32(rapid.IntRange(-1, 1).Draw(t, "leader epoch")))
		k.Metadata = append(k.Metadata, rapid.SampledFrom([]string{"", "m", "mm"}).Draw(t, "words"))
	}
	if rapid.Bool().Draw(t, "without epochs") {
		k.LeaderEpochs = nil
	}
	if rapid.Bool().Draw(t, "without words") {
		k.Metadata = nil
	}
	if len(k.Partitions) < len(k.Topics) {
		return k
	}
	if g == nil || len(g.members) == 0 || rarely(t, "outsider") {
		if rarely(t, "some generation") {
			k.Generation = 1
		}
		return k
	}
	k.Member = rapid.SampledFrom([]string{"a", "a", "b", "b", "c", ""}).Draw(t, "who")
	k.Generation = g.header.Generation
	if m := g.members[k.Member]; m != nil {
		k.InstanceId = m.InstanceId
		if g.header.Type == 2 {
			k.Generation = m.Epoch
			d.older(t, k, m)
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "other commit") == 0 {
		k.Generation += int32(rapid.IntRange(-1, 1).Draw(t, "generation"))
		k.InstanceId = rapid.SampledFrom([]string{"", "s", "a", "z"}).Draw(t, "claims")
	}
	return k
}

// older lets a member commit under an epoch before its own, mostly partitions that it has.
func (d *drawing) older(t *rapid.T, k *pb.CommitOffsets, m *pb.GroupMember) {
	if m.Epoch <= 0 || rapid.Bool().Draw(t, "present epoch") {
		return
	}
	k.Generation = int32(rapid.IntRange(-1, int(m.Epoch)-1).Draw(t, "older epoch"))
	set := slices.Concat(m.Owned, m.Revoking)
	for i := range k.Topics {
		if len(set) > 0 && !rarely(t, "not assigned") {
			of := rapid.SampledFrom(set).Draw(t, "of")
			k.Topics[i], k.Partitions[i] = of.Topic, rapid.SampledFrom(of.Partitions).Draw(t, "its")
		}
	}
}
