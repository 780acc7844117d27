package group

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	kip848 "wadi/agent/group/consumer"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// consumerMember is a member of the classic protocol as consumers are: its words name topics and, in the cooperative way, what
// it owns.
type consumerMember struct {
	*classicMember
	owned []int32 // of topic t
	err   error
}

func (w *world) consumer() *consumerMember {
	return &consumerMember{classicMember: w.classic()}
}

func (m *consumerMember) words() string {
	words := kmsg.NewConsumerMemberMetadata()
	words.Version, words.Topics = 1, []string{"t"}
	owned := kmsg.NewConsumerMemberMetadataOwnedPartition()
	owned.Topic, owned.Partitions = "t", m.owned
	words.OwnedPartitions = append(words.OwnedPartitions, owned)
	return string(words.AppendTo(nil))
}

// come joins, syncs and takes what it is given. A leader divides by turns.
func (m *consumerMember) come(t *testing.T) {
	t.Helper()
	m.metadata = m.words()
	m.enter()
	m.w.pass(4 * time.Second)
	m.settle(t)
}

func (m *consumerMember) settle(t *testing.T) {
	t.Helper()
	require.NotNil(t, m.joined)
	require.NoError(t, m.joined.Err)
	req := &Sync{Group: "g", Member: m.id, Instance: m.instance, Generation: m.generation, Done: func(s Synced) {
		m.err = s.Err
		var words kmsg.ConsumerMemberAssignment
		if s.Err != nil || words.ReadFrom(s.Assignment) != nil {
			return
		}
		m.owned = nil
		for _, t := range words.Topics {
			m.owned = append(m.owned, t.Partitions...)
		}
	}}
	if len(m.joined.Members) > 0 {
		req.Assignments = map[string][]byte{}
		for i, x := range m.joined.Members {
			words := kmsg.NewConsumerMemberAssignment()
			topic := kmsg.NewConsumerMemberAssignmentTopic()
			topic.Topic = "t"
			for p := range int32(4) {
				if int(p)%len(m.joined.Members) == i {
					topic.Partitions = append(topic.Partitions, p)
				}
			}
			words.Topics = append(words.Topics, topic)
			req.Assignments[x.ID] = words.AppendTo(nil)
		}
	}
	m.core.Sync(m.w.now, req)
	m.w.settle()
	require.NoError(t, m.err)
}

// KIP-848, online migration: a group is upgraded member by member and taken back, under work, and at no time do two
// members have a partition.
func TestMixedGroup(t *testing.T) {
	w := newConsumerWorld(t, 2)
	old := w.consumer()
	old.come(t)
	require.Len(t, old.owned, 4)
	generation := old.generation

	fresh := w.modern("a")
	fresh.beat(t)
	require.Equal(t, state.ConsumerGroup, w.s.Group("g").Type)
	require.Greater(t, fresh.epoch, generation)
	require.Zero(t, fresh.partitions(), "they are still the other's")
	require.ErrorIs(t, old.heartbeat(), ErrRebalanceInProgress)
	old.come(t) // it says that it has all four, and is told to give up two
	require.Len(t, old.owned, 2)
	fresh.beat(t)
	require.Zero(t, fresh.partitions())
	require.ErrorIs(t, old.heartbeat(), ErrRebalanceInProgress, "it has to say that it did")
	old.come(t)
	require.Equal(t, fresh.epoch, old.generation)
	require.NoError(t, old.heartbeat())
	fresh.beat(t)
	require.Equal(t, 2, fresh.partitions())

	g := w.s.Group("g")
	judge := func(member string, epoch int32, partitions ...uint32) state.Code {
		return g.JudgeCommit(&pb.CommitOffsets{Member: member, Generation: epoch, Topics: slices.Repeat([]uint64{1}, len(partitions)), Partitions: partitions})
	}
	kept, given := []uint32{0, 1}, []uint32{2, 3} // KIP-1251: what it has kept since it was alone, and what the other got
	require.Equal(t, "1/0 1/1", slots(g.Member(old.id).Owned))
	require.Equal(t, state.OK, judge(old.id, old.generation, given...))
	require.Equal(t, state.OK, judge(old.id, generation, kept...))
	require.Equal(t, state.IllegalGeneration, judge(old.id, generation-1, kept...))
	require.Equal(t, state.IllegalGeneration, judge(old.id, generation, 0, 2))
	require.Equal(t, state.IllegalGeneration, judge(old.id, old.generation+1, kept...))
	require.Equal(t, state.OK, judge("a", fresh.epoch, given...))
	require.Equal(t, state.StaleMemberEpoch, judge("a", fresh.epoch-1, given...))

	// Another coordinator goes on with both.
	w.cores[0].Lose(w.now, []string{"g"})
	w.cores[1].Adopt(w.now, "g")
	w.settle()
	old.core, fresh.core = w.cores[1], w.cores[1]
	require.NoError(t, old.heartbeat())
	fresh.beat(t)

	// The last one of the new protocol goes: the group is classic again, and its members divide it among themselves.
	fresh.epoch = kip848.LeaveEpoch
	fresh.beat(t)
	require.Equal(t, state.ClassicGroup, w.s.Group("g").Type)
	require.ErrorIs(t, old.heartbeat(), ErrRebalanceInProgress, "it keeps what it has until it is back")
	old.come(t)
	require.Len(t, old.owned, 4)
	require.NoError(t, old.heartbeat())
}

// A member of the classic protocol comes to a group of the consumer protocol, is silent, and is out after its session.
func TestClassicMemberOfAConsumerGroup(t *testing.T) {
	w := newConsumerWorld(t, 1)
	fresh := w.modern("a")
	fresh.beat(t)
	old := w.consumer()
	old.come(t)
	require.Empty(t, old.owned)
	fresh.beat(t)
	fresh.beat(t)
	require.Equal(t, 2, fresh.partitions())
	require.ErrorIs(t, old.heartbeat(), ErrRebalanceInProgress, "what it waits for is free")
	old.come(t)
	require.Len(t, old.owned, 2)
	for range 2 {
		w.pass(5 * time.Second)
		fresh.beat(t)
	}
	w.pass(time.Second)
	require.NotNil(t, w.s.Group("g"))
	require.Nil(t, w.s.Group("g").Member(old.id), "its session was 10 s")
	fresh.beat(t)
	require.Equal(t, 4, fresh.partitions())

	again := w.consumer()
	again.come(t)
	each, err := w.leave(w.cores[0], Leaver{Member: again.id}, Leaver{Member: "nobody"})
	require.NoError(t, err)
	require.NoError(t, each[0])
	require.ErrorIs(t, each[1], ErrUnknownMember)
}

// Words that nobody can read keep a group as it is.
func TestNoUpgradeOfUnreadableMembers(t *testing.T) {
	w := newConsumerWorld(t, 1)
	m := w.classic()
	w.stabilise(t, m)
	a := w.modern("a")
	a.send()
	w.settle()
	require.ErrorIs(t, a.ans.Err, ErrUnknownGroup)
	require.NoError(t, m.heartbeat())
	b := w.modern("b")
	b.core = w.cores[0]
	require.Equal(t, state.ClassicGroup, w.s.Group("g").Type)
}
