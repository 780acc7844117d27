package differential

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

func writeTxnMarkersCases() apiCases {
	marker := func(id int64, epoch int16, coordinator int32, commit bool, topic string, partitions ...int32) kmsg.WriteTxnMarkersRequestMarker {
		m := kmsg.NewWriteTxnMarkersRequestMarker()
		m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch, m.Committed = id, epoch, coordinator, commit
		if topic != "" {
			in := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
			in.Topic, in.Partitions = topic, partitions
			m.Topics = append(m.Topics, in)
		}
		return m
	}
	ask := func(markers ...kmsg.WriteTxnMarkersRequestMarker) *kmsg.WriteTxnMarkersRequest {
		req := kmsg.NewPtrWriteTxnMarkersRequest()
		req.Markers = markers
		return req
	}
	shown := func(s *Script, w *writer, t topic) {
		s.AskAs(0, describeTransactions(w.name))
		s.AskAs(12, committed(t, place{0, 0}))
		s.AskAs(0, describeProducers(t.name, 0))
	}
	sample := func() kmsg.Request { return ask(marker(1<<40, 0, 0, false, "not a name!", 0)) }
	return apiCases{27, sample, []Case{
		// kafka-transactions abort sends this.
		{Name: "abort what is open", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			s.Sent(w, t, 0, "0")
			s.Ask(ask(marker(w.id, w.epoch, 0, false, t.name, 0)))
			shown(s, w, t)
			s.FinallyAs(endTV1, endTxn(w, true))
			s.Closed(w)
			shown(s, w, t)
		}},
		{Name: "commit what is open", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			s.Sent(w, t, 0, "0")
			s.Ask(ask(marker(w.id, w.epoch, 0, true, t.name, 0)))
			shown(s, w, t)
		}},
		{Name: "epochs", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Veteran("x")
			s.Sent(w, t, 0, "0")
			for _, epoch := range []int16{-1, 0, 2, 4} {
				s.Ask(ask(marker(w.id, epoch, 0, false, t.name, 0)))
			}
			shown(s, w, t)
		}},
		{Name: "coordinators' epochs", Run: func(s *Script) {
			for _, epoch := range []int32{-1, 5} {
				t, w := s.Topic("t"+string(rune('b'+epoch)), 1), s.Writer("x"+string(rune('b'+epoch)))
				s.Sent(w, t, 0, "0")
				s.Ask(ask(marker(w.id, w.epoch, epoch, false, t.name, 0)))
				shown(s, w, t)
			}
		}},
		{Name: "nothing is open", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			s.Ask(ask(marker(w.id, w.epoch, 0, false, t.name, 0)))
			s.Sent(w, t, 0, "0")
			s.Ended(w, true)
			s.Ask(ask(marker(w.id, w.epoch, 0, false, t.name, 0)))
			s.Ask(ask(marker(1<<40, 0, 0, false, t.name, 0)))
			s.Ask(ask(marker(-1, -1, 0, false, t.name, 0)))
			shown(s, w, t)
		}},
		{Name: "unknown partitions", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			s.Sent(w, t, 0, "0")
			s.Ask(ask(marker(w.id, w.epoch, 0, false, t.name, 7)))
			s.Ask(ask(marker(w.id, w.epoch, 0, false, s.Unused("y"), 0)))
			s.Ask(ask(marker(w.id, w.epoch, 0, false, "a b", 0, -1)))
			s.Ask(ask(marker(w.id, w.epoch, 0, false, t.name, 0, 7)))
			shown(s, w, t)
		}},
		{Name: "several", Run: func(s *Script) {
			t, x, y := s.Topic("a", 2), s.Writer("x"), s.Writer("y")
			s.Sent(x, t, 0, "0")
			s.Sent(y, t, 0, "1")
			s.Ask(ask(marker(x.id, x.epoch, 0, true, t.name, 0), marker(y.id, y.epoch, 0, false, t.name, 0, 1)))
			shown(s, x, t)
			s.Ask(ask())
			s.Ask(ask(marker(x.id, x.epoch, 0, true, "")))
		}},
	}}
}

func describeProducers(topic string, partitions ...int32) *kmsg.DescribeProducersRequest {
	req := kmsg.NewPtrDescribeProducersRequest()
	t := kmsg.NewDescribeProducersRequestTopic()
	t.Topic, t.Partitions = topic, partitions
	req.Topics = append(req.Topics, t)
	return req
}
