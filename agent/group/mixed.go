package group

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	kip848 "wadi/agent/group/consumer"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// A group may hold members of both protocols while an application is upgraded or taken back, one process after the other
// (KIP-848, online migration). It is then a group of the consumer protocol: the coordinator assigns, and those who speak
// the classic protocol join at a member epoch, get their partitions by SyncGroup and are told by heartbeats to join again
// when something has changed for them. It works for members of protocol type "consumer" whose words can be read.

const (
	consumerType  = "consumer"
	maxAssignment = 3 // the newest version of a consumer's assignment
)

// subscription is a classic member's, out of the words that it has for its first protocol.
type subscription struct {
	topics []string
	owned  kip848.Set // what it says that it works on; nothing before version 1 of its words
}

func (c *Core) subscriptionOf(protocolType string, protocols []Protocol) (s subscription, ok bool) {
	if protocolType != consumerType || len(protocols) == 0 {
		return s, false
	}
	var words kmsg.ConsumerMemberMetadata
	if err := words.ReadFrom(protocols[0].Metadata); err != nil {
		return s, false
	}
	owned := map[uint64][]uint32{}
	for _, t := range words.OwnedPartitions {
		c.place(owned, t.Topic, t.Partitions)
	}
	return subscription{topics: words.Topics, owned: kip848.SetOf(owned)}, true
}

// place adds partitions of a topic that exists.
func (c *Core) place(set map[uint64][]uint32, topic string, partitions []int32) {
	t, ok := c.cfg.Topics.Named(topic)
	if !ok {
		return
	}
	for _, p := range partitions {
		if p >= 0 {
			set[t.Number] = append(set[t.Number], uint32(p))
		}
	}
}

// upgrade makes a classic group one of the consumer protocol, with all its members, for a first one that speaks it. False
// when there is a member whose words cannot be read. The change that says so to State comes before any other; there is
// none when State knows of no members.
func (c *Core) upgrade(g *group) (kip848.Change, bool) {
	members, ok := c.upgraded(g)
	if !ok {
		return nil, false
	}
	x := newConsumers(kip848.New(g.version, max(g.generation, 1))) // the first member comes to epoch 2, as in Kafka
	h := &pb.GroupHeader{Type: uint32(state.ConsumerGroup), State: uint32(state.GroupEmpty), ProtocolType: consumerType}
	if len(members) > 0 {
		x = newConsumers(kip848.Restore(g.version, g.generation, g.generation, 0, members))
		h.State = uint32(state.GroupStable)
	}
	x.looked = c.topicsRound - 1 // nobody has looked at its topics
	h.Generation, h.AssignmentEpoch = x.Epoch, x.AssignmentEpoch
	u := &pb.UpdateGroup{Header: h, Members: members}
	for id := range g.stored { // who left, or was followed by another, in a rebalance that has not ended
		if x.Members[id] == nil {
			u.Removed = append(u.Removed, id)
		}
	}
	stored := len(g.stored) > 0
	for _, m := range g.order {
		c.endJoin(g, m, Joined{Err: ErrRebalanceInProgress, Member: m.id})
		c.endSync(m, Synced{Err: ErrRebalanceInProgress})
	}
	for _, m := range members {
		x.session[m.Id] = c.now + time.Duration(m.SessionTimeoutMs)*time.Millisecond
		c.wakeBy(g, x.session[m.Id])
	}
	*g = group{
		name: g.name, version: g.version, consumers: x, generation: g.generation, wake: g.wake, inbox: g.inbox, late: g.late,
		members: map[string]*member{}, statics: map[string]*member{}, stored: map[string]*state.Member{},
		pendingJoin: g.pendingJoin, pendingSync: map[string]bool{}, joinBy: never, syncBy: never,
	}
	if !stored {
		return nil, true
	}
	return kip848.Change{u}, true
}

// upgraded are the members of a classic group as the consumer protocol has them. A partition that a member may still work
// on is its own until it says otherwise: what it was given, also while it is to come back for the next generation; and
// when that has begun and its leader has not said who gets what, what the member came with, as those of the cooperative
// kind do.
func (c *Core) upgraded(g *group) (members []*state.Member, ok bool) {
	taken := map[uint64]map[uint32]bool{}
	for _, m := range g.order {
		s, ok := c.subscriptionOf(g.protocolType, m.protocols)
		if !ok {
			return nil, false
		}
		if g.stored[m.id] == nil {
			continue // it waits in its first join and has no partitions: it comes again
		}
		v := m.record()
		v.Assignment, v.Topics, v.Epoch = nil, s.topics, g.generation
		v.Owned = s.owned
		if g.phase != completing {
			var words kmsg.ConsumerMemberAssignment
			if len(m.assignment) > 0 && words.ReadFrom(m.assignment) != nil {
				return nil, false
			}
			owned := map[uint64][]uint32{}
			for _, t := range words.Topics {
				c.place(owned, t.Topic, t.Partitions)
			}
			v.Owned = kip848.SetOf(owned)
		}
		v.Owned = claim(taken, v.Owned)
		v.Target, v.Owned = v.Owned, kip848.Under(v.Owned, v.Epoch)
		members = append(members, v)
	}
	return members, true
}

// claim is what of a set nobody claimed before: members may say what they like, a partition has one owner.
func claim(taken map[uint64]map[uint32]bool, set kip848.Set) kip848.Set {
	free := map[uint64][]uint32{}
	for _, t := range set {
		if taken[t.Topic] == nil {
			taken[t.Topic] = map[uint32]bool{}
		}
		for _, p := range t.Partitions {
			if !taken[t.Topic][p] {
				taken[t.Topic][p] = true
				free[t.Topic] = append(free[t.Topic], p)
			}
		}
	}
	return kip848.SetOf(free)
}

// joinConsumers takes a classic member into a group of the consumer protocol.
func (c *Core) joinConsumers(g *group, req *Join, refuse func(id string, err error)) {
	x := g.consumers
	s, ok := c.subscriptionOf(req.ProtocolType, req.Protocols)
	switch {
	case req.Member == "" && req.Instance == "" && req.NeedsKnownID:
		if len(g.pendingJoin) >= maxPending {
			refuse("", ErrMaxSize)
			return
		}
		id := req.ClientID + "-" + c.cfg.NewID()
		g.pendingJoin[id] = c.now + req.SessionTimeout
		c.wakeBy(g, g.pendingJoin[id])
		refuse(id, ErrMemberIDRequired)
		return
	case req.Member != "" && x.another(req.Instance, req.Member):
		refuse("", ErrFencedInstance)
		return
	case req.Member != "" && g.pendingJoin[req.Member] == 0 && x.Members[req.Member] == nil:
		refuse("", ErrUnknownMember)
		return
	case !ok:
		refuse("", ErrInconsistentProtocol)
		return
	}
	id := req.Member
	if id == "" {
		id = req.ClientID + "-" + c.cfg.NewID()
		if req.Instance != "" {
			id = req.Instance + "-" + c.cfg.NewID()
		}
	}
	h := kip848.Heartbeat{
		Member: id, Instance: req.Instance, Epoch: kip848.JoinEpoch, ClientID: req.ClientID, ClientHost: req.ClientHost,
		RebalanceTimeoutMs: int32(req.RebalanceTimeout / time.Millisecond), Topics: s.topics, HasTopics: true, Owned: &s.owned,
		Classic: &kip848.Classic{SessionTimeoutMs: int32(req.SessionTimeout / time.Millisecond)},
	}
	for _, p := range req.Protocols {
		h.Classic.Protocols = append(h.Classic.Protocols, &pb.GroupProtocol{Name: p.Name, Metadata: p.Metadata})
	}
	a, change, err := x.Heartbeat(&h, c.cfg.Topics, x.looked != c.topicsRound, c.cfg.MaxConsumers)
	if err != nil {
		refuse("", err)
		return
	}
	x.looked = c.topicsRound
	delete(g.pendingJoin, id)
	c.proposeAll(g, change, func(err error) {
		if err != nil {
			req.Done(Joined{Err: err, Member: id, Generation: -1})
			return
		}
		req.Done(Joined{Member: id, Generation: a.Epoch, ProtocolType: consumerType, Protocol: req.Protocols[0].Name})
	}, func() {
		if m := x.Members[id]; m != nil {
			c.heardConsumer(g, m, req.SessionTimeout)
			delete(x.owes, id)
			c.owes(g, m) // to ask for what it got
		}
		c.downgrade(g, nil, nil) // if it is the successor of the last one that spoke the other protocol
	})
}

// another reports whether an instance id is somebody else's than that member's.
func (x *consumers) another(instance, id string) bool {
	if instance == "" {
		return false
	}
	m := x.Static(instance)
	return m != nil && m.Id != id
}

// classicMember finds a classic member of a group of the consumer protocol.
func (x *consumers) classicMember(id, instance string) (*state.Member, error) {
	m := x.Members[id]
	if instance != "" {
		switch owner := x.Static(instance); {
		case owner == nil:
			return nil, ErrUnknownMember
		case owner.Id != id:
			return nil, ErrFencedInstance
		}
	}
	if m == nil || !kip848.IsClassic(m) {
		return nil, ErrUnknownMember
	}
	return m, nil
}

// syncConsumers gives a classic member the partitions that it has.
func (c *Core) syncConsumers(g *group, req *Sync, fail func(error)) {
	m, err := g.consumers.classicMember(req.Member, req.Instance)
	switch {
	case err != nil:
	case req.Generation != m.Epoch:
		err = ErrIllegalGeneration
	case differs(req.ProtocolType, consumerType) || differs(req.Protocol, m.Protocols[0].Name):
		err = ErrInconsistentProtocol
	case g.consumers.Epoch > m.Epoch && !kip848.Revokes(m):
		err = ErrRebalanceInProgress
	}
	if err != nil {
		fail(err)
		return
	}
	delete(g.consumers.owes, m.Id)
	s := Synced{ProtocolType: consumerType, Protocol: m.Protocols[0].Name, Assignment: c.assignmentOf(m)}
	c.out.Reply(func() { req.Done(s) })
}

// assignmentOf is what a member owns in the words of the classic protocol.
func (c *Core) assignmentOf(m *state.Member) []byte {
	words := kmsg.NewConsumerMemberAssignment()
	if said := m.Protocols[0].Metadata; len(said) >= 2 { // it reads what it writes
		words.Version = min(int16(binary.BigEndian.Uint16(said)), maxAssignment)
	}
	for _, set := range m.Owned {
		t := kmsg.NewConsumerMemberAssignmentTopic()
		name, ok := c.cfg.Topics.Name(set.Topic)
		if !ok {
			continue
		}
		t.Topic = name
		for _, p := range set.Partitions {
			t.Partitions = append(t.Partitions, int32(p))
		}
		words.Topics = append(words.Topics, t)
	}
	return words.AppendTo(nil)
}

// heartbeatConsumers tells a classic member to join again when something has changed for it.
func (c *Core) heartbeatConsumers(g *group, req *Heartbeat) error {
	m, err := g.consumers.classicMember(req.Member, req.Instance)
	if err != nil {
		return err
	}
	if req.Generation != m.Epoch {
		return ErrIllegalGeneration
	}
	c.heardConsumer(g, m, 0)
	x := g.consumers
	if x.looked != c.topicsRound && !x.TopicsMoved(c.cfg.Topics) {
		x.looked = c.topicsRound
	}
	if x.looked != c.topicsRound || x.Stirs(m) {
		c.owes(g, m)
		return ErrRebalanceInProgress
	}
	return nil
}

// owes gives a classic member a rebalance timeout to do what it is told, unless it runs already.
func (c *Core) owes(g *group, m *state.Member) {
	x := g.consumers
	if _, runs := x.owes[m.Id]; !runs {
		x.owes[m.Id] = c.now + time.Duration(m.RebalanceTimeoutMs)*time.Millisecond
		c.wakeBy(g, x.owes[m.Id])
	}
}

// leaveConsumers lets classic members go, or any that an administrator names by instance ids.
func (c *Core) leaveConsumers(g *group, req *Leave) {
	each, gone := make([]error, len(req.Members)), []string(nil)
	for i, l := range req.Members {
		if _, pending := g.pendingJoin[l.Member]; pending {
			delete(g.pendingJoin, l.Member)
			continue
		}
		m := g.consumers.Members[l.Member]
		if l.Instance != "" {
			m = g.consumers.Static(l.Instance)
		}
		switch {
		case m == nil:
			each[i] = ErrUnknownMember
		case l.Member != "" && m.Id != l.Member:
			each[i] = ErrFencedInstance
		default:
			gone = append(gone, m.Id)
		}
	}
	c.takeOutConsumers(g, gone, func(err error) { req.Done(err, each) })
}

// downgrade makes a group classic again, without the members that go, when nobody is left in it who speaks the consumer
// protocol. False when somebody is, or nobody at all. The generation is the last epoch: who has that is told by its next
// heartbeat to join again, and keeps its partitions until it does.
func (c *Core) downgrade(g *group, gone []string, answer func(error)) bool {
	x := g.consumers
	gone = slices.Compact(slices.Sorted(slices.Values(gone)))
	var members []*state.Member
	settled := len(gone) == 0 // everybody has what it is to have, and may keep it
	for _, m := range x.Sorted() {
		switch {
		case slices.Contains(gone, m.Id):
		case !kip848.IsClassic(m):
			return false
		default:
			members = append(members, m)
			settled = settled && m.Epoch == x.Epoch && kip848.Settled(m)
		}
	}
	if len(members) == 0 {
		return false
	}
	u := &pb.UpdateGroup{Removed: gone, Header: &pb.GroupHeader{
		Type: uint32(state.ClassicGroup), State: uint32(state.GroupStable), ProtocolType: consumerType,
		Protocol: members[0].Protocols[0].Name, Leader: members[0].Id, Generation: x.Epoch,
	}}
	for _, m := range members {
		u.Members = append(u.Members, &state.Member{
			Id: m.Id, InstanceId: m.InstanceId, ClientId: m.ClientId, ClientHost: m.ClientHost, RebalanceTimeoutMs: m.RebalanceTimeoutMs,
			SessionTimeoutMs: m.SessionTimeoutMs, Protocols: m.Protocols, Assignment: c.assignmentOf(m),
		})
	}
	if !settled {
		u.Header.AssignmentEpoch = x.Epoch
	}
	if answer != nil {
		g.replies = append(g.replies, answer)
	}
	c.propose(g, u, func() {
		g.consumers = nil
		c.restore(g, &Snapshot{
			Version: g.version, Type: state.ClassicGroup, State: state.GroupStable, ProtocolType: consumerType,
			Protocol: u.Header.Protocol, Leader: u.Header.Leader, Generation: u.Header.Generation, Members: u.Members,
			AssignmentEpoch: u.Header.AssignmentEpoch,
		})
	})
	return true
}
