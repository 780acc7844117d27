package sim

import (
	"errors"
	"fmt"
	"slices"

	"wadi/agent/group"
	pb "wadi/metadata/metadatapb"
)

// position is how far a member is with a partition.
type position struct {
	fetched     bool
	at, durable int64 // next offset, and what a commit of it was acknowledged with
}

// take makes partitions the member's, forgets others.
func (m *member) take(owned []slot) {
	for _, s := range m.owned {
		if !slices.Contains(owned, s) {
			m.doom()
			delete(m.positions, s)
		}
	}
	m.owned = owned
	m.w.note("member=%s/%d id=%q owns %v", m.name, m.n, m.id, owned)
}

func (m *member) forget() {
	m.doom()
	m.owned, m.positions = nil, map[slot]*position{}
}

// source is the topic whose partitions it works on.
func (g *consumers) source() uint64 {
	if g.topics[0] == "feed" {
		return g.w.feed
	}
	return g.w.orders
}

// dirty are the partitions with a position that no acknowledged commit has.
func (m *member) dirty() (list []slot) {
	for _, s := range m.owned {
		if p := m.positions[s]; p != nil && p.at != p.durable {
			list = append(list, s)
		}
	}
	return list
}

// work reads on and commits.
func (m *member) work() {
	w := m.w
	fetch := false
	for _, s := range m.owned {
		switch p := m.positions[s]; {
		case p == nil && s.topic == m.source(): // whose number may be known later than the partition is assigned
			m.positions[s], fetch = &position{}, true
		case p == nil:
		case !p.fetched:
			fetch = true
		case m.teller == nil && w.now < w.opts.Active && w.chance(0.5):
			p.at += 1 + w.rng.Int64N(5)
		}
	}
	if fetch && !m.fetching && m.coordinator != nil {
		m.fetch()
	}
	if m.teller == nil && !m.committing && m.coordinator != nil && (w.chance(0.7) || w.now >= w.opts.Active) {
		m.commit()
	}
}

// commit stores the positions of all partitions that moved.
func (m *member) commit() {
	w, a := m.w, m.coordinator
	k := &pb.CommitOffsets{Group: m.name, Member: m.id, InstanceId: m.instance, Generation: m.generation}
	if m.modern {
		k.Generation = m.epoch
	}
	var moved []*position
	w.sent++
	for _, s := range m.dirty() {
		p := m.positions[s]
		k.Topics, k.Partitions = append(k.Topics, s.topic), append(k.Partitions, s.partition)
		k.Offsets, k.Metadata = append(k.Offsets, p.at), append(k.Metadata, fmt.Sprintf("%06d", w.sent))
		moved = append(moved, p)
	}
	if len(moved) == 0 {
		return
	}
	m.committing = true
	offsets := slices.Clone(k.Offsets)
	m.call(a, memberTimeout, func(reply func(func())) {
		a.commitOffsets(k, func(err error) {
			w.oracle.groups.committed(k, err)
			reply(func() {
				m.committing = false
				switch {
				case err == nil:
					for i, p := range moved {
						p.durable = max(p.durable, offsets[i])
					}
				case errors.Is(err, group.ErrNotCoordinator):
					m.coordinator = nil
				}
			})
		})
	}, func() { m.committing, m.coordinator = false, nil })
}

// fetch asks where to go on.
func (m *member) fetch() {
	a, g := m.coordinator, m.w.oracle.groups
	var list []slot
	var wanted []*position
	for _, s := range m.owned {
		if p := m.positions[s]; p != nil && !p.fetched {
			list, wanted = append(list, s), append(wanted, p)
		}
	}
	m.fetching = true
	m.call(a, memberTimeout, func(reply func(func())) {
		a.spawn(func() {
			if a.groups == nil {
				return
			}
			before, pending := g.known(m.name, list), m.w.oracle.txns.pending(m.name, list)
			if err := a.passWithin(memberTimeout); err != nil || !a.coordinates(m.name) {
				reply(func() { m.fetching, m.coordinator = false, nil })
				return
			}
			offsets := make([]int64, len(list))
			for i, s := range list {
				offsets[i] = -1
				if x := a.view.State().Group(m.name); x != nil {
					if a.view.State().OffsetPending(x, s.topic, int32(s.partition)) { // UNSTABLE_OFFSET_COMMIT
						m.w.stats.Waits++
						reply(func() { m.fetching = false })
						return
					}
					if o, ok := x.Offset(s.topic, int32(s.partition)); ok {
						offsets[i] = o.Offset
					}
				}
			}
			g.fetched(a, m.name, list, before, offsets)
			m.w.oracle.txns.waited(m.name, list, pending)
			reply(func() {
				m.fetching = false
				for i, p := range wanted {
					p.fetched, p.at, p.durable = true, max(offsets[i], 0), max(offsets[i], 0)
				}
			})
		})
	}, func() { m.fetching, m.coordinator = false, nil })
}
