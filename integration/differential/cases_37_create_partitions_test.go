package differential

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func createPartitionsCases() apiCases {
	in := func(topic string, count int32, assignment ...[]int32) kmsg.CreatePartitionsRequestTopic {
		out := kmsg.NewCreatePartitionsRequestTopic()
		out.Topic, out.Count = topic, count
		for _, replicas := range assignment {
			one := kmsg.NewCreatePartitionsRequestTopicAssignment()
			one.Replicas = replicas
			out.Assignment = append(out.Assignment, one)
		}
		return out
	}
	ask := func(topics ...kmsg.CreatePartitionsRequestTopic) *kmsg.CreatePartitionsRequest {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.TimeoutMillis, req.Topics = 60_000, topics
		return req
	}
	return apiCases{37, func() kmsg.Request { return ask(in("not a name!", 2)) }, []Case{
		{Name: "grow", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Ask(ask(in(t.name, 3)))
			s.await(t, 3)
			s.AskAs(9, metadata(t.name))
			s.Ask(ask(in(t.name, 3)))
			s.Ask(ask(in(t.name, 2)))
			s.Ask(ask(in(t.name, 4)))
		}},
		{Name: "bad counts", Run: func(s *Script) {
			t := s.Topic("a", 2)
			for _, count := range []int32{0, -1, -2, 1, 2, -2147483648} {
				s.AskFor(fmt.Sprint(count), ask(in(t.name, count)))
			}
			s.AskFor("after", ask(in(t.name, 3)))
		}},
		{Name: "too many", From: newest(37), Alone: true, Run: func(s *Script) { // which takes Apache Kafka seconds
			s.Ask(ask(in(s.Topic("a", 2).name, 2147483647)))
		}},
		{Name: "unknown topics", Run: func(s *Script) {
			s.Ask(ask(in(s.Unused("x"), 2), in("", 2), in("a b", 2)))
		}},
		{Name: "several topics", Run: func(s *Script) {
			a, b := s.Topic("a", 1), s.Topic("b", 2)
			s.Ask(ask(in(a.name, 2), in(b.name, 2), in(s.Unused("x"), 2)))
			s.Ask(ask())
		}},
		{Name: "twice in a request", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Ask(ask(in(t.name, 2), in(t.name, 3)))
			s.Ask(ask(in(t.name, 4), in(t.name, 4)))
			s.AskAs(9, metadata(t.name))
		}},
		{Name: "only checked", Run: func(s *Script) {
			t := s.Topic("a", 1)
			req := ask(in(t.name, 2), in(s.Unused("x"), 2))
			req.ValidateOnly = true
			s.Ask(req)
			s.AskAs(9, metadata(t.name))
			req = ask(in(t.name, 1))
			req.ValidateOnly = true
			s.Ask(req)
		}},
		{Name: "assignments", Run: func(s *Script) {
			self := s.broker.node
			for i, a := range [][][]int32{
				{{self}}, {{self}, {self}}, {}, {{}}, {{self, self}}, {{4711}}, {{-1}}, {{self, 4711}},
			} {
				t := s.Topic(fmt.Sprintf("t%d", i), 1)
				s.AskFor(fmt.Sprintf("%d", i), ask(in(t.name, 2, a...)))
			}
			t := s.Topic("three", 1)
			s.Ask(ask(in(t.name, 3, []int32{self})))
			s.Ask(ask(in(t.name, 3, []int32{self}, []int32{self})))
		}},
		{Name: "timeouts", Run: func(s *Script) {
			for _, timeout := range []int32{0, -1} {
				t := s.Topic("t"+fmt.Sprint(timeout), 1)
				req := ask(in(s.Unused("x"), 2), in(t.name, 2))
				req.TimeoutMillis = timeout
				s.AskFor(fmt.Sprint(timeout), req)
				s.AskAs(9, metadata(t.name))
			}
		}},
	}}
}
