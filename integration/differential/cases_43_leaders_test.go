package differential

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func electLeadersCases() apiCases {
	ask := func(kind int8, topic string, partitions ...int32) *kmsg.ElectLeadersRequest {
		req := kmsg.NewPtrElectLeadersRequest()
		req.ElectionType, req.TimeoutMillis = kind, 60_000
		t := kmsg.NewElectLeadersRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
		return req
	}
	return apiCases{43, func() kmsg.Request { return ask(0, "not a name!", 0) }, []Case{
		{Name: "preferred", Run: func(s *Script) {
			t := s.Topic("a", 2)
			s.Ask(ask(0, t.name, 0, 1))
			s.Ask(ask(0, t.name, 0, 7, -1))
			s.Ask(ask(0, s.Unused("x"), 0))
			s.Ask(ask(0, t.name))
			s.Ask(ask(0, t.name, 0, 0))
		}},
		{Name: "unclean", From: 1, Run: func(s *Script) {
			t := s.Topic("a", 2)
			s.Ask(ask(1, t.name, 0, 1, 7))
			s.Ask(ask(1, s.Unused("x"), 0))
		}},
		{Name: "kinds that nobody has", From: 1, Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Ask(ask(2, t.name, 0))
			s.Ask(ask(-1, t.name, 0))
		}},
		{Name: "nothing", Run: func(s *Script) {
			req := ask(0, "")
			req.Topics = []kmsg.ElectLeadersRequestTopic{}
			s.Ask(req)
		}},
		// What needs an election is listed, and nothing does. Topics of other cases are not compared, nor those that a
		// broker made for itself.
		{Name: "everything", Run: func(s *Script) {
			t := s.Topic("a", 2)
			req := ask(0, "")
			req.Topics = nil
			resp := s.Do(s.Version, req).(*kmsg.ElectLeadersResponse)
			resp.Topics = slices.DeleteFunc(resp.Topics, func(other kmsg.ElectLeadersResponseTopic) bool { return other.Topic != t.name })
			s.noteAny("everything", resp)
		}},
	}}
}

func alterPartitionReassignmentsCases() apiCases {
	ask := func(topic string, to ...[]int32) *kmsg.AlterPartitionAssignmentsRequest {
		req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		req.TimeoutMillis = 60_000
		t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		t.Topic = topic
		for i, replicas := range to {
			p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
			p.Partition, p.Replicas = int32(i), replicas
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
		return req
	}
	return apiCases{45, func() kmsg.Request { return ask("not a name!", []int32{1}) }, []Case{
		{Name: "where they are", Run: func(s *Script) {
			t := s.Topic("a", 2)
			s.Ask(ask(t.name, []int32{s.broker.node}, []int32{s.broker.node}))
			s.Ask(ask(t.name))
		}},
		{Name: "cancel what is not under way", Run: func(s *Script) {
			s.Ask(ask(s.Topic("a", 2).name, nil, nil))
		}},
		{Name: "bad replicas", Run: func(s *Script) {
			t := s.Topic("a", 1)
			self := s.broker.node
			for _, to := range [][]int32{{}, {self, self}, {-1}, {4711}, {self, 4711}} {
				s.Ask(ask(t.name, to))
			}
		}},
		{Name: "unknown topics", Run: func(s *Script) {
			s.Ask(ask(s.Unused("x"), []int32{s.broker.node}))
			s.Ask(ask(s.Topic("a", 1).name, []int32{s.broker.node}, []int32{s.broker.node}))
			req := ask("")
			req.Topics = nil
			s.Ask(req)
		}},
		{Name: "twice in a request", Run: func(s *Script) {
			t := s.Topic("a", 1)
			req := ask(t.name, []int32{s.broker.node}, []int32{s.broker.node})
			req.Topics[0].Partitions[1].Partition = 0
			s.Ask(req)
			req = ask(t.name, []int32{s.broker.node})
			req.Topics = append(req.Topics, req.Topics[0])
			s.Ask(req)
		}},
	}}
}

func listPartitionReassignmentsCases() apiCases {
	ask := func(topic string, partitions ...int32) *kmsg.ListPartitionReassignmentsRequest {
		req := kmsg.NewPtrListPartitionReassignmentsRequest()
		req.TimeoutMillis = 60_000
		t := kmsg.NewListPartitionReassignmentsRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
		return req
	}
	return apiCases{46, func() kmsg.Request { return ask("not a name!", 0) }, []Case{
		{Name: "none are under way", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Ask(ask(t.name, 0))
			s.Ask(ask(t.name, 7, -1))
			s.Ask(ask(s.Unused("x"), 0))
			req := ask("")
			req.Topics = nil
			s.Ask(req)
			req.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{}
			s.Ask(req)
		}},
	}}
}
