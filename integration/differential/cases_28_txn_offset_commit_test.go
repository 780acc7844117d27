package differential

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetsOf asks for offsets as everybody sees them, and as who does not want to meet a transaction.
func (s *Script) offsetsOf(group string, t topic, partitions ...int32) {
	s.AskAs(7, offsetFetch(group, t, partitions...))
	req := offsetFetch(group, t, partitions...)
	req.RequireStable = true
	s.AskAs(7, req)
}

func txnOffsetCommitCases() apiCases {
	sample := func() kmsg.Request {
		return txnOffsetCommit(&writer{name: "nobody", id: 1 << 40, epoch: 0}, "nobody", topic{"not a name!", unknownID(1)}, place{0, 0})
	}
	// ended ends in the way of clients that commit offsets in the version of the run.
	ended := func(s *Script, w *writer, commit bool) {
		if s.Version >= offsetsTV2 {
			s.EndedTV2(w, commit)
		} else {
			s.Ended(w, commit)
		}
	}
	// added registers the group where clients of the version do.
	added := func(s *Script, w *writer, group string) {
		if s.Version < offsetsTV2 {
			s.finally(3, addOffsets(w, group))
		}
	}
	return apiCases{28, sample, []Case{
		{Name: "commit and abort", Run: func(s *Script) {
			t, g, w := s.Topic("a", 2), s.Group("g"), s.Writer("x")
			for i, commit := range []bool{true, false, true} {
				added(s, w, g)
				s.Finally(txnOffsetCommit(w, g, t, place{0, int64(10 * i)}))
				s.offsetsOf(g, t, 0, 1)
				s.AskAs(0, describeTransactions(w.name))
				ended(s, w, commit)
				s.offsetsOf(g, t, 0, 1)
			}
		}},
		{Name: "not registered", Run: func(s *Script) {
			t, g, w := s.Topic("a", 1), s.Group("g"), s.Writer("x")
			s.Finally(txnOffsetCommit(w, g, t, place{0, 5}))
			s.offsetsOf(g, t, 0)
			s.AskAs(0, describeTransactions(w.name))
			s.Sent(w, t, 0, "0")
			s.Finally(txnOffsetCommit(w, g, t, place{0, 6}))
			s.offsetsOf(g, t, 0)
			ended(s, w, true)
			s.offsetsOf(g, t, 0)
		}},
		{Name: "beside records", Run: func(s *Script) {
			t, g, w := s.Topic("a", 2), s.Group("g"), s.Writer("x")
			s.Sent(w, t, 0, "0")
			added(s, w, g)
			s.Ask(txnOffsetCommit(w, g, t, place{1, 5}))
			s.Ask(txnOffsetCommit(w, g, t, place{1, 4}))
			ended(s, w, true)
			s.offsetsOf(g, t, 0, 1)
			s.AskAs(12, committed(t, place{0, 0}))
		}},
		{Name: "beside other commits", Run: func(s *Script) {
			t, g, w, v := s.Topic("a", 1), s.Group("g"), s.Writer("x"), s.Writer("y")
			s.Do(8, offsetCommit(g, "", -1, t, place{0, 1}))
			added(s, w, g)
			added(s, v, g)
			s.Ask(txnOffsetCommit(w, g, t, place{0, 5}))
			s.Ask(txnOffsetCommit(v, g, t, place{0, 7}))
			s.AskAs(8, offsetCommit(g, "", -1, t, place{0, 3}))
			s.offsetsOf(g, t, 0)
			ended(s, v, true)
			s.offsetsOf(g, t, 0)
			ended(s, w, true)
			s.offsetsOf(g, t, 0)
		}},
		{Name: "members", From: 3, Run: func(s *Script) {
			t, g, w := s.Topic("a", 1), s.Group("g"), s.Writer("x")
			added(s, w, g)
			first := txnOffsetCommit(w, g, t, place{0, 5})
			first.Generation = 5
			s.Ask(first) // of a group that does not exist
			of := func(member string, generation int32, instance *string) *kmsg.TxnOffsetCommitRequest {
				req := txnOffsetCommit(w, g, t, place{0, 5})
				req.MemberID, req.Generation, req.InstanceID = member, generation, instance
				return req
			}
			for _, generation := range []int32{-1, 0, 5, -2} {
				s.Ask(of("", generation, nil))
				s.Ask(of("no member", generation, nil))
			}
			id, generation := s.member(g)
			for _, n := range []int32{generation, generation - 1, generation + 1, -1} {
				s.Ask(of(id, n, nil))
				s.Ask(of("no member", n, nil))
				s.Ask(of("", n, nil))
				s.Ask(of(id, n, kmsg.StringPtr("i")))
			}
			ended(s, w, true)
			s.offsetsOf(g, t, 0)
		}},
		{Name: "members of consumer groups", From: 3, Run: func(s *Script) {
			t, g, w := s.Topic("a", 1), s.Group("g"), s.Writer("x")
			added(s, w, g)
			joined := s.Do(0, consumerGroupJoin(g, memberID, t.name)).(*kmsg.ConsumerGroupHeartbeatResponse)
			for _, n := range []int32{joined.MemberEpoch, joined.MemberEpoch - 1, joined.MemberEpoch + 1, -1} {
				for _, id := range []string{memberID, "no member", ""} {
					req := txnOffsetCommit(w, g, t, place{0, 5})
					req.MemberID, req.Generation = id, n
					s.Ask(req)
				}
			}
		}},
		{Name: "strangers", Run: func(s *Script) {
			t, g, w := s.Topic("a", 1), s.Group("g"), s.Veteran("x")
			for _, name := range inOrder {
				s.FinallyFor(name+", nothing began", txnOffsetCommit(strangers(s, w)[name], g, t, place{0, 5}))
			}
			added(s, w, g)
			s.Ask(txnOffsetCommit(w, g, t, place{0, 5}))
			for _, name := range inOrder {
				s.FinallyFor(name, txnOffsetCommit(strangers(s, w)[name], g, t, place{0, 5}))
			}
		}},
		{Name: "fenced", Run: func(s *Script) {
			t, g, w := s.Topic("a", 1), s.Group("g"), s.Writer("x")
			added(s, w, g)
			s.Ask(txnOffsetCommit(w, g, t, place{0, 5}))
			old := *w
			s.Fence(w)
			s.Closed(w)
			s.Finally(txnOffsetCommit(&old, g, t, place{0, 6}))
			s.offsetsOf(g, t, 0)
		}},
		{Name: "unknown topics", Run: func(s *Script) {
			t, g, w := s.Topic("a", 1), s.Group("g"), s.Writer("x")
			added(s, w, g)
			s.Ask(txnOffsetCommit(w, g, topic{s.Unused("y"), unknownID(1)}, place{0, 1}))
			s.Ask(txnOffsetCommit(w, g, t, place{0, 1}, place{7, 1}, place{-1, 1}))
			s.Ask(txnOffsetCommit(w, g, topic{}, place{0, 1}))
			s.Ask(txnOffsetCommit(w, g, t))
			none := txnOffsetCommit(w, g, t)
			none.Topics = nil
			s.Ask(none)
			s.Ask(txnOffsetCommit(w, g, t, place{0, 1}, place{0, 2}))
			ended(s, w, true)
			s.offsetsOf(g, t, 0)
		}},
		{Name: "odd offsets and metadata", Run: func(s *Script) {
			t, g, w := s.Topic("a", 1), s.Group("g"), s.Writer("x")
			for _, offset := range []int64{-1, -2, 1 << 62} {
				added(s, w, g)
				s.Finally(txnOffsetCommit(w, g, t, place{0, offset}))
				ended(s, w, true)
				s.offsetsOf(g, t, 0)
			}
			for _, m := range []*string{nil, kmsg.StringPtr(""), kmsg.StringPtr(strings.Repeat("x", 4096)), kmsg.StringPtr(strings.Repeat("x", 4097))} {
				added(s, w, g)
				req := txnOffsetCommit(w, g, t, place{0, 1})
				req.Topics[0].Partitions[0].Metadata = m
				s.Finally(req)
				ended(s, w, true)
				s.offsetsOf(g, t, 0)
			}
		}},
		{Name: "groups", Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			added(s, w, "")
			s.Ask(txnOffsetCommit(w, "", t, place{0, 1}))
			g := s.Group("new")
			added(s, w, g)
			s.Ask(txnOffsetCommit(w, g, t, place{0, 1}))
			s.AskAs(5, describeGroups(g))
			ended(s, w, true)
			s.AskAs(5, describeGroups(g))
		}},
		{Name: "deleted group", Run: func(s *Script) {
			t, g, w := s.Topic("a", 1), s.Group("g"), s.Writer("x")
			s.Do(8, offsetCommit(g, "", -1, t, place{0, 1}))
			added(s, w, g)
			s.Ask(txnOffsetCommit(w, g, t, place{0, 5}))
			s.AskAs(2, deleteGroups(g))
			s.offsetsOf(g, t, 0)
			ended(s, w, true)
			s.offsetsOf(g, t, 0)
		}},
	}}
}
