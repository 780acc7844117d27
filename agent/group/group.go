package group

import (
	"bytes"
	"time"

	"wadi/metadata/state"
)

// phase is where a group is in its rebalance. What Kafka calls Dead is a group that the core does not hold.
type phase uint8

const (
	empty      phase = iota
	preparing        // members join
	completing       // the leader's assignment is awaited
	stable
)

const never = time.Duration(1<<63 - 1)

// group is one group as its coordinator holds it.
type group struct {
	name      string
	consumers *consumers // of a group of the consumer protocol; what is below is the classic protocol's

	// What State has.
	version int64
	stored  map[string]*state.Member

	phase        phase
	fresh        bool // preparing since it was empty: joins are gathered for a while
	generation   int32
	protocolType string
	protocol     string
	leader       string
	members      map[string]*member
	order        []*member // as they joined
	statics      map[string]*member
	pendingJoin  map[string]time.Duration // ids given out and not used, until when
	pendingSync  map[string]bool          // who has not asked for the assignment
	joined       int                      // members with a join request
	joinBy       time.Duration
	syncBy       time.Duration
	remaining    time.Duration // how long gathering may go on (fresh)
	delay        time.Duration // of the present round of gathering
	newcomer     bool          // somebody joined in it

	ticket  uint64            // of the proposal or load under way, 0 = none
	loading bool              // it is a load
	then    func()            // goes on when the proposal was applied
	inbox   []queuedRequest   // what came meanwhile
	wake    time.Duration     // earliest time in the heap that is the group's
	late    bool              // a deadline passed while a proposal was under way
	replies []func(err error) // that wait for the proposal
}

// member is one member as the coordinator holds it.
type member struct {
	id, instance         string
	clientID, clientHost string
	session, rebalance   time.Duration
	protocols            []Protocol
	assignment           []byte

	fresh    bool // has not been part of a generation
	dirty    bool // State has not what is here
	deadline time.Duration
	join     *Join // waits for the generation
	sync     *Sync // waits for the assignment
}

func newGroup(name string) *group {
	return &group{
		name: name, members: map[string]*member{}, statics: map[string]*member{}, stored: map[string]*state.Member{},
		pendingJoin: map[string]time.Duration{}, pendingSync: map[string]bool{}, joinBy: never, syncBy: never, wake: never,
	}
}

// idle reports whether nothing of the group is worth keeping in memory.
func (g *group) idle() bool {
	return g.ticket == 0 && g.phase == empty && !g.foreign() && len(g.members) == 0 && len(g.pendingJoin) == 0 && len(g.inbox) == 0
}

func (g *group) add(m *member) {
	if len(g.members) == 0 {
		g.protocolType = m.join.ProtocolType
	}
	g.members[m.id] = m
	g.order = append(g.order, m)
	if m.instance != "" {
		g.statics[m.instance] = m
	}
	if g.leader == "" {
		g.leader = m.id
	}
	if m.join != nil {
		g.joined++
	}
	delete(g.pendingJoin, m.id)
}

func (g *group) remove(m *member) {
	delete(g.members, m.id)
	for i, x := range g.order {
		if x == m {
			g.order = append(g.order[:i:i], g.order[i+1:]...)
			break
		}
	}
	if m.instance != "" && g.statics[m.instance] == m {
		delete(g.statics, m.instance)
	}
	if m.join != nil {
		g.joined--
	}
	if g.leader == m.id {
		g.leader = ""
		if len(g.order) > 0 {
			g.leader = g.order[0].id
		}
	}
	delete(g.pendingSync, m.id)
}

// rebalanceTimeout is the longest of the members'.
func (g *group) rebalanceTimeout() time.Duration {
	var longest time.Duration
	for _, m := range g.order {
		longest = max(longest, m.rebalance)
	}
	return longest
}

func (g *group) allJoined() bool { return g.joined == len(g.members) && len(g.pendingJoin) == 0 }

// supports reports whether a member with these protocols fits in (Semantics line 53).
func (g *group) supports(protocolType string, protocols []Protocol) bool {
	if g.phase == empty {
		return protocolType != "" && len(protocols) > 0
	}
	if protocolType != g.protocolType {
		return false
	}
	for _, p := range protocols {
		if g.supportedByAll(p.Name) {
			return true
		}
	}
	return false
}

func (g *group) supportedByAll(name string) bool {
	for _, m := range g.order {
		if m.metadata(name) == nil {
			return false
		}
	}
	return true
}

// vote chooses the protocol that most members prefer among those that all of them support. Of two with the same votes
// the one wins that an earlier member named.
func (g *group) vote() string {
	votes, best := map[string]int{}, ""
	for _, m := range g.order {
		for _, p := range m.protocols {
			if g.supportedByAll(p.Name) {
				votes[p.Name]++
				break
			}
		}
	}
	for _, m := range g.order {
		for _, p := range m.protocols {
			if votes[p.Name] > votes[best] {
				best = p.Name
			}
		}
	}
	return best
}

// roster is what the leader learns.
func (g *group) roster() []JoinedMember {
	list := make([]JoinedMember, len(g.order))
	for i, m := range g.order {
		list[i] = JoinedMember{ID: m.id, Instance: m.instance}
		if p := m.metadata(g.protocol); p != nil {
			list[i].Metadata = p.Metadata
		}
	}
	return list
}

// check is Kafka's validateMember.
func (g *group) check(id, instance string) (*member, error) {
	if instance != "" {
		switch m := g.statics[instance]; {
		case m == nil:
			return nil, ErrUnknownMember
		case m.id != id:
			return nil, ErrFencedInstance
		}
	}
	if m := g.members[id]; m != nil {
		return m, nil
	}
	return nil, ErrUnknownMember
}

// current is the answer to a member of the present generation.
func (g *group) current(m *member) Joined {
	j := Joined{
		Member: m.id, Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: g.leader,
	}
	if g.leader == m.id {
		j.Members = g.roster()
	}
	return j
}

func (m *member) metadata(name string) *Protocol {
	for i := range m.protocols {
		if m.protocols[i].Name == name {
			return &m.protocols[i]
		}
	}
	return nil
}

// matches reports whether a rejoining member says what it said before, in the same order.
func (m *member) matches(protocols []Protocol) bool {
	if len(m.protocols) != len(protocols) {
		return false
	}
	for i, p := range protocols {
		if p.Name != m.protocols[i].Name || !bytes.Equal(p.Metadata, m.protocols[i].Metadata) {
			return false
		}
	}
	return true
}

// bytes is what the member adds to an entry.
func (m *member) bytes() int {
	n := len(m.id) + len(m.instance) + len(m.clientID) + len(m.clientHost) + 64
	for _, p := range m.protocols {
		n += len(p.Name) + len(p.Metadata) + 8
	}
	return n
}
