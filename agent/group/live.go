package group

import (
	"slices"
	"strings"
	"time"
)

// Heartbeat takes a Heartbeat request (Semantics line 56).
func (c *Core) Heartbeat(now time.Duration, req *Heartbeat) {
	done := func(err error) { c.out.Reply(func() { req.Done(err) }) }
	if req.Group == "" {
		done(ErrInvalidGroup)
		return
	}
	c.with(now, req.Group, queuedRequest{drop: done, run: func(g *group) {
		if g.foreign() {
			done(c.heartbeatConsumers(g, req))
			return
		}
		m, err := g.check(req.Member, req.Instance)
		switch {
		case err != nil:
		case req.Generation != g.generation:
			err = ErrIllegalGeneration
		default:
			c.heard(g, m)
			if g.phase == preparing {
				err = ErrRebalanceInProgress
			}
		}
		done(err)
	}})
}

// Committing judges a member that is about to commit positions by what is known here, and takes its request for a sign of
// life. State judges again: only it knows the generation when the command arrives. A group that is not in memory, or that
// is being changed, is left to State.
func (c *Core) Committing(now time.Duration, name, id, instance string, generation int32) error {
	c.now = now
	g := c.groups[name]
	if g == nil || g.ticket != 0 || g.foreign() || generation < 0 {
		return nil
	}
	m, err := g.check(id, instance)
	switch {
	case g.version == 0:
		return nil // State says what there is none of
	case err != nil:
		return err
	case generation != g.generation:
		return ErrIllegalGeneration
	case g.phase == completing:
		return ErrRebalanceInProgress
	}
	c.heard(g, m)
	return nil
}

// Leave takes a LeaveGroup request: members that leave, or that an administrator removes by their instance ids
// (Semantics line 60).
func (c *Core) Leave(now time.Duration, req *Leave) {
	fail := func(err error) { c.out.Reply(func() { req.Done(err, nil) }) }
	if req.Group == "" {
		fail(ErrInvalidGroup)
		return
	}
	c.with(now, req.Group, queuedRequest{drop: fail, run: func(g *group) {
		if g.foreign() {
			c.leaveConsumers(g, req)
			return
		}
		each, left := make([]error, len(req.Members)), false
		for i, l := range req.Members {
			each[i] = c.leave(g, l)
			left = left || each[i] == nil
		}
		if left && g.phase != empty {
			c.rebalance(g)
		}
		if g.ticket != 0 { // it was the last one: the group is empty when State says so
			g.replies = append(g.replies, func(err error) { req.Done(err, each) })
			return
		}
		c.out.Reply(func() { req.Done(nil, each) })
	}})
}

func (c *Core) leave(g *group, l Leaver) error {
	if _, pending := g.pendingJoin[l.Member]; pending {
		delete(g.pendingJoin, l.Member)
		return nil
	}
	id := l.Member
	if id == "" {
		m := g.statics[l.Instance]
		if m == nil {
			return ErrUnknownMember
		}
		id = m.id
	}
	m, err := g.check(id, l.Instance)
	if err != nil {
		return err
	}
	c.takeOut(g, m)
	return nil
}

// takeOut removes a member. A join that it waits in is answered so that a client that is alive starts anew.
func (c *Core) takeOut(g *group, m *member) {
	c.endJoin(g, m, Joined{Err: ErrUnknownMember})
	c.endSync(m, Synced{Err: ErrUnknownMember})
	g.remove(m)
}

// heard gives a member a session timeout from now.
func (c *Core) heard(g *group, m *member) { c.deadline(g, m, m.session) }

func (c *Core) deadline(g *group, m *member, in time.Duration) {
	m.deadline = c.now + in
	c.wakeBy(g, m.deadline)
}

// expire does what is due for a group and arms it for what comes next. It stops at the first thing that has to be State
// before anything else happens.
func (c *Core) expire(g *group) {
	for g.ticket == 0 && c.expireOne(g) {
	}
	if g.ticket != 0 {
		g.late = true // the rest is looked at when that is decided
		return
	}
	c.wakeBy(g, g.next())
}

// expireOne does one thing that is due; false when there is none.
func (c *Core) expireOne(g *group) bool {
	if g.foreign() && c.expireConsumers(g) {
		return true
	}
	if id := g.pendingExpired(c.now); id != "" {
		delete(g.pendingJoin, id)
		if g.phase == preparing && g.allJoined() {
			c.complete(g)
		}
		return true
	}
	for _, m := range g.order {
		if m.deadline > c.now {
			continue
		}
		if !m.fresh && (m.join != nil || m.sync != nil) {
			m.deadline = never // it waits for us; its time starts when it is answered
			continue
		}
		c.takeOut(g, m)
		switch {
		case g.phase != preparing:
			c.rebalance(g)
		case g.allJoined():
			c.complete(g)
		}
		return true
	}
	switch {
	case g.phase == preparing && g.joinBy <= c.now && g.fresh:
		c.gathered(g)
		return true
	case g.phase == preparing && g.joinBy <= c.now:
		c.complete(g)
		return true
	case g.syncBy <= c.now:
		g.syncBy = never
		if len(g.pendingSync) == 0 {
			return true
		}
		for _, m := range append([]*member(nil), g.order...) { // Semantics line 55
			if g.pendingSync[m.id] {
				c.takeOut(g, m)
			}
		}
		c.prepare(g)
		return true
	}
	return false
}

// pendingExpired is the first, by name, of the ids given out whose time is over.
func (g *group) pendingExpired(now time.Duration) (id string) {
	for p, until := range g.pendingJoin {
		if until <= now && (id == "" || p < id) {
			id = p
		}
	}
	return id
}

// next is the group's earliest deadline.
func (g *group) next() time.Duration {
	at := min(g.joinBy, g.syncBy)
	if g.foreign() {
		at = min(at, g.consumers.next())
	}
	for _, until := range g.pendingJoin {
		at = min(at, until)
	}
	for _, m := range g.order {
		at = min(at, m.deadline)
	}
	return at
}

func sorted(members []*member) []*member {
	list := slices.Clone(members)
	slices.SortFunc(list, func(a, b *member) int { return strings.Compare(a.id, b.id) })
	return list
}
