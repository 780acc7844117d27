package state

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

// twinGroup is a group written for clarity alone: maps, and a list of every write of offsets there ever was.
type twinGroup struct {
	number                       uint64
	header                       *pb.GroupHeader
	version, emptySince, emptyMs int64
	members                      map[string]*pb.GroupMember
	offsets                      map[twinOffsetKey]Offset
	writes                       []twinWrite
}

type twinOffsetKey struct {
	topic     uint64
	partition uint32
}

type twinWrite struct {
	position int64
	session  layout.Session
}

// twinGroups is what the twin holds of groups.
type twinGroups struct {
	made   uint64
	byName map[string]*twinGroup
}

func (w *twin) makeGroup(name string) *twinGroup {
	if w.groups.byName == nil {
		w.groups.byName = map[string]*twinGroup{}
	}
	w.groups.made++
	g := &twinGroup{
		number: w.groups.made, header: &pb.GroupHeader{Type: 1}, version: w.position, emptySince: w.position, emptyMs: w.atMs,
		members: map[string]*pb.GroupMember{}, offsets: map[twinOffsetKey]Offset{},
	}
	w.groups.byName[name] = g
	return g
}

// overtaken reports whether another session wrote offsets after base.
func (w *twin) overtaken(g *twinGroup, base int64) bool {
	return slices.ContainsFunc(g.writes, func(x twinWrite) bool { return x.session != w.session && x.position > base })
}

func (w *twin) updateGroup(k *pb.UpdateGroup) Result {
	g := w.groups.byName[k.Group]
	h := k.Header
	if k.Group == "" || h == nil || h.Type < 1 || h.Type > 2 || h.State > 2 {
		return Result{Code: Invalid}
	}
	old := &pb.GroupHeader{}
	version := int64(0)
	after := map[string]*pb.GroupMember{}
	if g != nil {
		old, version, after = g.header, g.version, maps.Clone(g.members)
	}
	if k.Version != version {
		return Result{Code: Conflict}
	}
	if h.Generation < old.Generation || (h.State == 1 && h.Generation == old.Generation) {
		return Result{Code: Invalid}
	}
	ids := func() (list []string) {
		for _, m := range k.Members {
			list = append(list, m.Id)
		}
		return list
	}()
	for _, list := range [][]string{ids, k.Removed, k.Assigned} {
		for i := range list {
			if i > 0 && list[i-1] >= list[i] {
				return Result{Code: Invalid}
			}
		}
	}
	if slices.Contains(ids, "") || len(k.Assigned) != len(k.Assignments) || (h.State == 1 && len(k.Assigned) > 0) {
		return Result{Code: Invalid}
	}
	for _, id := range k.Removed {
		if after[id] == nil || slices.Contains(ids, id) {
			return Result{Code: Invalid}
		}
		delete(after, id)
	}
	for _, m := range k.Members {
		after[m.Id] = m
	}
	for i, id := range k.Assigned {
		if after[id] == nil {
			return Result{Code: Invalid}
		}
		c := proto.CloneOf(after[id])
		c.Assignment = k.Assignments[i]
		after[id] = c
	}
	if h.State == 1 { // a generation that begins has no assignments
		for id, m := range after {
			c := proto.CloneOf(m)
			c.Assignment = nil
			after[id] = c
		}
	}
	if (len(after) == 0) != (h.State == 0) || (h.Type == 1 && len(after) > 0 && after[h.Leader] == nil) {
		return Result{Code: Invalid}
	}
	made := g == nil
	if made {
		g = w.makeGroup(k.Group)
	}
	switch {
	case len(after) > 0:
		g.emptySince, g.emptyMs = 0, 0
	case len(g.members) > 0 || made:
		g.emptySince, g.emptyMs = w.position, w.atMs
	}
	g.header, g.version, g.members = h, w.position, after
	return Result{}
}

func (w *twin) commitOffsets(base int64, k *pb.CommitOffsets) Result {
	n := len(k.Topics)
	if (k.Group == "" && k.Generation >= 0) || len(k.Partitions) != n || len(k.Offsets) != n ||
		(len(k.LeaderEpochs) > 0 && len(k.LeaderEpochs) != n) || (len(k.Metadata) > 0 && len(k.Metadata) != n) {
		return Result{Code: Invalid}
	}
	for i := range k.Topics {
		if k.Topics[i] >= 1<<44 || k.Partitions[i] >= 1<<20 {
			return Result{Code: Invalid}
		}
	}
	g := w.groups.byName[k.Group]
	if g == nil && k.Generation >= 0 {
		return Result{Code: UnknownGroup}
	}
	if g != nil {
		if w.overtaken(g, base) {
			return Result{Code: Conflict}
		}
		if code := g.judge(k); code != OK {
			return Result{Code: code}
		}
	} else {
		g = w.makeGroup(k.Group)
	}
	g.writes = append(g.writes, twinWrite{w.position, w.session})
	stored := int64(0)
	for i := range k.Topics {
		t := w.live(k.Topics[i])
		if t == nil || int(k.Partitions[i]) >= len(t.parts) {
			continue
		}
		o := Offset{Offset: k.Offsets[i], AtMs: w.atMs, LeaderEpoch: -1}
		if len(k.LeaderEpochs) > 0 {
			o.LeaderEpoch = k.LeaderEpochs[i]
		}
		if len(k.Metadata) > 0 {
			o.Metadata = k.Metadata[i]
		}
		g.offsets[twinOffsetKey{k.Topics[i], k.Partitions[i]}] = o
		stored++
	}
	return Result{ID: stored}
}

// judge is Semantics line 61.
func (g *twinGroup) judge(k *pb.CommitOffsets) Code {
	outside := k.Generation < 0
	if outside && len(g.members) == 0 {
		return OK
	}
	if outside && k.Member == "" && k.InstanceId == "" {
		return UnknownMember
	}
	if g.header.Type == 1 && k.InstanceId != "" {
		holder := ""
		for _, id := range slices.Sorted(maps.Keys(g.members)) {
			if g.members[id].InstanceId == k.InstanceId && holder == "" {
				holder = id
			}
		}
		if holder == "" {
			return UnknownMember
		}
		if holder != k.Member {
			return FencedInstance
		}
	}
	m := g.members[k.Member]
	switch {
	case m == nil:
		return UnknownMember
	case g.header.Type == 2:
		if m.Epoch != k.Generation && !(k.Generation < m.Epoch && hadAll(m, k)) {
			if len(m.Protocols) > 0 {
				return IllegalGeneration
			}
			return StaleMemberEpoch
		}
	case g.header.Generation != k.Generation:
		return IllegalGeneration
	}
	if g.header.State == 1 {
		return RebalanceInProgress
	}
	return OK
}

// hadAll is KIP-1251: whether the member has all partitions of a commit, and had them under its epoch.
func hadAll(m *pb.GroupMember, k *pb.CommitOffsets) bool {
	type key struct {
		topic     uint64
		partition uint32
	}
	since := map[key]int32{}
	for _, t := range append(slices.Clone(m.Revoking), m.Owned...) {
		for i, p := range t.Partitions {
			epoch := max(0, m.Epoch)
			if len(t.Epochs) == 1 || len(t.Epochs) == len(t.Partitions) {
				epoch = t.Epochs[i%len(t.Epochs)]
			}
			since[key{t.Topic, p}] = epoch
		}
	}
	for i, topic := range k.Topics {
		if epoch, has := since[key{topic, k.Partitions[i]}]; !has || k.Generation < epoch {
			return false
		}
	}
	return true
}

func (w *twin) deleteGroup(base int64, k *pb.DeleteGroup) Result {
	g := w.groups.byName[k.Group]
	switch {
	case g == nil:
		return Result{Code: UnknownGroup}
	case len(g.members) > 0:
		return Result{Code: NotEmpty}
	case g.version > base || w.overtaken(g, base):
		return Result{Code: Conflict}
	}
	delete(w.groups.byName, k.Group)
	w.dropPending(k.Group)
	return Result{}
}

func (w *twin) deleteOffsets(base int64, k *pb.DeleteOffsets) Result {
	g := w.groups.byName[k.Group]
	switch {
	case len(k.Topics) != len(k.Partitions):
		return Result{Code: Invalid}
	case g == nil:
		return Result{Code: UnknownGroup}
	case g.version != k.Version || w.overtaken(g, base):
		return Result{Code: Conflict}
	}
	g.writes = append(g.writes, twinWrite{w.position, w.session})
	for i := range k.Topics {
		key := twinOffsetKey{k.Topics[i], k.Partitions[i]}
		delete(g.offsets, key)
		for _, x := range w.txns.list {
			delete(x.groups[k.Group], key)
		}
	}
	return Result{}
}

func (w *twin) expireOffsets(k *pb.ExpireOffsets) Result {
	g := w.groups.byName[k.Group]
	switch {
	case len(k.Topics) != len(k.Partitions):
		return Result{Code: Invalid}
	case g == nil:
		return Result{Code: UnknownGroup}
	}
	over := len(g.members) == 0 && g.emptyMs <= k.BeforeMs // Semantics line 66
	for i := range k.Topics {
		key := twinOffsetKey{k.Topics[i], k.Partitions[i]}
		if o, ok := g.offsets[key]; ok && (w.live(key.topic) == nil || over && o.AtMs <= k.BeforeMs) {
			delete(g.offsets, key)
		}
	}
	if over && len(g.offsets) == 0 && !w.pendingIn(k.Group) {
		delete(w.groups.byName, k.Group)
		return Result{ID: 1}
	}
	return Result{}
}

func (w *twin) compareGroups(s *State) error {
	var numbers []uint64
	offsets := 0
	names := slices.SortedFunc(maps.Keys(w.groups.byName), func(a, b string) int {
		return cmp.Compare(w.groups.byName[a].number, w.groups.byName[b].number)
	})
	byNumber := map[uint64]*Group{}
	s.EachGroup(func(g *Group) { numbers, byNumber[g.Number] = append(numbers, g.Number), g })
	if len(numbers) != len(names) || s.Groups() != len(names) {
		return fmt.Errorf("groups %v, want %q", numbers, names)
	}
	for i, name := range names {
		want, g := w.groups.byName[name], byNumber[numbers[i]]
		if s.byGroup != nil && s.Group(name) != g {
			return fmt.Errorf("group %q is not what its name leads to", name)
		}
		if err := want.compare(g, name); err != nil {
			return fmt.Errorf("group %q: %w", name, err)
		}
		offsets += len(want.offsets)
	}
	var some []uint64
	for next, first := uint64(0), true; first || next != 0; first = false {
		next = s.SomeGroups(next, 2, func(g *Group) { some = append(some, g.Number) })
	}
	if !slices.Equal(some, numbers) || s.OffsetCount() != offsets {
		return fmt.Errorf("groups in steps %v, want %v; %d offsets, want %d", some, numbers, s.OffsetCount(), offsets)
	}
	return nil
}

func (w *twinGroup) compare(g *Group, name string) error {
	h := w.header
	got := []any{
		g.Number, g.Name, g.Type, g.State, g.ProtocolType, g.Protocol, g.Leader, g.Generation, g.AssignmentEpoch, g.MetadataHash,
		g.Version, g.EmptySince, g.EmptyMs, len(g.Members()), g.Offsets(),
	}
	want := []any{
		w.number, name, GroupType(h.Type), GroupState(h.State), h.ProtocolType, h.Protocol, h.Leader, h.Generation,
		h.AssignmentEpoch, h.MetadataHash, w.version, w.emptySince, w.emptyMs, len(w.members), len(w.offsets),
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("is %v, want %v", got, want)
	}
	for id, m := range w.members {
		if !proto.Equal(g.Member(id), m) {
			return fmt.Errorf("member %v, want %v", g.Member(id), m)
		}
	}
	var err error
	g.EachOffset(func(topic uint64, partition int32, o Offset) {
		if x, ok := w.offsets[twinOffsetKey{topic, uint32(partition)}]; !ok || x != o {
			err = fmt.Errorf("topic %d partition %d: %+v, want %+v", topic, partition, o, x)
		}
		if x, ok := g.Offset(topic, partition); !ok || x != o {
			err = fmt.Errorf("topic %d partition %d: found %+v, visited %+v", topic, partition, x, o)
		}
	})
	return err
}
