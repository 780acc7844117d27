package state

import (
	pb "wadi/metadata/metadatapb"
)

// MaxCommit bounds the partitions of one CommitOffsets, DeleteOffsets or ExpireOffsets.
const MaxCommit = 4000

// applyCommitOffsets stores positions; ID tells how many. A commit from outside of the group (generation -1) makes a
// group that is not there, as Kafka does for consumers that assign partitions to themselves.
func (s *State) applyCommitOffsets(base int64, c *pb.CommitOffsets, res *Result) Code {
	if code := s.judgeCommit(base, c); code != OK {
		return code
	}
	g := s.editGroup(c.Group)
	if g == nil {
		g = s.addGroup(c.Group)
	}
	g.commits.touch(s.position, s.session)
	res.ID = s.eachCommitted(c, func(key uint64, o Offset) { s.putOffset(g, key, o) })
	return OK
}

// eachCommitted visits the positions of a well-formed command, but for those of partitions that were deleted on the way:
// nobody can ask for them any more. It returns how many there were.
func (s *State) eachCommitted(c *pb.CommitOffsets, visit func(key uint64, o Offset)) (n int64) {
	for i, topic := range c.Topics {
		t := s.TopicByNumber(topic)
		if t == nil || int(c.Partitions[i]) >= len(t.parts) {
			continue
		}
		o := Offset{Offset: c.Offsets[i], AtMs: s.atMs, LeaderEpoch: -1}
		if len(c.LeaderEpochs) > 0 {
			o.LeaderEpoch = c.LeaderEpochs[i]
		}
		if len(c.Metadata) > 0 {
			o.Metadata = c.Metadata[i]
		}
		visit(offsetKey(topic, c.Partitions[i]), o)
		n++
	}
	return n
}

func (s *State) putOffset(g *Group, key uint64, o Offset) {
	if old := g.offsets.edit(key, s.gen); old != nil {
		s.growGroup(g, int64(len(o.Metadata)-len(old.Metadata)))
		*old = o
		return
	}
	g.offsets.put(key, o, s.gen)
	s.offsetCount++
	s.growGroup(g, int64(len(o.Metadata)))
}

func (s *State) dropOffset(g *Group, key uint64) {
	if old := g.offsets.get(key); old != nil {
		s.growGroup(g, -int64(len(old.Metadata)))
		g.offsets.remove(key, s.gen)
		s.offsetCount--
	}
}

func (s *State) judgeCommit(base int64, c *pb.CommitOffsets) Code {
	n, metadata := len(c.Topics), commitMetadata(c)
	if c.Group == "" && c.Generation >= 0 || !wellFormedCommit(c) {
		return Invalid
	}
	g := s.Group(c.Group)
	switch {
	case g == nil && c.Generation >= 0:
		return UnknownGroup
	case s.offsetCount+s.pendingOffsets+n > MaxOffsets, metadata > 0 && s.groupBytes+metadata > MaxGroupBytes:
		return TooMany
	case g == nil && s.groups.len() >= MaxGroups:
		return TooMany
	case g == nil:
		return OK
	case g.commits.byOther(s.session, base):
		return Conflict
	}
	return g.JudgeCommit(c)
}

func wellFormedCommit(c *pb.CommitOffsets) bool {
	n := len(c.Topics)
	return len(c.Group) <= MaxGroupName && offsetColumns(c.Topics, c.Partitions) && len(c.Offsets) == n &&
		(len(c.LeaderEpochs) == 0 || len(c.LeaderEpochs) == n) && (len(c.Metadata) == 0 || len(c.Metadata) == n)
}

func commitMetadata(c *pb.CommitOffsets) (bytes int64) {
	for _, m := range c.Metadata {
		bytes += int64(len(m))
	}
	return bytes
}

// JudgeCommit says whether a member may commit positions under a generation or member epoch, or, with generation -1,
// somebody outside of the group (Semantics line 61). One partition for which it may not refuses all of them, as in Kafka.
// It looks at group, member, generation, topics and partitions, and not at what is to be stored.
func (g *Group) JudgeCommit(c *pb.CommitOffsets) Code {
	member, instance, generation := c.Member, c.InstanceId, c.Generation
	if generation < 0 && len(g.members) == 0 {
		return OK
	}
	if generation < 0 && member == "" && instance == "" {
		return UnknownMember
	}
	if instance != "" && g.Type == ClassicGroup {
		switch m := g.StaticMember(instance); {
		case m == nil:
			return UnknownMember
		case m.Id != member:
			return FencedInstance
		}
	}
	m := g.Member(member)
	switch {
	case m == nil:
		return UnknownMember
	case g.Type == ConsumerGroup && !mayCommit(m, c):
		if len(m.Protocols) > 0 {
			return IllegalGeneration // it speaks the classic protocol
		}
		return StaleMemberEpoch
	case g.Type == ClassicGroup && g.Generation != generation:
		return IllegalGeneration
	case g.State == GroupCompleting:
		return RebalanceInProgress
	}
	return OK
}

func offsetColumns(topics []uint64, partitions []uint32) bool {
	if len(topics) != len(partitions) || len(topics) > MaxCommit {
		return false
	}
	for i, t := range topics {
		if !validOffsetKey(t, partitions[i]) {
			return false
		}
	}
	return true
}

// applyDeleteOffsets forgets positions, also those that wait for the end of a transaction. Which topics the members are subscribed to was judged by the proposer, so the
// group must still be as it was.
func (s *State) applyDeleteOffsets(base int64, c *pb.DeleteOffsets) Code {
	g := s.Group(c.Group)
	switch {
	case !offsetColumns(c.Topics, c.Partitions):
		return Invalid
	case g == nil:
		return UnknownGroup
	case g.Version != c.Version || g.commits.byOther(s.session, base):
		return Conflict
	}
	g = s.editGroup(c.Group)
	g.commits.touch(s.position, s.session)
	for i, topic := range c.Topics {
		key := offsetKey(topic, c.Partitions[i])
		s.dropOffset(g, key)
		s.dropPending(g, key)
	}
	return OK
}

// dropPending forgets what open transactions hold for a partition of the group.
func (s *State) dropPending(g *Group, key uint64) {
	kept := make([]uint64, 0, len(g.pending)) // a snapshot may hold the old one
	for _, n := range g.pending {
		t := *s.txns.get(n)
		i, _ := t.findGroup(g.Name)
		if o := t.groups[i].offsets.get(key); o != nil {
			t = s.editTxn(n)
			s.growTxn(t, -int64(len(o.Metadata))-offsetInTxn)
			t.groups[i].offsets.remove(key, s.gen)
			t.offsets--
			s.pendingOffsets--
		}
		if t.groups[i].offsets.len() > 0 {
			kept = append(kept, n)
		}
	}
	g.pending = kept
}

// applyExpireOffsets forgets the named positions whose topic is gone or whose time is over, and the group when nothing
// is left of it. ID is 1 when the group is gone. Time is over when the position was committed before the time named and
// the group has had no member since before it (Semantics line 66).
func (s *State) applyExpireOffsets(c *pb.ExpireOffsets, res *Result) Code {
	g := s.Group(c.Group)
	switch {
	case !offsetColumns(c.Topics, c.Partitions):
		return Invalid
	case g == nil:
		return UnknownGroup
	}
	g = s.editGroup(c.Group)
	over := g.EmptySince != 0 && g.EmptyMs <= c.BeforeMs
	for i, topic := range c.Topics {
		key := offsetKey(topic, c.Partitions[i])
		o := g.offsets.get(key)
		if o != nil && (s.TopicByNumber(topic) == nil || over && o.AtMs <= c.BeforeMs) {
			s.dropOffset(g, key)
		}
	}
	if over && g.offsets.len() == 0 && len(g.pending) == 0 {
		s.removeGroup(g)
		res.ID = 1
	}
	return OK
}

// ExpiredOffsets lists up to limit positions of a group that an ExpireOffsets with that time would forget. over tells
// that the group would go too, once nothing is left of it.
func (s *State) ExpiredOffsets(g *Group, beforeMs int64, limit int) (topics []uint64, partitions []uint32, over bool) {
	over = g.EmptySince != 0 && g.EmptyMs <= beforeMs
	g.offsets.each(func(key uint64, o *Offset) {
		topic, partition := splitOffsetKey(key)
		if len(topics) < limit && (over && o.AtMs <= beforeMs || s.TopicByNumber(topic) == nil) {
			topics, partitions = append(topics, topic), append(partitions, partition)
		}
	})
	return topics, partitions, over
}
