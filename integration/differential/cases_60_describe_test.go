package differential

import "github.com/twmb/franz-go/pkg/kmsg"

func describeClusterCases() apiCases {
	return apiCases{60, func() kmsg.Request { return kmsg.NewPtrDescribeClusterRequest() }, []Case{
		{Name: "cluster", Run: func(s *Script) {
			s.Ask(kmsg.NewPtrDescribeClusterRequest())
			req := kmsg.NewPtrDescribeClusterRequest()
			req.IncludeClusterAuthorizedOperations = true
			s.Ask(req)
		}},
		{Name: "kinds of endpoints", From: 1, Run: func(s *Script) {
			for _, kind := range []int8{1, 2, 0, 3, -1} {
				req := kmsg.NewPtrDescribeClusterRequest()
				req.EndpointType = kind
				s.Ask(req)
			}
		}},
		{Name: "fenced brokers", From: 2, Run: func(s *Script) {
			req := kmsg.NewPtrDescribeClusterRequest()
			req.IncludeFencedBrokers = true
			s.Ask(req)
		}},
	}}
}

func describeProducersCases() apiCases {
	ask := describeProducers
	return apiCases{61, func() kmsg.Request { return ask("not a name!", 0) }, []Case{
		{Name: "producers", Run: func(s *Script) {
			t := s.Topic("a", 2)
			a, b := s.ProducerID(), s.ProducerID()
			s.Stored(t, 0, idempotent(a, 0, 0, "0", "1"))
			s.Stored(t, 0, idempotent(b, 0, 0, "2"))
			s.Stored(t, 0, idempotent(a, 0, 2, "3"))
			s.Stored(t, 0, plain("4"))
			s.Ask(ask(t.name, 0, 1))
			s.Stored(t, 0, idempotent(b, 1, 0, "5"))
			s.Ask(ask(t.name, 0))
		}},
		{Name: "transactions", Run: func(s *Script) {
			t, w, v := s.Topic("a", 1), s.Writer("x"), s.Writer("y")
			s.Sent(w, t, 0, "0", "1")
			s.Ask(ask(t.name, 0))
			s.Sent(v, t, 0, "2")
			s.Sent(w, t, 0, "3")
			s.Ask(ask(t.name, 0))
			s.Ended(w, true)
			s.Ask(ask(t.name, 0))
			s.Sent(w, t, 0, "4")
			s.Ask(ask(t.name, 0))
			s.EndedTV2(v, false)
			s.EndedTV2(w, true)
			s.Ask(ask(t.name, 0))
			s.Registered(w, t, 0)
			s.Ask(ask(t.name, 0))
			s.Ended(w, true)
			s.Ask(ask(t.name, 0))
		}},
		{Name: "epochs that end with transactions", Run: func(s *Script) {
			t, w := s.Topic("a", 2), s.Writer("x")
			s.SentTV2(w, t, 0, "0", "1")
			s.SentTV2(w, t, 1, "2")
			s.EndedTV2(w, true)
			s.Ask(ask(t.name, 0, 1))
			s.SentTV2(w, t, 0, "3")
			s.Ask(ask(t.name, 0, 1))
			s.EndedTV2(w, false)
			s.Ask(ask(t.name, 0, 1))
			s.Sent(w, t, 1, "4", "5")
			s.Ended(w, false)
			s.Ask(ask(t.name, 0, 1))
			s.Sent(w, t, 1, "6")
			s.Fence(w)
			s.Ask(ask(t.name, 0, 1))
			s.SentTV2(w, t, 0, "7", "8")
			s.Ask(ask(t.name, 0, 1))
		}},
		{Name: "unknown topics", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Ask(ask(s.Unused("x"), 0))
			s.Ask(ask(t.name, 0, 1, -1))
			s.Ask(ask(t.name, 0, 0))
			s.Ask(ask(t.name))
			s.Ask(ask("", 0))
			s.Ask(ask("a b", 0))
			req := ask("")
			req.Topics = nil
			s.Ask(req)
		}},
	}}
}

func describeTopicPartitionsCases() apiCases {
	ask := func(limit int32, topics ...string) *kmsg.DescribeTopicPartitionsRequest {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit = limit
		for _, name := range topics {
			t := kmsg.NewDescribeTopicPartitionsRequestTopic()
			t.Topic = name
			req.Topics = append(req.Topics, t)
		}
		return req
	}
	cursor := func(req *kmsg.DescribeTopicPartitionsRequest, topic string, partition int32) *kmsg.DescribeTopicPartitionsRequest {
		c := kmsg.NewDescribeTopicPartitionsRequestCursor()
		c.Topic, c.Partition = topic, partition
		req.Cursor = &c
		return req
	}
	return apiCases{75, func() kmsg.Request { return ask(10, "not a name!") }, []Case{
		{Name: "topics", Run: func(s *Script) {
			a, b := s.Topic("a", 3), s.Topic("b", 2)
			s.Ask(ask(2000, a.name, b.name))
			s.Ask(ask(2000, b.name, a.name, b.name))
			s.Ask(ask(2000, s.Unused("x"), a.name))
			s.Ask(ask(2000, s.Unused("x"), a.name, ""))
			s.Ask(ask(2000, s.Unused("x"), a.name, "a b"))
		}},
		{Name: "pages", Run: func(s *Script) {
			a, b := s.Topic("a", 3), s.Topic("b", 2)
			for _, limit := range []int32{1, 2, 3, 4, 5, 0, -1} {
				s.Ask(ask(limit, a.name, b.name))
			}
			for p := range int32(4) {
				s.Ask(cursor(ask(2, a.name, b.name), a.name, p))
			}
			s.Ask(cursor(ask(2, a.name, b.name), b.name, 1))
			s.Ask(cursor(ask(2, a.name, b.name), s.Unused("zzz"), 0))
			s.Ask(cursor(ask(2, a.name, b.name), a.name, -1))
			s.Ask(cursor(ask(2000, b.name, a.name), a.name, 1))
		}},
	}}
}
