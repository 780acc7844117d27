package differential

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// strangers are writers whom a broker does not take for w: others' ids, epochs before and after its own.
func strangers(s *Script, w *writer) map[string]*writer {
	return map[string]*writer{
		"unknown id":       {name: s.Unused("nobody"), id: w.id, epoch: w.epoch},
		"empty id":         {name: "", id: w.id, epoch: w.epoch},
		"other producer":   {name: w.name, id: 1 << 40, epoch: w.epoch},
		"no producer":      {name: w.name, id: -1, epoch: w.epoch},
		"stale epoch":      {name: w.name, id: w.id, epoch: w.epoch - 1},
		"staler epoch":     {name: w.name, id: w.id, epoch: w.epoch - 2},
		"epoch to come":    {name: w.name, id: w.id, epoch: w.epoch + 1},
		"no epoch":         {name: w.name, id: w.id, epoch: -1},
		"neither":          {name: w.name, id: -1, epoch: -1},
		"no epoch at all?": {name: w.name, id: w.id, epoch: -7},
	}
}

// inOrder are the names of strangers.
var inOrder = []string{"unknown id", "empty id", "other producer", "no producer", "stale epoch", "staler epoch", "epoch to come", "no epoch", "neither",
	"no epoch at all?"}

// Veteran is a writer of epoch 3, so that there are epochs before it.
func (s *Script) Veteran(short string) *writer {
	w := s.Writer(short)
	for w.epoch < 3 {
		s.Fence(w)
	}
	return w
}

func addPartitionsToTxnCases() apiCases {
	add := func(w *writer, topics ...kmsg.AddPartitionsToTxnRequestTopic) *kmsg.AddPartitionsToTxnRequest {
		req := addPartitions(w, "")
		req.Topics = topics
		return batched(req)
	}
	of := func(name string, partitions ...int32) kmsg.AddPartitionsToTxnRequestTopic {
		in := kmsg.NewAddPartitionsToTxnRequestTopic()
		in.Topic, in.Partitions = name, partitions
		return in
	}
	sample := func() kmsg.Request {
		return addPartitions(&writer{name: "nobody", id: 1 << 40, epoch: 0}, "not a name!", 0)
	}
	return apiCases{24, sample, []Case{
		{Name: "add", Run: func(s *Script) {
			a, b, w := s.Topic("a", 3), s.Topic("b", 1), s.Writer("x")
			s.Ask(add(w, of(a.name, 0, 2)))
			s.AskAs(0, describeTransactions(w.name))
			s.Ask(add(w, of(a.name, 0, 2)))
			s.Ask(add(w, of(b.name, 0), of(a.name, 1)))
			s.AskAs(0, describeTransactions(w.name))
		}},
		{Name: "bad partitions", Run: func(s *Script) {
			a, w := s.Topic("a", 2), s.Writer("x")
			s.Ask(add(w, of(a.name, 0, 7)))
			s.Ask(add(w, of(a.name, -1)))
			s.Ask(add(w, of(a.name, 0), of(s.Unused("y"), 0)))
			s.Ask(add(w, of("", 0)))
			s.Ask(add(w, of("a b", 0), of(a.name, 0)))
			s.AskAs(0, describeTransactions(w.name))
		}},
		{Name: "twice in a request", Run: func(s *Script) {
			a, w := s.Topic("a", 2), s.Writer("x")
			s.Ask(add(w, of(a.name, 0, 0)))
			s.Ask(add(w, of(a.name, 0), of(a.name, 1)))
		}},
		{Name: "nothing", Run: func(s *Script) {
			a, w := s.Topic("a", 1), s.Writer("x")
			s.Ask(add(w))
			s.Ask(add(w, of(a.name)))
			s.AskAs(0, describeTransactions(w.name))
			if s.Version >= 4 {
				req := add(w)
				req.Transactions = nil
				s.Brief(req)
			}
		}},
		{Name: "strangers", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Veteran("x")
			for _, name := range inOrder {
				s.AskFor(name, addPartitions(strangers(s, w)[name], t.name, 0))
			}
			s.Registered(w, t, 0)
			for _, name := range inOrder {
				s.AskFor(name+", open", addPartitions(strangers(s, w)[name], t.name, 0))
			}
		}},
		{Name: "after the end", Run: func(s *Script) {
			t, w := s.Topic("a", 2), s.Writer("x")
			s.Sent(w, t, 0, "0")
			s.Ended(w, true)
			s.Finally(addPartitions(w, t.name, 1))
			s.AskAs(0, describeTransactions(w.name))
			s.Ended(w, false)
			s.Finally(addPartitions(w, t.name, 1))
			before := *w
			s.EndedTV2(w, true)
			s.Finally(addPartitions(&before, t.name, 1))
			s.Finally(addPartitions(w, t.name, 1))
		}},
		{Name: "batches", From: 4, Run: func(s *Script) {
			t, x, y := s.Topic("a", 2), s.Writer("x"), s.Veteran("y")
			req := addPartitions(x, t.name, 0)
			req.Transactions = append(req.Transactions, addPartitions(y, t.name, 1).Transactions...)
			req.Transactions = append(req.Transactions, addPartitions(strangers(s, y)["unknown id"], t.name, 1).Transactions...)
			s.Ask(req)
			s.AskAs(0, describeTransactions(x.name, y.name))
			req = addPartitions(x, t.name, 1)
			req.Transactions = append(req.Transactions, addPartitions(strangers(s, y)["stale epoch"], t.name, 0).Transactions...)
			s.Ask(req)
			req = addPartitions(x, t.name, 0)
			req.Transactions = append(req.Transactions, addPartitions(x, t.name, 1).Transactions...)
			s.Ask(req)
		}},
		{Name: "verify", From: 4, Run: func(s *Script) {
			t, w := s.Topic("a", 3), s.Veteran("x")
			verify := func(w *writer, topic string, partitions ...int32) *kmsg.AddPartitionsToTxnRequest {
				req := addPartitions(w, topic, partitions...)
				req.Transactions[0].VerifyOnly = true
				return req
			}
			s.Ask(verify(w, t.name, 0))
			s.Registered(w, t, 0)
			s.Ask(verify(w, t.name, 0))
			s.Ask(verify(w, t.name, 0, 1))
			s.Ask(verify(w, t.name, 7))
			s.Ask(verify(w, s.Unused("y"), 0))
			for _, name := range inOrder {
				s.AskFor(name, verify(strangers(s, w)[name], t.name, 0))
			}
			mixed := verify(w, t.name, 1)
			mixed.Transactions = append(mixed.Transactions, addPartitions(w, t.name, 1).Transactions...)
			s.Ask(mixed)
			s.Ended(w, true)
			s.Ask(verify(w, t.name, 0))
			s.AskAs(0, describeTransactions(w.name))
		}},
	}}
}

func addOffsetsToTxnCases() apiCases {
	sample := func() kmsg.Request {
		return addOffsets(&writer{name: "nobody", id: 1 << 40, epoch: 0}, "nobody")
	}
	return apiCases{25, sample, []Case{
		{Name: "add", Run: func(s *Script) {
			g, w := s.Group("g"), s.Writer("x")
			s.Ask(addOffsets(w, g))
			s.Ask(addOffsets(w, g))
			s.Ask(addOffsets(w, s.Unused("another")))
			s.Ended(w, true)
			s.Finally(addOffsets(w, g))
			s.Ended(w, false)
			s.AskAs(0, describeTransactions(w.name))
		}},
		{Name: "groups", Run: func(s *Script) {
			g, w := s.Group("g"), s.Writer("x")
			s.Ask(addOffsets(w, ""))
			s.member(g)
			s.Ask(addOffsets(w, g))
		}},
		{Name: "strangers", Run: func(s *Script) {
			g, w := s.Group("g"), s.Veteran("x")
			for _, name := range inOrder {
				s.AskFor(name, addOffsets(strangers(s, w)[name], g))
			}
			s.Do(3, addOffsets(w, g))
			for _, name := range inOrder {
				s.AskFor(name+", open", addOffsets(strangers(s, w)[name], g))
			}
		}},
	}}
}
