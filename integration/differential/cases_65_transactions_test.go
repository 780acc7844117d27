package differential

import (
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func describeTransactionsCases() apiCases {
	return apiCases{65, func() kmsg.Request { return describeTransactions("nobody") }, []Case{
		{Name: "states", Run: func(s *Script) {
			a, b, g, w := s.Topic("a", 2), s.Topic("b", 1), s.Group("g"), s.Writer("x")
			s.Ask(describeTransactions(w.name))
			s.Sent(w, a, 0, "0")
			s.Sent(w, b, 0, "1")
			s.Ask(describeTransactions(w.name))
			s.Do(3, addOffsets(w, g))
			s.Ask(describeTransactions(w.name))
			s.Ended(w, true)
			s.Ask(describeTransactions(w.name))
			s.Sent(w, a, 1, "2")
			s.Ask(describeTransactions(w.name))
			s.EndedTV2(w, false)
			s.Ask(describeTransactions(w.name))
			s.SentTV2(w, a, 1, "3")
			s.Ask(describeTransactions(w.name))
			s.Fence(w)
			s.Ask(describeTransactions(w.name))
		}},
		{Name: "several", Run: func(s *Script) {
			x, y := s.Writer("x"), s.Writer("y")
			s.Ask(describeTransactions(y.name, x.name, s.Unused("nobody"), ""))
			s.Ask(describeTransactions(x.name, x.name))
			s.Ask(describeTransactions())
		}},
		{Name: "timeouts", Run: func(s *Script) {
			x := s.TransactionalID("x")
			for _, ms := range []int32{1, 900_000, 5000} {
				resp := s.finally(4, initProducer(x, ms, -1, -1)).(*kmsg.InitProducerIDResponse)
				s.names.producer(resp.ProducerID)
				s.Ask(describeTransactions(x))
			}
		}},
	}}
}

func listTransactionsCases() apiCases {
	// listed are the transactions of this run: others come and go.
	listed := func(s *Script, label string, edit func(*kmsg.ListTransactionsRequest)) {
		req := kmsg.NewPtrListTransactionsRequest()
		req.DurationFilterMillis = -1
		edit(req)
		resp, ok := s.exchange(s.Version, req).(*kmsg.ListTransactionsResponse)
		if !ok {
			s.Note(label, "closed")
			return
		}
		var own []kmsg.ListTransactionsResponseTransactionState
		for _, t := range resp.TransactionStates {
			if strings.HasPrefix(t.TransactionalID, s.prefix+"-") {
				own = append(own, t)
			}
		}
		resp.TransactionStates = own
		s.noteAny(label, resp)
	}
	all := func(*kmsg.ListTransactionsRequest) {}
	sample := func() kmsg.Request { return kmsg.NewPtrListTransactionsRequest() }
	return apiCases{66, sample, []Case{
		{Name: "states", Run: func(s *Script) {
			t := s.Topic("a", 1)
			empty, open, committed, aborted := s.Writer("empty"), s.Writer("open"), s.Writer("committed"), s.Writer("aborted")
			for _, w := range []*writer{open, committed, aborted} {
				s.Sent(w, t, 0, w.name)
			}
			s.Ended(committed, true)
			s.Ended(aborted, false)
			listed(s, "all", all)
			for _, states := range [][]string{
				{"Empty"}, {"Ongoing"}, {"CompleteCommit"}, {"CompleteAbort"}, {"PrepareCommit"}, {"PrepareAbort"}, {"Dead"}, {"PrepareEpochFence"},
				{"ongoing"}, {"Nonsense"}, {"Nonsense", "Ongoing"}, {""}, {"Empty", "Ongoing", "Empty"},
			} {
				listed(s, fmt.Sprintf("states %q", states), func(r *kmsg.ListTransactionsRequest) { r.StateFilters = states })
			}
			for i, ids := range [][]int64{{empty.id}, {open.id, aborted.id}, {1 << 40}, {-1}, {open.id, open.id}} {
				listed(s, fmt.Sprintf("producers %d", i), func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = ids })
			}
			listed(s, "both", func(r *kmsg.ListTransactionsRequest) {
				r.ProducerIDFilters, r.StateFilters = []int64{open.id, empty.id}, []string{"Ongoing", "CompleteAbort"}
			})
		}},
		{Name: "durations", From: 1, Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("open")
			s.Writer("empty")
			s.Sent(w, t, 0, "0")
			time.Sleep(100 * time.Millisecond)
			for _, ms := range []int64{-1, 0, 50, 3_600_000, -2, 1 << 62} {
				listed(s, fmt.Sprint(ms), func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = ms })
			}
			s.Ended(w, true)
			time.Sleep(100 * time.Millisecond)
			for _, ms := range []int64{0, 50} {
				listed(s, fmt.Sprint(ms), func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = ms })
			}
		}},
		{Name: "patterns", From: 2, Run: func(s *Script) {
			s.Writer("one")
			s.Writer("two")
			for _, p := range []string{".*", "", "one", ".*one", ".*-(one|two)", ".*-o", "[", "(?i).*ONE", `\Q`, ".*(?=one).*"} {
				listed(s, fmt.Sprintf("%q", p), func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = &p })
			}
			own := s.prefix + "-one"
			listed(s, "the name", func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = &own })
		}},
	}}
}
