package differential

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// replace says what a resource's configs shall be, all of them; without "=" a value is null.
func replace(kind kmsg.ConfigResourceType, name string, configs ...string) *kmsg.AlterConfigsRequest {
	req := kmsg.NewPtrAlterConfigsRequest()
	in := kmsg.NewAlterConfigsRequestResource()
	in.ResourceType, in.ResourceName = kind, name
	for _, text := range configs {
		c := kmsg.NewAlterConfigsRequestResourceConfig()
		if name, value, ok := strings.Cut(text, "="); ok {
			c.Name, c.Value = name, &value
		} else {
			c.Name = text
		}
		in.Configs = append(in.Configs, c)
	}
	req.Resources = append(req.Resources, in)
	return req
}

func alterConfigsCases() apiCases {
	return apiCases{33, func() kmsg.Request { return replace(ofTopic, "not a name!") }, []Case{
		{Name: "topic", Run: func(s *Script) {
			a := s.Topic("a", 1, "segment.ms", "70000")
			s.Ask(replace(ofTopic, a.name, "retention.ms=5", "cleanup.policy=compact"))
			s.Becomes(ofTopic, a.name, "retention.ms", "5", topicSet)
			s.AskAs(4, describe(ofTopic, a.name, "segment.ms", "cleanup.policy"))
			req := replace(ofTopic, a.name)
			req.ValidateOnly = true
			s.Ask(req)
			s.AskAs(4, describe(ofTopic, a.name, "retention.ms"))
			s.Ask(replace(ofTopic, a.name))
			s.Becomes(ofTopic, a.name, "retention.ms", "604800000", kafkaSet)
		}},
		{Name: "bad changes", Run: func(s *Script) {
			a := s.Topic("a", 1, "segment.ms", "70000")
			for _, bad := range []string{"retention.ms=x", "no.such.config=1", "retention.ms", "retention.ms=1 retention.ms=2"} {
				s.Ask(replace(ofTopic, a.name, strings.Fields(bad)...))
			}
			s.AskAs(4, describe(ofTopic, a.name, "segment.ms", "retention.ms"))
		}},
		{Name: "resources that are not there", Run: func(s *Script) {
			s.Ask(replace(ofTopic, s.Unused("x"), "retention.ms=5"))
			s.Ask(replace(ofTopic, "", "retention.ms=5"))
			s.Ask(replace(ofTopic, "a b", "retention.ms=5"))
			s.Ask(replace(ofGroup, "", "consumer.session.timeout.ms=50000"))
			s.Ask(replace(ofLogger, s.me(), "root=INFO"))
			for _, name := range []string{"4711", "x"} {
				s.Ask(replace(ofBroker, name, "log.retention.ms=5"))
			}
			for _, kind := range []int8{0, 1, 100} {
				s.Ask(replace(kmsg.ConfigResourceType(kind), "x", "a=b"))
			}
		}},
		{Name: "groups, subscriptions and a broker", Alone: true, Run: func(s *Script) {
			g, m, me := s.Unused("g"), s.Unused("m"), s.me()
			s.Ask(replace(ofGroup, g, "consumer.session.timeout.ms=50000"))
			s.Becomes(ofGroup, g, "consumer.session.timeout.ms", "50000", groupSet)
			s.Ask(replace(ofGroup, g))
			s.Becomes(ofGroup, g, "consumer.session.timeout.ms", "45000", kafkaSet)
			s.Ask(replace(ofMetrics, m, "interval.ms=1000"))
			s.Becomes(ofMetrics, m, "interval.ms", "1000", metricsSet)
			s.Ask(replace(ofBroker, me, "log.retention.bytes=1000000000"))
			s.Becomes(ofBroker, me, "log.retention.bytes", "1000000000", brokerSet)
			s.Ask(replace(ofBroker, me))
			s.Becomes(ofBroker, me, "log.retention.bytes", "-1", kafkaSet)
			s.Ask(replace(ofBroker, me, "num.partitions=3"))
		}},
	}}
}
