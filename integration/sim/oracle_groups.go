package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"wadi/agent/group"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
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

	offsets map[slot][]committedOffset
}

type committedOffset struct {
	offset int64
	member string
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
			records: map[string]bool{}, offsets: map[slot][]committedOffset{},
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

// commits checks State's verdict on a commit that it took.
func (o *groupsOracle) commits(e journal.Entry, c *pb.CommitOffsets) {
	w, g := o.w, o.group(c.Group)
	m := g.members[c.Member]
	modern := state.GroupType(g.header.Type) == state.ConsumerGroup
	switch {
	case m == nil:
		w.violated("position %d: group %s takes a commit of %s, which is no member", e.Position, c.Group, c.Member)
		return
	case modern && m.Epoch != c.Generation || !modern && g.header.Generation != c.Generation:
		w.violated("position %d: group %s takes a commit of %s under %d", e.Position, c.Group, c.Member, c.Generation)
		return
	}
	owned := slotsOf(m.Owned)
	for i, topic := range c.Topics {
		s := slot{topic, c.Partitions[i]}
		list := g.offsets[s]
		if n := len(list); n > 0 && list[n-1].offset > c.Offsets[i] && !(modern && slices.Contains(owned, s)) {
			w.violated("position %d: the offset of group %s in partition %v goes from %v back to %d by %s", e.Position, c.Group, s,
				list[n-1], c.Offsets[i], c.Member)
		}
		g.offsets[s] = append(list, committedOffset{c.Offsets[i], c.Member})
	}
}

// answers checks that an agent that answers for groups still has its lease. One that an operator ended is learned of late.
func (o *groupsOracle) answers(a *agent) {
	w := o.w
	id, _, _ := a.sess.Session()
	res, err := w.etcd.Range(kv.RangeRequest{Key: w.keys.SessionKey(id)})
	if err != nil || len(res.KVs) == 0 && !w.revoked[id] {
		w.violated("agent %d answers for groups, the lease of its session %s is over (%v)", a.id, id, err)
	}
}

// joined checks the answer to a JoinGroup at the moment it is given.
func (o *groupsOracle) joined(a *agent, name string, j group.Joined) {
	if j.Err != nil {
		return
	}
	o.w.note("joined agent=%d group=%s member=%s generation=%d", a.id, name, j.Member, j.Generation)
	x := a.view.State().Group(name)
	if !o.group(name).rosters[j.Generation][j.Member] || x == nil || x.Generation != j.Generation || x.Member(j.Member) == nil {
		o.w.violated("agent %d tells %s that it is in generation %d of group %s, State does not know", a.id, j.Member, j.Generation, name)
	}
}

// synced checks an assignment at the moment a member is told of it.
func (o *groupsOracle) synced(a *agent, req *group.Sync, s group.Synced) {
	if s.Err != nil {
		return
	}
	w, g := o.w, o.group(req.Group)
	w.stats.Assignments++
	if plan, ok := g.plans[req.Generation][req.Member]; (!ok && len(s.Assignment) > 0) || plan != string(s.Assignment) {
		w.violated("agent %d tells %s of group %s that it owns %x in generation %d, State has %x", a.id, req.Member, req.Group,
			s.Assignment, req.Generation, plan)
	}
	who := req.Instance
	if who == "" {
		who = req.Member
	}
	owners := g.owners[req.Generation]
	if owners == nil {
		owners = map[slot]string{}
		g.owners[req.Generation] = owners
	}
	for ; len(s.Assignment) >= 4; s.Assignment = s.Assignment[4:] {
		p := slot{0, uint32(s.Assignment[2])<<8 | uint32(s.Assignment[3])}
		if owner, ok := owners[p]; ok && owner != who {
			w.violated("generation %d of group %s gives partition %d to %s and to %s", req.Generation, req.Group, p.partition, owner, who)
		}
		owners[p] = who
	}
}

// heard checks a heartbeat that was answered without an error.
func (o *groupsOracle) heard(a *agent, req *group.Heartbeat, err error) {
	if err != nil {
		return
	}
	x := a.view.State().Group(req.Group)
	if x == nil || x.Generation != req.Generation || x.Member(req.Member) == nil || !o.group(req.Group).rosters[req.Generation][req.Member] {
		o.w.violated("agent %d lets %s go on in generation %d of group %s, State does not know", a.id, req.Member, req.Generation, req.Group)
	}
}

// told checks an answer to a ConsumerGroupHeartbeat at the moment it is given.
func (o *groupsOracle) told(a *agent, name string, answer group.ConsumerAnswer) {
	if answer.Err != nil {
		return
	}
	g, x := o.group(name), a.view.State().Group(name)
	if answer.Epoch < 0 {
		return
	}
	known := g.epochs[fmt.Sprint(answer.Member, " ", answer.Epoch)]
	if answer.Assignment != nil {
		o.w.stats.Assignments++
		o.w.note("told agent=%d group=%s member=%s epoch=%d %v", a.id, name, answer.Member, answer.Epoch, slotsOf(*answer.Assignment))
		known = g.records[fmt.Sprint(answer.Member, " ", answer.Epoch, " ", slotsOf(*answer.Assignment))]
	}
	m := x.Member(answer.Member)
	known = known && m != nil && m.Epoch == answer.Epoch && (answer.Assignment == nil || slices.Equal(slotsOf(*answer.Assignment), slotsOf(m.Owned)))
	if !known {
		o.w.violated("agent %d tells %s of group %s of epoch %d and %v, State never had that", a.id, answer.Member, name, answer.Epoch,
			answer.Assignment)
	}
}

// committed checks the answer to a commit.
func (o *groupsOracle) committed(c *pb.CommitOffsets, err error) {
	o.w.note("commit group=%s member=%s generation=%d offsets=%v err=%v", c.Group, c.Member, c.Generation, c.Offsets, err)
	switch {
	case errors.Is(err, group.ErrUnknownMember), errors.Is(err, group.ErrIllegalGeneration), errors.Is(err, group.ErrStaleEpoch),
		errors.Is(err, group.ErrFencedInstance):
		o.w.stats.Fenced++
		return
	case err != nil:
		return
	}
	o.w.stats.Commits++
	for i, topic := range c.Topics {
		if !slices.Contains(o.group(c.Group).offsets[slot{topic, c.Partitions[i]}], committedOffset{c.Offsets[i], c.Member}) {
			o.w.violated("group %s: the commit of %s of offset %d in partition %d is acknowledged, State does not have it", c.Group,
				c.Member, c.Offsets[i], c.Partitions[i])
		}
	}
}

// known is how many commits of each partition there were.
func (o *groupsOracle) known(name string, list []slot) (counts []int) {
	for _, s := range list {
		counts = append(counts, len(o.group(name).offsets[s]))
	}
	return counts
}

// fetched checks that what an OffsetFetch says is the newest that there was when it came, or newer.
func (o *groupsOracle) fetched(a *agent, name string, list []slot, before []int, offsets []int64) {
	for i, s := range list {
		all := o.group(name).offsets[s]
		right := before[i] == 0 && offsets[i] == -1
		for _, c := range all[max(before[i]-1, 0):] {
			right = right || c.offset == offsets[i]
		}
		if !right {
			o.w.violated("agent %d: group %s is at offset %d in partition %v; %d commits before of %v", a.id, name, offsets[i], s,
				before[i], all)
		}
	}
}

// unsettled says what keeps a group from being what it is to be when nothing happens to it: its members are those that
// live, and each partition has one owner.
func (g *consumers) unsettled() string {
	w := g.w
	live := g.live()
	st := w.oracle.st.Group(g.name)
	if len(live) == 0 {
		if st != nil && len(st.Members()) > 0 {
			return "nobody lives of " + g.name
		}
		return ""
	}
	if st == nil || st.State != state.GroupStable || len(st.Members()) != len(live) {
		return g.name + " has not its members"
	}
	owners := map[slot]int{}
	for _, m := range live {
		x := st.Member(m.id)
		switch {
		case x == nil || !m.inGroup || m.paused:
			return fmt.Sprintf("member %d of %s is not in it", m.n, g.name)
		case g.modern && (x.State != 0 || x.Epoch != st.Generation || st.AssignmentEpoch != st.Generation || !slices.Equal(m.owned, slotsOf(x.Owned))):
			return g.name + " reconciles"
		case !g.modern && m.generation != st.Generation:
			return g.name + " rebalances"
		case len(m.dirty()) > 0:
			return fmt.Sprintf("member %d of %s has not committed", m.n, g.name)
		}
		for _, s := range m.owned {
			owners[s]++
			if p := m.positions[s]; p != nil && !p.fetched {
				return fmt.Sprintf("member %d of %s does not know where to go on", m.n, g.name)
			}
		}
	}
	want := 0
	for _, name := range g.topics {
		t := w.oracle.st.Topic(name)
		if t == nil {
			continue
		}
		want += t.Partitions()
		for p := range t.Partitions() {
			if n := owners[slot{t.Number, uint32(p)}]; n != 1 {
				return fmt.Sprintf("partition %d of %s has %d owners in %s", p, name, n, g.name)
			}
		}
	}
	if len(owners) != want {
		return g.name + " owns partitions of a topic that is gone"
	}
	return ""
}

// generations are those of all groups, to see whether any rebalances.
func (w *World) generations() string {
	var b strings.Builder
	w.oracle.st.EachGroup(func(g *state.Group) { fmt.Fprintf(&b, "%s:%d ", g.Name, g.Generation) })
	return b.String()
}

// checkGroups compares State's groups with the oracle's own reading.
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
