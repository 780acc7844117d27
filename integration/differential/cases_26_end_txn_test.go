package differential

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

func endTxnCases() apiCases {
	// end records the answer with a name for the producer id in it, and what transactional id and partition show behind it.
	end := func(s *Script, w *writer, commit bool) {
		resp, _ := s.finally(s.Version, endTxn(w, commit)).(*kmsg.EndTxnResponse)
		if resp != nil && resp.ProducerID >= 0 && s.Version >= endTV2 {
			s.names.producer(resp.ProducerID)
		}
		if resp == nil {
			s.Note("EndTxn", "closed")
			return
		}
		s.note("EndTxn", resp)
		if resp.ErrorCode == 0 {
			s.Closed(w)
		}
	}
	shown := func(s *Script, w *writer, t topic) {
		s.AskAs(0, describeTransactions(w.name))
		s.AskAs(12, committed(t, place{0, 0}))
	}
	// begin sends in the way of clients that end in the version of the run.
	begin := func(s *Script, w *writer, t topic, list ...string) {
		if s.Version >= endTV2 {
			s.SentTV2(w, t, 0, list...)
		} else {
			s.Sent(w, t, 0, list...)
		}
	}
	twice := func(commit bool) func(*Script) {
		return func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			begin(s, w, t, "0", "1")
			end(s, w, commit)
			shown(s, w, t)
			end(s, w, commit)
			end(s, w, !commit)
			end(s, w, commit)
			shown(s, w, t)
		}
	}
	// next has the epoch that the writer has behind the end in the version of the run.
	next := func(s *Script, w *writer) *writer {
		n := &writer{name: w.name, id: w.id, epoch: w.epoch, seq: w.seq}
		if s.Version >= endTV2 {
			n.epoch, n.seq = w.epoch+1, map[string]int32{}
		}
		return n
	}
	sample := func() kmsg.Request { return endTxn(&writer{name: "nobody", id: 1 << 40, epoch: 0}, true) }
	return apiCases{26, sample, []Case{
		{Name: "commit", Run: twice(true)},
		{Name: "abort", Run: twice(false)},
		{Name: "nothing began", Run: func(s *Script) {
			for _, commit := range []bool{true, false, false, true} {
				w := s.Writer("x")
				end(s, w, commit)
				s.AskAs(0, describeTransactions(w.name))
			}
			w := s.Writer("y")
			end(s, w, false)
			end(s, w, false)
			end(s, next(s, w), false)
			end(s, next(s, w), true)
		}},
		{Name: "nothing began since", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			begin(s, w, t, "0")
			end(s, w, true)
			n := next(s, w)
			end(s, n, true)
			end(s, n, false)
			s.AskAs(0, describeTransactions(w.name))
			end(s, next(s, n), false)
			end(s, next(s, n), true)
			s.AskAs(0, describeTransactions(w.name))
		}},
		{Name: "nothing produced", Run: func(s *Script) {
			t, w := s.Topic("a", 2), s.Writer("x")
			s.Registered(w, t, 0, 1)
			end(s, w, true)
			s.AskAs(0, describeTransactions(w.name))
			n := next(s, w)
			s.Registered(n, t, 0)
			end(s, n, false)
			s.AskAs(0, describeTransactions(w.name))
		}},
		{Name: "only offsets", Run: func(s *Script) {
			t, g, w := s.Topic("a", 1), s.Group("g"), s.Writer("x")
			s.Do(3, addOffsets(w, g))
			end(s, w, true)
			s.AskAs(7, offsetFetch(g, t, 0))
			n := next(s, w)
			s.finally(3, addOffsets(n, g))
			s.finally(offsetsTV1, txnOffsetCommit(n, g, t, place{0, 7}))
			end(s, n, true)
			s.AskAs(7, offsetFetch(g, t, 0))
		}},
		{Name: "strangers", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Veteran("x")
			for _, name := range inOrder {
				s.FinallyFor(name+", nothing began", endTxn(strangers(s, w)[name], true))
			}
			begin(s, w, t, "0")
			for _, commit := range []bool{true, false} {
				for _, name := range inOrder {
					s.FinallyFor(name, endTxn(strangers(s, w)[name], commit))
				}
			}
			shown(s, w, t)
			end(s, w, true)
			for _, name := range inOrder {
				if name != "stale epoch" || s.Version < endTV2 {
					s.FinallyFor(name+", after", endTxn(strangers(s, w)[name], true))
				}
			}
			shown(s, w, t)
		}},
		{Name: "fenced", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			begin(s, w, t, "0")
			old := *w
			s.Fence(w)
			end(s, &old, true)
			end(s, &old, false)
			shown(s, w, t)
		}},
		// Semantics line 79. Apache Kafka looks for what is overdue every ten seconds.
		{Name: "overdue", Run: func(s *Script) {
			t := s.Topic("a", 1)
			var late []*writer
			for _, short := range []string{"x", "y", "z"} {
				w := &writer{name: s.TransactionalID(short)}
				s.initialised(w, 500)
				begin(s, w, t, short)
				late = append(late, w)
			}
			for _, w := range late {
				s.Until(func() bool {
					return s.Do(0, describeTransactions(w.name)).(*kmsg.DescribeTransactionsResponse).TransactionStates[0].State == "CompleteAbort"
				})
			}
			end(s, late[0], true)
			end(s, late[1], false)
			s.AskAs(produceTV2, late[2].produce(t, 0, late[2].batch(t, 0, "too late")))
			s.AskAs(3, addPartitions(late[2], t.name, 0))
			end(s, late[2], true)
			for _, w := range late {
				s.AskAs(0, describeTransactions(w.name))
			}
			resumed, _ := s.finally(4, initProducer(late[0].name, 60_000, late[0].id, late[0].epoch)).(*kmsg.InitProducerIDResponse)
			s.note("resume", resumed)
		}},
		{Name: "an answer that was lost", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			begin(s, w, t, "0")
			end(s, w, true)
			n := next(s, w)
			begin(s, n, t, "1")
			end(s, w, true) // up to version 4 it ends what has begun since
			shown(s, w, t)
			end(s, n, true)
			shown(s, w, t)
		}},
		{Name: "clients of both kinds", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			s.Sent(w, t, 0, "0")
			end(s, w, true)
			n := next(s, w)
			s.SentTV2(n, t, 0, "1")
			end(s, n, false)
			shown(s, w, t)
		}},
		{Name: "several partitions", Run: func(s *Script) {
			t, u, w := s.Topic("a", 3), s.Topic("b", 1), s.Writer("x")
			s.Sent(w, t, 0, "0")
			s.Sent(w, t, 2, "1")
			s.Sent(w, u, 0, "2")
			end(s, w, true)
			s.AskAs(12, committed(t, place{0, 0}, place{1, 0}, place{2, 0}))
			s.AskAs(12, committed(u, place{0, 0}))
		}},
		{Name: "of a topic deleted since", Run: func(s *Script) {
			t, u, w := s.Topic("a", 1), s.Topic("b", 1), s.Writer("x")
			s.Sent(w, t, 0, "0")
			s.Sent(w, u, 0, "1")
			again := s.recreate(t, 1)
			end(s, w, true)
			s.AskAs(12, committed(again, place{0, 0}))
			s.AskAs(12, committed(u, place{0, 0}))
		}},
	}}
}

// FinallyFor is Finally with a label.
func (s *Script) FinallyFor(label string, req kmsg.Request) {
	s.note(label, s.finally(s.Version, req))
}
