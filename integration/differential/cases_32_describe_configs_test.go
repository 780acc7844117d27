package differential

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func describeConfigsCases() apiCases {
	ask := func(kind kmsg.ConfigResourceType, name string, configs ...string) *kmsg.DescribeConfigsRequest {
		req := kmsg.NewPtrDescribeConfigsRequest()
		in := kmsg.NewDescribeConfigsRequestResource()
		in.ResourceType, in.ResourceName, in.ConfigNames = kind, name, configs
		req.Resources = append(req.Resources, in)
		return req
	}
	const topics, brokers = kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker
	return apiCases{32, func() kmsg.Request { return ask(topics, "not a name!") }, []Case{
		{Name: "topic", Run: func(s *Script) {
			a := s.Topic("a", 1)
			s.Ask(ask(topics, a.name))
			req := ask(topics, a.name)
			req.IncludeSynonyms = true
			s.Ask(req)
		}},
		{Name: "topic with overrides", Run: func(s *Script) {
			a := s.Topic("a", 1, "retention.ms", "604800000", "cleanup.policy", "compact", "max.message.bytes", "1000")
			req := ask(topics, a.name)
			req.IncludeSynonyms = true
			s.Ask(req)
		}},
		{Name: "some configs of a topic", Run: func(s *Script) {
			a := s.Topic("a", 1, "retention.ms", "5")
			s.Ask(ask(topics, a.name, "retention.ms", "cleanup.policy", "no.such.config", "retention.ms"))
			s.Ask(ask(topics, a.name, "no.such.config"))
			empty := ask(topics, a.name)
			empty.Resources[0].ConfigNames = []string{}
			s.Ask(empty)
		}},
		{Name: "unknown topics", Run: func(s *Script) {
			s.Ask(ask(topics, s.Unused("x")))
			s.Ask(ask(topics, ""))
			s.Ask(ask(topics, "a b"))
		}},
		{Name: "several resources", Run: func(s *Script) {
			a, b := s.Topic("a", 1, "retention.ms", "5"), s.Topic("b", 1)
			req := ask(topics, a.name, "retention.ms")
			req.Resources = append(req.Resources, ask(topics, b.name, "retention.ms").Resources...)
			req.Resources = append(req.Resources, ask(topics, s.Unused("x"), "retention.ms").Resources...)
			s.Ask(req)
			req = ask(topics, a.name, "retention.ms")
			req.Resources = append(req.Resources, req.Resources...)
			s.Ask(req)
			req.Resources = nil
			s.Ask(req)
		}},
		{Name: "broker", Run: func(s *Script) {
			req := ask(brokers, fmt.Sprint(s.broker.node))
			req.IncludeSynonyms = true
			s.Ask(req)
		}},
		{Name: "some configs of a broker", Run: func(s *Script) {
			s.Ask(ask(brokers, fmt.Sprint(s.broker.node), "num.partitions", "log.retention.ms", "no.such.config", "message.max.bytes"))
		}},
		{Name: "cluster default", Run: func(s *Script) { s.Ask(ask(brokers, "")) }},
		{Name: "unknown brokers", Run: func(s *Script) {
			for _, name := range []string{"4711", "x", "-1", "1.0", " 1"} {
				s.Ask(ask(brokers, name))
			}
		}},
		{Name: "kinds that nobody has", Run: func(s *Script) {
			for _, kind := range []int8{0, 1, 3, 5, 100, -1} {
				s.Ask(ask(kmsg.ConfigResourceType(kind), "x"))
			}
		}},
		{Name: "documentation", From: 3, Run: func(s *Script) {
			req := ask(topics, s.Topic("a", 1).name)
			req.IncludeDocumentation = true
			s.Ask(req)
		}},
	}}
}
