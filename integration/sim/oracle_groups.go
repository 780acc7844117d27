package sim

import (
	"fmt"
	"maps"
	"slices"

	kip848 "wadi/agent/group/consumer"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// groupsOracle keeps groups as the journal has them, by its own reading of the commands, and everything they ever were:
// what a member is told must be among that (I13), and no commit that was acknowledged may be missing (I12).
type groupsOracle struct {
	w      *World
	groups map[string]*groupLog
}

// groupLog is one group.
type groupLog struct {
	header  *pb.GroupHeader
	members map[string]*pb.GroupMember

	// classic, by generation
	rosters map[int32]map[string]bool
	plans   map[int32]map[string]string // what State had each member own
	owners  map[int32]map[slot]string   // who was told to own it: a member, or the instance it is

	// modern: what the record of a member ever was
	epochs, records map[string]bool
	since           map[slot]int32 // the epoch under which its holder got it, as the oracle saw it (KIP-1251)

	offsets map[slot][]committedOffset
}

func newGroupsOracle(w *World) *groupsOracle {
	return &groupsOracle{w: w, groups: map[string]*groupLog{}}
}

func (o *groupsOracle) group(name string) *groupLog {
	g := o.groups[name]
	if g == nil {
		g = &groupLog{
			header: &pb.GroupHeader{}, members: map[string]*pb.GroupMember{}, rosters: map[int32]map[string]bool{},
			plans: map[int32]map[string]string{}, owners: map[int32]map[slot]string{}, epochs: map[string]bool{},
			records: map[string]bool{}, since: map[slot]int32{}, offsets: map[slot][]committedOffset{},
		}
		o.groups[name] = g
	}
	return g
}

// updated follows a change of a group.
func (o *groupsOracle) updated(e journal.Entry, u *pb.UpdateGroup) {
	w, g := o.w, o.group(u.Group)
	before := g.header
	g.header = u.Header
	held := g.holders()
	g.assigned(u)
	for _, m := range u.Members {
		g.members[m.Id] = m
	}
	for _, id := range u.Removed {
		delete(g.members, id)
	}
	gen := g.header.Generation
	w.note("group=%s position=%d type=%d state=%d generation=%d members=%v removed=%v", u.Group, e.Position, g.header.Type,
		g.header.State, gen, slices.Sorted(maps.Keys(g.members)), u.Removed)
	w.stats.Generations += int(gen - before.Generation)
	if gen < before.Generation {
		w.violated("position %d: group %s goes from generation %d to %d", e.Position, u.Group, before.Generation, gen)
	}
	if state.GroupType(g.header.Type) == state.ConsumerGroup {
		o.modern(e, u.Group, g, held)
		return
	}
	if state.GroupState(g.header.State) == state.GroupCompleting {
		if g.rosters[gen] != nil {
			w.violated("position %d: generation %d of group %s is given twice", e.Position, gen, u.Group)
		}
		g.plans[gen] = map[string]string{}
	}
	if g.rosters[gen] == nil {
		g.rosters[gen] = map[string]bool{}
	}
	for id := range g.members {
		g.rosters[gen][id] = true
	}
	if plan := g.plans[gen]; plan != nil {
		for _, m := range u.Members {
			plan[m.Id] = string(m.Assignment)
		}
		for i, id := range u.Assigned {
			plan[id] = string(u.Assignments[i])
		}
	}
}

// assigned notes under which epoch a member gets what it did not own before, nor the static member that it succeeds. One that
// leaves for a while leaves positions to its successor, and its epochs mean nothing then.
func (g *groupLog) assigned(u *pb.UpdateGroup) {
	for _, m := range u.Members {
		before := g.members[m.Id]
		for _, id := range u.Removed {
			if x := g.members[id]; before == nil && m.InstanceId != "" && x.GetInstanceId() == m.InstanceId {
				before = x
			}
		}
		for _, s := range slotsOf(m.Owned) {
			switch {
			case m.Epoch == kip848.StaticLeaveEpoch:
				g.since[s] = 0
			case before == nil || !slices.Contains(slotsOf(before.Owned), s):
				g.since[s] = m.Epoch
			}
		}
	}
}

// holders are who has which partition, to use or to give up.
func (g *groupLog) holders() map[slot]string {
	held := map[slot]string{}
	for _, id := range slices.Sorted(maps.Keys(g.members)) {
		for _, s := range append(slotsOf(g.members[id].Owned), slotsOf(g.members[id].Revoking)...) {
			held[s] = id
		}
	}
	return held
}

// modern checks that a partition is in one member's hands, and that whoever gets it gets it from nobody who works on it.
func (o *groupsOracle) modern(e journal.Entry, name string, g *groupLog, before map[slot]string) {
	count := 0
	for _, id := range slices.Sorted(maps.Keys(g.members)) {
		m := g.members[id]
		count += len(slotsOf(m.Owned)) + len(slotsOf(m.Revoking))
		for _, s := range append(slotsOf(m.Owned), slotsOf(m.Revoking)...) {
			if epoch, _ := state.AssignmentEpoch(m, s.topic, s.partition); epoch != g.since[s] {
				o.w.violated("position %d: %s of group %s has partition %v since epoch %d, not %d", e.Position, id, name, s, g.since[s], epoch)
			}
		}
		g.epochs[fmt.Sprint(id, " ", m.Epoch)] = true
		g.records[fmt.Sprint(id, " ", m.Epoch, " ", slotsOf(m.Owned))] = true
	}
	held := g.holders()
	if count != len(held) {
		o.w.violated("position %d: a partition of group %s has two owners: %v", e.Position, name, g.members)
	}
	for _, s := range slices.SortedFunc(maps.Keys(held), compareSlots) {
		if before[s] == held[s] {
			continue
		}
		for _, m := range o.w.membersOf(name) {
			if m.alive && m.id != held[s] && g.members[m.id] != nil && slices.Contains(m.owned, s) {
				o.w.violated("position %d: %s of group %s gets partition %v, which %s has not given up", e.Position, held[s], name, s, m.id)
			}
		}
	}
}

func (w *World) membersOf(name string) []*member {
	for _, g := range w.groups {
		if g.name == name {
			return g.members
		}
	}
	return nil
}

// check compares State's groups with the oracle's own reading.
func (o *groupsOracle) check(s *state.State) {
	for _, name := range slices.Sorted(maps.Keys(o.groups)) {
		g, x := o.groups[name], s.Group(name)
		if x == nil {
			o.w.violated("State has no group %s", name)
			continue
		}
		if x.Generation != g.header.Generation || len(x.Members()) != len(g.members) {
			o.w.violated("group %s: State has %v, it must be %v", name, x, g.header)
		}
		for _, p := range slices.SortedFunc(maps.Keys(g.offsets), compareSlots) {
			list := g.offsets[p]
			if have, _ := x.Offset(p.topic, int32(p.partition)); have.Offset != list[len(list)-1].offset {
				o.w.violated("group %s partition %v: State has offset %d, it must be %d", name, p, have.Offset, list[len(list)-1].offset)
			}
		}
	}
}
