package group

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	kip848 "wadi/agent/group/consumer"
	"wadi/metadata/state"
)

// ids are the members that State has of g.
func (w *world) ids() (list []string) {
	for _, m := range w.s.Group("g").Members() {
		list = append(list, m.Id)
	}
	return list
}

// KIP-848, online migration: who has not come back to a rebalance yet still works on what it was given.
func TestUpgradeDuringARebalance(t *testing.T) {
	w := newConsumerWorld(t, 1)
	old := w.consumer()
	old.come(t)
	require.Len(t, old.owned, 4)
	other := w.consumer()
	other.metadata = other.words()
	other.enter()
	require.Nil(t, other.joined, "it waits for the other to come back")
	require.ErrorIs(t, old.heartbeat(), ErrRebalanceInProgress)

	fresh := w.modern("a")
	fresh.beat(t)
	require.Equal(t, state.ConsumerGroup, w.s.Group("g").Type)
	require.Zero(t, fresh.partitions(), "they are still the other's")
	require.Equal(t, "1/0 1/1 1/2 1/3", slots(w.s.Group("g").Member(old.id).Owned))
}

// The same between the end of the gathering and the leader's assignment: a member of the cooperative kind has kept what
// its words say, others have nothing.
func TestUpgradeBeforeTheAssignment(t *testing.T) {
	w := newConsumerWorld(t, 1)
	old := w.consumer()
	old.owned = []int32{1, 3}
	old.metadata = old.words()
	old.enter()
	w.pass(4 * time.Second)
	require.NoError(t, old.joined.Err) // it is the leader, and has not said who gets what

	fresh := w.modern("a")
	fresh.beat(t)
	require.Equal(t, state.ConsumerGroup, w.s.Group("g").Type)
	require.Equal(t, "1/1 1/3", slots(w.s.Group("g").Member(old.id).Owned))
	for _, p := range fresh.owned {
		for _, n := range p.Partitions {
			require.NotContains(t, []uint32{1, 3}, n)
		}
	}
}

// Members that left while the others were to come back are none of the new group.
func TestUpgradeAfterSomebodyLeft(t *testing.T) {
	w := newConsumerWorld(t, 1)
	stays, leaves := w.consumer(), w.consumer()
	stays.metadata, leaves.metadata = stays.words(), leaves.words()
	stays.enter()
	leaves.enter()
	w.pass(10 * time.Second)
	stays.settle(t)
	leaves.settle(t)
	require.Len(t, w.ids(), 2)
	_, err := w.leave(w.cores[0], Leaver{Member: leaves.id})
	require.NoError(t, err)

	fresh := w.modern("a")
	fresh.beat(t)
	require.ElementsMatch(t, []string{stays.id, "a"}, w.ids())
	require.Equal(t, 2, fresh.partitions(), "what was of the one that left")
	_, err = w.leave(w.cores[0], Leaver{Member: stays.id})
	require.NoError(t, err)
	fresh.epoch = kip848.LeaveEpoch
	fresh.beat(t)
	require.Empty(t, w.ids())
	require.Equal(t, state.GroupEmpty, w.s.Group("g").State)
}

// The last member of a classic group is gone while somebody has got an id and not come back with it: what is left of the
// rebalance is over when a member of the other protocol comes.
func TestUpgradeOfAGroupThatEverybodyLeft(t *testing.T) {
	w := newConsumerWorld(t, 1)
	last := w.consumer()
	last.come(t)
	pending := w.classic()
	pending.join()
	require.ErrorIs(t, pending.joined.Err, ErrMemberIDRequired)
	_, err := w.leave(w.cores[0], Leaver{Member: last.id})
	require.NoError(t, err)

	fresh := w.modern("a")
	fresh.beat(t)
	require.Equal(t, []string{"a"}, w.ids())
	for range 30 {
		w.pass(5 * time.Second)
		fresh.beat(t)
	}
	require.Equal(t, state.ConsumerGroup, w.s.Group("g").Type)
	require.Equal(t, []string{"a"}, w.ids())
	require.Equal(t, 4, fresh.partitions())
}

// And so is the gathering of a group that its first member left before it ended.
func TestUpgradeOfAGroupThatNeverWas(t *testing.T) {
	w := newConsumerWorld(t, 1)
	first := w.consumer()
	first.metadata = first.words()
	first.enter()
	_, err := w.leave(w.cores[0], Leaver{Member: first.id})
	require.NoError(t, err)

	fresh := w.modern("a")
	fresh.beat(t)
	for range 30 {
		w.pass(5 * time.Second)
		fresh.beat(t)
	}
	require.Equal(t, state.ConsumerGroup, w.s.Group("g").Type)
	require.Equal(t, []string{"a"}, w.ids())
	require.Equal(t, 4, fresh.partitions())
}

// Kafka fences a process of the classic protocol whose instance another has taken over: were it told that nobody knows it,
// it would come back without an id and take the instance over in its turn, and so on.
func TestStaticClassicMembersOfAConsumerGroup(t *testing.T) {
	w := newConsumerWorld(t, 1)
	fresh := w.modern("a")
	fresh.beat(t)
	first, second := w.consumer(), w.consumer()
	first.instance, second.instance = "i", "i"
	first.come(t)
	second.come(t)
	require.NotEqual(t, first.id, second.id)
	first.metadata = first.words()
	first.join()
	require.ErrorIs(t, first.joined.Err, ErrFencedInstance)
	require.ElementsMatch(t, []string{second.id, "a"}, w.ids())
}

// Nor is a group taken over whose first members, who wait for it to begin, speak of something else than topics.
func TestNoUpgradeWhileOthersGather(t *testing.T) {
	w := newConsumerWorld(t, 1)
	m := w.classic() // its words are none of a consumer
	m.enter()
	fresh := w.modern("a")
	fresh.send()
	w.settle()
	require.ErrorIs(t, fresh.ans.Err, ErrUnknownGroup)
	w.pass(4 * time.Second)
	require.NotNil(t, m.joined)
	require.NoError(t, m.joined.Err)
}

// Kafka, KIP-848: the last member of the consumer protocol may be followed by a process of the classic one under the same
// instance id. Then nobody is left who speaks it, and the group is a classic one again. The process goes on with what the one
// before it had: there is nothing to rebalance.
func TestDowngradeByASuccessor(t *testing.T) {
	w := newConsumerWorld(t, 1)
	fresh := w.modern("a")
	fresh.instance = "i"
	fresh.beat(t)
	old := w.consumer()
	old.instance = "i"
	old.metadata = old.words()
	old.enter()
	require.NotNil(t, old.joined)
	require.NoError(t, old.joined.Err)
	require.Equal(t, state.ClassicGroup, w.s.Group("g").Type)
	require.Equal(t, []string{old.id}, w.ids())
	require.Equal(t, fresh.epoch, old.generation)
	old.settle(t)
	require.Len(t, old.owned, 4)
	require.NoError(t, old.heartbeat())
	fresh.send()
	w.settle()
	require.Error(t, fresh.ans.Err)
}

// Kafka, KIP-848: a classic member that is told to join again does so within its rebalance timeout, and asks for what it
// got within another, or it is out, however lively it is: the others wait for its partitions.
func TestClassicMembersThatDoNotComeBack(t *testing.T) {
	for _, joins := range []bool{false, true} {
		w := newConsumerWorld(t, 1)
		old := w.consumer()
		old.come(t)
		fresh := w.modern("a")
		fresh.beat(t)
		require.ErrorIs(t, old.heartbeat(), ErrRebalanceInProgress)
		if joins {
			w.pass(5 * time.Second)
			old.metadata = old.words()
			old.join()
			require.NoError(t, old.joined.Err)
		}
		for range 11 {
			w.pass(5 * time.Second)
			fresh.beat(t)
			_ = old.heartbeat()
		}
		require.NotNil(t, w.s.Group("g").Member(old.id))
		w.pass(5 * time.Second)
		require.Nil(t, w.s.Group("g").Member(old.id))
		fresh.beat(t)
		require.Equal(t, 4, fresh.partitions())
	}
}

// The rebalance with which a group goes back to the classic protocol must not be forgotten with its coordinator: nobody has
// the partitions of who left.
func TestCoordinatorMovesAfterADowngrade(t *testing.T) {
	w := newConsumerWorld(t, 2)
	fresh, old := w.modern("a"), w.consumer()
	fresh.beat(t)
	old.come(t)
	for range 2 {
		fresh.beat(t)
	}
	old.come(t)
	require.Len(t, old.owned, 2)
	fresh.epoch = kip848.LeaveEpoch
	fresh.beat(t)
	require.Equal(t, state.ClassicGroup, w.s.Group("g").Type)

	w.cores[0].Lose(w.now, []string{"g"})
	w.cores[1].Adopt(w.now, "g")
	w.settle()
	old.core = w.cores[1]
	require.ErrorIs(t, old.heartbeat(), ErrRebalanceInProgress)
	old.come(t)
	require.Len(t, old.owned, 4)
	require.NoError(t, old.heartbeat())
	w.cores[1].Lose(w.now, []string{"g"})
	old.core = w.cores[0]
	require.NoError(t, old.heartbeat(), "it is over")
}

// A static member's process of the consumer protocol may be the one that changes a classic group's, without being a new
// member of it. What nobody was given then is given to somebody now.
func TestUpgradeByASuccessor(t *testing.T) {
	w := newConsumerWorld(t, 1)
	old := w.consumer()
	old.instance = "i"
	old.metadata = old.words()
	old.enter()
	w.pass(4 * time.Second)
	require.NoError(t, old.joined.Err)
	old.core.Sync(w.now, &Sync{Group: "g", Member: old.id, Instance: "i", Generation: old.generation, Done: func(s Synced) { old.err = s.Err }})
	w.settle()
	require.NoError(t, old.err)
	require.NoError(t, old.heartbeat())

	fresh := w.modern("a")
	fresh.instance = "i"
	fresh.beat(t)
	require.Equal(t, []string{"a"}, w.ids())
	require.Equal(t, 4, fresh.partitions())
}
