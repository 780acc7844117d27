package differential

import (
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func offsetForLeaderEpochCases() apiCases {
	ask := func(topic string, current, epoch int32, partitions ...int32) *kmsg.OffsetForLeaderEpochRequest {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		req.ReplicaID = -1
		in := kmsg.NewOffsetForLeaderEpochRequestTopic()
		in.Topic = topic
		for _, p := range partitions {
			one := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			one.Partition, one.CurrentLeaderEpoch, one.LeaderEpoch = p, current, epoch
			in.Partitions = append(in.Partitions, one)
		}
		req.Topics = append(req.Topics, in)
		return req
	}
	return apiCases{23, func() kmsg.Request { return ask("not a name!", -1, 0, 0) }, []Case{
		{Name: "epochs", Run: func(s *Script) {
			t := s.Topic("a", 2)
			s.Stored(t, 0, plain("0", "1", "2"))
			for _, epoch := range []int32{0, 1, 5, -1, -2, math.MaxInt32, math.MinInt32} {
				s.Ask(ask(t.name, -1, epoch, 0, 1))
			}
		}},
		{Name: "current leader epochs", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Stored(t, 0, plain("0"))
			for _, epoch := range []int32{0, 1, 5, -2, math.MaxInt32} {
				s.Ask(ask(t.name, epoch, 0, 0))
			}
		}},
		{Name: "unknown topics", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Ask(ask(s.Unused("x"), -1, 0, 0))
			s.Ask(ask(t.name, -1, 0, 0, 1, -1))
			s.Ask(ask("", -1, 0, 0))
		}},
		{Name: "nothing", Run: func(s *Script) {
			s.Ask(ask(s.Topic("a", 1).name, -1, 0))
			req := ask("", -1, 0)
			req.Topics = nil
			s.Ask(req)
		}},
		{Name: "twice the same partition", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Ask(ask(t.name, -1, 0, 0, 0))
		}},
		{Name: "replicas", From: 3, Run: func(s *Script) {
			t := s.Topic("a", 1)
			for _, id := range []int32{-2, 4711} {
				req := ask(t.name, -1, 0, 0)
				req.ReplicaID = id
				s.Ask(req)
			}
		}},
	}}
}
