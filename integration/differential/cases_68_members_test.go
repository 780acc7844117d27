package differential

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const otherID = "BBBBBBBBBBBBBBBBBBBBBB"

// consumer is a member of the consumer protocol, or, where old is said, one of the classic protocol that says what consumers
// say. It takes what it is given at once.
type consumer struct {
	s        *Script
	group    string
	id       string
	instance *string
	topic    topic
	epoch    int32
	owned    []kmsg.ConsumerGroupHeartbeatRequestTopic
}

func (c *consumer) beat() {
	req := consumerGroupHeartbeat(c.group, c.id, c.epoch)
	if c.epoch == 0 {
		req = consumerGroupJoin(c.group, c.id, c.topic.name)
	} else if c.epoch > 0 {
		req.Topics = c.owned
		if req.Topics == nil {
			req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		}
	}
	req.InstanceID = c.instance
	resp, _ := c.s.Ask(req).(*kmsg.ConsumerGroupHeartbeatResponse)
	if resp == nil || resp.ErrorCode != 0 {
		return
	}
	c.takes(resp)
}

// beatUntil sends heartbeats until the member has come to an epoch, and one more: Apache Kafka computes a group's assignment
// once in a while (group.consumer.assignment.interval.ms).
func (c *consumer) beatUntil(epoch int32) {
	c.s.Until(func() bool {
		req := consumerGroupJoin(c.group, c.id, c.topic.name)
		req.InstanceID = c.instance
		return c.s.Do(c.s.Version, req).(*kmsg.ConsumerGroupHeartbeatResponse).MemberEpoch >= epoch
	})
	c.beat()
}

// all says everything under the member's epoch, and so hears everything.
func (c *consumer) all() {
	req := consumerGroupJoin(c.group, c.id, c.topic.name)
	req.InstanceID, req.MemberEpoch, req.Topics = c.instance, c.epoch, append(req.Topics, c.owned...)
	c.s.Ask(req)
}

// moves sends heartbeats until the member has come to another epoch.
func (c *consumer) moves() {
	before := c.epoch
	c.s.Until(func() bool {
		req := consumerGroupJoin(c.group, c.id, c.topic.name)
		req.InstanceID, req.MemberEpoch, req.Topics = c.instance, c.epoch, append(req.Topics, c.owned...)
		resp := c.s.Do(c.s.Version, req).(*kmsg.ConsumerGroupHeartbeatResponse)
		if resp.ErrorCode != 0 {
			c.s.fail("heartbeat: error %d", resp.ErrorCode)
		}
		c.takes(resp)
		return c.epoch > before
	})
}

func (c *consumer) takes(resp *kmsg.ConsumerGroupHeartbeatResponse) {
	c.epoch = resp.MemberEpoch
	if resp.Assignment == nil {
		return
	}
	c.owned = nil
	for _, t := range resp.Assignment.Topics {
		x := kmsg.NewConsumerGroupHeartbeatRequestTopic()
		x.TopicID, x.Partitions = t.TopicID, t.Partitions
		c.owned = append(c.owned, x)
	}
}

// deleted deletes a topic.
func (s *Script) deleted(t topic) {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis, req.TopicNames = 10_000, []string{t.name}
	s.Do(5, req)
}

// anew makes another topic of the same name.
func (s *Script) anew(t topic, partitions int32) topic {
	var got kmsg.CreateTopicsResponseTopic
	s.Until(func() bool { // Apache Kafka may not have heard of the deletion
		got = s.Do(7, createTopics(t.name, partitions)).(*kmsg.CreateTopicsResponse).Topics[0]
		return got.ErrorCode == 0
	})
	t.id = got.TopicID
	s.names.id(t.id, "another")
	s.await(t, partitions)
	return t
}

// words are those of a consumer of the classic protocol.
func (c *consumer) words(owned ...int32) []byte {
	words := kmsg.NewConsumerMemberMetadata()
	words.Version, words.Topics = 1, []string{c.topic.name}
	if len(owned) > 0 {
		in := kmsg.NewConsumerMemberMetadataOwnedPartition()
		in.Topic, in.Partitions = c.topic.name, owned
		words.OwnedPartitions = append(words.OwnedPartitions, in)
	}
	return words.AppendTo(nil)
}

// oldJoin joins by the classic protocol.
func (c *consumer) oldJoin(owned ...int32) {
	req := joinGroup(c.group, c.id, c.instance, "range")
	req.Protocols[0].Metadata = c.words(owned...)
	resp := c.s.Do(5, req).(*kmsg.JoinGroupResponse)
	if resp.ErrorCode == 79 {
		req.MemberID = resp.MemberID
		resp = c.s.Do(5, req).(*kmsg.JoinGroupResponse)
	}
	for i := range resp.Members {
		resp.Members[i].ProtocolMetadata = nil // in it is the topic's name, which each run has of its own
	}
	c.s.note("JoinGroup", resp)
	if resp.ErrorCode == 0 {
		c.id, c.epoch = resp.MemberID, resp.Generation
	}
}

// oldSync asks for its assignment; where it leads, it gives itself partitions.
func (c *consumer) oldSync(partitions ...int32) {
	req := syncGroup(c.group, c.id, c.epoch)
	req.InstanceID = c.instance
	if len(partitions) > 0 {
		words := kmsg.NewConsumerMemberAssignment()
		in := kmsg.NewConsumerMemberAssignmentTopic()
		in.Topic, in.Partitions = c.topic.name, partitions
		words.Topics = append(words.Topics, in)
		to := kmsg.NewSyncGroupRequestGroupAssignment()
		to.MemberID, to.MemberAssignment = c.id, words.AppendTo(nil)
		req.GroupAssignment = append(req.GroupAssignment, to)
	}
	resp := c.s.Do(5, req).(*kmsg.SyncGroupResponse)
	var words kmsg.ConsumerMemberAssignment
	if len(resp.MemberAssignment) > 0 {
		if err := words.ReadFrom(resp.MemberAssignment); err != nil {
			c.s.fail("an assignment: %w", err)
		}
	}
	said := fmt.Sprintf("version %d", words.Version)
	for _, t := range words.Topics {
		said += fmt.Sprintf(" %v", t.Partitions)
	}
	resp.MemberAssignment = nil
	c.s.note("SyncGroup", resp)
	c.s.Note("assignment", said)
}

func (c *consumer) oldBeat() {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.InstanceID, req.Generation = c.group, c.id, c.instance, c.epoch
	c.s.AskAs(4, req)
}

// renewed lets a static member leave for a while, and another process come for it. Its topic is made anew before or meanwhile.
func renewed(s *Script, meanwhile bool) {
	g, t := s.Group("g"), s.Topic("a", 2)
	a := &consumer{s: s, group: g, id: memberID, instance: kmsg.StringPtr("i"), topic: t}
	a.beat()
	a.beat()
	leave := func() {
		a.epoch = -2
		a.beat()
	}
	if meanwhile {
		leave()
	}
	s.deleted(t)
	b := &consumer{s: s, group: g, id: otherID, instance: a.instance, topic: s.anew(t, 1)}
	if !meanwhile {
		leave()
	}
	b.moves()
	for len(b.owned) == 0 || b.owned[0].TopicID == t.id {
		b.moves() // the coordinator of groups is the last to learn of topics
	}
	s.noteAny("owned", b.owned)
}

// consumerMemberCases are about several members of a group, and what becomes of their partitions.
func consumerMemberCases() []Case {
	instance := kmsg.StringPtr("i")
	return append(epochCases(), []Case{
		{Name: "a join comes again", Run: func(s *Script) {
			g, t := s.Group("g"), s.Topic("a", 1)
			a, b := &consumer{s: s, group: g, id: memberID, topic: t}, &consumer{s: s, group: g, id: otherID, topic: t}
			a.beat()
			a.beat()
			late := *a
			late.epoch = 0
			late.beat() // nothing has changed: it hears all that it has
			a.beat()
			b.beatUntil(a.epoch + 1)
			late.epoch = 0
			late.beat() // it is taken at its word that it owns nothing
			b.beat()
			a.beat() // under the epoch before, with what it owns
			a.epoch = 0
			a.beat()
			a.beat()
		}},
		{Name: "static members", Run: func(s *Script) {
			g, t := s.Group("g"), s.Topic("a", 1)
			a := &consumer{s: s, group: g, id: memberID, instance: instance, topic: t}
			b := &consumer{s: s, group: g, id: otherID, instance: instance, topic: t}
			a.beat()
			b.beat()
			again := *a
			again.epoch = 0
			again.beat()
			b.epoch = a.epoch
			b.beat()
			b.epoch = -2
			b.beat()
			a.epoch = -2
			a.beat()
			a.epoch = -2
			a.beat()
			b.epoch = 0
			b.beat()
			a.epoch = b.epoch
			a.beat()
			a.epoch = -1
			a.beat()
			b.epoch = -2
			b.beat()
			b.epoch = 0
			b.beat()
			b.beat()
			b.epoch = -1
			b.beat()
		}},
		{Name: "a topic made anew", Run: func(s *Script) {
			g, t := s.Group("g"), s.Topic("a", 2)
			a := &consumer{s: s, group: g, id: memberID, topic: t}
			a.beat()
			a.beat()
			s.deleted(t)
			a.moves()
			a.all()
			a.topic = s.anew(t, 1)
			a.moves()
			a.all()
		}},
		{Name: "a topic made anew before its reader leaves for a while", Run: func(s *Script) { renewed(s, false) }},
		{Name: "a topic made anew while its reader is away", Run: func(s *Script) { renewed(s, true) }},
		{Name: "offsets of topics that a pattern names", From: 1, Run: func(s *Script) {
			g, t, other := s.Group("g"), s.Topic("a", 1), s.Topic("b", 1)
			req := consumerGroupJoin(g, memberID)
			req.SubscribedTopicNames, req.SubscribedTopicRegex = nil, &t.name
			a := &consumer{s: s, group: g, id: memberID, topic: t}
			s.Until(func() bool { // Apache Kafka looks for topics a moment later
				a.takes(s.Do(1, req).(*kmsg.ConsumerGroupHeartbeatResponse))
				return len(a.owned) > 0
			})
			for _, topic := range []topic{t, other} {
				in := kmsg.NewOffsetDeleteRequestTopic()
				in.Topic, in.Partitions = topic.name, []kmsg.OffsetDeleteRequestTopicPartition{{}}
				req := kmsg.NewPtrOffsetDeleteRequest()
				req.Group, req.Topics = g, append(req.Topics, in)
				s.AskAs(0, req)
			}
		}},
		{Name: "becomes static", Run: func(s *Script) {
			g, t := s.Group("g"), s.Topic("a", 1)
			a := &consumer{s: s, group: g, id: memberID, topic: t}
			a.beat()
			a.instance, a.epoch = instance, 0
			a.beat()
			a.beat()
		}},
		{Name: "an upgrade", Run: func(s *Script) {
			g, t := s.Group("g"), s.Topic("a", 1)
			old, fresh := &consumer{s: s, group: g, topic: t}, &consumer{s: s, group: g, id: memberID, topic: t}
			old.oldJoin()
			old.oldSync(0)
			fresh.beat()
			old.oldBeat()
			old.oldJoin()
			old.oldSync()
			old.oldBeat()
			fresh.beat()
			fresh.epoch = -1
			fresh.beat()
			old.oldBeat()
			old.oldJoin()
			old.oldSync(0)
			old.oldBeat()
		}},
		{Name: "an upgrade before the assignment", Run: func(s *Script) {
			g, t := s.Group("g"), s.Topic("a", 1)
			old, fresh := &consumer{s: s, group: g, topic: t}, &consumer{s: s, group: g, id: memberID, topic: t}
			old.oldJoin()
			old.oldSync(0)
			old.oldJoin(0) // the leader wants a rebalance
			fresh.beat()
			fresh.beat()
			old.oldBeat()
			old.oldSync(0)
			old.oldJoin(0)
			old.oldSync()
			fresh.beat()
		}},
		{Name: "processes with one instance", Run: func(s *Script) {
			g, t := s.Group("g"), s.Topic("a", 1)
			fresh := &consumer{s: s, group: g, id: memberID, topic: t}
			first := &consumer{s: s, group: g, instance: instance, topic: t}
			second := &consumer{s: s, group: g, instance: instance, topic: t}
			fresh.beat()
			s.Until(func() bool { // see beatUntil
				req := joinGroup(g, "", instance, "range")
				req.Protocols[0].Metadata = first.words()
				return s.Do(5, req).(*kmsg.JoinGroupResponse).Generation > fresh.epoch
			})
			first.oldJoin()
			first.oldSync()
			second.oldJoin()
			first.oldBeat()
			first.oldSync()
			first.oldJoin()
			second.oldSync()
			second.oldBeat()
		}},
		{Name: "a successor of the classic protocol", Run: func(s *Script) {
			g, t := s.Group("g"), s.Topic("a", 1)
			fresh := &consumer{s: s, group: g, id: memberID, instance: instance, topic: t}
			old := &consumer{s: s, group: g, instance: instance, topic: t}
			fresh.beat()
			old.oldJoin()
			old.oldSync(0)
			s.Note("state", s.Do(5, describeGroups(g)).(*kmsg.DescribeGroupsResponse).Groups[0].State)
		}},
	}...)
}
