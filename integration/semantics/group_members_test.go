package semantics

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Semantics line 52 (KIP-394): from version 4 on a member without an id gets one and must come back with it, within its
// session timeout. Older versions and static members join at once.
func TestMembersNeedAnID(t *testing.T) {
	t.Parallel()
	n := newCluster(t).start(t, groupSettings)
	m := newMember(t, n, "g")
	m.session = 200 * time.Millisecond
	resp := m.join()()
	require.EqualValues(t, 79, resp.ErrorCode)
	require.NotEmpty(t, resp.MemberID)
	require.EqualValues(t, -1, resp.Generation)
	time.Sleep(2 * time.Second)
	require.EqualValues(t, 25, m.join()().ErrorCode, "an id that was not used in time")

	for version := int16(0); version <= 9; version++ {
		m := newMember(t, n, "of version "+string('0'+rune(version)))
		m.version = version
		want := int16(0)
		if version >= 4 {
			want = 79
		}
		require.Equal(t, want, m.join()().ErrorCode, "version %d", version)
	}
	static := newMember(t, n, "static")
	static.instance = "i"
	require.Zero(t, static.join()().ErrorCode)
}

// Semantics line 53.
func TestProtocolsMustMeet(t *testing.T) {
	n := newCluster(t).start(t, groupSettings)
	a, b := newMember(t, n, "g"), newMember(t, n, "g")
	a.protocols, b.protocols = protocols("x", "", "y", ""), protocols("y", "", "z", "")
	require.Zero(t, a.enter()().ErrorCode)
	joining := b.enter()
	a.rebalances()
	again := a.join()
	require.Equal(t, "y", text(joining().Protocol), "the only one that both have")
	again()

	for name, edit := range map[string]func(*kmsg.JoinGroupRequest){
		"no protocol":   func(r *kmsg.JoinGroupRequest) { r.Protocols = nil },
		"not in common": func(r *kmsg.JoinGroupRequest) { r.Protocols = protocols("x", "") },
		"another type":  func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "connect" },
	} {
		c := newMember(t, n, "g")
		req := c.joinRequest()
		edit(req)
		require.EqualValues(t, 23, ask[*kmsg.JoinGroupResponse](c.client, 9, req).ErrorCode, name)
	}
	empty := newMember(t, n, "another")
	empty.protocols = nil
	require.EqualValues(t, 23, empty.join()().ErrorCode)
}

// Semantics line 54.
func TestBoundsOfGroups(t *testing.T) {
	n := newCluster(t).start(t, groupSettings)
	for _, session := range []time.Duration{199 * time.Millisecond, 31 * time.Minute} {
		m := newMember(t, n, "g")
		m.session = session
		require.EqualValues(t, 26, m.join()().ErrorCode)
	}
	nameless := newMember(t, n, "")
	require.EqualValues(t, 24, nameless.join()().ErrorCode)
	require.EqualValues(t, 24, nameless.heartbeat())
	require.EqualValues(t, 24, nameless.sync().ErrorCode)

	var joining []func() *kmsg.JoinGroupResponse
	first := newMember(t, n, "full")
	first.alone()
	for range 2 {
		joining = append(joining, newMember(t, n, "full").enter())
	}
	first.rebalances()
	again := first.join()
	for _, joined := range append(joining, again) {
		require.Zero(t, joined().ErrorCode)
	}
	require.EqualValues(t, 81, newMember(t, n, "full").join()().ErrorCode)
}

// Semantics lines 55, 56: a rebalance waits for its members as long as the longest of their rebalance timeouts; who has
// not come back by then is out. Who joins and never asks for the assignment goes the same way.
func TestRebalanceTimeout(t *testing.T) {
	t.Parallel()
	n := newCluster(t).start(t, groupSettings)
	a, b, c := newMember(t, n, "g"), newMember(t, n, "g"), newMember(t, n, "g")
	for _, m := range []*member{a, b, c} {
		m.rebalance = 2 * time.Second
	}
	a.alone()
	require.Zero(t, a.heartbeat())
	joining := b.enter()
	a.rebalances()
	again := a.join()
	require.Zero(t, joining().ErrorCode)
	require.Zero(t, again().ErrorCode)
	require.EqualValues(t, 2, a.generation)
	require.Zero(t, a.heartbeat(), "while the assignment is awaited")
	require.Zero(t, a.sync().ErrorCode)
	require.Zero(t, b.sync().ErrorCode)

	began := time.Now()
	joining = c.enter() // b does not come back
	a.rebalances()
	again = a.join()
	require.Zero(t, joining().ErrorCode)
	require.Greater(t, time.Since(began), 1950*time.Millisecond)
	again()
	require.EqualValues(t, 25, b.heartbeat())

	// c never asks for its assignment.
	require.Zero(t, a.sync().ErrorCode)
	a.rebalances() // without c
	require.Zero(t, a.join()().ErrorCode)
	require.EqualValues(t, 4, a.generation)
	require.Len(t, a.members, 1)
	require.EqualValues(t, 25, c.heartbeat())

	stale := *a
	stale.generation = 1
	require.EqualValues(t, 22, stale.heartbeat())
	stranger := newMember(t, n, "g")
	stranger.id = "nobody"
	require.EqualValues(t, 25, stranger.heartbeat())
}

// Semantics line 57: the leader alone hears who the members are; a member that it forgets gets an empty assignment, and
// what it assigns is passed on untouched (Regression R9).
func TestTheLeaderAssigns(t *testing.T) {
	n := newCluster(t).start(t, groupSettings)
	a, b := newMember(t, n, "g"), newMember(t, n, "g")
	a.protocols, b.protocols = protocols("range", "a's\x00\xff"), protocols("range", "b's")
	a.alone()
	joining := b.enter()
	a.rebalances()
	again := a.join()
	require.Empty(t, joining().Members)
	resp := again()
	require.Len(t, resp.Members, 2)
	told := map[string]string{}
	for _, m := range resp.Members {
		told[m.MemberID] = string(m.ProtocolMetadata)
	}
	require.Equal(t, map[string]string{a.id: "a's\x00\xff", b.id: "b's"}, told)

	pending := b.syncRequest()
	id := b.send(pending)
	plan := a.syncRequest()
	plan.GroupAssignment = plan.GroupAssignment[:1]
	plan.GroupAssignment[0].MemberID, plan.GroupAssignment[0].MemberAssignment = a.id, []byte("\x00\x01\xfe")
	own := ask[*kmsg.SyncGroupResponse](a.client, 4, plan)
	require.Zero(t, own.ErrorCode)
	require.Equal(t, "\x00\x01\xfe", string(own.MemberAssignment))
	forgotten := receive[*kmsg.SyncGroupResponse](b.client, id, pending)
	require.Zero(t, forgotten.ErrorCode)
	require.Empty(t, forgotten.MemberAssignment)

	for name, edit := range map[string]func(*kmsg.SyncGroupRequest){
		"another type":     func(r *kmsg.SyncGroupRequest) { r.ProtocolType = kmsg.StringPtr("connect") },
		"another protocol": func(r *kmsg.SyncGroupRequest) { r.Protocol = kmsg.StringPtr("sticky") },
	} {
		req := b.syncRequest()
		req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
		require.Zero(t, ask[*kmsg.SyncGroupResponse](b.client, 5, req).ErrorCode)
		edit(req)
		require.EqualValues(t, 23, ask[*kmsg.SyncGroupResponse](b.client, 5, req).ErrorCode, name)
	}
}

// Semantics line 58.
func TestJoiningAgain(t *testing.T) {
	n := newCluster(t).start(t, groupSettings)
	a, b := newMember(t, n, "g"), newMember(t, n, "g")
	a.alone()
	joining := b.enter()
	a.rebalances()
	again := a.join()
	joining()
	again()
	require.Zero(t, a.sync().ErrorCode)
	require.Zero(t, b.sync().ErrorCode)

	require.EqualValues(t, 2, b.join()().Generation, "a follower that says what it said before")
	require.Zero(t, a.heartbeat())
	b.protocols = protocols("range", "other")
	joining = b.join()
	a.rebalances() // as a follower says something else
	again = a.join()
	joining()
	require.EqualValues(t, 3, again().Generation)
	a.sync()
	b.sync()
	again = a.join()
	b.rebalances() // as the leader joins again
	joining = b.join()
	require.EqualValues(t, 4, again().Generation)
	joining()
}

// Semantics line 59 (KIP-345, KIP-814): a static member that comes back gets a new id and its old assignment, without a
// rebalance. The process before it is fenced.
func TestStaticMembers(t *testing.T) {
	n := newCluster(t).start(t, groupSettings)
	for _, version := range []int16{8, 9} {
		a := newMember(t, n, "static "+string('0'+rune(version)))
		a.instance, a.version = "i", version
		a.alone()
		b := newMember(t, n, a.group)
		b.instance, b.version = "i", version
		resp := b.join()()
		require.Zero(t, resp.ErrorCode)
		require.NotEqual(t, a.id, b.id)
		require.EqualValues(t, 1, resp.Generation)
		if version == 9 {
			require.True(t, resp.SkipAssignment)
			require.Equal(t, b.id, resp.LeaderID)
			require.Len(t, resp.Members, 1)
		} else {
			require.Equal(t, a.id, resp.LeaderID, "it must not believe that it leads")
			require.Empty(t, resp.Members)
		}
		b.members = nil
		got := b.sync()
		require.Zero(t, got.ErrorCode)
		require.Equal(t, "1 for "+a.id, string(got.MemberAssignment))
		require.EqualValues(t, 82, a.heartbeat())
		require.EqualValues(t, 82, a.sync().ErrorCode)
		require.EqualValues(t, 82, a.join()().ErrorCode)
		require.Zero(t, b.heartbeat())
	}

	// Fenced while its join is parked.
	leader := newMember(t, n, "parked")
	leader.alone()
	a, b := newMember(t, n, "parked"), newMember(t, n, "parked")
	a.instance, b.instance = "i", "i"
	parked := a.join()
	leader.rebalances()
	joining := b.join()
	require.EqualValues(t, 82, parked().ErrorCode)
	again := leader.join()
	require.Zero(t, joining().ErrorCode)
	again()
}

// Semantics line 60.
func TestLeavingGroups(t *testing.T) {
	n := newCluster(t).start(t, groupSettings)
	a, s := newMember(t, n, "g"), newMember(t, n, "g")
	s.instance = "i"
	a.alone()
	joining := s.join()
	a.rebalances()
	again := a.join()
	joining()
	again()
	c := dial(t, n)
	require.Equal(t, []int16{25, 82, 0, 25}, leave(c, "g", leaver("nobody", ""), leaver(a.id, "i"), leaver("", "i"), leaver("", "i")))
	require.EqualValues(t, 27, a.heartbeat())
	require.Zero(t, a.join()().ErrorCode)

	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = "g", "nobody"
	require.EqualValues(t, 25, ask[*kmsg.LeaveGroupResponse](c, 2, req).ErrorCode, "before there were batches")
	req.MemberID = a.id
	require.Zero(t, ask[*kmsg.LeaveGroupResponse](c, 1, req).ErrorCode)
	require.Equal(t, "Empty", describeGroup(c, 5, "g").State, "at once, when the last one has left")
	require.Equal(t, []int16{25}, leave(c, "unheard of", leaver("x", "")))
}

// A member that is silent for its session timeout is out, and the others get its share.
func TestSessionTimeout(t *testing.T) {
	t.Parallel()
	n := newCluster(t).start(t, groupSettings)
	a, b := newMember(t, n, "g"), newMember(t, n, "g")
	b.session = 2 * time.Second
	a.alone()
	joining := b.enter()
	a.rebalances()
	again := a.join()
	joining()
	again()
	require.Zero(t, a.sync().ErrorCode)
	require.Zero(t, b.sync().ErrorCode)
	a.rebalances() // without b
	require.Zero(t, a.join()().ErrorCode)
	require.Len(t, a.members, 1)
}
