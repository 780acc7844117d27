package group

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/metadata/state"
)

// Semantics line 52 (KIP-394): a member without an id is told to come back with the one it gets, and has a session
// timeout to do so; older clients join at once, and so do static members.
func TestMemberIDRequired(t *testing.T) {
	w := newWorld(t, 1)
	m := w.classic()
	m.join()
	require.ErrorIs(t, m.joined.Err, ErrMemberIDRequired)
	require.Equal(t, "c-1", m.joined.Member)
	w.pass(m.session + time.Millisecond)
	m.join()
	require.ErrorIs(t, m.joined.Err, ErrUnknownMember)
	require.Empty(t, w.cores[0].groups, "a group of which nothing is left stays in memory")

	old, static := w.classic(), w.classic()
	old.oldClient, static.instance = true, "i"
	old.join()
	static.join()
	require.Nil(t, old.joined, "it waits for the first rebalance to end")
	w.pass(7 * time.Second)
	require.NoError(t, old.joined.Err)
	require.NoError(t, static.joined.Err)
	require.EqualValues(t, 1, old.generation)
}

// The generation and the assignment are State before a member hears of them, and heartbeats write nothing.
func TestStateKnowsFirst(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.classic(), w.classic()
	a.enter()
	b.enter()
	for range 2 { // b has bought those that have not come yet another round
		w.now += 3 * time.Second
		w.cores[0].Tick(w.now)
	}
	require.Len(t, w.journal, 1)
	require.Nil(t, a.joined, "told of a generation that is not State")
	w.settle()
	require.NoError(t, a.joined.Err)
	g := w.s.Group("g")
	require.Equal(t, state.GroupCompleting, g.State)
	require.EqualValues(t, 1, g.Generation)
	require.Len(t, g.Members(), 2)

	// Semantics line 57: the leader alone learns who the members are.
	require.Len(t, a.joined.Members, 2)
	require.Equal(t, a.id, b.joined.Leader)
	require.Empty(t, b.joined.Members)
	w.syncAll(t, b, a)
	require.Equal(t, "1 "+b.id, string(w.s.Group("g").Member(b.id).Assignment))

	writes := w.writes
	for range 100 {
		require.NoError(t, a.heartbeat())
		require.NoError(t, b.heartbeat())
		w.pass(3 * time.Second)
	}
	require.Equal(t, writes, w.writes)
}

// The first rebalance waits group.initial.rebalance.delay.ms, again for whoever comes meanwhile, and at most a rebalance
// timeout.
func TestInitialDelay(t *testing.T) {
	w := newWorld(t, 1)
	var all []*classicMember
	for range 5 {
		m := w.classic()
		m.rebalance = 10 * time.Second
		m.oldClient = true
		m.join()
		all = append(all, m)
		w.pass(2*time.Second - time.Millisecond/5)
	}
	for _, m := range all {
		require.Nil(t, m.joined)
	}
	w.pass(time.Millisecond)
	for _, m := range all {
		require.NotNil(t, m.joined)
		require.NoError(t, m.joined.Err)
	}
}

// A member that comes later makes the others join again (Semantics lines 55, 56).
func TestLateJoiner(t *testing.T) {
	w := newWorld(t, 1)
	a, b, c := w.classic(), w.classic(), w.classic()
	w.stabilise(t, a, b)
	c.enter()
	require.Nil(t, c.joined)
	require.ErrorIs(t, a.heartbeat(), ErrRebalanceInProgress)
	require.NoError(t, w.cores[0].Committing(w.now, "g", a.id, "", 1), "commits of the old generation go on")
	a.join()
	b.join()
	require.EqualValues(t, 2, c.generation)
	require.NoError(t, a.heartbeat(), "while the assignment is awaited")
	require.ErrorIs(t, w.cores[0].Committing(w.now, "g", a.id, "", 2), ErrRebalanceInProgress)
	require.ErrorIs(t, w.cores[0].Committing(w.now, "g", a.id, "", 1), ErrIllegalGeneration)
	w.syncAll(t, a, b, c)
	a.generation = 1
	require.ErrorIs(t, a.heartbeat(), ErrIllegalGeneration)
	a.sync()
	require.ErrorIs(t, a.synced.Err, ErrIllegalGeneration)
}

// Semantics line 55: dynamic members that do not join again are out when the rebalance timeout is over; static ones stay.
func TestWhoDoesNotJoinAgain(t *testing.T) {
	w := newWorld(t, 1)
	a, b, s, c := w.classic(), w.classic(), w.classic(), w.classic()
	s.instance, s.session, b.session = "i", 5*time.Minute, 5*time.Minute
	w.stabilise(t, a, b, s)
	c.enter()
	a.join()
	w.pass(59 * time.Second)
	require.Nil(t, a.joined)
	w.pass(2 * time.Second)
	require.NoError(t, a.joined.Err)
	require.Nil(t, w.s.Group("g").Member(b.id))
	require.NotNil(t, w.s.Group("g").Member(s.id))
	require.ErrorIs(t, b.heartbeat(), ErrUnknownMember)
}

// Members that joined and never ask for their assignment are removed after the rebalance timeout (Semantics line 55).
func TestWhoNeverSyncs(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.classic(), w.classic()
	b.session = 5 * time.Minute
	w.stabilise(t, a)
	b.enter()
	a.join()
	a.sync()
	for range 19 {
		w.pass(3 * time.Second)
		require.NoError(t, a.heartbeat())
	}
	w.pass(4 * time.Second)
	require.ErrorIs(t, a.heartbeat(), ErrRebalanceInProgress)
	a.join()
	require.EqualValues(t, 3, a.generation)
	require.Len(t, w.s.Group("g").Members(), 1)
}

// Semantics line 58.
func TestRejoinWhenStable(t *testing.T) {
	w := newWorld(t, 1)
	leader, follower := w.classic(), w.classic()
	w.stabilise(t, leader, follower)
	writes := w.writes
	follower.join()
	require.EqualValues(t, 1, follower.joined.Generation)
	follower.sync()
	require.Equal(t, "1 "+follower.id, string(follower.synced.Assignment))
	require.Equal(t, writes, w.writes, "a follower that asks again changes nothing")

	follower.metadata = "other topics"
	follower.join()
	require.Nil(t, follower.joined)
	leader.join()
	require.EqualValues(t, 2, leader.generation)
	require.Equal(t, "other topics", string(leader.joined.Members[1].Metadata))
	w.syncAll(t, leader, follower)

	leader.join() // the topics have changed, perhaps
	require.Nil(t, leader.joined)
	follower.join()
	require.EqualValues(t, 3, leader.generation)

	// The answer was lost: while the assignment is awaited, a member gets the same one again.
	writes = w.writes
	leader.join()
	require.EqualValues(t, 3, leader.joined.Generation)
	require.Len(t, leader.joined.Members, 2)
	require.Equal(t, writes, w.writes)
}

// Semantics line 59 (KIP-345, KIP-814): a process that comes back under its instance id takes its predecessor's place
// without a rebalance; whoever acts under the old id is fenced. A leader of version 9 is told to leave the assignment
// alone, an older one that it does not lead.
func TestStaticMemberComesBack(t *testing.T) {
	for _, old := range []bool{false, true} {
		w := newWorld(t, 1)
		a, b := w.classic(), w.classic()
		a.instance, b.instance = "ia", "ib"
		w.stabilise(t, a, b)
		before := *a
		a.id, a.oldClient = "", old
		a.join()
		require.NoError(t, a.joined.Err)
		require.NotEqual(t, before.id, a.id)
		require.EqualValues(t, 1, a.generation)
		require.NotNil(t, w.s.Group("g").Member(a.id), "State knows the new id first")
		require.Nil(t, w.s.Group("g").Member(before.id))
		if old {
			require.Equal(t, before.id, a.joined.Leader)
			require.False(t, a.joined.SkipAssignment)
			require.Empty(t, a.joined.Members)
		} else {
			require.Equal(t, a.id, a.joined.Leader)
			require.True(t, a.joined.SkipAssignment)
			require.Len(t, a.joined.Members, 2)
		}
		a.sync()
		require.Equal(t, "1 "+before.id, string(a.synced.Assignment), "its predecessor's assignment")
		require.NoError(t, b.heartbeat())
		require.ErrorIs(t, before.heartbeat(), ErrFencedInstance)
		before.sync()
		require.ErrorIs(t, before.synced.Err, ErrFencedInstance)
		require.ErrorIs(t, w.cores[0].Committing(w.now, "g", before.id, "ia", 1), ErrFencedInstance)
	}
}

// A static member that is replaced while its join is parked hears that it is fenced (Semantics line 59).
func TestStaticMemberReplacedWhileWaiting(t *testing.T) {
	w := newWorld(t, 1)
	a := w.classic()
	a.instance = "i"
	a.join()
	b := w.classic()
	b.instance = "i"
	b.join()
	require.ErrorIs(t, a.joined.Err, ErrFencedInstance)
	w.pass(10 * time.Second)
	require.NoError(t, b.joined.Err)
	require.Len(t, w.s.Group("g").Members(), 1)
}

// Semantics line 60.
func TestLeaveGroup(t *testing.T) {
	w := newWorld(t, 1)
	a, b, c := w.classic(), w.classic(), w.classic()
	b.instance = "ib"
	w.stabilise(t, a, b, c)
	each, err := w.leave(w.cores[0], Leaver{Member: a.id}, Leaver{Instance: "ib"}, Leaver{Member: "nobody"}, Leaver{Instance: "no"},
		Leaver{Member: c.id, Instance: "ib"})
	require.NoError(t, err)
	require.Equal(t, []error{nil, nil, ErrUnknownMember, ErrUnknownMember, ErrUnknownMember}, each)
	require.ErrorIs(t, c.heartbeat(), ErrRebalanceInProgress)
	c.join()
	require.EqualValues(t, 2, c.generation)
	c.sync()

	// When the last one leaves, the group is empty in State before it hears so.
	each, err = w.leave(w.cores[0], Leaver{Member: c.id})
	require.NoError(t, err)
	require.Equal(t, []error{nil}, each)
	require.Equal(t, state.GroupEmpty, w.s.Group("g").State)
	require.EqualValues(t, 3, w.s.Group("g").Generation)
	require.Empty(t, w.cores[0].groups)

	d := w.classic()
	w.stabilise(t, d)
	require.EqualValues(t, 4, d.generation, "generations go on where they were")
}

// Semantics line 53: the protocol is one that all support, and most prefer.
func TestVote(t *testing.T) {
	w := newWorld(t, 1)
	a, b, c := w.classic(), w.classic(), w.classic()
	a.protocols = []string{"only a", "x", "y"}
	b.protocols = []string{"y", "x"}
	c.protocols = []string{"y", "x", "z"}
	w.stabilise(t, a, b, c)
	require.Equal(t, "y", a.joined.Protocol)

	for name, change := range map[string]func(*Join){
		"another type": func(j *Join) { j.ProtocolType = "connect" },
		"none":         func(j *Join) { j.Protocols = nil },
		"not common":   func(j *Join) { j.Protocols = []Protocol{{Name: "z"}} },
	} {
		var got Joined
		j := &Join{Group: "g", ProtocolType: "consumer", Protocols: []Protocol{{Name: "x"}}, SessionTimeout: 10 * time.Second,
			Done: func(x Joined) { got = x }}
		change(j)
		w.cores[0].Join(w.now, j)
		require.ErrorIs(t, got.Err, ErrInconsistentProtocol, name)
	}
	wrong := "z"
	var got Synced
	w.cores[0].Sync(w.now, &Sync{Group: "g", Member: a.id, Generation: 1, Protocol: &wrong, Done: func(s Synced) { got = s }})
	require.ErrorIs(t, got.Err, ErrInconsistentProtocol)
}

// Semantics line 54.
func TestBounds(t *testing.T) {
	w := newWorld(t, 1, func(c *Config) { c.MaxSize = 2 })
	a, b, c := w.classic(), w.classic(), w.classic()
	for _, session := range []time.Duration{6*time.Second - 1, 30*time.Minute + 1} {
		c.session = session
		c.join()
		require.ErrorIs(t, c.joined.Err, ErrInvalidTimeout)
	}
	c.session = 6 * time.Second
	w.stabilise(t, a, b)
	c.enter()
	require.ErrorIs(t, c.joined.Err, ErrMaxSize)
	require.NoError(t, a.heartbeat())
	a.join() // the leader starts a rebalance: there is room for two still
	b.join()
	require.NoError(t, b.joined.Err)

	var got Joined
	w.cores[0].Join(w.now, &Join{SessionTimeout: 10 * time.Second, Done: func(j Joined) { got = j }})
	require.ErrorIs(t, got.Err, ErrInvalidGroup)

	big := w.classic()
	big.metadata = string(make([]byte, maxGroupBytes))
	w2 := newWorld(t, 1)
	big.w, big.core = w2, w2.cores[0]
	big.enter()
	require.ErrorIs(t, big.joined.Err, ErrMaxSize)
}

// A member that falls silent is out after its session timeout.
func TestSilentMember(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.classic(), w.classic()
	w.stabilise(t, a, b)
	for range 4 {
		w.pass(3 * time.Second)
		if err := a.heartbeat(); err != nil {
			require.ErrorIs(t, err, ErrRebalanceInProgress)
		}
	}
	a.join()
	require.EqualValues(t, 2, a.generation)
	require.Nil(t, w.s.Group("g").Member(b.id))
	require.NoError(t, w.cores[0].Committing(w.now, "other", b.id, "", 1), "a group that is not in memory is State's to judge")
}

// A coordinator that takes over finds the group as it was: no rebalance, and a session timeout for every member.
func TestTakeOver(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.classic(), w.classic()
	w.stabilise(t, a, b)
	writes := w.writes
	w.pass(9 * time.Second)
	a.core, b.core = w.cores[1], w.cores[1]
	w.cores[0].Lose(w.now, w.cores[0].Names())
	w.cores[1].Adopt(w.now, "g")
	w.settle()
	w.pass(9 * time.Second)
	require.NoError(t, a.heartbeat())
	require.Equal(t, writes, w.writes, "moving a group must not cost a write")
	w.pass(2 * time.Second)
	require.ErrorIs(t, a.heartbeat(), ErrRebalanceInProgress, "b had its session timeout")
	a.join()
	require.EqualValues(t, 2, a.generation)
	require.Len(t, w.s.Group("g").Members(), 1)
}

// A coordinator that takes over between the generation and its assignment goes on there.
func TestTakeOverBeforeTheAssignment(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.classic(), w.classic()
	a.enter()
	b.enter()
	w.pass(10 * time.Second)
	b.sync()
	require.Nil(t, b.synced)
	w.cores[0].Lose(w.now, w.cores[0].Names())
	require.ErrorIs(t, b.synced.Err, ErrNotCoordinator)
	a.core, b.core = w.cores[1], w.cores[1]
	w.syncAll(t, b, a)
	require.EqualValues(t, 1, w.s.Group("g").Generation)
}

// Two agents believe to coordinate the group. The one whose change State does not take forgets what it held.
func TestTwoCoordinators(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.classic(), w.classic()
	w.stabilise(t, a, b)
	stranger := w.classic()
	stranger.core = w.cores[1]
	stranger.enter()
	require.Nil(t, stranger.joined)
	for range 3 { // neither a nor b come to the other agent
		require.NoError(t, a.heartbeat())
		require.NoError(t, b.heartbeat())
		w.pass(4 * time.Second)
	}
	require.NoError(t, stranger.joined.Err)
	require.ErrorIs(t, a.heartbeat(), ErrUnknownMember, "the first agent has looked again")

	// Both propose at once: one is refused and its members are sent away.
	w = newWorld(t, 2)
	x, y := w.classic(), w.classic()
	y.core = w.cores[1]
	x.enter()
	y.enter()
	w.now += 3 * time.Second
	w.cores[0].Tick(w.now)
	w.cores[1].Tick(w.now)
	require.Len(t, w.journal, 2)
	w.settle()
	require.NoError(t, x.joined.Err)
	require.ErrorIs(t, y.joined.Err, ErrNotCoordinator)
	require.Len(t, w.s.Group("g").Members(), 1)
}

// What comes for a group while a change of it is on its way waits, in order; a change whose fate is unknown sends all of
// them away.
func TestRequestsWaitBehindAChange(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.classic(), w.classic()
	w.stabilise(t, a, b)
	var answers []error
	a.join()
	b.joined = nil
	w.cores[0].Join(w.now, &Join{
		Group: "g", Member: b.id, ProtocolType: "consumer", Protocols: []Protocol{{Name: "range", Metadata: []byte("")}},
		SessionTimeout: b.session, RebalanceTimeout: b.rebalance, Done: func(j Joined) { b.joined = &j },
	})
	require.Len(t, w.journal, 1)
	for range 2 {
		w.cores[0].Heartbeat(w.now, &Heartbeat{Group: "g", Member: a.id, Generation: 1, Done: func(err error) { answers = append(answers, err) }})
	}
	require.Empty(t, answers)
	p := w.journal[0]
	w.journal = nil
	w.cores[0].Decided(w.now, p.group, p.ticket, Outcome{Err: errors.New("nobody knows")})
	require.Equal(t, []error{ErrNotCoordinator, ErrNotCoordinator}, answers)
	require.ErrorIs(t, a.joined.Err, ErrNotCoordinator)
	require.ErrorIs(t, b.joined.Err, ErrNotCoordinator)
	require.NoError(t, a.heartbeat(), "the group is as State has it")
}

// A leader's assignment that cannot be written is an error to everybody, and a new rebalance.
func TestAssignmentTooLarge(t *testing.T) {
	w := newWorld(t, 1)
	a := w.classic()
	a.enter()
	w.pass(4 * time.Second)
	var got Synced
	w.cores[0].Sync(w.now, &Sync{Group: "g", Member: a.id, Generation: 1, Done: func(s Synced) { got = s },
		Assignments: map[string][]byte{a.id: make([]byte, maxGroupBytes+1)}})
	require.ErrorIs(t, got.Err, ErrTooLarge)
	require.ErrorIs(t, a.heartbeat(), ErrRebalanceInProgress)
}

// What a client's assignor says is passed on untouched, also to members that the leader forgot (Regression R9).
func TestAssignmentsPassThrough(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.classic(), w.classic()
	a.protocols, b.protocols = []string{"cooperative-sticky"}, []string{"cooperative-sticky"}
	a.metadata = string([]byte{0, 3, 255, 0})
	a.enter()
	b.enter()
	w.pass(10 * time.Second)
	require.Equal(t, a.metadata, string(a.joined.Members[0].Metadata))
	plan := []byte{0, 1, 2, 255, 0}
	b.sync()
	var got Synced
	w.cores[0].Sync(w.now, &Sync{Group: "g", Member: a.id, Generation: 1, Assignments: map[string][]byte{a.id: plan}, Done: func(s Synced) { got = s }})
	w.settle()
	require.Equal(t, plan, got.Assignment)
	require.NoError(t, b.synced.Err)
	require.Empty(t, b.synced.Assignment)
}
