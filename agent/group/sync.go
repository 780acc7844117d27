package group

import (
	"time"

	"wadi/metadata/state"
)

// Sync takes a SyncGroup request.
func (c *Core) Sync(now time.Duration, req *Sync) {
	fail := func(err error) { c.out.Reply(func() { req.Done(Synced{Err: err}) }) }
	if req.Group == "" {
		fail(ErrInvalidGroup)
		return
	}
	c.with(now, req.Group, queuedRequest{run: func(g *group) { c.sync(g, req, fail) }, drop: fail})
}

func (c *Core) sync(g *group, req *Sync, fail func(error)) {
	if g.foreign() {
		c.syncConsumers(g, req, fail)
		return
	}
	m, err := g.check(req.Member, req.Instance)
	switch {
	case g.phase == empty:
		fail(ErrUnknownMember)
		return
	case err != nil:
		fail(err)
		return
	case req.Generation != g.generation:
		fail(ErrIllegalGeneration)
		return
	case differs(req.ProtocolType, g.protocolType) || differs(req.Protocol, g.protocol): // Semantics line 57
		fail(ErrInconsistentProtocol)
		return
	case g.phase == preparing:
		fail(ErrRebalanceInProgress)
		return
	}
	delete(g.pendingSync, m.id)
	if g.phase == stable {
		s := g.assigned(m)
		c.out.Reply(func() { req.Done(s) })
		return
	}
	c.endSync(m, Synced{Err: ErrRebalanceInProgress}) // an earlier request of its
	m.sync = req
	if g.leader == m.id {
		c.assign(g, req)
	}
}

func differs(said *string, is string) bool { return said != nil && *said != is }

func (g *group) assigned(m *member) Synced {
	return Synced{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: m.assignment}
}

// assign makes the leader's assignment State and hands it out. Whom the leader forgot gets nothing.
func (c *Core) assign(g *group, req *Sync) {
	size := 0
	for id, a := range req.Assignments {
		size += len(id) + len(a) + 16
	}
	if size > maxGroupBytes {
		for _, m := range g.order {
			c.endSync(m, Synced{Err: ErrTooLarge})
		}
		c.prepare(g)
		return
	}
	u := g.change(state.GroupStable)
	for _, m := range sorted(g.order) {
		if a := req.Assignments[m.id]; len(a) > 0 {
			u.Assigned, u.Assignments = append(u.Assigned, m.id), append(u.Assignments, a)
		}
	}
	c.propose(g, u, func() {
		g.took(u)
		g.phase = stable
		for _, m := range g.order {
			m.assignment = req.Assignments[m.id]
			if m.sync != nil {
				c.endSync(m, g.assigned(m))
				c.heard(g, m)
			}
		}
	})
}

// awaitSyncs gives the members of a new generation a rebalance timeout to ask for their assignment.
func (c *Core) awaitSyncs(g *group) {
	clear(g.pendingSync)
	for _, m := range g.order {
		g.pendingSync[m.id] = true
	}
	g.syncBy = c.now + g.rebalanceTimeout()
	c.wakeBy(g, g.syncBy)
}
