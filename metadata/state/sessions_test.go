package state

import (
	"fmt"
	"testing"

	"wadi/internal/layout"
)

// DESIGN section 3: an administrative command is refused when another session changed its object after base.
func TestDeleteConflict(t *testing.T) {
	j := newJournal(t)
	before := j.position
	number := uint64(j.must(bob, createTopic("t", 1, before)))
	if got := j.codes(alice, deleteTopic(number, before)); got[0] != Conflict {
		t.Errorf("a deletion that arrived before another session's creation: %v", got)
	}
	if got := j.codes(bob, deleteTopic(number, before)); got[0] != OK {
		t.Errorf("a deletion by the session that created: %v", got)
	}
}

// DESIGN section 3: State takes exactly last+1, takes at or below for a repeat, and closes a session that skips.
func TestSequences(t *testing.T) {
	j := newJournal(t)
	send := func(seq uint64) Results {
		j.position++
		r := j.s.Apply(Entry{Position: j.position, Session: alice, Seq: seq, Body: entryAt(1, initProducer())})
		return Results{Repeat: r.Repeat, Refused: r.Refused, Commands: r.Commands}
	}
	pid := j.s.NextProducerID()
	if r := send(2); r.Repeat || r.Refused != OK || r.Commands[0].ID != pid {
		t.Errorf("the next entry: %+v", r)
	}
	for _, seq := range []uint64{2, 1, 0} {
		if r := send(seq); !r.Repeat || len(r.Commands) != 0 {
			t.Errorf("sequence %d again: %+v", seq, r)
		}
	}
	if r := send(4); r.Repeat || r.Refused != SessionNotOpen {
		t.Errorf("an entry that skips: %+v", r)
	}
	if r := send(3); r.Refused != SessionNotOpen {
		t.Errorf("the entry that was skipped: %+v", r)
	}
	v, _ := j.s.Session(alice)
	if v.Closed == 0 || v.NodeID != -1 || j.s.NextProducerID() != pid+1 {
		t.Errorf("session %+v, next producer id %d", v, j.s.NextProducerID())
	}
	if r := send(2); !r.Repeat {
		t.Errorf("a repeat of what was judged, from a closed session: %+v", r)
	}
}

// A node id is the smallest that no open session holds.
func TestNodeIDs(t *testing.T) {
	j := newJournal(t)
	if got := j.must(30, openSession()); got != 2 {
		t.Errorf("the third session is node %d", got)
	}
	j.must(bob, closeSession(alice))
	if got := j.must(31, openSession()); got != 0 {
		t.Errorf("after node 0 closed, the next session is node %d", got)
	}
	if r := j.apply(alice, nil, initProducer()); r.Refused != SessionNotOpen {
		t.Errorf("an entry of a closed session: %+v", r)
	}
	if got := j.codes(bob, closeSession(alice), closeSession(99), closeSession(bob), initProducer()); got[0] != Stale ||
		got[1] != Stale || got[2] != OK || got[3] != SessionNotOpen {
		t.Errorf("codes %v", got)
	}
	if r := j.apply(77, nil, initProducer()); r.Refused != SessionNotOpen {
		t.Errorf("the first entry of a session that does not open it: %+v", r)
	}
}

// A new node id is none that was given before: not when its session is closed, nor when State comes from a base. After
// the last one they begin again, and leave out what is held.
func TestNewNodeIDs(t *testing.T) {
	j := newJournal(t) // nodes 0 and 1
	session := layout.Session(40)
	open := func(want int64) {
		t.Helper()
		session++
		c := openSession()
		c.GetOpenSession().NewNodeId = true
		if got := j.must(session, c); got != want {
			t.Errorf("the new node id is %d, want %d", got, want)
		}
	}
	open(2)
	open(3)
	j.must(bob, closeSession(session))
	open(4)
	j.must(bob, closeSession(session))
	j.s = reload(t, j.s)
	open(5)
	j.s.nextNodeID = nodeIDs - 1
	open(nodeIDs - 1)
	open(3)
}

// An agent that comes back to its address is the node that it was, unless somebody still holds the id: then it is a new
// one, there, from then on. State remembers the newest addresses alone.
func TestNodeIDsComeBackToTheirAddress(t *testing.T) {
	j := newJournal(t) // nodes 0 and 1
	session := layout.Session(40)
	open := func(address string, want int64) layout.Session {
		t.Helper()
		session++
		c := openSession()
		c.GetOpenSession().NewNodeId, c.GetOpenSession().Address = true, address
		if got := j.must(session, c); got != want {
			t.Errorf("%s is node %d, want %d", address, got, want)
		}
		return session
	}
	first := open("a:1", 2)
	open("b:1", 3)
	j.must(bob, closeSession(first))
	first = open("a:1", 2)
	second := open("a:1", 4) // its process before has not ended yet, for all that is known
	j.must(bob, closeSession(first))
	open("c:1", 5)
	j.must(bob, closeSession(second))
	j.s = reload(t, j.s)
	j.must(bob, closeSession(open("a:1", 4)))
	for i := range maxAddresses {
		j.must(bob, closeSession(open(fmt.Sprintf("d:%d", i), int64(6+i))))
	}
	open("a:1", int64(6+maxAddresses))
}

// Who opens a session and lists those that had a key closes the others that were open then: a process that comes back to
// its address is the node that it was, although nobody closed its session before. What was opened later is left alone, and
// so is everything when the list cannot be one: not sorted, of the future, without the session that brings it.
func TestOpeningClosesWhatIsNotListed(t *testing.T) {
	j := newJournal(t)
	session := layout.Session(40)
	open := func(address string, at int64, listed ...int64) (layout.Session, Result) {
		session++
		c := openSession()
		k := c.GetOpenSession()
		k.NewNodeId, k.Address, k.ListedAt, k.Listed = true, address, at, listed
		r := j.apply(session, nil, c)
		return session, r.Commands[0]
	}
	closed := func(id layout.Session) bool { v, _ := j.s.Session(id); return v.Closed != 0 }
	first, r := open("a:1", 0)
	if r.Code != OK || r.ID != 2 {
		t.Fatalf("%+v", r)
	}
	listedAt := j.position
	later, _ := open("b:1", 0)
	for _, bad := range []struct {
		at     int64
		listed []int64
	}{
		{0, []int64{int64(session) + 1}}, {-1, []int64{int64(session) + 1}}, {j.position + 100, []int64{int64(session) + 1}},
		{listedAt, nil}, {listedAt, []int64{int64(alice)}}, {listedAt, []int64{int64(session) + 1, int64(alice)}},
		{listedAt, []int64{int64(alice), int64(alice), int64(session) + 1}},
	} {
		c := openSession()
		c.GetOpenSession().ListedAt, c.GetOpenSession().Listed = bad.at, bad.listed
		j.seqs[session+1] = 0
		if got := j.codes(session+1, c); got[0] != Invalid || closed(first) {
			t.Errorf("listed at %d: %v: %v, closed %v", bad.at, bad.listed, got, closed(first))
		}
	}
	j.seqs[session+1] = 0
	again, r := open("a:1", listedAt, int64(bob), int64(session)+1)
	if r.Code != OK || r.ID != 2 {
		t.Errorf("the agent comes back as %+v", r)
	}
	if !closed(first) || !closed(alice) || closed(bob) || closed(later) || closed(again) {
		t.Errorf("closed: first %v, alice %v, bob %v, later %v, again %v", closed(first), closed(alice), closed(bob), closed(later), closed(again))
	}
	if r := j.apply(alice, nil, initProducer()); r.Refused != SessionNotOpen {
		t.Errorf("an entry of a session that is closed so: %+v", r)
	}
	if err := j.s.Check(); err != nil {
		t.Error(err)
	}
}

// DESIGN section 3.3: State takes the first InitCluster, ignores repeats and refuses everything before it.
func TestInitCluster(t *testing.T) {
	s := New()
	r := s.Apply(Entry{Position: 1, Session: alice, Seq: 1, Body: entryAt(1, openSession())})
	if r.Commands[0].Code != NotInitialized {
		t.Errorf("a session before the cluster: %+v", r)
	}
	r = s.Apply(Entry{Position: 2, Session: alice, Seq: 1, Body: entryAt(1, initCluster(), openSession())})
	if r.Commands[0].Code != OK || r.Commands[1].Code != OK || s.ClusterID() != "cluster" {
		t.Errorf("the first InitCluster: %+v", r)
	}
	again := initCluster()
	again.GetInitCluster().ClusterId = "other"
	r = s.Apply(Entry{Position: 3, Session: bob, Seq: 1, Body: entryAt(1, again, openSession())})
	if r.Commands[0].Code != Stale || r.Commands[1].Code != OK || s.ClusterID() != "cluster" {
		t.Errorf("another InitCluster: %+v, cluster %q", r, s.ClusterID())
	}
}
