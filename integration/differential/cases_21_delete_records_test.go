package differential

import (
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func deleteRecords(topic string, places ...place) *kmsg.DeleteRecordsRequest {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 60_000
	in := kmsg.NewDeleteRecordsRequestTopic()
	in.Topic = topic
	for _, p := range places {
		one := kmsg.NewDeleteRecordsRequestTopicPartition()
		one.Partition, one.Offset = p.partition, p.offset
		in.Partitions = append(in.Partitions, one)
	}
	req.Topics = append(req.Topics, in)
	return req
}

func deleteRecordsCases() apiCases {
	ask := deleteRecords
	filled := func(s *Script, configs ...string) topic {
		t := s.Topic("a", 2, configs...)
		s.Stored(t, 0, plain("0", "1", "2"))
		s.Stored(t, 0, plain("3", "4"))
		return t
	}
	return apiCases{21, func() kmsg.Request { return ask("not a name!", place{0, 0}) }, []Case{
		{Name: "offsets", Run: func(s *Script) {
			t := filled(s)
			for _, offset := range []int64{0, 2, 1, 3, 3, 0, 5, 6, 5, -1, math.MaxInt64, -2, math.MinInt64} {
				s.Ask(ask(t.name, place{0, offset}))
			}
			s.AskAs(7, listOffsets(t.name, -2, 2))
			s.AskAs(7, listOffsets(t.name, -1, 2))
			for _, offset := range []int64{0, 4, 5} {
				s.AskAs(12, fetch(t, place{0, offset}))
			}
		}},
		{Name: "inside a batch", Run: func(s *Script) {
			t := filled(s)
			s.Ask(ask(t.name, place{0, 1}))
			s.AskAs(7, listOffsets(t.name, -2, 1))
			s.AskAs(12, fetch(t, place{0, 1}))
			s.AskAs(12, fetch(t, place{0, 0}))
			s.AskAs(7, listOffsets(t.name, chosen, 1))
			s.AskAs(7, listOffsets(t.name, -3, 1))
		}},
		{Name: "everything", Run: func(s *Script) {
			t := filled(s)
			s.Ask(ask(t.name, place{0, -1}, place{1, -1}))
			s.AskAs(12, fetch(t, place{0, 5}))
			s.AskAs(7, listOffsets(t.name, chosen, 2))
			s.AskAs(7, listOffsets(t.name, -3, 2))
			s.Stored(t, 0, plain("5"))
			s.AskAs(12, fetch(t, place{0, 5}))
		}},
		{Name: "compacted topics", Run: func(s *Script) {
			s.Ask(ask(filled(s, "cleanup.policy", "compact").name, place{0, 2}))
		}},
		{Name: "compacted and deleted topics", Run: func(s *Script) {
			s.Ask(ask(filled(s, "cleanup.policy", "compact,delete").name, place{0, 2}))
		}},
		{Name: "unknown topics", Run: func(s *Script) {
			t := filled(s)
			s.Ask(ask(s.Unused("x"), place{0, 0}))
			s.Ask(ask(t.name, place{0, 1}, place{2, 0}, place{-1, 0}))
			s.Ask(ask("", place{0, 0}))
		}},
		{Name: "nothing", Run: func(s *Script) {
			s.Ask(ask(filled(s).name))
			req := ask("")
			req.Topics = nil
			s.Ask(req)
		}},
		{Name: "twice the same partition", Run: func(s *Script) {
			t := filled(s)
			s.Ask(ask(t.name, place{0, 1}, place{0, 3}))
			s.AskAs(7, listOffsets(t.name, -2, 1))
		}},
		{Name: "timeouts", Run: func(s *Script) {
			t := filled(s)
			for _, timeout := range []int32{0, -1, 2147483647} {
				req := ask(t.name, place{0, 9})
				req.TimeoutMillis = timeout
				s.Ask(req)
			}
		}},
	}}
}
