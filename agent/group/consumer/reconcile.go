package consumer

import "wadi/metadata/state"

// States of a member, as its record has them.
const (
	stable   = 0
	revoking = 1 // told to give partitions up, not done so
	waiting  = 2 // part of its target still belongs to others
)

// Revokes reports whether a member was told to give up partitions and has not done so.
func Revokes(m *state.Member) bool { return m.State == revoking }

// Settled reports whether a member has all that its target says, and nothing to give up.
func Settled(m *state.Member) bool { return m.State == stable }

// reconcile moves a member towards its target, as far as it goes now. said is what the member says that it owns, nil
// when it does not say. free tells whether a partition is in nobody's hands.
func reconcile(m *state.Member, epoch int32, said *Set, free func(slot) bool) {
	owns := func(s Set) bool { return len(s) > 0 && (said == nil || overlap(*said, s)) }
	switch {
	case m.State == stable && m.Epoch == epoch:
		return
	case m.State == revoking && owns(m.Revoking):
		return
	}
	m.Revoking = nil
	keep, revoke := intersect(m.Owned, m.Target), minus(m.Owned, m.Target)
	since := func(s slot) int32 {
		if before, ok := state.AssignmentEpoch(m, s.topic, s.partition); ok {
			return before
		}
		return epoch
	}
	if owns(revoke) {
		m.State, m.Owned, m.Revoking = revoking, under(keep, since), under(revoke, since)
		return
	}
	missing := minus(m.Target, m.Owned)
	ready := combine(missing, nil, func(s slot, _, _ bool) bool { return free(s) })
	m.Owned, m.State = under(union(keep, ready), since), stable
	if m.Epoch != epoch {
		m.PreviousEpoch, m.Epoch = m.Epoch, epoch
	}
	if !equal(ready, missing) {
		m.State = waiting
	}
}
