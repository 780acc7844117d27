package group

import (
	"time"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// restore takes a group over from State. Every member gets a whole session timeout to show up, and a generation without
// an assignment as long as it would have had here to get one.
func (c *Core) restore(g *group, s *Snapshot) {
	if s.Type == state.ConsumerGroup {
		c.restoreConsumers(g, s)
		return
	}
	g.version, g.generation = s.Version, s.Generation
	g.protocolType, g.protocol, g.leader = s.ProtocolType, s.Protocol, s.Leader
	for _, v := range s.Members {
		m := &member{
			id: v.Id, instance: v.InstanceId, clientID: v.ClientId, clientHost: v.ClientHost,
			session:    time.Duration(v.SessionTimeoutMs) * time.Millisecond,
			rebalance:  time.Duration(v.RebalanceTimeoutMs) * time.Millisecond,
			assignment: v.Assignment,
		}
		for _, p := range v.Protocols {
			m.protocols = append(m.protocols, Protocol{Name: p.Name, Metadata: p.Metadata})
		}
		g.stored[m.id] = v
		g.members[m.id] = m
		g.order = append(g.order, m)
		if m.instance != "" {
			g.statics[m.instance] = m
		}
		c.heard(g, m)
	}
	switch s.State {
	case state.GroupStable:
		g.phase = stable
		if s.AssignmentEpoch != 0 && len(g.members) > 0 {
			// It was of the consumer protocol: the coordinator assigned its members, and now one of them is to do it.
			c.prepare(g)
		}
	case state.GroupCompleting:
		g.phase = completing
		c.awaitSyncs(g)
	}
}

// record is what State is to have of a member.
func (m *member) record() *state.Member {
	v := &state.Member{
		Id: m.id, InstanceId: m.instance, ClientId: m.clientID, ClientHost: m.clientHost,
		SessionTimeoutMs: int32(m.session / time.Millisecond), RebalanceTimeoutMs: int32(m.rebalance / time.Millisecond),
		Assignment: m.assignment,
	}
	for _, p := range m.protocols {
		v.Protocols = append(v.Protocols, &pb.GroupProtocol{Name: p.Name, Metadata: p.Metadata})
	}
	return v
}

// change is what leads from the members that State has to those there are.
func (g *group) change(s state.GroupState) *pb.UpdateGroup {
	u := &pb.UpdateGroup{Header: &pb.GroupHeader{
		Type: uint32(state.ClassicGroup), State: uint32(s), ProtocolType: g.protocolType, Protocol: g.protocol,
		Leader: g.leader, Generation: g.generation,
	}}
	for _, m := range g.order {
		if m.dirty || g.stored[m.id] == nil {
			u.Members = append(u.Members, m.record())
		}
	}
	for id := range g.stored {
		if g.members[id] == nil {
			u.Removed = append(u.Removed, id)
		}
	}
	return u
}

// took notes that State has what change said.
func (g *group) took(u *pb.UpdateGroup) {
	for _, v := range u.Members {
		g.stored[v.Id] = v
		if m := g.members[v.Id]; m != nil {
			m.dirty = false
		}
	}
	for _, id := range u.Removed {
		delete(g.stored, id)
	}
}
