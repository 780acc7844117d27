package differential

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Group is a name of the run's own for a group, for which the broker is ready: Apache Kafka creates its internal topic at the
// first question.
func (s *Script) Group(short string) string {
	name := s.Unused(short)
	s.Until(func() bool {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey = name
		return s.Do(3, req).(*kmsg.FindCoordinatorResponse).ErrorCode == 0
	})
	s.Until(func() bool { // the coordinator loads
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Group = name
		return s.Do(5, req).(*kmsg.OffsetFetchResponse).ErrorCode == 0
	})
	return name
}

func joinGroup(group, member string, instance *string, protocols ...string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.InstanceID, req.ProtocolType = group, member, instance, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 30_000, 30_000
	for _, p := range protocols {
		in := kmsg.NewJoinGroupRequestProtocol()
		in.Name, in.Metadata = p, []byte{0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}
		req.Protocols = append(req.Protocols, in)
	}
	return req
}

func syncGroup(group, member string, generation int32, assignments ...string) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	for _, to := range assignments {
		in := kmsg.NewSyncGroupRequestGroupAssignment()
		in.MemberID, in.MemberAssignment = to, []byte{0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}
		req.GroupAssignment = append(req.GroupAssignment, in)
	}
	return req
}

func offsetCommit(group, member string, generation int32, t topic, places ...place) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	in := kmsg.NewOffsetCommitRequestTopic()
	in.Topic, in.TopicID = t.name, t.id
	for _, p := range places {
		one := kmsg.NewOffsetCommitRequestTopicPartition()
		one.Partition, one.Offset, one.Metadata = p.partition, p.offset, kmsg.StringPtr("m")
		in.Partitions = append(in.Partitions, one)
	}
	req.Topics = append(req.Topics, in)
	return req
}

// offsetFetch asks in the way of all versions. A topic without a name stands for all topics.
func offsetFetch(group string, t topic, partitions ...int32) *kmsg.OffsetFetchRequest {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	if t.name != "" || t.id != [16]byte{} {
		old, in := kmsg.NewOffsetFetchRequestTopic(), kmsg.NewOffsetFetchRequestGroupTopic()
		old.Topic, old.Partitions = t.name, partitions
		in.Topic, in.TopicID, in.Partitions = t.name, t.id, partitions
		req.Topics, g.Topics = append(req.Topics, old), append(g.Topics, in)
	}
	req.Groups = append(req.Groups, g)
	return req
}

// member joins a group of its own as its only member, becomes its leader and is assigned everything.
func (s *Script) member(group string) (id string, generation int32) {
	first := s.Do(5, joinGroup(group, "", nil, "range")).(*kmsg.JoinGroupResponse)
	again := s.Do(5, joinGroup(group, first.MemberID, nil, "range")).(*kmsg.JoinGroupResponse)
	if again.ErrorCode != 0 {
		s.fail("join %s: error %d", group, again.ErrorCode)
	}
	if got := s.Do(5, syncGroup(group, again.MemberID, again.Generation, again.MemberID)).(*kmsg.SyncGroupResponse); got.ErrorCode != 0 {
		s.fail("sync %s: error %d", group, got.ErrorCode)
	}
	return again.MemberID, again.Generation
}

func (s *Script) leave(group, member string) {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = group, member
	s.Do(2, req)
}

func describeGroups(groups ...string) *kmsg.DescribeGroupsRequest {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = groups
	return req
}

func describeGroupsCases() apiCases {
	ask := describeGroups
	return apiCases{15, func() kmsg.Request { return ask("nobody") }, []Case{
		{Name: "states", Run: func(s *Script) {
			g := s.Group("g")
			s.Ask(ask(g))
			id, _ := s.member(g)
			s.Ask(ask(g))
			s.leave(g, id)
			s.Ask(ask(g))
			s.Ask(ask(g, s.Unused("x"), g, ""))
			s.Ask(ask())
		}},
		{Name: "only offsets", Run: func(s *Script) {
			g, t := s.Group("g"), s.Topic("a", 1)
			s.Do(8, offsetCommit(g, "", -1, t, place{0, 1}))
			s.Ask(ask(g))
		}},
		{Name: "operations", From: 3, Run: func(s *Script) {
			req := ask(s.Group("g"))
			req.IncludeAuthorizedOperations = true
			s.Ask(req)
		}},
	}}
}

func listGroupsCases() apiCases {
	// listed are the groups of this run: others come and go.
	listed := func(s *Script, states, types []string) {
		req := kmsg.NewPtrListGroupsRequest()
		req.StatesFilter, req.TypesFilter = states, types
		resp, ok := s.exchange(s.Version, req).(*kmsg.ListGroupsResponse)
		if !ok {
			s.Note("list", "closed")
			return
		}
		var own []kmsg.ListGroupsResponseGroup
		for _, g := range resp.Groups {
			if strings.HasPrefix(g.Group, s.prefix+"-") {
				own = append(own, g)
			}
		}
		resp.Groups = own
		s.noteAny(fmt.Sprintf("list %q %q", states, types), resp)
	}
	return apiCases{16, func() kmsg.Request { return kmsg.NewPtrListGroupsRequest() }, []Case{
		{Name: "filters", Run: func(s *Script) {
			t := s.Topic("a", 1)
			empty, stable, gone := s.Group("empty"), s.Group("stable"), s.Group("gone")
			s.Do(8, offsetCommit(empty, "", -1, t, place{0, 1}))
			s.member(stable)
			id, _ := s.member(gone)
			s.leave(gone, id)
			listed(s, nil, nil)
			if s.Version < 4 {
				return
			}
			for _, states := range [][]string{{"Stable"}, {"stable"}, {"Empty"}, {"Dead"}, {"Empty", "Stable"}, {"Nonsense"}, {""}, {"Assigning"}} {
				listed(s, states, nil)
			}
			if s.Version < 5 {
				return
			}
			for _, types := range [][]string{{"classic"}, {"Classic"}, {"consumer"}, {"share"}, {"consumer", "classic"}, {"nonsense"}, {""}} {
				listed(s, nil, types)
			}
		}},
	}}
}

func deleteGroups(groups ...string) *kmsg.DeleteGroupsRequest {
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = groups
	return req
}

func deleteGroupsCases() apiCases {
	ask := deleteGroups
	return apiCases{42, func() kmsg.Request { return ask("nobody") }, []Case{
		{Name: "delete", Run: func(s *Script) {
			t := s.Topic("a", 1)
			empty, stable := s.Group("empty"), s.Group("stable")
			s.Do(8, offsetCommit(empty, "", -1, t, place{0, 1}))
			id, _ := s.member(stable)
			s.Ask(ask(empty, stable, s.Unused("x")))
			s.AskAs(7, offsetFetch(empty, t, 0))
			s.Ask(ask(empty))
			s.leave(stable, id)
			s.Ask(ask(stable))
			s.Ask(ask(""))
			s.Ask(ask())
		}},
		{Name: "twice in a request", Run: func(s *Script) {
			t, g := s.Topic("a", 1), s.Group("g")
			s.Do(8, offsetCommit(g, "", -1, t, place{0, 1}))
			s.Ask(ask(g, g))
		}},
	}}
}

func offsetDeleteCases() apiCases {
	ask := func(group string, topics ...kmsg.OffsetDeleteRequestTopic) *kmsg.OffsetDeleteRequest {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group, req.Topics = group, topics
		return req
	}
	of := func(name string, partitions ...int32) kmsg.OffsetDeleteRequestTopic {
		in := kmsg.NewOffsetDeleteRequestTopic()
		in.Topic = name
		for _, p := range partitions {
			one := kmsg.NewOffsetDeleteRequestTopicPartition()
			one.Partition = p
			in.Partitions = append(in.Partitions, one)
		}
		return in
	}
	return apiCases{47, func() kmsg.Request { return ask("nobody", of("not a name!", 0)) }, []Case{
		{Name: "delete", Run: func(s *Script) {
			t, g := s.Topic("a", 3), s.Group("g")
			s.Do(8, offsetCommit(g, "", -1, t, place{0, 1}, place{1, 2}))
			s.Ask(ask(g, of(t.name, 0, 2)))
			s.AskAs(7, offsetFetch(g, t, 0, 1, 2))
			s.Ask(ask(g, of(t.name, 7, -1), of(s.Unused("x"), 0)))
			s.Ask(ask(g))
			s.Ask(ask(g, of(t.name)))
			s.Ask(ask(s.Unused("nobody"), of(t.name, 0)))
			s.Ask(ask("", of(t.name, 0)))
		}},
		{Name: "of a group with members", Run: func(s *Script) {
			t, g := s.Topic("a", 1), s.Group("g")
			id, generation := s.member(g)
			s.Do(8, offsetCommit(g, id, generation, t, place{0, 1}))
			s.Ask(ask(g, of(t.name, 0)))
		}},
	}}
}
