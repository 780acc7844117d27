package differential

import "github.com/twmb/franz-go/pkg/kmsg"

func consumerGroupHeartbeat(group, member string, epoch int32) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = group, member, epoch
	return req
}

// consumerGroupJoin is the first heartbeat of a member.
func consumerGroupJoin(group, member string, topics ...string) *kmsg.ConsumerGroupHeartbeatRequest {
	req := consumerGroupHeartbeat(group, member, 0)
	req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 30_000, topics
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	return req
}

const memberID = "AAAAAAAAAAAAAAAAAAAAAA"

func consumerGroupHeartbeatCases() apiCases {
	return apiCases{68, func() kmsg.Request { return consumerGroupHeartbeat("nobody", "no member", 5) }, append([]Case{
		{Name: "a member's life", Run: func(s *Script) {
			t, g := s.Topic("a", 2), s.Group("g")
			resp, _ := s.Ask(consumerGroupJoin(g, memberID, t.name)).(*kmsg.ConsumerGroupHeartbeatResponse)
			if resp == nil || resp.MemberEpoch == 0 {
				return
			}
			s.Ask(consumerGroupHeartbeat(g, memberID, resp.MemberEpoch))
			s.Ask(consumerGroupHeartbeat(g, memberID, resp.MemberEpoch+1))
			s.Ask(consumerGroupHeartbeat(g, memberID, resp.MemberEpoch-1))
			s.Ask(consumerGroupHeartbeat(g, "no member", resp.MemberEpoch))
			s.Ask(consumerGroupHeartbeat(g, memberID, -1))
			s.Ask(consumerGroupHeartbeat(g, memberID, resp.MemberEpoch))
		}},
		{Name: "bad joins", Run: func(s *Script) {
			t, g := s.Topic("a", 1), s.Group("g")
			s.Ask(consumerGroupHeartbeat(g, memberID, 0))
			s.Ask(consumerGroupJoin(g, "", t.name))
			s.Ask(consumerGroupJoin("", memberID, t.name))
			noList := consumerGroupJoin(g, memberID, t.name)
			noList.Topics = nil
			s.Ask(noList)
			noTimeout := consumerGroupJoin(g, memberID, t.name)
			noTimeout.RebalanceTimeoutMillis = -1
			s.Ask(noTimeout)
			owned := consumerGroupJoin(g, memberID, t.name)
			owned.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{{TopicID: t.id, Partitions: []int32{0}}}
			s.Ask(owned)
			assignor := consumerGroupJoin(g, memberID, t.name)
			assignor.ServerAssignor = kmsg.StringPtr("nonsense")
			s.Ask(assignor)
			s.Ask(consumerGroupHeartbeat(g, memberID, -3))
			s.Ask(consumerGroupHeartbeat(g, memberID, -1))
			s.Ask(consumerGroupHeartbeat(g, memberID, -2))
			rack := consumerGroupJoin(g, memberID, t.name)
			rack.RackID = kmsg.StringPtr("")
			s.Ask(rack)
			instance := consumerGroupJoin(g, memberID, t.name)
			instance.InstanceID = kmsg.StringPtr("")
			s.Ask(instance)
		}},
		{Name: "regular expressions", From: 1, Run: func(s *Script) {
			g := s.Group("g")
			bad := consumerGroupJoin(g, memberID)
			bad.SubscribedTopicNames, bad.SubscribedTopicRegex = nil, kmsg.StringPtr("[")
			s.Ask(bad)
		}},
		{Name: "assignors", Run: func(s *Script) {
			t := s.Topic("a", 3)
			for _, assignor := range []string{"uniform", "range"} {
				req := consumerGroupJoin(s.Group(assignor), memberID, t.name)
				req.ServerAssignor = &assignor
				s.Ask(req)
			}
		}},
		{Name: "a classic group", Run: func(s *Script) {
			g := s.Group("g")
			s.member(g)
			s.Ask(consumerGroupHeartbeat(g, "no member", 5))
			s.AskAs(5, joinGroup(g, "no member", nil, "range"))
		}},
		{Name: "classic requests for a consumer group", Run: func(s *Script) {
			t, g := s.Topic("a", 1), s.Group("g")
			s.Do(0, consumerGroupJoin(g, memberID, t.name))
			s.AskAs(5, joinGroup(g, "", nil, "other"))
			req := kmsg.NewPtrHeartbeatRequest()
			req.Group, req.MemberID, req.Generation = g, memberID, 1
			s.AskAs(4, req)
			s.AskAs(8, offsetCommit(g, memberID, 0, t, place{0, 1}))
			s.AskAs(9, offsetCommit(g, memberID, 7, t, place{0, 1}))
			s.AskAs(9, offsetCommit(g, "no member", 1, t, place{0, 1}))
			s.AskAs(9, offsetCommit(g, "", -1, t, place{0, 1}))
		}},
	}, consumerMemberCases()...)}
}

func consumerGroupDescribeCases() apiCases {
	ask := func(groups ...string) *kmsg.ConsumerGroupDescribeRequest {
		req := kmsg.NewPtrConsumerGroupDescribeRequest()
		req.Groups = groups
		return req
	}
	return apiCases{69, func() kmsg.Request { return ask("nobody") }, []Case{
		{Name: "groups", Run: func(s *Script) {
			t, g := s.Topic("a", 2), s.Group("g")
			s.Ask(ask(g))
			s.Do(0, consumerGroupJoin(g, memberID, t.name))
			s.Ask(ask(g, s.Unused("x"), g))
			req := ask(g)
			req.IncludeAuthorizedOperations = true
			s.Ask(req)
			s.Do(0, consumerGroupHeartbeat(g, memberID, -1))
			s.Ask(ask(g))
			s.Ask(ask(""))
			s.Ask(ask())
		}},
		{Name: "classic groups", Run: func(s *Script) {
			g := s.Group("g")
			s.member(g)
			s.Ask(ask(g))
		}},
	}}
}
