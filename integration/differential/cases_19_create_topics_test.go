package differential

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func createTopicsCases() apiCases {
	ask := func(topics ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsRequest {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.TimeoutMillis, req.Topics = 60_000, topics
		return req
	}
	sized := func(name string, partitions int32, factor int16) kmsg.CreateTopicsRequestTopic {
		in := createTopic(name, partitions)
		in.ReplicationFactor = factor
		return in
	}
	assigned := func(name string, partitions int32, factor int16, assignment ...[]int32) kmsg.CreateTopicsRequestTopic {
		in := sized(name, partitions, factor)
		for _, a := range assignment {
			one := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			one.Partition, one.Replicas = a[0], a[1:]
			in.ReplicaAssignment = append(in.ReplicaAssignment, one)
		}
		return in
	}
	sample := func() kmsg.Request {
		req := ask(createTopic("not a name!", 1, "retention.ms", "1000"))
		req.ValidateOnly = true
		return req
	}
	return apiCases{19, sample, []Case{
		{Name: "create", Run: func(s *Script) {
			a := s.Unused("a")
			s.Ask(ask(createTopic(a, 1), createTopic(s.Unused("b"), 3)))
			s.Ask(ask(createTopic(a, 1)))
			s.Ask(ask(createTopic(a, 2), createTopic(s.Unused("c"), 1)))
		}},
		{Name: "nothing", Run: func(s *Script) { s.Ask(ask()) }},
		{Name: "defaults", Run: func(s *Script) {
			s.Ask(ask(sized(s.Unused("a"), -1, -1), sized(s.Unused("b"), -1, 1), sized(s.Unused("c"), 2, -1)))
		}},
		{Name: "bad sizes", Run: func(s *Script) {
			for i, n := range []int32{0, -2, -2147483648} {
				s.Ask(ask(sized(s.Unused("p"+string(rune('a'+i))), n, 1)))
			}
			for i, n := range []int16{0, -2, 2, 4, 32767, -32768} {
				s.Ask(ask(sized(s.Unused("f"+string(rune('a'+i))), 1, n)))
			}
		}},
		{Name: "bad names", Run: func(s *Script) {
			long := s.Unused("long")
			for _, name := range []string{"", ".", "..", "a b", "a/b", "ä", "x\x00", long + strings.Repeat("l", 250-len(long))} {
				s.Ask(ask(createTopic(name, 1)))
			}
			s.Ask(ask(createTopic(long+strings.Repeat("l", 249-len(long)), 1)))
		}},
		{Name: "names that collide", Run: func(s *Script) {
			base := s.Unused("a")
			s.Ask(ask(createTopic(base+"_x", 1)))
			s.Ask(ask(createTopic(base+".x", 1)))
			s.Ask(ask(createTopic(base+"_y", 1), createTopic(base+".y", 1)))
		}},
		{Name: "internal names", Run: func(s *Script) {
			for _, name := range []string{"__cluster_metadata", "__share_group_state_"} {
				req := ask(createTopic(name, 1))
				req.ValidateOnly = true
				s.Ask(req)
			}
		}},
		{Name: "twice in a request", Run: func(s *Script) {
			a := s.Unused("a")
			s.Ask(ask(createTopic(a, 1), createTopic(a, 2), createTopic(s.Unused("b"), 1)))
			s.AskAs(9, metadata(a))
		}},
		{Name: "only checked", Run: func(s *Script) {
			existing := s.Topic("e", 1)
			req := ask(createTopic(s.Unused("a"), 3), createTopic(existing.name, 1), createTopic("a b", 1), sized(s.Unused("z"), 0, 1),
				createTopic(s.Unused("c"), 1, "retention.ms", "x"))
			req.ValidateOnly = true
			s.Ask(req)
			s.Ask(req)
		}},
		{Name: "timeouts", Run: func(s *Script) {
			for i, timeout := range []int32{0, 1, -1, 2147483647} {
				req := ask(createTopic(s.Unused("t"+string(rune('a'+i))), 1))
				req.TimeoutMillis = timeout
				if timeout > 1 {
					s.Ask(req)
				} else {
					s.Do(s.Version, req) // whether so short a time suffices is luck
				}
			}
		}},
		{Name: "assignments", Run: func(s *Script) {
			self := s.broker.node
			for i, in := range []kmsg.CreateTopicsRequestTopic{
				assigned("", -1, -1, []int32{0, self}),
				assigned("", -1, -1, []int32{1, self}, []int32{0, self}),
				assigned("", 1, -1, []int32{0, self}),
				assigned("", -1, 1, []int32{0, self}),
				assigned("", 1, 1, []int32{0, self}),
				assigned("", -1, -1, []int32{0}),
				assigned("", -1, -1, []int32{0, self, self}),
				assigned("", -1, -1, []int32{1, self}),
				assigned("", -1, -1, []int32{-1, self}),
				assigned("", -1, -1, []int32{0, self}, []int32{0, self}),
				assigned("", -1, -1, []int32{0, self}, []int32{2, self}),
				assigned("", -1, -1, []int32{0, 4711}),
				assigned("", -1, -1, []int32{0, -1}),
				assigned("", -1, -1, []int32{0, self}, []int32{1, self, 4711}),
			} {
				in.Topic = s.Unused("t" + string(rune('a'+i)))
				s.Ask(ask(in))
			}
		}},
		{Name: "configs", Run: func(s *Script) {
			s.Ask(ask(createTopic(s.Unused("a"), 1, "retention.ms", "1000", "cleanup.policy", "compact")))
			s.Ask(ask(createTopic(s.Unused("b"), 1, "retention.ms", " 1000 ")))
			s.Ask(ask(createTopic(s.Unused("c"), 1, "retention.ms", "604800000")))
		}},
		{Name: "bad configs", Run: func(s *Script) {
			for i, c := range [][2]string{
				{"no.such.config", "1"}, {"", "1"}, {"retention.ms", ""}, {"retention.ms", "x"}, {"retention.ms", "-2"},
				{"retention.ms", "1.5"}, {"retention.ms", "9223372036854775808"}, {"cleanup.policy", "zip"},
				{"cleanup.policy", ""}, {"cleanup.policy", "compact,compact"}, {"cleanup.policy", "delete, compact"},
				{"compression.type", "brotli"}, {"compression.type", "GZIP"}, {"max.message.bytes", "-1"},
				{"max.message.bytes", "2147483648"}, {"min.insync.replicas", "0"}, {"min.insync.replicas", "2"},
				{"message.timestamp.type", "Never"}, {"segment.bytes", "13"}, {"segment.bytes", "1048576"}, {"segment.ms", "0"},
				{"unclean.leader.election.enable", "maybe"}, {"unclean.leader.election.enable", "TRUE"}, {"preallocate", "1"},
				{"message.format.version", "3.0"}, {"follower.replication.throttled.replicas", "*"},
				{"leader.replication.throttled.replicas", "1:x"}, {"min.cleanable.dirty.ratio", "1.5"},
				{"remote.storage.enable", "true"}, {"local.retention.ms", "5"}, {"flush.messages", "0"}, {"retention.bytes", "-1"},
				{"message.timestamp.difference.max.ms", "1"}, {"message.downconversion.enable", "true"}, {"file.delete.delay.ms", "-1"},
				{"compression.gzip.level", "10"}, {"compression.gzip.level", "0"}, {"compression.zstd.level", "23"}, {"compression.lz4.level", "18"},
				{"index.interval.bytes", "-1"}, {"segment.jitter.ms", "-1"}, {"max.compaction.lag.ms", "0"}, {"min.compaction.lag.ms", "-1"},
			} {
				req := ask(createTopic(s.Unused("c"+string(rune('a'+i/26))+string(rune('a'+i%26))), 1, c[0], c[1]))
				req.ValidateOnly = true
				s.AskFor(strings.Join(c[:], "="), req)
			}
			null := createTopic(s.Unused("n"), 1)
			null.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms"}}
			s.Ask(ask(null))
			s.Ask(ask(createTopic(s.Unused("t"), 1, "retention.ms", "1", "retention.ms", "2")))
			s.Ask(ask(createTopic(s.Unused("u"), 1, "min.compaction.lag.ms", "10", "max.compaction.lag.ms", "5")))
		}},
	}}
}
