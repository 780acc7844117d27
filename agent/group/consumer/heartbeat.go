package consumer

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"wadi/agent/group/assignor"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// Epochs with a meaning of their own.
const (
	JoinEpoch        = 0
	LeaveEpoch       = -1
	StaticLeaveEpoch = -2 // a static member leaves for a while and keeps its partitions
)

// Heartbeat is a ConsumerGroupHeartbeat request. Fields that are nil were not sent: they stay as they were.
type Heartbeat struct {
	Member, Instance     string
	Epoch                int32
	ClientID, ClientHost string
	Rack                 *string
	RebalanceTimeoutMs   int32 // -1 = not sent
	Topics               []string
	HasTopics            bool
	Regex                *string
	Assignor             *string
	Owned                *Set
	Classic              *Classic // of a member that speaks the classic protocol
}

// Classic is what a member of the classic protocol says besides.
type Classic struct {
	SessionTimeoutMs int32
	Protocols        []*pb.GroupProtocol // at least one
}

// full reports whether the request says everything, as a client's does that wants to hear everything.
func (h *Heartbeat) full() bool {
	return h.RebalanceTimeoutMs != -1 && (h.HasTopics || h.Regex != nil) && h.Owned != nil
}

// Answer is what the member is told once the change is State.
type Answer struct {
	Member     string
	Epoch      int32
	Assignment *Set // nil = as it was
	Revoking   bool // it has a rebalance timeout to give partitions up
}

// Check is the part of a heartbeat's judgement that needs no group.
func (h *Heartbeat) Check() error {
	if h.Assignor != nil && *h.Assignor != "" && assignor.Named(*h.Assignor) == nil {
		return fmt.Errorf("%w: %s", ErrUnsupportedAssign, *h.Assignor)
	}
	if h.Regex != nil && *h.Regex != "" {
		if _, err := Pattern(*h.Regex); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalidRegex, err)
		}
	}
	return nil
}

// Heartbeat judges a heartbeat of a member that joins or is there. look says that topics may have changed since the last
// one. maxSize bounds the members. The change is nil when there is nothing for State.
func (g *Group) Heartbeat(h *Heartbeat, topics Topics, look bool, maxSize int) (Answer, Change, error) {
	before, err := g.find(h)
	if err != nil {
		return Answer{}, nil, err
	}
	if before == nil && len(g.Members) >= maxSize {
		return Answer{}, nil, ErrFull
	}
	d := g.draft()
	m, subscribed := g.updated(h, before)
	if before != nil && before.Id != m.Id {
		d.removed = append(d.removed, before.Id)
	}
	d.put[m.Id] = m
	if before == nil || subscribed || look || d.epoch > d.assignmentEpoch {
		d.assign(topics, before == nil || subscribed)
	}
	m = d.put[m.Id]
	reconcile(m, d.assignmentEpoch, h.Owned, func(s slot) bool {
		holder, held := g.holder[s]
		return !held || holder == m.Id || before != nil && holder == before.Id
	})
	a := Answer{Member: m.Id, Epoch: m.Epoch, Revoking: m.State == revoking}
	if h.Epoch == JoinEpoch || h.full() || !equal(before.Owned, m.Owned) {
		a.Assignment = &m.Owned
	}
	if before != nil && proto.Equal(before, m) {
		delete(d.put, m.Id)
	}
	return a, d.change(), nil
}

// find is the member that a heartbeat is of, nil when it is to be a new one.
func (g *Group) find(h *Heartbeat) (*state.Member, error) {
	if h.Instance == "" {
		m := g.Members[h.Member]
		if h.Epoch == JoinEpoch {
			return m, nil
		}
		if m == nil {
			return nil, ErrUnknownMember
		}
		return m, checkEpoch(m, h)
	}
	m := g.Static(h.Instance)
	switch {
	case h.Epoch == JoinEpoch && m == nil:
		return g.Members[h.Member], nil
	case h.Epoch == JoinEpoch && m.Epoch != StaticLeaveEpoch && h.Classic == nil && !IsClassic(m):
		return nil, ErrUnreleased // a process of the classic protocol does not say that it goes
	case h.Epoch == JoinEpoch:
		return m, nil
	case m == nil:
		return nil, ErrUnknownMember
	case m.Id != h.Member:
		return nil, ErrFencedInstance
	}
	return m, checkEpoch(m, h)
}

// checkEpoch lets a member go on under its epoch. Under the one before, when the answer with the new one may have been
// lost: then it owns nothing that it should not.
func checkEpoch(m *state.Member, h *Heartbeat) error {
	switch {
	case h.Epoch == m.Epoch:
		return nil
	case h.Epoch < m.Epoch && h.Epoch == m.PreviousEpoch && h.Owned != nil && subset(*h.Owned, m.Owned):
		return nil
	}
	return fmt.Errorf("%w (%d is not %d)", ErrFencedEpoch, h.Epoch, m.Epoch)
}

// updated is the member as the request says that it is, and whether it subscribes to something else than before.
func (g *Group) updated(h *Heartbeat, before *state.Member) (m *state.Member, subscribed bool) {
	m = &state.Member{Id: h.Member, InstanceId: h.Instance}
	if before != nil {
		m = proto.CloneOf(before)
		if h.Instance != "" {
			m.InstanceId = h.Instance
		}
		if m.Id = h.Member; before.Id != m.Id || before.Epoch == StaticLeaveEpoch {
			m.Epoch, m.PreviousEpoch = 0, 0 // the successor of a static member
		}
	}
	m.ClientId, m.ClientHost = h.ClientID, h.ClientHost
	m.SessionTimeoutMs, m.Protocols = 0, nil
	if h.Classic != nil {
		m.SessionTimeoutMs, m.Protocols = h.Classic.SessionTimeoutMs, h.Classic.Protocols
	}
	if h.Rack != nil {
		m.Rack = *h.Rack
	}
	if h.RebalanceTimeoutMs != -1 {
		m.RebalanceTimeoutMs = h.RebalanceTimeoutMs
	}
	if h.Assignor != nil {
		m.Assignor = *h.Assignor
	}
	if h.HasTopics {
		topics := slices.Clone(h.Topics)
		slices.Sort(topics)
		topics = slices.Compact(topics)
		subscribed = subscribed || !slices.Equal(topics, m.Topics)
		m.Topics = topics
	}
	if h.Regex != nil {
		subscribed = subscribed || m.Regex != *h.Regex
		m.Regex = *h.Regex
	}
	return m, subscribed
}

// assign begins a new epoch when the members or what they subscribe to changed, and computes the targets of the newest.
func (d *draft) assign(topics Topics, bump bool) {
	members := d.members()
	subscribed := d.g.subscriptions(members, topics)
	if hash := hashOf(subscribed); hash != d.hash {
		d.hash, bump = hash, true
	}
	for _, m := range members {
		bump = bump || m.Epoch > d.assignmentEpoch // State has half of a change: targets of this epoch are known already
	}
	if bump {
		d.epoch++
	}
	if d.epoch == d.assignmentEpoch {
		return
	}
	list := make([]assignor.Member, len(members))
	for i, m := range members {
		list[i] = assignor.Member{ID: m.Id, Instance: m.InstanceId}
		for _, t := range subscribed[m.Id] {
			list[i].Topics = append(list[i].Topics, assignor.Topic{Number: t.Number, Partitions: t.Partitions})
		}
		each(m.Target, func(s slot) {
			list[i].Before = append(list[i].Before, assignor.Partition{Topic: s.topic, Partition: s.partition})
		})
	}
	assigned := assignor.Named(Preferred(members))(list)
	for _, m := range members {
		target := setOf(assigned[m.Id])
		if equal(target, m.Target) {
			continue
		}
		if d.put[m.Id] == nil {
			d.put[m.Id] = proto.CloneOf(m)
		}
		d.put[m.Id].Target = target
	}
	d.assignmentEpoch = d.epoch
}

func setOf(list []assignor.Partition) (out Set) {
	for _, p := range list {
		if n := len(out); n == 0 || out[n-1].Topic != p.Topic {
			out = append(out, &pb.GroupPartitions{Topic: p.Topic})
		}
		t := out[len(out)-1]
		t.Partitions = append(t.Partitions, p.Partition)
	}
	return out
}

// Preferred is the assignor that most members ask for, the default when nobody does.
func Preferred(members []*state.Member) string {
	best, votes := assignor.Names[0], map[string]int{}
	for _, m := range members {
		if m.Assignor != "" {
			votes[m.Assignor]++
		}
	}
	for _, name := range assignor.Names {
		if votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// Leave takes a member out that says that it goes, or lets a static one go for a while.
func (g *Group) Leave(h *Heartbeat) (Answer, Change, error) {
	m := g.Members[h.Member]
	if h.Instance != "" {
		switch m = g.Static(h.Instance); {
		case m == nil:
		case m.Id != h.Member:
			return Answer{}, nil, ErrFencedInstance
		}
	}
	if m == nil {
		return Answer{}, nil, ErrUnknownMember
	}
	if h.Epoch == StaticLeaveEpoch {
		d := g.draft()
		gone := proto.CloneOf(m)
		gone.Epoch, gone.State, gone.Revoking = StaticLeaveEpoch, stable, nil
		gone.Owned = Under(gone.Owned, 0) // whoever comes for them has had them since it came
		d.put[m.Id] = gone
		return Answer{Member: m.Id, Epoch: StaticLeaveEpoch}, d.change(), nil
	}
	return Answer{Member: m.Id, Epoch: LeaveEpoch}, g.Remove(m.Id), nil
}

// Remove takes members out. The next heartbeat of another computes the targets anew.
func (g *Group) Remove(ids ...string) Change {
	d := g.draft()
	for _, id := range ids {
		if g.Members[id] != nil {
			d.removed = append(d.removed, id)
		}
	}
	if len(d.removed) == 0 {
		return nil
	}
	d.epoch++
	return d.change()
}

// Phase is a group's state as Kafka's tools name it.
func Phase(epoch, assignmentEpoch int32, members []*state.Member) string {
	switch {
	case len(members) == 0:
		return "Empty"
	case epoch > assignmentEpoch:
		return "Assigning"
	}
	for _, m := range members {
		if m.State != stable || m.Epoch != assignmentEpoch && m.Epoch != StaticLeaveEpoch {
			return "Reconciling"
		}
	}
	return "Stable"
}
