package group

import (
	"time"

	"wadi/metadata/state"
)

// Join takes a JoinGroup request.
func (c *Core) Join(now time.Duration, req *Join) {
	fail := func(err error) {
		c.out.Reply(func() { req.Done(Joined{Err: err, Member: req.Member, Generation: -1}) })
	}
	switch {
	case req.Group == "":
		fail(ErrInvalidGroup)
	case req.SessionTimeout < c.cfg.MinSession || req.SessionTimeout > c.cfg.MaxSession: // Semantics line 54
		fail(ErrInvalidTimeout)
	default:
		c.with(now, req.Group, queuedRequest{run: func(g *group) { c.join(g, req) }, drop: fail})
	}
}

func (c *Core) join(g *group, req *Join) {
	if g.consumers != nil && !g.foreign() {
		// A group without members takes up the protocol of who comes first.
		g.generation, g.consumers = g.consumers.Epoch, nil
	}
	refuse := func(id string, err error) {
		c.out.Reply(func() { req.Done(Joined{Err: err, Member: id, Generation: -1}) })
	}
	switch {
	case g.foreign():
		c.joinConsumers(g, req, refuse)
	case g.version == 0 && g.phase == empty && req.Member != "" && len(g.pendingJoin) == 0:
		refuse(req.Member, ErrUnknownMember)
	case !c.room(g, req):
		c.forget(g, req.Member)
		refuse("", ErrMaxSize)
	case !g.supports(req.ProtocolType, req.Protocols):
		refuse(req.Member, ErrInconsistentProtocol)
	case req.Member == "" && req.Instance != "":
		c.joinStatic(g, req)
	case req.Member == "" && req.NeedsKnownID: // KIP-394, Semantics line 52
		id := req.ClientID + "-" + c.cfg.NewID()
		g.pendingJoin[id] = c.now + req.SessionTimeout
		c.wakeBy(g, g.pendingJoin[id])
		refuse(id, ErrMemberIDRequired)
	case req.Member == "":
		c.addMember(g, req, req.ClientID+"-"+c.cfg.NewID())
	case g.pendingJoin[req.Member] != 0 && req.Instance == "":
		c.addMember(g, req, req.Member)
	default:
		c.rejoin(g, req, refuse)
	}
}

// room reports whether the group takes the member. While members join, those that joined count and not those that are
// there: in a group above its limit, the last to come back are left out.
func (c *Core) room(g *group, req *Join) bool {
	m := g.members[req.Member]
	size := 0
	for _, x := range g.order {
		if x != m {
			size += x.bytes()
		}
	}
	said := member{id: req.Member, instance: req.Instance, protocols: req.Protocols}
	if size+said.bytes() > maxGroupBytes || (req.Member == "" && len(g.pendingJoin) >= maxPending) {
		return false
	}
	switch g.phase {
	case empty:
		return true
	case preparing:
		return m != nil && m.join != nil || g.joined < c.cfg.MaxSize
	default:
		return m != nil || len(g.members) < c.cfg.MaxSize
	}
}

// forget takes a member out that finds no room.
func (c *Core) forget(g *group, id string) {
	delete(g.pendingJoin, id)
	if m := g.members[id]; m != nil {
		c.takeOut(g, m)
		c.rebalance(g)
	}
}

// rejoin takes a member that has an id and is none of those that were asked to come back.
func (c *Core) rejoin(g *group, req *Join, refuse func(id string, err error)) {
	m, err := g.check(req.Member, req.Instance)
	switch {
	case err != nil:
		refuse(req.Member, err)
	case g.phase == preparing:
		c.update(g, m, req)
		c.rebalance(g)
	case g.phase == completing && m.matches(req.Protocols):
		// The answer to its first join was lost: it gets that once more.
		j := g.current(m)
		c.out.Reply(func() { req.Done(j) })
	case g.phase == stable && g.leader != m.id && m.matches(req.Protocols): // Semantics line 58
		j := g.current(m)
		c.out.Reply(func() { req.Done(j) })
	case g.phase == empty:
		refuse(req.Member, ErrUnknownMember)
	default:
		// A leader that joins again wants a rebalance: something that is not in anybody's metadata has changed.
		c.update(g, m, req)
		c.rebalance(g)
	}
}

// update takes over what a member says of itself and parks its request.
func (c *Core) update(g *group, m *member, req *Join) {
	if !m.matches(req.Protocols) || m.session != req.SessionTimeout || m.rebalance != req.RebalanceTimeout {
		m.protocols, m.session, m.rebalance, m.dirty = req.Protocols, req.SessionTimeout, req.RebalanceTimeout, true
	}
	c.endJoin(g, m, Joined{Err: ErrRebalanceInProgress, Member: m.id}) // an earlier request of its: nobody waits for that
	m.join = req
	g.joined++
}

func (c *Core) addMember(g *group, req *Join, id string) {
	m := &member{
		id: id, instance: req.Instance, clientID: req.ClientID, clientHost: req.ClientHost, session: req.SessionTimeout,
		rebalance: req.RebalanceTimeout, protocols: req.Protocols, fresh: true, dirty: true, join: req,
	}
	if g.phase == preparing && g.fresh {
		g.newcomer = true
	}
	g.add(m)
	c.deadline(g, m, newcomerTimeout)
	c.rebalance(g)
}

// joinStatic takes a process with an instance id and no member id (KIP-345): a new one, or the successor of one.
func (c *Core) joinStatic(g *group, req *Join) {
	id := req.Instance + "-" + c.cfg.NewID()
	old := g.statics[req.Instance]
	if old == nil {
		c.addMember(g, req, id)
		return
	}
	leader := g.leader
	m := c.replace(g, old, id)
	c.update(g, m, req)
	switch {
	case g.phase == completing:
		// The old id may be in the leader's hands already: the new one would get nothing.
		c.prepare(g)
	case g.phase == stable && g.vote() == g.protocol:
		c.succeed(g, m, req, leader)
	default:
		c.rebalance(g)
	}
}

// replace puts a new id in the place of a static member's. Whoever still acts under the old one is fenced.
func (c *Core) replace(g *group, old *member, id string) *member {
	c.endJoin(g, old, Joined{Err: ErrFencedInstance, Member: old.id})
	c.endSync(old, Synced{Err: ErrFencedInstance})
	m := &member{
		id: id, instance: old.instance, clientID: old.clientID, clientHost: old.clientHost, session: old.session,
		rebalance: old.rebalance, protocols: old.protocols, assignment: old.assignment, fresh: old.fresh, dirty: true,
	}
	delete(g.members, old.id)
	g.members[id] = m
	for i := range g.order {
		if g.order[i] == old {
			g.order[i] = m
		}
	}
	g.statics[m.instance] = m
	delete(g.pendingSync, old.id)
	if g.leader == old.id {
		g.leader = id
	}
	c.heard(g, m)
	return m
}

// succeed lets a static member's successor go on with the assignment of the generation that is on, once State knows it
// (KIP-814, Semantics line 59). Before version 9 a leader cannot be told to leave the assignment alone, so it is told
// that the old id leads.
func (c *Core) succeed(g *group, m *member, req *Join, leader string) {
	u := g.change(state.GroupStable)
	c.propose(g, u, func() {
		g.took(u)
		j := g.current(m)
		if req.CanSkipAssignment {
			j.SkipAssignment = g.leader == m.id
		} else {
			j.Leader, j.Members = leader, nil
		}
		c.endJoin(g, m, j)
		c.heard(g, m)
	})
}

// rebalance starts one, or ends it when it was only waiting for this.
func (c *Core) rebalance(g *group) {
	if g.phase != preparing {
		c.prepare(g)
	} else if !g.fresh && g.allJoined() {
		c.complete(g)
	}
}

// prepare gathers the members for a new generation.
func (c *Core) prepare(g *group) {
	if g.phase == completing {
		for _, m := range g.order {
			m.assignment = nil
			if m.sync != nil {
				c.endSync(m, Synced{Err: ErrRebalanceInProgress})
				c.heard(g, m)
			}
		}
	}
	clear(g.pendingSync)
	g.syncBy = never
	g.fresh = g.phase == empty
	g.phase = preparing
	switch {
	case g.fresh:
		g.newcomer, g.delay = false, c.cfg.InitialDelay
		g.remaining = max(g.rebalanceTimeout()-c.cfg.InitialDelay, 0)
		c.joinBy(g, g.delay)
	case g.allJoined():
		c.complete(g)
	default:
		c.joinBy(g, g.rebalanceTimeout())
	}
}

func (c *Core) joinBy(g *group, in time.Duration) {
	g.joinBy = c.now + in
	c.wakeBy(g, g.joinBy)
}

// gathered ends a round of gathering: members that came in it buy those that have not come yet another round, within the
// rebalance timeout.
func (c *Core) gathered(g *group) {
	if !g.newcomer || g.remaining == 0 {
		c.complete(g)
		return
	}
	g.newcomer = false
	next := min(c.cfg.InitialDelay, g.remaining)
	g.remaining = max(g.remaining-g.delay, 0)
	g.delay = next
	c.joinBy(g, next)
}

// complete ends the gathering: whoever is here is in the new generation. Static members that are away stay members,
// dynamic ones do not (Semantics line 55).
func (c *Core) complete(g *group) {
	g.joinBy = never
	for _, m := range append([]*member(nil), g.order...) {
		if m.join == nil && m.instance == "" {
			g.remove(m)
		}
	}
	if len(g.members) > 0 && !g.electJoined() {
		// Only static members that are away: wait until they come or their sessions end.
		c.joinBy(g, g.rebalanceTimeout())
		return
	}
	g.generation++
	g.fresh = false
	if len(g.members) == 0 {
		g.phase, g.protocol, g.leader = empty, "", ""
		u := g.change(state.GroupEmpty)
		c.propose(g, u, func() { g.took(u) })
		return
	}
	g.protocol = g.vote()
	g.phase = completing
	for _, m := range g.order {
		m.assignment = nil
	}
	u := g.change(state.GroupCompleting)
	c.propose(g, u, func() {
		g.took(u)
		c.awaitSyncs(g)
		for _, m := range g.order {
			m.fresh = false
			c.endJoin(g, m, g.current(m))
			c.heard(g, m)
		}
	})
}

// electJoined makes sure that the leader is somebody who joined.
func (g *group) electJoined() bool {
	if l := g.members[g.leader]; l != nil && l.join != nil {
		return true
	}
	for _, m := range g.order {
		if m.join != nil {
			g.leader = m.id
			return true
		}
	}
	return false
}
