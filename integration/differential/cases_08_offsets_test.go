package differential

import (
	"math"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func offsetCommitCases() apiCases {
	sample := func() kmsg.Request {
		return offsetCommit("nobody", "no member", 5, topic{"not a name!", unknownID(1)}, place{0, 0})
	}
	fetched := func(s *Script, group string, t topic, partitions ...int32) {
		s.AskAs(7, offsetFetch(group, t, partitions...))
	}
	return apiCases{8, sample, []Case{
		{Name: "without members", Run: func(s *Script) {
			t, g := s.Topic("a", 2), s.Group("g")
			s.Ask(offsetCommit(g, "", -1, t, place{0, 5}, place{1, 0}))
			fetched(s, g, t, 0, 1)
			s.Ask(offsetCommit(g, "", -1, t, place{0, 3}))
			s.Ask(offsetCommit(g, "", -1, t, place{0, -1}))
			s.Ask(offsetCommit(g, "", -1, t, place{1, -2}))
			s.Ask(offsetCommit(g, "", -1, t, place{1, math.MaxInt64}))
			fetched(s, g, t, 0, 1)
		}},
		{Name: "wrong members and generations", Run: func(s *Script) {
			t, g := s.Topic("a", 1), s.Group("g")
			for _, generation := range []int32{-1, 0, 1, 5, -2} {
				for _, member := range []string{"", "no member"} {
					s.Ask(offsetCommit(g, member, generation, t, place{0, 1}))
				}
			}
			fetched(s, g, t, 0)
			id, generation := s.member(g)
			for _, n := range []int32{generation, generation - 1, generation + 1, -1} {
				s.Ask(offsetCommit(g, id, n, t, place{0, 2}))
				s.Ask(offsetCommit(g, "no member", n, t, place{0, 3}))
				s.Ask(offsetCommit(g, "", n, t, place{0, 4}))
			}
			fetched(s, g, t, 0)
		}},
		{Name: "unknown topics", Run: func(s *Script) {
			t, g := s.Topic("a", 1), s.Group("g")
			s.Ask(offsetCommit(g, "", -1, topic{s.Unused("x"), unknownID(1)}, place{0, 1}))
			s.Ask(offsetCommit(g, "", -1, t, place{0, 1}, place{1, 1}, place{-1, 1}))
			s.Ask(offsetCommit(g, "", -1, topic{}, place{0, 1}))
			s.Ask(offsetCommit(g, "", -1, t))
			req := offsetCommit(g, "", -1, t)
			req.Topics = nil
			s.Ask(req)
		}},
		{Name: "twice the same partition", Run: func(s *Script) {
			t, g := s.Topic("a", 1), s.Group("g")
			s.Ask(offsetCommit(g, "", -1, t, place{0, 1}, place{0, 2}))
			fetched(s, g, t, 0)
		}},
		{Name: "metadata", Run: func(s *Script) {
			t, g := s.Topic("a", 1), s.Group("g")
			for _, m := range []*string{nil, kmsg.StringPtr(""), kmsg.StringPtr(strings.Repeat("x", 4096)), kmsg.StringPtr(strings.Repeat("x", 4097)), kmsg.StringPtr("ä\x00")} {
				req := offsetCommit(g, "", -1, t, place{0, 1})
				req.Topics[0].Partitions[0].Metadata = m
				s.Ask(req)
				fetched(s, g, t, 0)
			}
		}},
		{Name: "leader epochs", From: 6, Run: func(s *Script) {
			t, g := s.Topic("a", 1), s.Group("g")
			for _, epoch := range []int32{-1, 0, 7, -2} {
				req := offsetCommit(g, "", -1, t, place{0, 1})
				req.Topics[0].Partitions[0].LeaderEpoch = epoch
				s.Ask(req)
				fetched(s, g, t, 0)
			}
		}},
		{Name: "empty group", Run: func(s *Script) {
			s.Ask(offsetCommit("", "", -1, s.Topic("a", 1), place{0, 1}))
		}},
		{Name: "instance ids", From: 7, Run: func(s *Script) {
			t, g := s.Topic("a", 1), s.Group("g")
			id, generation := s.member(g)
			req := offsetCommit(g, id, generation, t, place{0, 1})
			req.InstanceID = kmsg.StringPtr("i")
			s.Ask(req)
		}},
		{Name: "retention", Until: 4, Run: func(s *Script) {
			t, g := s.Topic("a", 1), s.Group("g")
			for _, ms := range []int64{-1, 0, 1000000} {
				req := offsetCommit(g, "", -1, t, place{0, 1})
				req.RetentionTimeMillis = ms
				s.Ask(req)
			}
			fetched(s, g, t, 0)
		}},
		{Name: "a member with epochs", Run: func(s *Script) {
			t, g := s.Topic("a", 1), s.Group("g")
			a := &peer{s: s, group: g, id: memberID, topic: t}
			a.until(0, 1)
			for _, n := range []int32{a.epoch, a.epoch - 1, a.epoch + 1, -1} {
				s.Ask(offsetCommit(g, a.id, n, t, place{0, 2}))
				s.Ask(offsetCommit(g, "no member", n, t, place{0, 3}))
			}
			fetched(s, g, t, 0)
		}},
	}}
}

func offsetFetchCases() apiCases {
	return apiCases{9, func() kmsg.Request { return offsetFetch("nobody", topic{"not a name!", unknownID(1)}, 0) }, []Case{
		{Name: "offsets", Run: func(s *Script) {
			t, g := s.Topic("a", 3), s.Group("g")
			s.Do(8, offsetCommit(g, "", -1, t, place{0, 5}, place{1, 0}))
			s.Ask(offsetFetch(g, t, 0, 1, 2))
			s.Ask(offsetFetch(g, t, 7, -1, 0, 0))
			s.Ask(offsetFetch(g, t))
			s.Ask(offsetFetch(g, topic{s.Unused("x"), unknownID(1)}, 0))
			s.Ask(offsetFetch(s.Unused("nobody"), t, 0))
			s.Ask(offsetFetch("", t, 0))
		}},
		{Name: "all topics", From: 2, Run: func(s *Script) {
			a, b, g := s.Topic("a", 1), s.Topic("b", 2), s.Group("g")
			s.Ask(offsetFetch(g, topic{}))
			s.Do(8, offsetCommit(g, "", -1, a, place{0, 5}))
			s.Do(8, offsetCommit(g, "", -1, b, place{1, 6}))
			s.Ask(offsetFetch(g, topic{}))
		}},
		{Name: "only stable", From: 7, Run: func(s *Script) {
			t, g := s.Topic("a", 1), s.Group("g")
			s.Do(8, offsetCommit(g, "", -1, t, place{0, 5}))
			req := offsetFetch(g, t, 0)
			req.RequireStable = true
			s.Ask(req)
			w := s.Writer("x")
			s.Do(3, addOffsets(w, g))
			s.Ask(req) // nothing is pending yet
			s.Do(offsetsTV1, txnOffsetCommit(w, g, t, place{0, 7}))
			s.Ask(req)
			s.Ask(offsetFetch(g, t, 0))
			everything := offsetFetch(g, topic{})
			everything.RequireStable = true
			s.Ask(everything)
			s.Ended(w, true)
			s.Ask(req)
		}},
		{Name: "several groups", From: 8, Run: func(s *Script) {
			t, a, b := s.Topic("t", 1), s.Group("a"), s.Group("b")
			s.Do(8, offsetCommit(a, "", -1, t, place{0, 5}))
			req := offsetFetch(a, t, 0)
			req.Groups = append(req.Groups, offsetFetch(b, t, 0).Groups...)
			req.Groups = append(req.Groups, offsetFetch(s.Unused("x"), topic{}).Groups...)
			s.Ask(req)
			req.Groups = append(req.Groups[:1], req.Groups[0])
			s.Ask(req)
			req.Groups = nil
			s.Ask(req)
		}},
		{Name: "member epochs", From: 9, Run: func(s *Script) {
			t, g := s.Topic("a", 1), s.Group("g")
			s.Do(8, offsetCommit(g, "", -1, t, place{0, 5}))
			for _, epoch := range []int32{-1, 0, 5} {
				for _, member := range []*string{nil, kmsg.StringPtr(""), kmsg.StringPtr("no member")} {
					req := offsetFetch(g, t, 0)
					req.Groups[0].MemberID, req.Groups[0].MemberEpoch = member, epoch
					s.Ask(req)
				}
			}
		}},
		{Name: "of a deleted topic", Run: func(s *Script) {
			t, g := s.Topic("a", 1), s.Group("g")
			s.Do(8, offsetCommit(g, "", -1, t, place{0, 5}))
			again := s.recreate(t, 1)
			s.Until(func() bool { // the coordinator hears of it later
				return s.Do(7, offsetFetch(g, again, 0)).(*kmsg.OffsetFetchResponse).Topics[0].Partitions[0].Offset == -1
			})
			s.Until(func() bool { // and of the new one later still
				resp := s.Do(s.Version, offsetFetch(g, again, 0)).(*kmsg.OffsetFetchResponse)
				return s.Version < 10 || resp.Groups[0].Topics[0].Partitions[0].ErrorCode != kerr.UnknownTopicID.Code
			})
			s.Ask(offsetFetch(g, again, 0))
		}},
	}}
}
