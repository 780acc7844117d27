package group

import (
	"slices"
	"time"

	kip848 "wadi/agent/group/consumer"
	"wadi/metadata/state"
)

// ConsumerHeartbeat is a ConsumerGroupHeartbeat request (KIP-848). Strings and slices must not alias a frame.
type ConsumerHeartbeat struct {
	Group string
	kip848.Heartbeat
	Done func(ConsumerAnswer) // called exactly once
}

// ConsumerAnswer answers a ConsumerHeartbeat.
type ConsumerAnswer struct {
	Err error
	kip848.Answer
	Interval time.Duration // until the next heartbeat
}

// ConsumerSettings are those of one group.
type ConsumerSettings struct {
	Session  time.Duration // consumer.session.timeout.ms
	Interval time.Duration // consumer.heartbeat.interval.ms
}

// consumers is what a coordinator adds to what State has of a group of the consumer protocol: time.
type consumers struct {
	*kip848.Group
	session map[string]time.Duration // by member: when its session ends
	revoke  map[string]revocation
	owes    map[string]time.Duration // by classic member: until when it must have joined, as it was told, or synced
	looked  uint64                   // the core's round of topics when they were looked at
}

// revocation is until when a member must have given up what it was told to.
type revocation struct {
	by    time.Duration
	epoch int32
}

func newConsumers(g *kip848.Group) *consumers {
	return &consumers{Group: g, session: map[string]time.Duration{}, revoke: map[string]revocation{}, owes: map[string]time.Duration{}}
}

// TopicsChanged tells that topics were made, deleted or grew: each group looks at its own with its next heartbeat.
func (c *Core) TopicsChanged() { c.topicsRound++ }

// ConsumerHeartbeat takes a heartbeat. One that changes nothing is answered from memory; what a member is told else is
// State before.
func (c *Core) ConsumerHeartbeat(now time.Duration, req *ConsumerHeartbeat) {
	fail := func(err error) { c.out.Reply(func() { req.Done(ConsumerAnswer{Err: err}) }) }
	if err := req.Check(); err != nil {
		fail(err)
		return
	}
	c.with(now, req.Group, queuedRequest{run: func(g *group) { c.consumerHeartbeat(g, req, fail) }, drop: fail})
}

func (c *Core) consumerHeartbeat(g *group, req *ConsumerHeartbeat, fail func(error)) {
	var before kip848.Change // that makes it a group of this protocol
	if g.consumers == nil {
		// A group without members takes up the protocol of who comes first.
		if req.Epoch != kip848.JoinEpoch {
			fail(ErrUnknownGroup)
			return
		}
		first, ok := c.upgrade(g)
		if !ok {
			fail(ErrUnknownGroup)
			return
		}
		before = first
	}
	x := g.consumers
	var a kip848.Answer
	var change kip848.Change
	var err error
	if req.Epoch < kip848.JoinEpoch {
		a, change, err = x.Leave(&req.Heartbeat)
	} else {
		look := x.looked != c.topicsRound
		a, change, err = x.Heartbeat(&req.Heartbeat, c.cfg.Topics, look, c.cfg.MaxConsumers)
	}
	if err != nil {
		fail(err)
		if len(before) > 0 {
			c.drop(g, ErrNotCoordinator) // State has it as it was
		}
		return
	}
	if req.Epoch == kip848.LeaveEpoch {
		c.takeOutConsumers(g, []string{a.Member}, func(err error) { req.Done(ConsumerAnswer{Err: err, Answer: a}) })
		return
	}
	if req.Epoch >= kip848.JoinEpoch { // who leaves looks at no topics
		x.looked = c.topicsRound
	}
	change = append(before, change...)
	settings := c.cfg.Consumers(g.name)
	c.proposeAll(g, change, func(err error) {
		if err != nil {
			req.Done(ConsumerAnswer{Err: err})
			return
		}
		req.Done(ConsumerAnswer{Answer: a, Interval: settings.Interval})
	}, func() {
		if m := x.Members[a.Member]; m != nil && req.Epoch >= kip848.JoinEpoch {
			c.heardConsumer(g, m, settings.Session)
		}
		if req.Epoch == kip848.StaticLeaveEpoch {
			delete(x.revoke, a.Member) // it is back with nothing, or out after its session
		}
	})
}

// proposeAll makes the commands of a change State, one after the other, and answers when the last one is; with none, at
// once. then goes on before the answer.
func (c *Core) proposeAll(g *group, change kip848.Change, answer func(error), then func()) {
	if len(change) == 0 {
		then()
		if answer != nil {
			c.out.Reply(func() { answer(nil) })
		}
		return
	}
	u := change[0]
	if answer != nil {
		last := len(change) == 1
		g.replies = append(g.replies, func(err error) {
			if err != nil || last {
				answer(err)
			}
		})
	}
	c.propose(g, u, func() {
		g.consumers.Apply(u, g.version)
		g.consumers.forget(u.Removed)
		if len(change) > 1 {
			c.proposeAll(g, change[1:], answer, then)
			return
		}
		then()
	})
}

// heardConsumer gives a member a session timeout from now, and one that has to give up partitions its rebalance timeout.
func (c *Core) heardConsumer(g *group, m *state.Member, session time.Duration) {
	x := g.consumers
	if kip848.IsClassic(m) {
		session = time.Duration(m.SessionTimeoutMs) * time.Millisecond
	} else {
		delete(x.owes, m.Id)
	}
	x.session[m.Id] = c.now + session
	c.wakeBy(g, x.session[m.Id])
	if !kip848.Revokes(m) {
		delete(x.revoke, m.Id)
		return
	}
	if r, ok := x.revoke[m.Id]; !ok || r.epoch != m.Epoch {
		r = revocation{by: c.now + time.Duration(m.RebalanceTimeoutMs)*time.Millisecond, epoch: m.Epoch}
		x.revoke[m.Id] = r
		c.wakeBy(g, r.by)
	}
}

func (x *consumers) forget(ids []string) {
	for _, id := range ids {
		delete(x.session, id)
		delete(x.revoke, id)
		delete(x.owes, id)
	}
}

// expireConsumers takes out who was silent for a session timeout, or kept partitions for a rebalance timeout, or did not
// come to one of the classic protocol's rebalances for as long.
func (c *Core) expireConsumers(g *group) bool {
	var gone []string
	for id, at := range g.consumers.session {
		if at <= c.now || g.consumers.lazyBy(id) <= c.now {
			gone = append(gone, id)
		}
	}
	if len(gone) == 0 {
		return false
	}
	slices.Sort(gone)
	g.consumers.forget(gone)
	c.takeOutConsumers(g, gone, nil)
	return true
}

// takeOutConsumers removes members, by a change to the classic protocol where only those are left that speak it.
func (c *Core) takeOutConsumers(g *group, gone []string, answer func(error)) {
	if len(gone) > 0 && c.downgrade(g, gone, answer) {
		return
	}
	c.proposeAll(g, g.consumers.Remove(gone...), answer, func() {})
}

// lazyBy is until when a member must have done what it was told to, however lively it is.
func (x *consumers) lazyBy(id string) time.Duration {
	at := never
	if r, ok := x.revoke[id]; ok {
		at = r.by
	}
	if by, ok := x.owes[id]; ok {
		at = min(at, by)
	}
	return at
}

// next is the earliest of the members' deadlines.
func (x *consumers) next() time.Duration {
	at := never
	for id, by := range x.session {
		at = min(at, by, x.lazyBy(id))
	}
	return at
}

// restoreConsumers takes a group over from State: every member has a whole session timeout to show up, and a whole
// rebalance timeout to give up what it must.
func (c *Core) restoreConsumers(g *group, s *Snapshot) {
	g.version, g.generation = s.Version, s.Generation
	g.consumers = newConsumers(kip848.Restore(s.Version, s.Generation, s.AssignmentEpoch, s.MetadataHash, s.Members))
	g.consumers.looked = c.topicsRound - 1 // topics may have changed since State has its hash
	session := c.cfg.Consumers(g.name).Session
	for _, m := range s.Members {
		c.heardConsumer(g, m, session)
	}
}

// foreign reports whether the group's members speak another protocol than the classic one.
func (g *group) foreign() bool { return g.consumers != nil && len(g.consumers.Members) > 0 }
