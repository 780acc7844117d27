package sim

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"wadi/agent/group"
)

// join gives up what the member owns, as eager consumers do, and asks into the next generation.
func (m *member) join() {
	a := m.coordinator
	m.busy, m.inGroup, m.leads = true, false, false
	m.forget()
	req := &group.Join{
		Group: m.name, Member: m.id, Instance: m.instance, ClientID: "c", ProtocolType: "consumer",
		Protocols:      []group.Protocol{{Name: "range", Metadata: []byte(m.instance)}},
		SessionTimeout: m.session, RebalanceTimeout: m.rebalance, NeedsKnownID: true, CanSkipAssignment: true,
	}
	m.call(a, m.rebalance+memberTimeout, func(reply func(func())) {
		req.Done = func(j group.Joined) {
			m.w.oracle.groups.joined(a, m.name, j)
			reply(func() { m.joined(a, j) })
		}
		if !a.coordinates(m.name) {
			req.Done(group.Joined{Err: group.ErrNotCoordinator, Member: req.Member, Generation: -1})
			return
		}
		a.groupStep(func(c *group.Core, now time.Duration) { c.Join(now, req) })
	}, m.lost)
}

func (m *member) joined(a *agent, j group.Joined) {
	m.busy = false
	switch {
	case j.Err == nil:
		m.id, m.generation, m.leads = j.Member, j.Generation, j.Leader == j.Member
		m.sync(a, j)
	case errors.Is(j.Err, group.ErrMemberIDRequired):
		m.id = j.Member
		m.step()
	default:
		m.refused(j.Err)
	}
}

// refused takes an error of any request as Kafka's clients do.
func (m *member) refused(err error) {
	m.w.note("member=%s/%d id=%q refused: %v", m.name, m.n, m.id, err)
	switch {
	case m.elsewhere(err):
	case errors.Is(err, group.ErrRebalanceInProgress), errors.Is(err, group.ErrIllegalGeneration):
		m.inGroup = false
		m.retry()
	case errors.Is(err, group.ErrUnknownMember):
		m.inGroup, m.id = false, ""
		m.retry()
	case errors.Is(err, group.ErrFencedInstance):
		m.end("is fenced")
	default:
		m.w.violated("member %d of %s is refused: %v", m.n, m.name, err)
	}
}

// sync asks for the assignment; the leader brings it.
func (m *member) sync(a *agent, j group.Joined) {
	req := &group.Sync{Group: m.name, Member: m.id, Instance: m.instance, Generation: j.Generation}
	switch {
	case m.leads && j.SkipAssignment:
		m.planned[j.Generation] = max(m.planned[j.Generation], m.planned[j.Generation-1])
	case m.leads:
		req.Assignments = m.plan(a, j)
	}
	m.busy = true
	m.call(a, m.rebalance+memberTimeout, func(reply func(func())) {
		req.Done = func(s group.Synced) {
			m.w.oracle.groups.synced(a, req, s)
			reply(func() {
				m.busy = false
				if s.Err != nil {
					m.refused(s.Err)
					return
				}
				m.inGroup = true
				m.take(m.decode(s.Assignment))
				m.work()
			})
		}
		if !a.coordinates(m.name) {
			req.Done(group.Synced{Err: group.ErrNotCoordinator})
			return
		}
		a.groupStep(func(c *group.Core, now time.Duration) { c.Sync(now, req) })
	}, m.lost)
}

// plan gives partitions out in turn, in each generation to others.
func (m *member) plan(a *agent, j group.Joined) map[string][]byte {
	m.planned[j.Generation] = m.width(a)
	plan := map[string][]byte{}
	for p := range m.planned[j.Generation] {
		id := j.Members[(p+int(j.Generation))%len(j.Members)].ID
		plan[id] = binary.BigEndian.AppendUint32(plan[id], uint32(p))
	}
	return plan
}

// width is how many partitions an agent's metadata says that there are.
func (m *member) width(a *agent) int {
	if a.view != nil {
		if t := a.view.State().TopicByNumber(m.source()); t != nil {
			return t.Partitions()
		}
	}
	return 0
}

func (m *member) decode(assignment []byte) (list []slot) {
	for ; len(assignment) >= 4; assignment = assignment[4:] {
		list = append(list, slot{m.source(), binary.BigEndian.Uint32(assignment)})
	}
	return list
}

func (m *member) classicHeartbeat() {
	a := m.coordinator
	req := &group.Heartbeat{Group: m.name, Member: m.id, Instance: m.instance, Generation: m.generation}
	m.busy = true
	m.call(a, memberTimeout, func(reply func(func())) {
		req.Done = func(err error) {
			m.w.oracle.groups.heard(a, req, err)
			width := m.width(a)
			reply(func() { m.heartbeatAnswered(err, width) })
		}
		if !a.coordinates(m.name) {
			req.Done(group.ErrNotCoordinator)
			return
		}
		a.groupStep(func(c *group.Core, now time.Duration) { c.Heartbeat(now, req) })
	}, m.lost)
}

func (m *member) heartbeatAnswered(err error, width int) {
	m.busy = false
	switch {
	case errors.Is(err, group.ErrRebalanceInProgress) && m.slow:
		// It finishes what it has read, and goes on committing, before it joins.
		m.busy = true
		m.after(m.w.between(0, time.Second), func() {
			m.busy, m.inGroup = false, false
			m.step()
		})
	case err != nil:
		m.refused(err)
	case m.leads && width > m.planned[m.generation]:
		m.w.note("member=%s/%d sees %d partitions", m.name, m.n, width)
		m.inGroup = false
		m.step()
	}
}

func (g *consumers) live() (list []*member) {
	return slices.DeleteFunc(slices.Clone(g.members), func(m *member) bool { return !m.alive })
}
