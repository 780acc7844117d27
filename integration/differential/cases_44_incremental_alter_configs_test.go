package differential

import (
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	ofTopic   = kmsg.ConfigResourceTypeTopic
	ofBroker  = kmsg.ConfigResourceTypeBroker
	ofLogger  = kmsg.ConfigResourceTypeBrokerLogger
	ofMetrics = kmsg.ConfigResourceTypeClientMetrics
	ofGroup   = kmsg.ConfigResourceTypeGroupConfig
)

// alter changes one resource. A change is written "retention.ms=5", "+cleanup.policy=compact", "-cleanup.policy=delete",
// "!retention.ms" (back to the default), "retention.ms" (null), "?retention.ms=5" (an operation that there is not).
func alter(kind kmsg.ConfigResourceType, name string, changes ...string) *kmsg.IncrementalAlterConfigsRequest {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	in := kmsg.NewIncrementalAlterConfigsRequestResource()
	in.ResourceType, in.ResourceName = kind, name
	for _, text := range changes {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		if at := strings.IndexByte("!+-?", text[0]); at >= 0 {
			c.Op, text = []kmsg.IncrementalAlterConfigOp{1, 2, 3, 9}[at], text[1:]
		}
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

func describe(kind kmsg.ConfigResourceType, name string, configs ...string) *kmsg.DescribeConfigsRequest {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	in := kmsg.NewDescribeConfigsRequestResource()
	in.ResourceType, in.ResourceName, in.ConfigNames = kind, name, configs
	req.Resources = append(req.Resources, in)
	return req
}

// Becomes waits until a config is seen with a value from a source, then records how it is described. Apache Kafka
// answers a change before its brokers know of it.
func (s *Script) Becomes(kind kmsg.ConfigResourceType, name, config, value string, source kmsg.ConfigSource) {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		got := s.Do(4, describe(kind, name, config)).(*kmsg.DescribeConfigsResponse).Resources[0]
		if len(got.Configs) == 1 && got.Configs[0].Value != nil && *got.Configs[0].Value == value && got.Configs[0].Source == source {
			break
		}
		if len(got.Configs) == 0 && value == "" {
			break
		}
		if time.Now().After(deadline) {
			s.fail("%s of %s is not %q from %v: %+v", config, name, value, source, got)
		}
	}
	s.AskAs(4, describe(kind, name, config))
}

// me is this broker as a resource.
func (s *Script) me() string { return fmt.Sprint(s.broker.node) }

const (
	topicSet   = kmsg.ConfigSourceDynamicTopicConfig
	brokerSet  = kmsg.ConfigSourceDynamicBrokerConfig
	allSet     = kmsg.ConfigSourceDynamicDefaultBrokerConfig
	kafkaSet   = kmsg.ConfigSourceDefaultConfig
	groupSet   = kmsg.ConfigSourceGroupConfig
	metricsSet = kmsg.ConfigSourceClientMetricsConfig
)

func incrementalAlterConfigsCases() apiCases {
	many := func(changes ...string) func(*Script) {
		return func(s *Script) {
			a := s.Topic("a", 1)
			for _, c := range changes {
				s.Ask(alter(ofTopic, a.name, strings.Fields(c)...))
			}
			s.AskAs(4, describe(ofTopic, a.name)) // none of them changed anything
		}
	}
	return apiCases{44, func() kmsg.Request { return alter(ofTopic, "not a name!") }, []Case{
		{Name: "set and unset", Run: func(s *Script) {
			a := s.Topic("a", 1)
			s.Ask(alter(ofTopic, a.name, "retention.ms=604800000", "preallocate=TRUE", "min.cleanable.dirty.ratio=1"))
			s.Becomes(ofTopic, a.name, "retention.ms", "604800000", topicSet)
			s.Becomes(ofTopic, a.name, "preallocate", "true", topicSet)
			s.Becomes(ofTopic, a.name, "min.cleanable.dirty.ratio", "1.0", topicSet)
			s.Ask(alter(ofTopic, a.name, "!retention.ms", "!preallocate", "!segment.ms", "!no.such.config"))
			s.Becomes(ofTopic, a.name, "retention.ms", "604800000", kafkaSet)
			s.Becomes(ofTopic, a.name, "preallocate", "false", kafkaSet)
			s.Ask(alter(ofTopic, a.name))
		}},
		{Name: "lists", Run: func(s *Script) {
			a := s.Topic("a", 1)
			const policy = "cleanup.policy"
			s.Ask(alter(ofTopic, a.name, "+cleanup.policy=compact"))
			s.Becomes(ofTopic, a.name, policy, "delete,compact", topicSet)
			s.Ask(alter(ofTopic, a.name, "+cleanup.policy=compact"))
			s.Ask(alter(ofTopic, a.name, "-cleanup.policy=delete,nothing"))
			s.Becomes(ofTopic, a.name, policy, "compact", topicSet)
			s.Ask(alter(ofTopic, a.name, "-cleanup.policy=compact"))
			s.Becomes(ofTopic, a.name, policy, "", topicSet)
			s.Ask(alter(ofTopic, a.name, "cleanup.policy=compact,delete", "follower.replication.throttled.replicas=0:1,1:1"))
			s.Becomes(ofTopic, a.name, policy, "compact,delete", topicSet)
			s.Ask(alter(ofTopic, a.name, "+follower.replication.throttled.replicas=2:1"))
			s.Becomes(ofTopic, a.name, "follower.replication.throttled.replicas", "0:1,1:1,2:1", topicSet)
		}},
		{Name: "bad values", Run: many("retention.ms=x", "retention.ms=-2", "retention.ms=", "retention.ms=1.0", "retention.ms=5 no.such.config=1",
			"max.message.bytes=2147483648", "max.message.bytes=-1", "cleanup.policy=shred", "cleanup.policy=compact,", "+cleanup.policy=shred",
			"message.timestamp.type=logappendtime", "message.timestamp.type=", "compression.type=brotli", "compression.gzip.level=0",
			"min.cleanable.dirty.ratio=1.5", "preallocate=yes", "segment.bytes=1048575", "follower.replication.throttled.replicas=x",
			"min.compaction.lag.ms=10 max.compaction.lag.ms=5", "remote.storage.enable=true", "message.format.version=3.0")},
		{Name: "bad changes", Run: many("retention.ms=1 retention.ms=2", "retention.ms=1 !retention.ms", "retention.ms", "+cleanup.policy", "-cleanup.policy",
			"+retention.ms=1", "-retention.ms=1", "+no.such.config=1", "?retention.ms=1")},
		{Name: "bounds", Run: func(s *Script) {
			a := s.Topic("a", 1)
			for _, c := range []string{"retention.ms=-1", "retention.bytes=-7", "max.message.bytes=0", "max.message.bytes=2147483647", "segment.bytes=1048576",
				"compression.gzip.level=-1", "compression.zstd.level=-131072", "retention.ms=9223372036854775807", "local.retention.ms=-2"} {
				s.Ask(alter(ofTopic, a.name, c))
			}
		}},
		{Name: "only to validate", Run: func(s *Script) {
			a := s.Topic("a", 1)
			for _, c := range []string{"retention.ms=5", "retention.ms=x"} {
				req := alter(ofTopic, a.name, c)
				req.ValidateOnly = true
				s.Ask(req)
			}
			s.AskAs(4, describe(ofTopic, a.name, "retention.ms"))
		}},
		{Name: "resources that are not there", Run: func(s *Script) {
			x := s.Unused("x")
			s.Ask(alter(ofTopic, x, "retention.ms=5"))
			s.Ask(alter(ofTopic, x, "retention.ms=x"))
			s.Ask(alter(ofTopic, x))
			s.Ask(alter(ofTopic, "a b", "retention.ms=5"))
			s.Ask(alter(ofTopic, "", "retention.ms=5"))
			s.Ask(alter(ofGroup, "", "consumer.session.timeout.ms=50000"))
			s.Ask(alter(ofMetrics, "", "interval.ms=5000"))
			for _, name := range []string{"4711", "x", "-1"} {
				s.Ask(alter(ofBroker, name, "log.retention.ms=5"))
				s.Ask(alter(ofLogger, name, "root=INFO"))
			}
			for _, kind := range []int8{0, 1, 3, 5, 100, -1} {
				s.Ask(alter(kmsg.ConfigResourceType(kind), "x", "a=b"))
			}
		}},
		{Name: "several resources", Run: func(s *Script) {
			a, b := s.Topic("a", 1), s.Topic("b", 1)
			req := alter(ofTopic, a.name, "retention.ms=5")
			req.Resources = append(req.Resources, alter(ofTopic, b.name, "retention.ms=x").Resources...)
			req.Resources = append(req.Resources, alter(ofTopic, s.Unused("x"), "retention.ms=5").Resources...)
			s.Ask(req)
			s.Becomes(ofTopic, a.name, "retention.ms", "5", topicSet)
			req.Resources = append(req.Resources, alter(ofTopic, a.name, "segment.ms=5").Resources...)
			s.Ask(req)
			req.Resources = nil
			s.Ask(req)
		}},
		{Name: "groups and subscriptions", Run: func(s *Script) {
			g := s.Unused("g")
			s.Ask(alter(ofGroup, g, "consumer.session.timeout.ms=50000", "share.auto.offset.reset=by_duration:PT1H"))
			s.Becomes(ofGroup, g, "consumer.session.timeout.ms", "50000", groupSet)
			s.Becomes(ofGroup, g, "share.auto.offset.reset", "by_duration:PT1H", groupSet)
			s.AskAs(4, describe(ofGroup, g))
			for _, bad := range []string{"consumer.session.timeout.ms=50", "consumer.session.timeout.ms=9000000", "consumer.heartbeat.interval.ms=50000",
				"no.such.config=1", "share.auto.offset.reset=sometimes", "share.isolation.level=READ_COMMITTED", "share.delivery.count.limit=100",
				"streams.num.standby.replicas=9", "+share.isolation.level=x", "share.partition.max.record.locks=1"} {
				s.Ask(alter(ofGroup, g, bad))
			}
			s.Ask(alter(ofGroup, g, "!consumer.session.timeout.ms"))
			s.Becomes(ofGroup, g, "consumer.session.timeout.ms", "45000", kafkaSet)
			m := s.Unused("m")
			s.Ask(alter(ofMetrics, m, "interval.ms=1000", "match=client_id=x,client_source_port=1.*", "metrics=org.apache."))
			s.Becomes(ofMetrics, m, "interval.ms", "1000", metricsSet)
			s.AskAs(4, describe(ofMetrics, m))
			for _, bad := range []string{"interval.ms=50", "interval.ms=x", "no.such.config=1", "match=color=red", "match=client_id=[", "+metrics=a"} {
				s.Ask(alter(ofMetrics, m, bad))
			}
		}},
		{Name: "brokers", Alone: true, Run: func(s *Script) {
			me := s.me()
			a := s.Topic("a", 1)
			s.Ask(alter(ofBroker, "", "log.retention.ms=1000000"))
			s.Becomes(ofBroker, "", "log.retention.ms", "1000000", allSet)
			s.Ask(alter(ofBroker, me, "log.retention.ms=2000000"))
			s.Becomes(ofBroker, me, "log.retention.ms", "2000000", brokerSet)
			s.AskAs(4, describe(ofBroker, me, "log.retention.hours", "log.retention.minutes"))
			s.Ask(alter(ofTopic, a.name, "retention.ms=3000000"))
			s.Becomes(ofTopic, a.name, "retention.ms", "3000000", topicSet)
			s.Ask(alter(ofBroker, me, "!log.retention.ms"))
			s.Ask(alter(ofBroker, "", "!log.retention.ms"))
			s.Ask(alter(ofBroker, "", "+log.cleanup.policy=compact"))
			s.Becomes(ofBroker, "", "log.cleanup.policy", "delete,compact", allSet)
			s.Ask(alter(ofBroker, "", "!log.cleanup.policy", "!num.partitions"))
			s.Becomes(ofBroker, "", "log.cleanup.policy", "", allSet)
			for _, bad := range []string{"num.partitions=3", "log.retention.ms=x", "log.retention.ms=0", "message.max.bytes=-1", "compression.type=brotli",
				"log.retention.ms", "?log.retention.ms=5", "+log.retention.ms=5", "message.max.bytes=1 message.max.bytes=2", "log.retention.hours=5",
				"ssl.keystore.password=x"} {
				s.Ask(alter(ofBroker, "", strings.Fields(bad)...))
				s.Ask(alter(ofBroker, me, strings.Fields(bad)...))
			}
			s.Ask(alter(ofBroker, "", "listeners=PLAINTEXT://:9"))
		}},
		{Name: "loggers", Alone: true, Run: func(s *Script) {
			me := s.me()
			s.Ask(alter(ofLogger, me, "no.such.logger=INFO"))
			s.Ask(alter(ofLogger, me, "root=LOUD"))
			s.Ask(alter(ofLogger, "", "root=INFO"))
		}},
	}}
}
