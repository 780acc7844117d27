package state

import (
	"cmp"
	"slices"
	"sort"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

// Caps of what clients can make State hold by using groups.
const (
	MaxGroups       = 200_000
	MaxGroupMembers = 10_000
	MaxOffsets      = 8_000_000 // (group, partition) pairs: 0.6 GB without metadata
	MaxGroupBytes   = 512 << 20 // members and offset metadata of all groups

	// MaxGroupName is what the protocol can carry as a group id.
	MaxGroupName = 32767
)

// GroupType is the protocol that a group's members speak.
type GroupType uint8

const (
	ClassicGroup  GroupType = 1
	ConsumerGroup GroupType = 2 // KIP-848
)

// GroupState is how far a group is. A rebalance that gathers members is not in State: until it ends, members of the
// generation before may commit.
type GroupState uint8

const (
	GroupEmpty      GroupState = 0
	GroupCompleting GroupState = 1 // classic: the leader's assignment has not come
	GroupStable     GroupState = 2
)

// Member is one member of a group. It is shared and never changed.
type Member = pb.GroupMember

// Group is one consumer group. What a reader gets is valid until the next Apply and must not be changed.
type Group struct {
	Number       uint64 // from a counter, never reused
	Name         string
	Type         GroupType
	State        GroupState
	ProtocolType string // "" = never had a member
	Protocol     string // classic: the assignor
	Leader       string // classic: member id
	Generation   int32  // classic: generation; consumer: group epoch. It never goes back while the group exists
	// AssignmentEpoch is the group epoch that the members' targets were computed for, MetadataHash says from which
	// topics (consumer groups). A classic group with an AssignmentEpoch was one of those and has not rebalanced since.
	AssignmentEpoch int32
	MetadataHash    uint64

	Version    int64 // position of the last change of anything but offsets
	EmptySince int64 // position at which it lost its last member or was made without; 0 = has members
	EmptyMs    int64 // the proposer's clock at that position, Unix milliseconds

	gen     uint64
	members []*Member // sorted by id; the slice is replaced, never changed
	offsets table[Offset]
	pending []uint64 // transactional ids whose open transaction holds positions of the group; replaced as a whole
	commits change
	bytes   int64 // of members, name and offset metadata
}

// Offset is a committed position.
type Offset struct {
	Offset      int64
	AtMs        int64 // when it was committed: the proposer's clock, Unix milliseconds
	LeaderEpoch int32 // -1 = none given
	Metadata    string
}

// change remembers when an object was changed by which session, exactly enough to tell every session whether another
// one changed it after a position.
type change struct {
	at    int64
	by    layout.Session
	other int64 // position of the last change by any session but by
}

func (c *change) touch(at int64, by layout.Session) {
	if by != c.by {
		c.other, c.by = c.at, by
	}
	c.at = at
}

// byOther reports whether a session other than this one changed the object after base.
func (c *change) byOther(session layout.Session, base int64) bool {
	if session == c.by {
		return c.other > base
	}
	return c.at > base
}

const (
	groupOverhead  = 320 // a Group, its slot, its index entry
	memberOverhead = 360
	offsetBytes    = 72 // an Offset, its key, its share of a bucket
)

// An offset's key in a group's table: partition numbers are below 1<<20, see MaxPartitions.
const partitionBits = 20

func offsetKey(topic uint64, partition uint32) uint64 {
	return topic<<partitionBits | uint64(partition)
}

func splitOffsetKey(key uint64) (topic uint64, partition uint32) {
	return key >> partitionBits, uint32(key & (1<<partitionBits - 1))
}

// validOffsetKey reports whether topic and partition fit a key.
func validOffsetKey(topic uint64, partition uint32) bool {
	return topic < 1<<(64-partitionBits) && partition < 1<<partitionBits
}

// Group finds a group by name.
func (s *State) Group(name string) *Group {
	if n, ok := s.byGroup[name]; ok {
		return *s.groups.get(n)
	}
	return nil
}

// Groups is how many there are, OffsetCount how many positions they hold.
func (s *State) Groups() int      { return s.groups.len() }
func (s *State) OffsetCount() int { return s.offsetCount }

// EachGroup visits all groups in the order of their creation.
func (s *State) EachGroup(visit func(*Group)) {
	for _, n := range sortedKeys(&s.groups) {
		visit(*s.groups.get(n))
	}
}

// SomeGroups visits the groups numbered after `after`, looking at no more than limit numbers, and returns where to go
// on; 0 when it has come to the end. It lets a walk over all groups let go of State in between.
func (s *State) SomeGroups(after uint64, limit int, visit func(*Group)) (next uint64) {
	return s.groups.numbered(after, s.groupsMade, limit, func(g **Group) { visit(*g) })
}

// Members are the group's, sorted by id. The slice is shared, read-only, and may be kept.
func (g *Group) Members() []*Member { return g.members }

// Member finds a member by id, nil when there is none.
func (g *Group) Member(id string) *Member {
	if i, ok := findMember(g.members, id); ok {
		return g.members[i]
	}
	return nil
}

func findMember(members []*Member, id string) (int, bool) {
	return slices.BinarySearchFunc(members, id, func(m *Member, id string) int { return cmp.Compare(m.Id, id) })
}

// StaticMember finds a member by its instance id (KIP-345), nil when there is none.
func (g *Group) StaticMember(instance string) *Member {
	for _, m := range g.members {
		if m.InstanceId == instance && instance != "" {
			return m
		}
	}
	return nil
}

// Offset is the committed position of a partition.
func (g *Group) Offset(topic uint64, partition int32) (Offset, bool) {
	if partition < 0 || !validOffsetKey(topic, uint32(partition)) {
		return Offset{}, false
	}
	if o := g.offsets.get(offsetKey(topic, uint32(partition))); o != nil {
		return *o, true
	}
	return Offset{}, false
}

// Offsets is how many positions the group holds, those of deleted topics included.
func (g *Group) Offsets() int { return g.offsets.len() }

// EachOffset visits all positions, sorted by topic number and partition.
func (g *Group) EachOffset(visit func(topic uint64, partition int32, o Offset)) {
	for _, k := range sortedKeys(&g.offsets) {
		topic, partition := splitOffsetKey(k)
		visit(topic, int32(partition), *g.offsets.get(k))
	}
}

// VisitOffsets visits all positions in no particular order, which takes less time than EachOffset.
func (g *Group) VisitOffsets(visit func(topic uint64, partition int32, o Offset)) {
	g.offsets.each(func(key uint64, o *Offset) {
		topic, partition := splitOffsetKey(key)
		visit(topic, int32(partition), *o)
	})
}

func (s *State) editGroup(name string) *Group {
	n, ok := s.byGroup[name]
	if !ok {
		return nil
	}
	slot := s.groups.edit(n, s.gen)
	if g := *slot; g.gen != s.gen {
		c := *g
		c.gen = s.gen
		c.offsets = g.offsets.share()
		*slot = &c
	}
	return *slot
}

// addGroup makes a group without members.
func (s *State) addGroup(name string) *Group {
	s.groupsMade++
	g := &Group{
		Number: s.groupsMade, Name: name, Type: ClassicGroup, Version: s.position, EmptySince: s.position, EmptyMs: s.atMs,
		gen: s.gen,
	}
	s.groups.put(g.Number, g, s.gen)
	s.byGroup[name] = g.Number
	s.growGroup(g, int64(len(name)))
	return g
}

// removeGroup forgets a group, and what open transactions hold for it.
func (s *State) removeGroup(g *Group) {
	for _, n := range g.pending {
		t := s.editTxn(n)
		i, _ := t.findGroup(g.Name)
		tg := &t.groups[i]
		tg.offsets.each(func(_ uint64, o *Offset) { s.growTxn(t, -int64(len(o.Metadata))-offsetInTxn) })
		s.pendingOffsets -= tg.offsets.len()
		t.offsets -= tg.offsets.len()
		tg.offsets = table[Offset]{}
	}
	s.offsetCount -= g.offsets.len()
	s.groupBytes -= g.bytes
	s.groups.remove(g.Number, s.gen)
	delete(s.byGroup, g.Name)
}

func (s *State) growGroup(g *Group, n int64) {
	g.bytes += n
	s.groupBytes += n
}

func memberBytes(m *Member) int64 { return int64(proto.Size(m)) + memberOverhead }

// applyUpdateGroup is the only way in which members, generations and assignments change.
func (s *State) applyUpdateGroup(c *pb.UpdateGroup) Code {
	members, grown, code := s.judgeUpdateGroup(c)
	if code != OK {
		return code
	}
	g := s.editGroup(c.Group)
	if g == nil {
		g = s.addGroup(c.Group)
	}
	h := c.Header
	g.Type, g.State, g.ProtocolType = GroupType(h.Type), GroupState(h.State), h.ProtocolType
	g.Protocol, g.Leader, g.Generation = h.Protocol, h.Leader, h.Generation
	g.AssignmentEpoch, g.MetadataHash = h.AssignmentEpoch, h.MetadataHash
	switch {
	case len(members) > 0:
		g.EmptySince, g.EmptyMs = 0, 0
	case g.EmptySince == 0 || len(g.members) > 0:
		g.EmptySince, g.EmptyMs = s.position, s.atMs
	}
	g.members, g.Version = members, s.position
	s.growGroup(g, grown)
	return OK
}

// judgeUpdateGroup returns the members that the command leads to and by how many bytes they grow.
func (s *State) judgeUpdateGroup(c *pb.UpdateGroup) (members []*Member, grown int64, code Code) {
	h := c.Header
	g := s.Group(c.Group)
	known, generation := int64(0), int32(0)
	var before []*Member
	if g != nil {
		known, generation, before = g.Version, g.Generation, g.members
	}
	switch {
	case c.Group == "" || len(c.Group) > MaxGroupName || h == nil:
		return nil, 0, Invalid
	case h.Type != uint32(ClassicGroup) && h.Type != uint32(ConsumerGroup), h.State > uint32(GroupStable):
		return nil, 0, Invalid
	case known != c.Version:
		return nil, 0, Conflict
	case h.Generation < generation, h.State == uint32(GroupCompleting) && h.Generation == generation:
		return nil, 0, Invalid // a generation is never given twice
	case g == nil && s.groups.len() >= MaxGroups:
		return nil, 0, TooMany
	}
	members, grown, ok := mergeMembers(before, c)
	switch {
	case !ok, (len(members) == 0) != (h.State == uint32(GroupEmpty)):
		return nil, 0, Invalid
	case len(members) > MaxGroupMembers, grown > 0 && s.groupBytes+grown > MaxGroupBytes:
		return nil, 0, TooMany
	}
	if _, found := findMember(members, h.Leader); h.Type == uint32(ClassicGroup) && len(members) > 0 && !found {
		return nil, 0, Invalid
	}
	return members, grown, OK
}

// mergeMembers walks the members and the command's three lists side by side, all of them sorted by id. A generation that
// begins has no assignments yet.
func mergeMembers(before []*Member, c *pb.UpdateGroup) (after []*Member, grown int64, ok bool) {
	put, removed, assigned := c.Members, c.Removed, c.Assigned
	begins := c.Header.State == uint32(GroupCompleting)
	if len(assigned) != len(c.Assignments) || !sortedIDs(put) || !strictlySorted(removed) || !strictlySorted(assigned) ||
		(begins && len(assigned) > 0) {
		return nil, 0, false
	}
	after = make([]*Member, 0, max(0, len(before)+len(put)-len(removed)))
	for len(before) > 0 || len(put) > 0 {
		var old, m *Member
		if len(before) > 0 && (len(put) == 0 || before[0].Id <= put[0].Id) {
			old, before = before[0], before[1:]
			m = old
			grown -= memberBytes(old)
		}
		if len(put) > 0 && (old == nil || old.Id == put[0].Id) {
			m, put = put[0], put[1:]
		}
		if len(removed) > 0 && removed[0] == m.Id {
			if removed = removed[1:]; old != m {
				return nil, 0, false // removed and put, or never there
			}
			continue
		}
		if len(assigned) > 0 && assigned[0] == m.Id {
			m = withAssignment(m, c.Assignments[len(c.Assignments)-len(assigned)])
			assigned = assigned[1:]
		} else if begins && len(m.Assignment) > 0 {
			m = withAssignment(m, nil)
		}
		grown += memberBytes(m)
		after = append(after, m)
	}
	return after, grown, len(removed) == 0 && len(assigned) == 0
}

func withAssignment(m *Member, a []byte) *Member {
	c := proto.CloneOf(m)
	c.Assignment = a
	return c
}

func sortedIDs(members []*Member) bool {
	for i, m := range members {
		if m.GetId() == "" || (i > 0 && members[i-1].Id >= m.Id) {
			return false
		}
	}
	return true
}

func strictlySorted(ids []string) bool {
	return sort.SliceIsSorted(ids, func(i, j int) bool { return ids[i] < ids[j] }) &&
		len(slices.Compact(slices.Clone(ids))) == len(ids)
}

// applyDeleteGroup refuses a group that was touched after base: the client meant the one it saw.
func (s *State) applyDeleteGroup(base int64, c *pb.DeleteGroup) Code {
	g := s.Group(c.Group)
	switch {
	case g == nil:
		return UnknownGroup
	case len(g.members) > 0:
		return NotEmpty
	case g.Version > base || g.commits.byOther(s.session, base):
		return Conflict
	}
	s.removeGroup(g)
	return OK
}
