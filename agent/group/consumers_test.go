package group

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	kip848 "wadi/agent/group/consumer"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// stateTopics are the topics that a world's State has.
type stateTopics struct{ w *world }

func (t stateTopics) Named(name string) (kip848.Topic, bool) {
	x := t.w.s.Topic(name)
	if x == nil {
		return kip848.Topic{}, false
	}
	return kip848.Topic{Number: x.Number, Name: name, Partitions: uint32(x.Partitions())}, true
}

func (t stateTopics) Matching(re *regexp.Regexp) (found []kip848.Topic) {
	t.w.s.EachTopic(func(x *state.Topic) {
		if re.MatchString(x.Name) {
			found = append(found, kip848.Topic{Number: x.Number, Name: x.Name, Partitions: uint32(x.Partitions())})
		}
	})
	return found
}

func (t stateTopics) Name(number uint64) (string, bool) {
	if x := t.w.s.TopicByNumber(number); x != nil {
		return x.Name, true
	}
	return "", false
}

// newConsumerWorld has a topic t of 4 partitions, sessions of 45 s and heartbeats every 5 s.
func newConsumerWorld(t *testing.T, agents int) *world {
	t.Helper()
	topics := &stateTopics{}
	w := newWorld(t, agents, func(c *Config) {
		c.MaxConsumers, c.Topics = 3, topics
		c.Consumers = func(string) ConsumerSettings {
			return ConsumerSettings{Session: 45 * time.Second, Interval: 5 * time.Second}
		}
	})
	topics.w = w
	w.apply(0, &pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: "t", Partitions: 4}}})
	w.writes = 0
	return w
}

// modernMember is a member as its client sees it.
type modernMember struct {
	w        *world
	core     *Core
	id       string
	instance string
	epoch    int32
	owned    kip848.Set
	ans      *ConsumerAnswer
}

func (w *world) modern(id string) *modernMember { return &modernMember{w: w, core: w.cores[0], id: id} }

// send sends a heartbeat that says what the member owns; with epoch 0 it joins.
func (m *modernMember) send() {
	h := kip848.Heartbeat{Member: m.id, Instance: m.instance, Epoch: m.epoch, RebalanceTimeoutMs: -1, Owned: &m.owned}
	if m.epoch == kip848.JoinEpoch {
		h.RebalanceTimeoutMs, h.Topics, h.HasTopics, h.Owned = 60_000, []string{"t"}, true, &kip848.Set{}
	}
	m.ans = nil
	m.core.ConsumerHeartbeat(m.w.now, &ConsumerHeartbeat{Group: "g", Heartbeat: h, Done: func(a ConsumerAnswer) {
		m.ans = &a
		if a.Err == nil {
			m.epoch = a.Epoch
			if a.Assignment != nil {
				m.owned = *a.Assignment
			}
		}
	}})
}

func (m *modernMember) beat(t *testing.T) {
	t.Helper()
	m.send()
	m.w.settle()
	require.NotNil(t, m.ans)
	require.NoError(t, m.ans.Err)
}

func (m *modernMember) partitions() (n int) {
	for _, p := range m.owned {
		n += len(p.Partitions)
	}
	return n
}

// What a member hears is State before it hears it, and a heartbeat that changes nothing writes nothing.
func TestConsumerHeartbeats(t *testing.T) {
	w := newConsumerWorld(t, 1)
	a, b := w.modern("a"), w.modern("b")
	a.send()
	for len(w.loads) > 0 {
		f := w.loads[0]
		w.loads = w.loads[1:]
		f()
	}
	require.Nil(t, a.ans, "it is not State yet")
	w.settle()
	require.NoError(t, a.ans.Err)
	require.Equal(t, 5*time.Second, a.ans.Interval)
	require.Equal(t, 4, a.partitions())
	require.Equal(t, a.epoch, w.s.Group("g").Member("a").Epoch)
	writes := w.writes
	for range 100 {
		w.pass(5 * time.Second)
		a.beat(t)
	}
	require.Equal(t, writes, w.writes)

	b.beat(t)
	require.Zero(t, b.partitions())
	a.beat(t) // told to give up
	require.Equal(t, 2, a.partitions())
	b.beat(t)
	require.Zero(t, b.partitions())
	a.beat(t) // says that it did
	b.beat(t)
	require.Equal(t, 2, b.partitions())
	require.Equal(t, a.epoch, b.epoch)

	// A topic that grows is looked at with the next heartbeat.
	w.apply(0, &pb.Command{Base: w.pos, Kind: &pb.Command_CreatePartitions{CreatePartitions: &pb.CreatePartitions{Topic: 1, Count: 6}}})
	w.cores[0].TopicsChanged()
	b.beat(t)
	a.beat(t)
	require.Equal(t, 6, a.partitions()+b.partitions())
}

// A member that is silent is out after its session, and what it had goes to the others.
func TestConsumerSessions(t *testing.T) {
	w := newConsumerWorld(t, 1)
	a, b := w.modern("a"), w.modern("b")
	a.beat(t)
	b.beat(t)
	a.beat(t)
	a.beat(t)
	b.beat(t)
	for range 8 {
		w.pass(5 * time.Second)
		b.beat(t)
	}
	require.NotNil(t, w.s.Group("g").Member("a"))
	w.pass(5*time.Second + 1)
	require.Nil(t, w.s.Group("g").Member("a"))
	b.beat(t)
	require.Equal(t, 4, b.partitions())
	a.send()
	w.settle()
	require.ErrorIs(t, a.ans.Err, kip848.ErrUnknownMember)
	w.pass(46 * time.Second)
	g := w.s.Group("g")
	require.Equal(t, state.GroupEmpty, g.State)
	require.Empty(t, w.cores[0].Names(), "nothing of it is worth keeping in memory")
}

// A member that keeps what it was told to give up is out after its rebalance timeout, however lively it is.
func TestConsumerRevocationTimeout(t *testing.T) {
	w := newConsumerWorld(t, 1)
	a, b := w.modern("a"), w.modern("b")
	a.beat(t)
	b.beat(t)
	all := a.owned
	for range 11 {
		a.owned = all
		a.beat(t)
		b.beat(t)
		w.pass(5 * time.Second)
	}
	require.NotNil(t, w.s.Group("g").Member("a"))
	a.owned = all
	a.beat(t)
	w.pass(5*time.Second + 1)
	require.Nil(t, w.s.Group("g").Member("a"))
	b.beat(t)
	require.Equal(t, 4, b.partitions())
}

// F3: a coordinator that moved goes on where the other was: nobody joins again, and the sessions begin anew.
func TestConsumerCoordinatorMoves(t *testing.T) {
	w := newConsumerWorld(t, 2)
	a, b := w.modern("a"), w.modern("b")
	a.beat(t)
	b.beat(t)
	a.beat(t) // between the revocation and its confirmation
	w.pass(40 * time.Second)
	w.cores[0].Lose(w.now, w.cores[0].Names())
	w.cores[1].Adopt(w.now, "g")
	w.settle()
	a.core, b.core = w.cores[1], w.cores[1]
	w.pass(40 * time.Second)
	epoch := w.s.Group("g").Generation
	a.beat(t)
	b.beat(t)
	require.Equal(t, 2, a.partitions())
	require.Equal(t, 2, b.partitions())
	require.Equal(t, epoch, w.s.Group("g").Generation, "no rebalance")
}

// Two agents that both believe to coordinate: one of two changes is refused, and its member goes elsewhere.
func TestConsumerTwoCoordinators(t *testing.T) {
	w := newConsumerWorld(t, 2)
	a, b := w.modern("a"), w.modern("b")
	a.beat(t)
	w.cores[1].Adopt(w.now, "g")
	w.settle()
	b.core = w.cores[1]
	a.epoch = kip848.LeaveEpoch
	a.send()
	b.send()
	w.settle()
	require.NoError(t, a.ans.Err)
	require.ErrorIs(t, b.ans.Err, ErrNotCoordinator)
	require.Empty(t, w.s.Group("g").Members())
}

// Semantics line 68, KIP-848: a group with members keeps its protocol, one without takes up any.
func TestProtocolsOfAGroup(t *testing.T) {
	w := newConsumerWorld(t, 1)
	m := w.classic()
	w.stabilise(t, m)
	a := w.modern("a")
	a.send()
	w.settle()
	require.ErrorIs(t, a.ans.Err, ErrUnknownGroup)
	each, err := w.leave(w.cores[0], Leaver{Member: m.id})
	require.NoError(t, errors.Join(append(each, err)...))
	generation := w.s.Group("g").Generation
	a.beat(t)
	require.Greater(t, a.epoch, generation, "epochs go on where generations were")
	require.Equal(t, state.ConsumerGroup, w.s.Group("g").Type)
	n := w.classic()
	n.enter()
	require.ErrorIs(t, n.joined.Err, ErrInconsistentProtocol)
	a.epoch = kip848.LeaveEpoch
	a.beat(t)
	w.stabilise(t, n)
	require.Equal(t, state.ClassicGroup, w.s.Group("g").Type)
	require.Greater(t, n.generation, generation)
}

// group.consumer.max.size; and a member that is there may always come.
func TestConsumerGroupIsFull(t *testing.T) {
	w := newConsumerWorld(t, 1)
	for _, id := range []string{"a", "b", "c"} {
		w.modern(id).beat(t)
	}
	d := w.modern("d")
	d.send()
	w.settle()
	require.ErrorIs(t, d.ans.Err, kip848.ErrFull)
	w.modern("c").beat(t)
}

// KIP-848: a static member that leaves for a while looks at no topics, so those that changed before are still to be looked
// at: by the heartbeat of another, and by its own when it is back.
func TestTopicsChangeBeforeAStaticMemberLeaves(t *testing.T) {
	for _, back := range []bool{false, true} {
		w := newConsumerWorld(t, 1)
		a, b := w.modern("a"), w.modern("b")
		a.instance = "i"
		for range 3 {
			a.beat(t)
			b.beat(t)
		}
		require.Equal(t, 2, a.partitions())
		require.Equal(t, 2, b.partitions())

		// The topic is made anew: another one under the same name.
		w.apply(0, &pb.Command{Base: w.pos, Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: 1}}})
		w.apply(0, &pb.Command{Base: w.pos, Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: "t", Partitions: 4}}})
		w.cores[0].TopicsChanged()
		epoch := w.s.Group("g").Generation
		a.epoch = kip848.StaticLeaveEpoch
		a.beat(t)
		require.Equal(t, epoch, w.s.Group("g").Generation)
		if back {
			a.id, a.epoch, a.owned = "a2", kip848.JoinEpoch, nil
			a.beat(t)
		}
		for range 3 {
			b.beat(t)
			if back {
				a.beat(t)
			}
		}
		require.Greater(t, w.s.Group("g").Generation, epoch)
		require.Equal(t, "2/1 2/3", slots(b.owned))
		if back {
			require.Equal(t, "2/0 2/2", slots(a.owned))
		}
	}
}

func slots(set kip848.Set) string {
	var b strings.Builder
	for _, t := range set {
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, " %d/%d", t.Topic, p)
		}
	}
	return strings.TrimSpace(b.String())
}

// A request that waits for a load while another agent changes the group may be one that its client gave up: it went there
// and has come further since. What it said then must not be taken for what it says now, as here, that it owns nothing.
func TestRequestsOutrunWhileTheGroupLoads(t *testing.T) {
	w := newConsumerWorld(t, 2)
	late := w.modern("a")
	late.core = w.cores[1]
	late.send()
	load := w.loads[0]
	w.loads = nil
	a, b := w.modern("a"), w.modern("b")
	a.beat(t)
	require.Equal(t, 4, a.partitions())
	b.beat(t)
	load()
	w.settle()
	require.NotNil(t, late.ans)
	require.ErrorIs(t, late.ans.Err, ErrLoading)
	require.Equal(t, slots(a.owned), slots(w.s.Group("g").Member("a").Owned), "a has not given up anything")
	late.send() // a client that is there still comes again
	w.settle()
	require.NoError(t, late.ans.Err)
}

// The same with a join of a static member's process, which would be taken for its successor's.
func TestJoinsOutrunWhileTheGroupLoads(t *testing.T) {
	w := newWorld(t, 2)
	late := w.classic()
	late.core, late.instance = w.cores[1], "i"
	late.core.Join(w.now, &Join{
		Group: "g", Instance: "i", ClientID: "c", ProtocolType: "consumer", Protocols: []Protocol{{Name: "range"}},
		SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute, Done: func(j Joined) { late.joined = &j },
	})
	load := w.loads[0]
	w.loads = nil
	m := w.classic()
	m.instance = "i"
	w.stabilise(t, m)
	load()
	w.settle()
	require.NotNil(t, late.joined)
	require.ErrorIs(t, late.joined.Err, ErrLoading)
	m.core = w.cores[1]
	require.NoError(t, m.heartbeat(), "it is not fenced")
}

// A static member that leaves for a while need not give anything up until it is back: it is out after its session alone.
func TestStaticMemberLeavesWhileItGivesUp(t *testing.T) {
	w := newConsumerWorld(t, 1)
	a, b := w.modern("a"), w.modern("b")
	a.instance = "i"
	a.beat(t)
	all := a.owned
	b.beat(t)
	for range 10 {
		a.owned = all // it is slow: until its rebalance timeout of 60 s it may be
		a.beat(t)
		w.pass(5 * time.Second)
		b.beat(t)
	}
	a.epoch = kip848.StaticLeaveEpoch
	a.beat(t)
	for range 7 { // 85 s after it was told, 35 s after its last heartbeat
		w.pass(5 * time.Second)
		b.beat(t)
	}
	require.NotNil(t, w.s.Group("g").Member("a"))
	require.Equal(t, 2, b.partitions(), "what the other was told to give up")
	w.pass(11 * time.Second)
	require.Nil(t, w.s.Group("g").Member("a"))
}
