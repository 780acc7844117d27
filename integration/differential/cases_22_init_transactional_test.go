package differential

import (
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// initTransactionalCases are those of InitProducerId with a transactional id.
func initTransactionalCases() []Case {
	// ask records the answer with a name for the producer id in it.
	ask := func(s *Script, req *kmsg.InitProducerIDRequest) *kmsg.InitProducerIDResponse {
		resp, _ := s.finally(s.Version, req).(*kmsg.InitProducerIDResponse)
		if resp == nil {
			s.Note("InitProducerId", "closed")
			return &kmsg.InitProducerIDResponse{}
		}
		if resp.ProducerID >= 0 {
			s.names.producer(resp.ProducerID)
		}
		s.note("InitProducerId", resp)
		return resp
	}
	return []Case{
		{Name: "transactional", Run: func(s *Script) {
			a, b := s.TransactionalID("a"), s.TransactionalID("b")
			ask(s, initProducer(a, 60_000, -1, -1))
			ask(s, initProducer(b, 60_000, -1, -1))
			ask(s, initProducer(a, 60_000, -1, -1))
			ask(s, initProducer(a, 30_000, -1, -1))
			s.AskAs(0, describeTransactions(a, b))
		}},
		{Name: "transaction timeouts", Run: func(s *Script) {
			x := s.TransactionalID("x")
			for _, ms := range []int32{0, -1, 1, 900_000, 900_001, math.MaxInt32, math.MinInt32} {
				ask(s, initProducer(x, ms, -1, -1))
			}
		}},
		{Name: "odd transactional ids", Run: func(s *Script) {
			for _, odd := range []string{" ", "ä/\x01", "."} {
				ask(s, initProducer(s.TransactionalID("x")+odd, 60_000, -1, -1))
			}
		}},
		{Name: "takes over an open transaction", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			s.Sent(w, t, 0, "0", "1")
			old := *w
			resp := ask(s, initProducer(w.name, 60_000, -1, -1))
			s.Closed(w)
			s.AskAs(0, describeTransactions(w.name))
			s.AskAs(12, committed(t, place{0, 0}))
			s.AskAs(produceTV1, old.produce(t, 0, old.batch(t, 0, "2")))
			s.AskAs(3, addPartitions(&old, t.name, 0))
			for v := range int16(6) {
				s.FinallyAs(v, endTxn(&old, true))
			}
			w.id, w.epoch = resp.ProducerID, resp.ProducerEpoch
			s.Fence(w)
			s.Sent(w, t, 0, "3")
			s.Ended(w, true)
			s.AskAs(12, committed(t, place{0, 0}))
		}},
		{Name: "takes over a transaction without records", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			s.Registered(w, t, 0)
			ask(s, initProducer(w.name, 60_000, -1, -1))
			s.Closed(w)
			s.AskAs(0, describeTransactions(w.name))
		}},
		{Name: "resume", From: 3, Run: func(s *Script) {
			w, other := s.Writer("x"), s.Writer("y")
			ask(s, initProducer(w.name, 60_000, w.id, 0))
			ask(s, initProducer(w.name, 60_000, w.id, 0)) // the answer was lost
			ask(s, initProducer(w.name, 60_000, w.id, 1))
			ask(s, initProducer(w.name, 60_000, w.id, 0))
			ask(s, initProducer(w.name, 60_000, w.id, 7))
			ask(s, initProducer(w.name, 60_000, other.id, 0))
			ask(s, initProducer(w.name, 60_000, 1<<40, 0))
			ask(s, initProducer(s.Unused("nobody"), 60_000, w.id, 0))
			ask(s, initProducer(w.name, 60_000, w.id, -1))
			ask(s, initProducer(w.name, 60_000, -1, 0))
			ask(s, initProducer(w.name, 60_000, -5, -5))
			ask(s, initProducer(w.name, 60_000, w.id, -5))
			s.AskAs(0, describeTransactions(w.name, other.name))
		}},
		{Name: "resume with an open transaction", From: 3, Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			s.Sent(w, t, 0, "0")
			resp := ask(s, initProducer(w.name, 60_000, w.id, w.epoch))
			s.Closed(w)
			s.AskAs(12, committed(t, place{0, 0}))
			s.AskAs(produceTV1, w.produce(t, 0, w.batch(t, 0, "1")))
			w.epoch, w.seq = resp.ProducerEpoch, map[string]int32{}
			s.Sent(w, t, 0, "2")
			s.Ended(w, true)
			s.AskAs(12, committed(t, place{0, 0}))
		}},
		{Name: "resume after a commit", From: 3, Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			s.SentTV2(w, t, 0, "0")
			before := *w
			s.EndedTV2(w, true)
			ask(s, initProducer(w.name, 60_000, before.id, before.epoch))
			ask(s, initProducer(w.name, 60_000, w.id, w.epoch))
			s.AskAs(0, describeTransactions(w.name))
		}},
	}
}
