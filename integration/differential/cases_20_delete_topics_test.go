package differential

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func deleteTopicsCases() apiCases {
	names := func(list ...string) *kmsg.DeleteTopicsRequest {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis, req.TopicNames = 60_000, list
		for _, name := range list {
			in := kmsg.NewDeleteTopicsRequestTopic()
			in.Topic = kmsg.StringPtr(name)
			req.Topics = append(req.Topics, in)
		}
		return req
	}
	ids := func(list ...[16]byte) *kmsg.DeleteTopicsRequest {
		req := names()
		for _, id := range list {
			in := kmsg.NewDeleteTopicsRequestTopic()
			in.TopicID = id
			req.Topics = append(req.Topics, in)
		}
		return req
	}
	return apiCases{20, func() kmsg.Request { return names("not a name!") }, []Case{
		{Name: "by name", Run: func(s *Script) {
			a, b := s.Topic("a", 1), s.Topic("b", 2)
			s.Ask(names(a.name, s.Unused("x"), b.name))
			s.Ask(names(a.name))
		}},
		{Name: "nothing", Run: func(s *Script) { s.Ask(names()) }},
		{Name: "bad names", Run: func(s *Script) { s.Ask(names("", "a b", "..")) }},
		{Name: "twice in a request", Run: func(s *Script) {
			a := s.Topic("a", 1)
			s.Ask(names(a.name, a.name))
			x := s.Unused("x")
			s.Ask(names(x, x))
			s.AskAs(9, metadata(a.name))
		}},
		{Name: "timeouts", Run: func(s *Script) {
			for _, timeout := range []int32{0, -1, 2147483647} {
				t := s.Topic("t"+fmt.Sprint(timeout), 1)
				req := names(s.Unused("x"), t.name)
				req.TimeoutMillis = timeout
				s.Ask(req)
				if timeout <= 0 {
					s.AskAs(9, metadata(t.name))
				}
			}
		}},
		{Name: "by id", From: 6, Run: func(s *Script) {
			a := s.Topic("a", 1)
			s.Ask(ids(a.id, unknownID(1)))
			s.Ask(ids(a.id))
		}},
		{Name: "by id twice", From: 6, Run: func(s *Script) {
			a, b := s.Topic("a", 1), s.Topic("b", 1)
			s.Ask(ids(a.id, a.id))
			s.Ask(ids(unknownID(1), unknownID(1)))
			both := ids(b.id)
			both.Topics = append(both.Topics, names(b.name).Topics...)
			s.Ask(both)
		}},
		{Name: "name and id", From: 6, Run: func(s *Script) {
			a := s.Topic("a", 1)
			req := names(a.name)
			req.Topics[0].TopicID = a.id
			s.Ask(req)
			s.Ask(ids([16]byte{}))
		}},
	}}
}
