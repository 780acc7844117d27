package sim

import (
	"errors"
	"slices"
	"time"

	"wadi/agent/group"
	kip848 "wadi/agent/group/consumer"
)

func setOf(list []slot) kip848.Set {
	topics := map[uint64][]uint32{}
	for _, s := range list {
		topics[s.topic] = append(topics[s.topic], s.partition)
	}
	return kip848.SetOf(topics)
}

func slotsOf(set kip848.Set) (list []slot) {
	for _, t := range set {
		for _, p := range t.Partitions {
			list = append(list, slot{t.Topic, p})
		}
	}
	return list
}

// heartbeat is ConsumerGroupHeartbeat: it says what has changed since the last one that was answered, and everything
// after one that was not.
func (m *member) heartbeat() {
	a := m.coordinator
	h := kip848.Heartbeat{Member: m.id, Instance: m.instance, Epoch: m.epoch, ClientID: "c", RebalanceTimeoutMs: -1}
	owned := slices.Clone(m.owned)
	if set := setOf(owned); m.full || !slices.Equal(owned, m.said) {
		h.Owned = &set
	}
	if m.full {
		h.RebalanceTimeoutMs, h.Topics, h.HasTopics = int32(m.rebalance/time.Millisecond), m.topics, true
	}
	m.busy = true
	m.call(a, memberTimeout, func(reply func(func())) {
		req := &group.ConsumerHeartbeat{Group: m.name, Heartbeat: h}
		req.Done = func(answer group.ConsumerAnswer) {
			m.w.oracle.groups.told(a, m.name, answer)
			reply(func() { m.answered(answer, owned) })
		}
		if !a.coordinates(m.name) {
			req.Done(group.ConsumerAnswer{Err: group.ErrNotCoordinator})
			return
		}
		a.groupStep(func(c *group.Core, now time.Duration) { c.ConsumerHeartbeat(now, req) })
	}, m.lost)
}

func (m *member) answered(a group.ConsumerAnswer, said []slot) {
	m.busy = false
	switch err := a.Err; {
	case err == nil:
		m.epoch, m.full, m.said, m.inGroup = a.Epoch, false, said, true
		if a.Assignment != nil {
			m.target = slotsOf(*a.Assignment)
			m.reconcile()
		}
	case m.elsewhere(err):
	case errors.Is(err, kip848.ErrFencedEpoch), errors.Is(err, kip848.ErrUnknownMember), errors.Is(err, group.ErrUnknownMember),
		errors.Is(err, group.ErrUnknownGroup):
		m.w.note("member=%s/%d id=%q is fenced: %v", m.name, m.n, m.id, err)
		m.forget()
		m.epoch, m.full, m.target, m.inGroup = kip848.JoinEpoch, true, nil, false
		m.retry()
	case errors.Is(err, kip848.ErrUnreleased):
		m.full = true
	case errors.Is(err, kip848.ErrFencedInstance):
		m.end("is fenced")
	default:
		m.w.violated("member %d of %s is refused: %v", m.n, m.name, err)
	}
}

// reconcile gives up what is not the member's any more, which takes a while, then takes what is, and says so.
func (m *member) reconcile() {
	if m.reconciling || slices.Equal(m.owned, m.target) {
		return
	}
	kept := slices.DeleteFunc(slices.Clone(m.owned), func(s slot) bool { return !slices.Contains(m.target, s) })
	if len(kept) == len(m.owned) {
		m.take(m.target)
		m.step()
		return
	}
	pause := m.w.between(0, 50*time.Millisecond)
	if m.slow {
		pause = m.w.between(200*time.Millisecond, 1500*time.Millisecond)
		if m.w.now < m.w.opts.Active && m.w.chance(0.1) {
			pause = m.rebalance + time.Second // longer than it may
		}
	}
	m.reconciling = true
	m.after(pause, func() {
		m.reconciling = false
		m.take(m.target)
		m.step()
	})
}
