package differential

import (
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/rawbatch"
	"wadi/internal/batch"
)

func listOffsetsCases() apiCases {
	sample := func() kmsg.Request { return listOffsets("not a name!", -1, 1) }
	special := []int64{-1, -2, -3, -4, -5, -6, -7, -100, math.MinInt64}
	return apiCases{2, sample, append(listOffsetsCommittedCases(), []Case{
		{Name: "special timestamps", Run: func(s *Script) {
			t := s.Topic("a", 3)
			s.Stored(t, 0, at(0, "0"))
			s.Stored(t, 0, at(5000, "1"))
			s.Stored(t, 0, at(-5000, "2"))
			s.Stored(t, 1, plain("0", "1", "2"))
			for _, ts := range special {
				s.Ask(listOffsets(t.name, ts, 3))
			}
		}},
		{Name: "timestamps", Run: func(s *Script) {
			t := s.Topic("a", 2)
			s.Stored(t, 0, at(0, "0"))
			list := rawbatch.Values("1", "2", "3", "4")
			for i, d := range []int64{1000, 3000, 2000, 3000} {
				list[i].TimestampDelta64 = d
			}
			s.Stored(t, 0, batchOf(nil, list...))
			s.Stored(t, 0, at(500, "5"))
			s.Stored(t, 0, at(9000, "6"))
			for _, d := range []int64{-chosen, -1, 0, 1, 500, 501, 999, 1000, 1001, 2000, 2500, 3000, 3001, 9000, 9001, math.MaxInt64 - chosen} {
				s.Ask(listOffsets(t.name, chosen+d, 2))
			}
		}},
		{Name: "timestamps in compressed batches", Run: func(s *Script) {
			t := s.Topic("a", 1)
			for _, c := range []batch.Codec{batch.Gzip, batch.Zstd} {
				s.Stored(t, 0, compressed(s, c, "0", "1"))
			}
			s.Ask(listOffsets(t.name, chosen, 1))
			s.Ask(listOffsets(t.name, chosen+1, 1))
			s.Ask(listOffsets(t.name, -3, 1))
		}},
		{Name: "same greatest timestamp twice", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Stored(t, 0, plain("0", "1"))
			s.Stored(t, 0, plain("2", "3"))
			s.Ask(listOffsets(t.name, -3, 1))
		}},
		{Name: "append time", Run: func(s *Script) {
			t := s.Topic("a", 1, "message.timestamp.type", "LogAppendTime")
			s.Stored(t, 0, plain("0", "1", "2"))
			s.Ask(listOffsets(t.name, -3, 1))
			s.Ask(listOffsets(t.name, chosen, 1))
		}},
		{Name: "unknown topics", Run: func(s *Script) {
			t := s.Topic("a", 1)
			x := s.Unused("x")
			for _, ts := range []int64{-1, -2, chosen} {
				s.Ask(listOffsets(x, ts, 1))
				s.Ask(listOffsetsOf(t.name, ts, 0, 1, -1, 1<<30))
				s.Ask(listOffsets("", ts, 1))
			}
		}},
		{Name: "nothing", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Ask(listOffsetsOf(t.name, -1))
			req := listOffsets(t.name, -1, 1)
			req.Topics = nil
			s.Ask(req)
		}},
		{Name: "twice the same partition", Run: func(s *Script) {
			t := s.Topic("a", 2)
			s.Stored(t, 0, plain("0"))
			req := listOffsetsOf(t.name, -1, 0, 0, 1)
			s.Ask(req)
			req.Topics[0].Partitions[1].Timestamp = -2
			s.Ask(req)
		}},
		{Name: "leader epochs", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Stored(t, 0, plain("0"))
			for _, epoch := range []int32{-1, 0, 1, 5, -2, math.MaxInt32} {
				for _, ts := range []int64{-1, -2, chosen} {
					req := listOffsets(t.name, ts, 1)
					req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
					s.Ask(req)
				}
			}
		}},
		{Name: "isolation", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Stored(t, 0, plain("0"))
			for _, level := range []int8{0, 1, 2, -1} {
				for _, ts := range []int64{-1, -2, -3, chosen} {
					req := listOffsets(t.name, ts, 1)
					req.IsolationLevel = level
					s.Ask(req)
				}
			}
		}},
		{Name: "replicas", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Stored(t, 0, plain("0"))
			for _, id := range []int32{-1, -2, -3, 4711} {
				req := listOffsets(t.name, -1, 1)
				req.ReplicaID = id
				s.Ask(req)
			}
		}},
	}...)}
}
