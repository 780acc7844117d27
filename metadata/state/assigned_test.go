package state

import (
	"testing"

	"pgregory.net/rapid"

	pb "wadi/metadata/metadatapb"
)

func partitions(topic uint64, list []uint32, epochs ...int32) *pb.GroupPartitions {
	return &pb.GroupPartitions{Topic: topic, Partitions: list, Epochs: epochs}
}

// KIP-1251: a member may commit under an older epoch what it had then and has still, all of it or nothing.
func TestCommitsUnderOlderEpochs(t *testing.T) {
	j := newJournal(t)
	first, second := uint64(j.must(alice, createTopic("t", 6, 0))), uint64(j.must(alice, createTopic("u", 3, 0)))
	h := &pb.GroupHeader{Type: uint32(ConsumerGroup), State: uint32(GroupStable), ProtocolType: "consumer", Generation: 7}
	m := &Member{
		Id: "a", Epoch: 7, PreviousEpoch: 5, State: 1,
		Owned:    []*pb.GroupPartitions{partitions(first, []uint32{0, 1, 4}, 3, 7, 5), partitions(second, []uint32{1, 2}, 4)},
		Revoking: []*pb.GroupPartitions{partitions(first, []uint32{2}, 2)},
	}
	classic := &Member{
		Id: "b", Epoch: 7, Protocols: []*pb.GroupProtocol{{Name: "range"}}, Owned: []*pb.GroupPartitions{partitions(first, []uint32{3}, 6)},
	}
	before := &Member{Id: "c", Epoch: 7, Owned: []*pb.GroupPartitions{partitions(second, []uint32{0})}} // as records of before are
	away := &Member{Id: "d", InstanceId: "i", Epoch: -2, Owned: []*pb.GroupPartitions{partitions(first, []uint32{5}, 0)}}
	j.must(alice, updateGroup("g", 0, h, m, classic, before, away))

	type of struct {
		topic     uint64
		partition uint32
	}
	for _, c := range []struct {
		name   string
		member string
		epoch  int32
		of     []of
		want   Code
	}{
		{"the present epoch, whatever the partition", "a", 7, []of{{first, 5}, {first, 0}}, OK},
		{"an epoch that is still to come", "a", 8, []of{{first, 0}}, StaleMemberEpoch},
		{"since that epoch", "a", 3, []of{{first, 0}}, OK},
		{"before that epoch", "a", 2, []of{{first, 0}}, StaleMemberEpoch},
		{"new with the present epoch", "a", 6, []of{{first, 1}}, StaleMemberEpoch},
		{"the third of its topic", "a", 5, []of{{first, 4}}, OK},
		{"one epoch for the whole topic", "a", 4, []of{{second, 1}, {second, 2}}, OK},
		{"before the one epoch", "a", 3, []of{{second, 2}}, StaleMemberEpoch},
		{"to give up, not done so", "a", 2, []of{{first, 2}}, OK},
		{"to give up, before it had it", "a", 1, []of{{first, 2}}, StaleMemberEpoch},
		{"never had", "a", 6, []of{{first, 5}}, StaleMemberEpoch},
		{"in a topic that it has nothing of", "a", 6, []of{{second + 1, 0}}, StaleMemberEpoch},
		{"all of them good", "a", 5, []of{{first, 4}, {second, 1}, {first, 0}, {first, 2}}, OK},
		{"one of them not", "a", 5, []of{{first, 4}, {second, 1}, {first, 1}, {first, 0}}, StaleMemberEpoch},
		{"no epoch at all", "a", -1, []of{{first, 0}}, StaleMemberEpoch},
		{"nothing to commit", "a", 1, nil, OK},
		{"the classic protocol", "b", 6, []of{{first, 3}}, OK},
		{"the classic protocol, before it had it", "b", 5, []of{{first, 3}}, IllegalGeneration},
		{"the classic protocol, to come", "b", 8, []of{{first, 3}}, IllegalGeneration},
		{"unknown since when", "c", 6, []of{{second, 0}}, StaleMemberEpoch},
		{"unknown since when, the present epoch", "c", 7, []of{{second, 0}}, OK},
		{"left for a while", "d", 6, []of{{first, 5}}, StaleMemberEpoch},
		{"nobody", "e", 6, []of{{first, 0}}, UnknownMember},
	} {
		k := &pb.CommitOffsets{Group: "g", Member: c.member, Generation: c.epoch}
		for _, x := range c.of {
			k.Topics, k.Partitions, k.Offsets = append(k.Topics, x.topic), append(k.Partitions, x.partition), append(k.Offsets, 1)
		}
		if got := j.s.Group("g").judgeTxnCommit(k); got != c.want {
			t.Errorf("%s, in a transaction: %v, not %v", c.name, got, c.want)
		}
		if got := j.codes(alice, &pb.Command{Base: j.position, Kind: &pb.Command_CommitOffsets{CommitOffsets: k}}); got[0] != c.want {
			t.Errorf("%s: %v, not %v", c.name, got[0], c.want)
		}
	}
}

// The same for any member and any commit, by the twin's walk over all that the member has.
func TestCommitsOfMembersAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &drawing{w: newTwin()}
		m := d.member(t, "a")
		m.Epoch = int32(rapid.SampledFrom([]int{-2, 0, 1, 2, 3, 4}).Draw(t, "member epoch"))
		k := &pb.CommitOffsets{Group: "g", Member: "a", Generation: int32(rapid.IntRange(-2, 5).Draw(t, "under"))}
		k.Topics, k.Partitions = d.positions(t)
		k.Topics = k.Topics[:len(k.Partitions)]
		d.older(t, k, m)
		h := &pb.GroupHeader{Type: uint32(ConsumerGroup), State: uint32(GroupStable)}
		want := (&twinGroup{header: h, members: map[string]*pb.GroupMember{"a": m}}).judge(k)
		if got := (&Group{Type: ConsumerGroup, State: GroupStable, members: []*Member{m}}).JudgeCommit(k); got != want {
			t.Fatalf("%v of %v: %v, want %v", k, m, got, want)
		}
	})
}

// Each commit of a member whose epoch has just gone on is judged by partitions, in the one goroutine that applies.
func TestJudgingPartitionsAllocatesNothing(t *testing.T) {
	m, k := &Member{Id: "a", Epoch: 2}, &pb.CommitOffsets{Member: "a", Generation: 1}
	for topic := range uint64(40) {
		p := partitions(topic, nil)
		for i := range uint32(100) {
			p.Partitions, p.Epochs = append(p.Partitions, i), append(p.Epochs, int32(i%2))
			k.Topics, k.Partitions = append(k.Topics, 39-topic), append(k.Partitions, 99-i)
		}
		m.Owned = append(m.Owned, p)
	}
	g := &Group{Type: ConsumerGroup, State: GroupStable, members: []*Member{m}}
	if n := testing.AllocsPerRun(10, func() {
		if code := g.JudgeCommit(k); code != OK {
			t.Fatal(code)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
