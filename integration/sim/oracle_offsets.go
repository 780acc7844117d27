package sim

import (
	"errors"
	"slices"

	"wadi/agent/group"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// committedOffset is a commit that State took.
type committedOffset struct {
	offset int64
	member string
	sent   string // the metadata: counts the commits that were sent, in digits of one width
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
	case modern && m.Epoch != c.Generation && !g.crosses(m, c), !modern && g.header.Generation != c.Generation:
		w.violated("position %d: group %s takes a commit of %s under %d", e.Position, c.Group, c.Member, c.Generation)
		return
	}
	if modern && m.Epoch != c.Generation {
		w.stats.Crossed++
	}
	owned := append(slotsOf(m.Owned), slotsOf(m.Revoking)...)
	for i, topic := range c.Topics {
		s := slot{topic, c.Partitions[i]}
		list := g.offsets[s]
		back := false
		if n := len(list); n > 0 && list[n-1].member == c.Member {
			back = list[n-1].sent >= c.Metadata[i] // a lower offset is right when it was sent later: it has read again
		} else if n > 0 {
			back = list[n-1].offset > c.Offsets[i] && !(modern && slices.Contains(owned, s))
		}
		if back {
			w.violated("position %d: the offset of group %s in partition %v goes from %v back to %d by %s", e.Position, c.Group, s,
				list[len(list)-1], c.Offsets[i], c.Member)
		}
		g.offsets[s] = append(list, committedOffset{c.Offsets[i], c.Member, c.Metadata[i]})
	}
}

// crosses reports whether a commit under an epoch before the member's is of what it had then, and has not given up since
// (KIP-1251).
func (g *groupLog) crosses(m *pb.GroupMember, c *pb.CommitOffsets) bool {
	has := append(slotsOf(m.Owned), slotsOf(m.Revoking)...)
	for i, topic := range c.Topics {
		s := slot{topic, c.Partitions[i]}
		if !slices.Contains(has, s) || c.Generation < g.since[s] {
			return false
		}
	}
	return c.Generation < m.Epoch
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
		if !slices.Contains(o.group(c.Group).offsets[slot{topic, c.Partitions[i]}], committedOffset{c.Offsets[i], c.Member, c.Metadata[i]}) {
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
