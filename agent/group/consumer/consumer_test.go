package consumer

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"wadi/metadata/state"
)

// topicList is topics for tests; its index is the number less one.
type topicList []Topic

func (l topicList) Named(name string) (Topic, bool) {
	i := slices.IndexFunc(l, func(t Topic) bool { return t.Name == name })
	if i < 0 {
		return Topic{}, false
	}
	return l[i], true
}

func (l topicList) Matching(re *regexp.Regexp) (found []Topic) {
	for _, t := range l {
		if t.Name != "" && re.MatchString(t.Name) {
			found = append(found, t)
		}
	}
	return found
}

func (l topicList) Name(number uint64) (string, bool) {
	if number == 0 || number > uint64(len(l)) {
		return "", false
	}
	return l[number-1].Name, true
}

func (l *topicList) add(name string, partitions uint32) {
	*l = append(*l, Topic{Number: uint64(len(*l) + 1), Name: name, Partitions: partitions})
}

// renew deletes a topic and makes another one of the same name.
func (l *topicList) renew(i int) {
	name, partitions := (*l)[i].Name, (*l)[i].Partitions
	(*l)[i] = Topic{}
	l.add(name, partitions)
}

// rig is a group whose changes State always takes.
type rig struct {
	t       require.TestingT
	g       *Group
	topics  topicList
	version int64
}

func newRig(t require.TestingT) *rig { return &rig{t: t, g: New(0, 0)} }

func (r *rig) apply(c Change) {
	r.epochsRight(c)
	for _, u := range c {
		r.version++
		r.g.Apply(u, r.version)
	}
}

func (r *rig) beat(h *Heartbeat) (Answer, error) {
	require.NoError(r.t, h.Check())
	var a Answer
	var c Change
	var err error
	if h.Epoch < 0 {
		a, c, err = r.g.Leave(h)
	} else {
		a, c, err = r.g.Heartbeat(h, r.topics, true, 1000)
	}
	if err == nil {
		r.apply(c)
	}
	return a, err
}

func (r *rig) must(h *Heartbeat) Answer {
	a, err := r.beat(h)
	require.NoError(r.t, err)
	return a
}

func (r *rig) phase() string { return Phase(r.g.Epoch, r.g.AssignmentEpoch, members(r.g)) }

func join(member string, topics ...string) *Heartbeat {
	return &Heartbeat{Member: member, RebalanceTimeoutMs: 1000, Topics: topics, HasTopics: true, Owned: &Set{}}
}

func beat(member string, epoch int32, owned *Set) *Heartbeat {
	return &Heartbeat{Member: member, Epoch: epoch, RebalanceTimeoutMs: -1, Owned: owned}
}

func text(s Set) string {
	var b strings.Builder
	each(s, func(s slot) { fmt.Fprintf(&b, " %d/%d", s.topic, s.partition) })
	return strings.TrimSpace(b.String())
}

// KIP-848: the second member gets what the first was told to give up, and not before it did.
func TestHandOver(t *testing.T) {
	r := newRig(t)
	r.topics.add("t", 4)
	a := r.must(join("a", "t"))
	require.Equal(t, int32(1), a.Epoch)
	require.Equal(t, "1/0 1/1 1/2 1/3", text(*a.Assignment))
	require.Equal(t, "Stable", r.phase())

	b := r.must(join("b", "t"))
	require.Equal(t, int32(2), b.Epoch)
	require.Empty(t, *b.Assignment, "everything still belongs to a")
	require.Equal(t, "Reconciling", r.phase())

	a = r.must(beat("a", 1, nil))
	require.True(t, a.Revoking)
	require.Equal(t, int32(1), a.Epoch, "it stays at its epoch until it gave up")
	require.Equal(t, "1/0 1/1", text(*a.Assignment))
	all := SetOf(map[uint64][]uint32{1: {0, 1, 2, 3}})
	a = r.must(beat("a", 1, &all))
	require.True(t, a.Revoking)
	require.Nil(t, a.Assignment, "said once")
	require.Nil(t, r.must(beat("b", 2, nil)).Assignment)

	mine := SetOf(map[uint64][]uint32{1: {0, 1}})
	a = r.must(beat("a", 1, &mine))
	require.Equal(t, int32(2), a.Epoch)
	require.Nil(t, a.Assignment)
	b = r.must(beat("b", 2, nil))
	require.Equal(t, "1/2 1/3", text(*b.Assignment))
	require.Equal(t, "Stable", r.phase())

	_, c, err := r.g.Heartbeat(beat("a", 2, nil), r.topics, false, 10)
	require.NoError(t, err)
	require.Nil(t, c, "a heartbeat of a stable member is nothing for State")
	_, c, err = r.g.Heartbeat(beat("a", 2, &mine), r.topics, true, 10)
	require.NoError(t, err)
	require.Nil(t, c)
}

// Semantics line 67: who may come under which epoch.
func TestEpochs(t *testing.T) {
	r := newRig(t)
	r.topics.add("t", 2)
	_, err := r.beat(beat("a", 1, nil))
	require.ErrorIs(t, err, ErrUnknownMember)
	r.must(join("a", "t"))
	_, err = r.beat(beat("a", 2, nil))
	require.ErrorIs(t, err, ErrFencedEpoch)
	r.must(join("b", "t"))
	one := SetOf(map[uint64][]uint32{1: {0}})
	r.must(beat("a", 1, nil))
	require.Equal(t, int32(2), r.must(beat("a", 1, &one)).Epoch)
	// The answer was lost: it comes again under the epoch before.
	again := r.must(beat("a", 1, &one))
	require.Equal(t, int32(2), again.Epoch)
	_, err = r.beat(beat("a", 1, nil))
	require.ErrorIs(t, err, ErrFencedEpoch, "it does not say what it owns")
	both := SetOf(map[uint64][]uint32{1: {0, 1}})
	_, err = r.beat(beat("a", 1, &both))
	require.ErrorIs(t, err, ErrFencedEpoch, "it owns what is another's")
	rejoined := r.must(join("a", "t"))
	require.Equal(t, "1/0", text(*rejoined.Assignment), "who joins again hears all it has")
	left := r.must(beat("a", LeaveEpoch, nil))
	require.Equal(t, int32(LeaveEpoch), left.Epoch)
	require.Equal(t, "1/0 1/1", text(*r.must(beat("b", 2, nil)).Assignment))
	_, err = r.beat(beat("a", LeaveEpoch, nil))
	require.ErrorIs(t, err, ErrUnknownMember)
	r.must(beat("b", LeaveEpoch, nil))
	require.Equal(t, "Empty", r.phase())
}

func TestStaticMembers(t *testing.T) {
	r := newRig(t)
	r.topics.add("t", 2)
	as := func(h *Heartbeat) *Heartbeat { h.Instance = "i"; return h }
	r.must(as(join("a", "t")))
	_, err := r.beat(as(join("b", "t")))
	require.ErrorIs(t, err, ErrUnreleased)
	_, err = r.beat(as(beat("b", 1, nil)))
	require.ErrorIs(t, err, ErrFencedInstance)
	require.Equal(t, int32(StaticLeaveEpoch), r.must(as(beat("a", StaticLeaveEpoch, nil))).Epoch)
	c := r.must(join("c", "t"))
	require.Empty(t, *c.Assignment, "the absent one keeps its partitions")
	epoch := r.g.Epoch
	b := r.must(as(join("b", "t")))
	require.Equal(t, epoch, r.g.Epoch, "a successor is no new member")
	require.Equal(t, "1/0", text(*b.Assignment))
	require.Nil(t, r.g.Members["a"])
	require.Equal(t, "1/1", text(*r.must(beat("c", c.Epoch, nil)).Assignment))
	_, err = r.beat(as(beat("a", 1, nil)))
	require.ErrorIs(t, err, ErrFencedInstance)
}

// A member that joins again with an instance id is a static one from then on.
func TestBecomesStatic(t *testing.T) {
	r := newRig(t)
	r.topics.add("t", 1)
	r.must(join("a", "t"))
	h := join("a", "t")
	h.Instance = "i"
	a := r.must(h)
	h = beat("a", a.Epoch, nil)
	h.Instance = "i"
	r.must(h)
	require.Equal(t, "i", r.g.Members["a"].InstanceId)
	require.Len(t, r.g.Members, 1)
}

func TestSubscriptions(t *testing.T) {
	r := newRig(t)
	r.topics.add("orders", 1)
	r.topics.add("orders-eu", 1)
	r.topics.add("other", 1)
	pattern := "orders.*"
	h := join("a")
	h.HasTopics, h.Regex = false, &pattern
	a := r.must(h)
	require.Equal(t, "1/0 2/0", text(*a.Assignment), "whole names")
	r.topics.add("orders-us", 2)
	a = r.must(beat("a", a.Epoch, nil))
	require.Equal(t, "1/0 2/0 4/0 4/1", text(*a.Assignment))
	r.topics[3].Partitions = 3
	_, c, err := r.g.Heartbeat(beat("a", a.Epoch, nil), r.topics, false, 10)
	require.NoError(t, err)
	require.Nil(t, c, "nobody said that topics changed")
	a = r.must(beat("a", a.Epoch, nil))
	require.Equal(t, "1/0 2/0 4/0 4/1 4/2", text(*a.Assignment))
	bad := "["
	require.ErrorIs(t, (&Heartbeat{Regex: &bad}).Check(), ErrInvalidRegex)
	unknown := "sticky"
	require.ErrorIs(t, (&Heartbeat{Assignor: &unknown}).Check(), ErrUnsupportedAssign)
	_, _, err = r.g.Heartbeat(join("b", "other"), r.topics, true, 1)
	require.ErrorIs(t, err, ErrFull)
}

// Who is named twice is removed once.
func TestRemoveTwice(t *testing.T) {
	r := newRig(t)
	r.topics.add("t", 2)
	r.must(join("a", "t"))
	r.must(join("b", "t"))
	c := r.g.Remove("b", "a", "b", "nobody")
	require.Equal(t, []string{"a", "b"}, c[0].Removed)
	require.EqualValues(t, state.GroupEmpty, c[0].Header.State)
	require.EqualValues(t, state.GroupStable, r.g.Remove("a", "a")[0].Header.State)
}

// A change that one command cannot hold comes in several, and is whole with the last.
func TestLargeChange(t *testing.T) {
	r := newRig(t)
	r.topics.add("t", 200)
	for i := range 200 {
		h := join(fmt.Sprintf("m%03d", i), "t")
		h.ClientID = strings.Repeat("c", 2000)
		_, c, err := r.g.Heartbeat(h, r.topics, true, 1000)
		require.NoError(t, err)
		r.apply(c)
	}
	r.topics[0].Partitions = 400
	_, c, err := r.g.Heartbeat(beat("m000", r.g.Members["m000"].Epoch, nil), r.topics, true, 1000)
	require.NoError(t, err)
	require.Greater(t, len(c), 2)
	for i, u := range c {
		require.Equal(t, i == len(c)-1, u.Header.AssignmentEpoch == u.Header.Generation)
		r.apply(Change{u})
	}
	require.Nil(t, c[1].Removed)
}

// A coordinator that ends between the commands of a large change leaves targets that are partly those of the new epoch. The
// next one computes them again, and they need not come out the same for a member that is at that epoch already: so it is
// another epoch, to which everybody moves.
func TestHalfAChange(t *testing.T) {
	r := newRig(t)
	r.topics.add("t", 2)
	both := SetOf(map[uint64][]uint32{1: {0, 1}})
	a := &state.Member{Id: "a", Topics: []string{"t"}, Epoch: 2, PreviousEpoch: 1, Owned: both, Target: both}
	b := &state.Member{Id: "b", Topics: []string{"t"}, Epoch: 1}
	hash := hashOf(map[string][]Topic{"a": r.topics})
	r.g = Restore(5, 2, 1, hash, []*state.Member{a, b})
	owned := map[string]*Set{"a": &both, "b": {}}
	epochs := map[string]int32{"a": 2, "b": 1}
	for range 4 {
		for _, id := range []string{"b", "a"} {
			answer := r.must(beat(id, epochs[id], owned[id]))
			epochs[id] = answer.Epoch
			if answer.Assignment != nil {
				owned[id] = answer.Assignment
			}
		}
	}
	require.Equal(t, "Stable", r.phase())
	require.Equal(t, "1/0", text(*owned["a"]))
	require.Equal(t, "1/1", text(*owned["b"]))
}

// Kafka, KIP-848: whoever comes with epoch 0 is taken at its word that it owns nothing, also a member that is there: it may
// have been fenced, or its leave was lost. So a join that the network keeps until its member has got on, and brings then,
// gives the member's partitions up, and nothing in the protocol could tell. The member is fenced by its next heartbeat, as
// it owns what is another's now. Apache Kafka is no different (integration/differential: "a join comes again"); what it
// does not do, and a coordinator must not, is to keep such a request itself.
func TestJoinThatComesLate(t *testing.T) {
	r := newRig(t)
	r.topics.add("t", 2)
	a := r.must(join("a", "t"))
	again := r.must(join("a", "t"))
	require.Equal(t, a.Epoch, again.Epoch)
	require.Equal(t, "1/0 1/1", text(*again.Assignment), "nothing has changed for it: it keeps what it has")
	b := r.must(join("b", "t"))
	require.Empty(t, *b.Assignment)
	late := r.must(join("a", "t"))
	require.False(t, late.Revoking)
	require.Equal(t, b.Epoch, late.Epoch)
	require.Equal(t, "1/0", text(*late.Assignment))
	require.Equal(t, "1/1", text(*r.must(beat("b", b.Epoch, &Set{})).Assignment))
	_, err := r.beat(beat("a", a.Epoch, a.Assignment))
	require.ErrorIs(t, err, ErrFencedEpoch)
}

// client is a member as its process sees itself, one process after the other.
type client struct {
	id, instance string
	words        string // what it says of itself, to fill commands
	epoch        int32
	owned        Set // what it works on
	want         Set // what it was last told
	slow         bool
	lost         bool // it had no answer: it says everything, and hears everything
}

// again is the client's next process, or the same one when it has to join again.
func (c *client) again(id string) { *c = client{id: id, instance: c.instance, words: c.words} }

// Any order of joins, heartbeats, lost answers, leaves, also for a while, changes of topics and ends of the coordinator, even
// in the middle of a change: no partition is worked on by two, and when it calms down everybody has what the assignor says.
func TestNoPartitionTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t)
		r.topics.add("t1", 3)
		r.topics.add("t2", 2)
		clients := map[string]*client{}
		subs := [][]string{{"t1"}, {"t1", "t2"}, {"t2", "t3"}}
		large := rapid.Bool().Draw(t, "large")
		lives := 0
		id := func(name string) string { lives++; return fmt.Sprintf("%s-%d", name, lives) }
		step := func(name string, lost, ends bool) {
			c := clients[name]
			h := beat(c.id, c.epoch, &c.owned)
			if c.epoch == 0 || c.lost {
				h = join(c.id, subs[len(name)%3]...)
				h.Epoch, h.Owned = c.epoch, &c.owned
			}
			h.Instance, h.ClientID = c.instance, c.words
			a, change, err := r.g.Heartbeat(h, r.topics, true, 1000)
			if err != nil {
				if c.instance != "" && c.epoch == 0 { // the answer to its join was lost: Kafka leaves it to its session, too
					require.ErrorIs(t, err, ErrUnreleased)
					r.apply(r.g.Remove(r.g.Static(c.instance).Id))
					return
				}
				require.ErrorIs(t, err, ErrFencedEpoch)
				c.again(c.id)
				return
			}
			if ends && len(change) > 0 { // the coordinator, before it could say anything
				r.apply(change[:rapid.IntRange(0, len(change)).Draw(t, "commands")])
				r.g = Restore(r.g.Version, r.g.Epoch, r.g.AssignmentEpoch, r.g.Hash, members(r.g))
				lost = true
			} else {
				r.apply(change)
			}
			if c.lost = lost; lost {
				return
			}
			c.epoch = a.Epoch
			if a.Assignment != nil {
				c.want = *a.Assignment
				c.owned = union(c.owned, c.want) // it begins at once, and ends what it must when it likes
			}
			if !c.slow {
				c.owned = c.want
			}
		}
		check := func() {
			owner := map[slot]string{}
			for name, c := range clients {
				each(c.owned, func(s slot) {
					require.Empty(t, owner[s], "%v is worked on by %s and %s", s, owner[s], name)
					owner[s] = name
				})
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			name := strings.Repeat("m", rapid.IntRange(1, 5).Draw(t, "member"))
			c := clients[name]
			switch rapid.IntRange(0, 10).Draw(t, "event") {
			case 0: // it leaves, or its session ends
				if c != nil {
					if m := r.g.Static(c.instance); c.instance != "" && m != nil {
						c.id = m.Id // it may be away, and come back under another
					}
					r.apply(r.g.Remove(c.id))
					delete(clients, name)
				}
			case 1:
				if i := rapid.IntRange(0, 2).Draw(t, "topic"); len(r.topics) < 3 {
					r.topics.add("t3", 4)
				} else if i = len(r.topics) - 1 - i; r.topics[i].Name == "" || rapid.Bool().Draw(t, "renew") {
					if r.topics[i].Name != "" {
						r.topics.renew(i)
					}
				} else {
					r.topics[i].Partitions++
				}
			case 2: // it comes again from the start
				if c != nil && c.instance == "" {
					c.again(c.id)
				} else if c != nil && r.g.Members[c.id] != nil { // it leaves for a while
					_, err := r.beat(&Heartbeat{Member: c.id, Instance: c.instance, Epoch: StaticLeaveEpoch})
					require.NoError(t, err)
					next := c.id
					if rapid.Bool().Draw(t, "new id") {
						next = id(name)
					}
					c.again(next)
				}
			default:
				if c == nil {
					c = &client{id: id(name)}
					if len(name) > 2 {
						c.instance = name
					}
					if large {
						c.words = strings.Repeat("w", maxCommand/2)
					}
					clients[name] = c
				}
				c.slow = rapid.Bool().Draw(t, "slow")
				step(name, rapid.IntRange(0, 5).Draw(t, "lost") == 0, rapid.IntRange(0, 5).Draw(t, "ends") == 0)
			}
			check()
		}
		for range 3*len(clients) + 8 {
			for _, name := range slices.Sorted(maps.Keys(clients)) {
				clients[name].slow = false
				step(name, false, false)
				check()
			}
		}
		if len(clients) > 0 {
			require.Equal(t, "Stable", r.phase())
		}
		free := map[slot]bool{}
		for name, c := range clients {
			require.True(t, equal(c.owned, r.g.Members[c.id].Target), "%s has %s", name, text(c.owned))
			for _, topic := range subs[len(name)%3] {
				x, ok := r.topics.Named(topic)
				for p := range x.Partitions {
					require.True(t, ok)
					free[slot{x.Number, p}] = true
				}
			}
		}
		for _, c := range clients {
			each(c.owned, func(s slot) { delete(free, s) })
		}
		require.Empty(t, free, "nobody has them")
		again := Restore(r.g.Version, r.g.Epoch, r.g.AssignmentEpoch, r.g.Hash, members(r.g))
		require.Equal(t, r.g.holder, again.holder, "the mirror is what State leads to")
	})
}

func members(g *Group) (list []*state.Member) {
	for _, m := range g.Members {
		list = append(list, m)
	}
	return list
}
