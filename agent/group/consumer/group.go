package consumer

import (
	"cmp"
	"errors"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"

	"google.golang.org/protobuf/proto"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// What a heartbeat is refused with.
var (
	ErrUnknownMember     = errors.New("the group has no such member")
	ErrFencedEpoch       = errors.New("not the member's epoch: it must give up its partitions and join again")
	ErrUnreleased        = errors.New("another member has the instance id and has not left")
	ErrFencedInstance    = errors.New("another member has the instance id")
	ErrInvalidRegex      = errors.New("the subscribed pattern is no regular expression")
	ErrUnsupportedAssign = errors.New("the assignor is not known")
	ErrFull              = errors.New("the group is full")
)

// Topic is a topic that exists.
type Topic struct {
	Number     uint64
	Name       string
	Partitions uint32
}

// Topics knows those that exist.
type Topics interface {
	Named(name string) (Topic, bool)
	Matching(re *regexp.Regexp) []Topic
	Name(number uint64) (name string, ok bool)
}

// Group is a group as State has it.
type Group struct {
	Version         int64 // of the group in State
	Epoch           int32
	AssignmentEpoch int32 // group epoch that the targets were computed for
	Hash            uint64
	Members         map[string]*state.Member // by id; shared, never changed

	holder  map[slot]string // who has a partition, to use or to give up
	regexes map[string]*regexp.Regexp
}

// New is a group without members. Its epochs go on from a generation that it had as a classic group.
func New(version int64, epoch int32) *Group {
	return &Group{
		Version: version, Epoch: epoch, AssignmentEpoch: epoch, Members: map[string]*state.Member{}, holder: map[slot]string{},
		regexes: map[string]*regexp.Regexp{},
	}
}

// Restore is a group that State has.
func Restore(version int64, epoch, assignmentEpoch int32, hash uint64, members []*state.Member) *Group {
	g := New(version, epoch)
	g.AssignmentEpoch, g.Hash = assignmentEpoch, hash
	for _, m := range members {
		g.put(m)
	}
	return g
}

func (g *Group) put(m *state.Member) {
	g.drop(m.Id)
	g.Members[m.Id] = m
	for _, set := range []Set{m.Owned, m.Revoking} {
		each(set, func(s slot) { g.holder[s] = m.Id })
	}
}

func (g *Group) drop(id string) {
	m := g.Members[id]
	if m == nil {
		return
	}
	delete(g.Members, id)
	for _, set := range []Set{m.Owned, m.Revoking} {
		each(set, func(s slot) {
			if g.holder[s] == id {
				delete(g.holder, s)
			}
		})
	}
}

// Static is the member with an instance id, nil when there is none.
func (g *Group) Static(instance string) *state.Member {
	for _, m := range g.Members {
		if m.InstanceId == instance {
			return m
		}
	}
	return nil
}

// Sorted are the members by id.
func (g *Group) Sorted() []*state.Member {
	return slices.SortedFunc(maps.Values(g.Members), func(a, b *state.Member) int { return cmp.Compare(a.Id, b.Id) })
}

// IsClassic reports whether a member speaks the classic protocol.
func IsClassic(m *state.Member) bool { return len(m.Protocols) > 0 }

// Stirs reports whether something has changed for a member since it was told its epoch, so that a heartbeat of its that
// could tell it anything would.
func (g *Group) Stirs(m *state.Member) bool {
	if m.Epoch < g.Epoch || m.State == revoking {
		return true
	}
	if m.State != waiting {
		return false
	}
	free := false
	each(minus(m.Target, m.Owned), func(s slot) {
		_, held := g.holder[s]
		free = free || !held
	})
	return free
}

// TopicsMoved reports whether what the members subscribe to is not what it was when the last epoch began.
func (g *Group) TopicsMoved(topics Topics) bool {
	return hashOf(g.subscriptions(g.Sorted(), topics)) != g.Hash
}

// Change is what State is to have next. It is one command, or several where one would not fit an entry: the members'
// new targets come first then, and the header's assignment epoch with the last.
type Change []*pb.UpdateGroup

// Apply makes the mirror follow a command of a change that State took at a version.
func (g *Group) Apply(u *pb.UpdateGroup, version int64) {
	for _, id := range u.Removed {
		g.drop(id)
	}
	for _, m := range u.Members {
		g.put(m)
	}
	g.Version, g.Epoch = version, u.Header.Generation
	g.AssignmentEpoch, g.Hash = u.Header.AssignmentEpoch, u.Header.MetadataHash
}

// maxCommand is about how many bytes of members one command carries: an entry holds 256 KiB.
const maxCommand = 96 << 10

// draft collects a change.
type draft struct {
	g               *Group
	epoch           int32
	assignmentEpoch int32
	hash            uint64
	put             map[string]*state.Member
	removed         []string
}

func (g *Group) draft() *draft {
	return &draft{g: g, epoch: g.Epoch, assignmentEpoch: g.AssignmentEpoch, hash: g.Hash, put: map[string]*state.Member{}}
}

// members are those that there will be, sorted by id.
func (d *draft) members() []*state.Member {
	all := maps.Clone(d.g.Members)
	for _, id := range d.removed {
		delete(all, id)
	}
	maps.Copy(all, d.put)
	return slices.SortedFunc(maps.Values(all), func(a, b *state.Member) int { return cmp.Compare(a.Id, b.Id) })
}

// change is nil when there is none.
func (d *draft) change() Change {
	if len(d.put) == 0 && len(d.removed) == 0 && d.epoch == d.g.Epoch && d.assignmentEpoch == d.g.AssignmentEpoch && d.hash == d.g.Hash {
		return nil
	}
	slices.Sort(d.removed)
	d.removed = slices.Compact(d.removed)
	empty := len(d.put) == 0 && len(d.removed) == len(d.g.Members)
	header := func(last bool) *pb.GroupHeader {
		h := &pb.GroupHeader{
			Type: uint32(state.ConsumerGroup), State: uint32(state.GroupStable), ProtocolType: "consumer", Generation: d.epoch,
			AssignmentEpoch: d.assignmentEpoch, MetadataHash: d.hash,
		}
		if empty {
			h.State = uint32(state.GroupEmpty)
		}
		if !last {
			h.AssignmentEpoch = d.g.AssignmentEpoch
		}
		return h
	}
	c := Change{{Removed: d.removed}}
	size := 0
	for _, id := range slices.Sorted(maps.Keys(d.put)) {
		m := d.put[id]
		n := proto.Size(m)
		if size+n > maxCommand && len(c[len(c)-1].Members) > 0 {
			c, size = append(c, &pb.UpdateGroup{}), 0
		}
		last := c[len(c)-1]
		last.Members, size = append(last.Members, m), size+n
	}
	for i, u := range c {
		u.Header = header(i == len(c)-1)
	}
	return c
}

// subscriptions are what the members subscribe to, of the topics that exist, by number. Each pattern is looked up once.
func (g *Group) subscriptions(members []*state.Member, topics Topics) map[string][]Topic {
	all, matching := make(map[string][]Topic, len(members)), map[string][]Topic{}
	for _, m := range members {
		found := map[uint64]Topic{}
		for _, name := range m.Topics {
			if t, ok := topics.Named(name); ok {
				found[t.Number] = t
			}
		}
		if re := g.regex(m.Regex); re != nil {
			if _, known := matching[m.Regex]; !known {
				matching[m.Regex] = topics.Matching(re)
			}
			for _, t := range matching[m.Regex] {
				found[t.Number] = t
			}
		}
		all[m.Id] = slices.SortedFunc(maps.Values(found), func(a, b Topic) int { return cmp.Compare(a.Number, b.Number) })
	}
	return all
}

// regex is a member's pattern, nil when it has none. It was found valid when the member came with it.
func (g *Group) regex(pattern string) *regexp.Regexp {
	if pattern == "" {
		return nil
	}
	re, ok := g.regexes[pattern]
	if !ok {
		if len(g.regexes) >= 2*len(g.Members)+16 {
			clear(g.regexes) // patterns that members had once
		}
		re, _ = Pattern(pattern)
		g.regexes[pattern] = re
	}
	return re
}

// Pattern is a member's pattern as it matches the whole names of topics. Kafka takes RE2's syntax, and so does Go.
func Pattern(pattern string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, err
	}
	return regexp.Compile("^(?:" + pattern + ")$")
}

// hashOf identifies the topics that the members subscribe to, as they are now.
func hashOf(subscribed map[string][]Topic) uint64 {
	all := map[uint64]Topic{}
	for _, topics := range subscribed {
		for _, t := range topics {
			all[t.Number] = t
		}
	}
	h := fnv.New64a()
	var b [12]byte
	for _, n := range slices.Sorted(maps.Keys(all)) {
		for i := range 8 {
			b[i] = byte(n >> (8 * i))
		}
		for i := range 4 {
			b[8+i] = byte(all[n].Partitions >> (8 * i))
		}
		h.Write(b[:])
	}
	return h.Sum64()
}
