package state

import (
	"fmt"
	"slices"
	"testing"

	"wadi/metadata/metadatapb"
)

func updateGroup(name string, version int64, h *metadatapb.GroupHeader, members ...*Member) *metadatapb.Command {
	return &metadatapb.Command{Kind: &metadatapb.Command_UpdateGroup{UpdateGroup: &metadatapb.UpdateGroup{
		Group: name, Version: version, Header: h, Members: members,
	}}}
}

func commitOffset(name, member string, generation int32, base int64, topic uint64, partition uint32, offset int64) *metadatapb.Command {
	return &metadatapb.Command{Base: base, Kind: &metadatapb.Command_CommitOffsets{CommitOffsets: &metadatapb.CommitOffsets{
		Group: name, Member: member, Generation: generation, Topics: []uint64{topic}, Partitions: []uint32{partition}, Offsets: []int64{offset},
	}}}
}

func expireOffsets(name string, before int64, topic uint64, partitions ...uint32) *metadatapb.Command {
	k := &metadatapb.ExpireOffsets{Group: name, BeforeMs: before, Partitions: partitions}
	for range partitions {
		k.Topics = append(k.Topics, topic)
	}
	return &metadatapb.Command{Kind: &metadatapb.Command_ExpireOffsets{ExpireOffsets: k}}
}

func header(s GroupState, generation int32, leader string) *metadatapb.GroupHeader {
	return &metadatapb.GroupHeader{
		Type: uint32(ClassicGroup), State: uint32(s), ProtocolType: "consumer", Leader: leader, Generation: generation,
	}
}

// Of two agents that both believe to coordinate a group one changes it; the other's generation is never State (I13).
func TestOneOfTwoCoordinatorsGetsThrough(t *testing.T) {
	j := newJournal(t)
	j.must(alice, updateGroup("g", 0, header(GroupCompleting, 1, "a"), &Member{Id: "a"}))
	version := j.s.Group("g").Version
	j.must(alice, updateGroup("g", version, header(GroupStable, 1, "a")))
	if got := j.codes(bob, updateGroup("g", version, header(GroupCompleting, 2, "b"), &Member{Id: "b"})); got[0] != Conflict {
		t.Errorf("a change that knows of the version before: %v", got)
	}
	now := j.s.Group("g").Version
	got := j.codes(bob, updateGroup("g", now, header(GroupCompleting, 1, "a")), updateGroup("g", now, header(GroupCompleting, 2, "a")),
		updateGroup("g", now, header(GroupCompleting, 3, "a")))
	if !slices.Equal(got, []Code{Invalid, OK, Conflict}) {
		t.Errorf("a generation that was given, the next, and another change at the same version: %v", got)
	}
}

// A commit that was on its way from a coordinator of before, and lands after commits by the present one, must not move
// offsets back (I12).
func TestLateCommitUndoesNothing(t *testing.T) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("t", 1, 0)))
	arrived := j.position
	j.must(bob, commitOffset("g", "", -1, j.position, topic, 0, 7))
	if got := j.codes(alice, commitOffset("g", "", -1, arrived, topic, 0, 5)); got[0] != Conflict {
		t.Errorf("the late commit: %v", got)
	}
	j.must(bob, commitOffset("g", "", -1, arrived, topic, 0, 8)) // bob's own commits come in their order
	j.must(alice, commitOffset("g", "", -1, j.position, topic, 0, 9))
	if got := j.codes(bob, commitOffset("g", "", -1, j.position-4, topic, 0, 1)); got[0] != Conflict {
		t.Errorf("a late commit by bob, after alice's: %v", got)
	}
	if o, ok := j.s.Group("g").Offset(topic, 0); !ok || o.Offset != 9 {
		t.Errorf("offset %+v", o)
	}
}

// Offsets belong to the topic and not to its name (Semantics line 91).
func TestOffsetsGoWithTheirTopic(t *testing.T) {
	j := newJournal(t)
	old := uint64(j.must(alice, createTopic("t", 2, 0)))
	j.must(alice, commitOffset("g", "", -1, j.position, old, 1, 7))
	j.must(alice, deleteTopic(old, j.position))
	fresh := uint64(j.must(alice, createTopic("t", 2, j.position)))
	if _, ok := j.s.Group("g").Offset(fresh, 1); ok {
		t.Error("the new topic has the old one's offset")
	}
	if id := j.must(alice, commitOffset("g", "", -1, j.position, old, 1, 8)); id != 0 {
		t.Errorf("%d offsets of a deleted topic are stored", id)
	}
	j.must(alice, expireOffsets("g", 0, old, 0, 1))
	if g := j.s.Group("g"); g == nil || g.Offsets() != 0 {
		t.Error("the janitor left the dead topic's offset, or took the group with it")
	}
}

// Semantics line 66: nothing expires while the group has members, nor before the retention after the last one left.
func TestOffsetsExpireAfterTheGroup(t *testing.T) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("t", 2, 0)))
	j.must(alice, updateGroup("g", 0, header(GroupCompleting, 1, "a"), &Member{Id: "a"}))
	j.must(alice, updateGroup("g", j.s.Group("g").Version, header(GroupStable, 1, "a")))
	j.must(alice, commitOffset("g", "a", 1, j.position, topic, 0, 7))
	late := int64(1) << 60
	j.must(alice, expireOffsets("g", late, topic, 0))
	g := j.s.Group("g")
	if g.Offsets() != 1 {
		t.Fatal("an offset of a group with members has expired")
	}
	leave := updateGroup("g", g.Version, header(GroupEmpty, 2, ""))
	leave.GetUpdateGroup().Removed = []string{"a"}
	j.must(alice, leave)
	g = j.s.Group("g")
	j.must(alice, expireOffsets("g", g.EmptyMs-1, topic, 0))
	if j.s.Group("g").Offsets() != 1 {
		t.Error("it expired before its time")
	}
	if gone := j.must(alice, expireOffsets("g", g.EmptyMs, topic, 0)); gone != 1 || j.s.Group("g") != nil {
		t.Error("offset and group outlive their time")
	}
}

// A large group's records in the base stay small, and a group and its offsets come back whole.
func TestBaseOfLargeGroups(t *testing.T) {
	j := newJournal(t)
	j.unchecked = true
	topic := uint64(j.must(alice, createTopic("t", 10_000, 0)))
	var members []*Member
	for i := range 300 {
		members = append(members, &Member{Id: fmt.Sprintf("m%03d", i), Assignment: make([]byte, 10)})
	}
	for _, m := range members {
		m.Protocols = []*metadatapb.GroupProtocol{{Name: "range", Metadata: make([]byte, 10_000)}}
	}
	version := int64(0)
	for part := range slices.Chunk(members, 20) {
		j.must(alice, updateGroup("big", version, header(GroupStable, 1, "m000"), part...))
		version = j.s.Group("big").Version
	}
	k := &metadatapb.CommitOffsets{Group: "many", Generation: -1}
	for p := range uint32(3000) {
		k.Topics, k.Partitions, k.Offsets = append(k.Topics, topic), append(k.Partitions, p), append(k.Offsets, int64(p))
		k.Metadata = append(k.Metadata, string(make([]byte, 500)))
	}
	j.must(alice, &metadatapb.Command{Base: j.position, Kind: &metadatapb.Command_CommitOffsets{CommitOffsets: k}})
	for i, r := range base(t, j.s) {
		if len(r) > 2<<20 {
			t.Errorf("record %d has %d bytes", i, len(r))
		}
	}
	again := reload(t, j.s)
	if !slices.Equal(base(t, again), base(t, j.s)) || again.Size()["groups"] != j.s.Size()["groups"] {
		t.Error("another state came back")
	}
	if g := again.Group("big"); len(g.Members()) != 300 || again.Group("many").Offsets() != 3000 {
		t.Errorf("%d members, %d offsets", len(g.Members()), again.Group("many").Offsets())
	}
}

func BenchmarkCommitOffsets(b *testing.B) {
	j := newJournal(b)
	j.unchecked = true
	topic := uint64(j.must(alice, createTopic("t", 100, 0)))
	j.must(alice, commitOffset("g", "", -1, j.position, topic, 0, 7))
	e := Entry{Position: j.position, Session: alice, Seq: j.seqs[alice], Body: entryAt(1)}
	for p := range uint32(100) {
		e.Body.Commands = append(e.Body.Commands, commitOffset("g", "", -1, 1<<60, topic, p, 9))
	}
	b.ReportAllocs()
	for b.Loop() {
		e.Position++
		e.Seq++
		j.s.Apply(e)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/commit")
}
