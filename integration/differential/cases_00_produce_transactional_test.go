package differential

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// produceTransactionalCases are those of Produce in transactions. Up to version 11 partitions are registered before, from 12 on
// by producing.
func produceTransactionalCases() []Case {
	// begin registers a partition where clients of the version do.
	begin := func(s *Script, w *writer, t topic, partition int32) {
		if s.Version < produceTV2 {
			s.Registered(w, t, partition)
		}
	}
	ended := func(s *Script, w *writer, commit bool) {
		if s.Version < produceTV2 {
			s.Ended(w, commit)
		} else {
			s.EndedTV2(w, commit)
		}
	}
	shown := func(s *Script, t topic) {
		s.AskAs(12, committed(t, place{0, 0}))
		s.AskAs(12, fetch(t, place{0, 0}))
	}
	send := func(s *Script, w *writer, t topic, list ...string) {
		s.Finally(w.produce(t, 0, w.batch(t, 0, list...)))
	}
	cases := []Case{
		{Name: "transactions", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			for _, commit := range []bool{true, false, true} {
				begin(s, w, t, 0)
				send(s, w, t, "0", "1")
				send(s, w, t, "2")
				shown(s, t)
				ended(s, w, commit)
				shown(s, t)
			}
		}},
		{Name: "transaction: not registered", Run: func(s *Script) {
			t, w := s.Topic("a", 2), s.Writer("x")
			send(s, w, t, "0")
			s.AskAs(0, describeTransactions(w.name))
			s.Registered(w, t, 1)
			w.seq = map[string]int32{}
			send(s, w, t, "1")
			s.AskAs(0, describeTransactions(w.name))
			shown(s, t)
		}},
		{Name: "transaction: after its end", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			begin(s, w, t, 0)
			send(s, w, t, "0")
			old := *w
			old.seq = map[string]int32{t.name + "0": 1}
			ended(s, w, true)
			send(s, &old, t, "1")
			s.AskAs(0, describeTransactions(w.name))
			shown(s, t)
		}},
		{Name: "transaction: ids that do not belong", Run: func(s *Script) {
			t, w, v := s.Topic("a", 1), s.Veteran("x"), s.Writer("y")
			begin(s, w, t, 0)
			for _, name := range []*string{nil, kmsg.StringPtr(""), &v.name, kmsg.StringPtr(s.Unused("nobody"))} {
				req := produce(-1, t, part{0, inTxn(w.id, w.epoch, 0, "0")})
				req.TransactionID = name
				s.Finally(req)
			}
			shown(s, t)
			for _, epoch := range []int16{2, 4, -1} {
				req := produce(-1, t, part{0, inTxn(w.id, epoch, 0, "1")})
				req.TransactionID = &w.name
				s.Finally(req)
			}
			for _, id := range []int64{v.id, 1 << 40, -1} {
				req := produce(-1, t, part{0, inTxn(id, 0, 0, "2")})
				req.TransactionID = &w.name
				s.Finally(req)
			}
			shown(s, t)
		}},
		{Name: "transaction: batches outside", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			req := produce(-1, t, part{0, idempotent(w.id, w.epoch, 0, "0")})
			req.TransactionID = &w.name
			s.Finally(req)
			s.Finally(produce(-1, t, part{0, idempotent(w.id, w.epoch, 1, "1")}))
			shown(s, t)
		}},
		{Name: "transaction: batches outside while one is open", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			begin(s, w, t, 0)
			send(s, w, t, "0")
			req := produce(-1, t, part{0, idempotent(w.id, w.epoch, 1, "1")})
			req.TransactionID = &w.name
			s.Finally(req)
			s.Finally(produce(-1, t, part{0, idempotent(w.id, w.epoch, 1, "2")}))
			s.Finally(produce(-1, t, part{0, plain("3")}))
			req = produce(-1, t, part{0, plain("4")})
			req.TransactionID = &w.name
			s.Finally(req)
			shown(s, t)
		}},
		{Name: "transaction: sequences", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			begin(s, w, t, 0)
			send(s, w, t, "0", "1")
			s.Finally(w.produce(t, 0, inTxn(w.id, w.epoch, 0, "0", "1")))
			s.Finally(w.produce(t, 0, inTxn(w.id, w.epoch, 5, "5")))
			ended(s, w, true)
			begin(s, w, t, 0)
			send(s, w, t, "a")
			shown(s, t)
		}},
		{Name: "transaction: sequences behind an abort", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			begin(s, w, t, 0)
			send(s, w, t, "0", "1")
			ended(s, w, false)
			begin(s, w, t, 0)
			send(s, w, t, "a")
			shown(s, t)
		}},
		{Name: "transaction: sequences that begin anew", Until: produceTV1, Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			begin(s, w, t, 0)
			send(s, w, t, "0", "1")
			ended(s, w, false)
			begin(s, w, t, 0)
			w.seq = map[string]int32{}
			send(s, w, t, "0", "1")
			shown(s, t)
		}},
		{Name: "transaction: fenced", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			begin(s, w, t, 0)
			send(s, w, t, "0")
			old := *w
			s.Fence(w)
			s.Closed(w)
			old.seq = map[string]int32{t.name + "0": 1}
			send(s, &old, t, "1")
			shown(s, t)
		}},
		{Name: "transaction: fenced before it began", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			old := *w
			old.seq = map[string]int32{}
			s.Fence(w)
			send(s, &old, t, "0")
			begin(s, w, t, 0)
			send(s, w, t, "1")
			old.seq = map[string]int32{}
			send(s, &old, t, "2")
			shown(s, t)
		}},
		{Name: "transaction: acks", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			begin(s, w, t, 0)
			req := w.produce(t, 0, w.batch(t, 0, "0"))
			req.Acks = 1
			s.Finally(req)
			shown(s, t)
		}},
		{Name: "transaction: control batches", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			begin(s, w, t, 0)
			send(s, w, t, "0")
			marker := batchOf(func(b *kmsg.RecordBatch) {
				b.ProducerID, b.ProducerEpoch, b.FirstSequence, b.Attributes = w.id, w.epoch, -1, 0x30
			}, kmsg.Record{Key: []byte{0, 0, 0, 1}, Value: []byte{0, 0, 0, 0, 0, 0}})
			s.Finally(w.produce(t, 0, marker))
			shown(s, t)
		}},
		{Name: "transaction: several partitions", Run: func(s *Script) {
			t, w := s.Topic("a", 3), s.Writer("x")
			begin(s, w, t, 0)
			begin(s, w, t, 1)
			req := produce(-1, t, part{0, w.batch(t, 0, "0")}, part{1, w.batch(t, 1, "1")}, part{7, inTxn(w.id, w.epoch, 0, "7")})
			req.TransactionID = &w.name
			s.Finally(req)
			s.AskAs(0, describeTransactions(w.name))
			ended(s, w, true)
			s.AskAs(12, committed(t, place{0, 0}, place{1, 0}, place{2, 0}))
		}},
	}
	for i := range cases {
		cases[i].Of = []int16{3, 8, 10, 11, 12, 13} // where answers or errors change
	}
	return cases
}
