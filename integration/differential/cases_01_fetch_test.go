package differential

import (
	"math"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/internal/batch"
)

func fetchCases() apiCases {
	sample := func() kmsg.Request { return fetch(topic{"not a name!", unknownID(1)}, place{0, 0}) }
	return apiCases{1, sample, append(fetchCommittedCases(), []Case{
		{Name: "from every offset", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Stored(t, 0, plain("0", "1", "2"))
			s.Stored(t, 0, compressed(s, batch.Gzip, "3", "4"))
			for offset := range int64(7) {
				s.Ask(fetch(t, place{0, offset}))
			}
			s.Ask(fetch(t, place{0, -1}))
			s.Ask(fetch(t, place{0, math.MinInt64}))
			s.Ask(fetch(t, place{0, math.MaxInt64}))
		}},
		{Name: "empty partitions", Run: func(s *Script) {
			t := s.Topic("a", 2)
			s.Ask(fetch(t, place{0, 0}, place{1, 0}))
			s.Ask(fetch(t, place{0, 1}))
		}},
		{Name: "unknown topics", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Stored(t, 0, plain("v"))
			unknown := topic{s.Unused("x"), unknownID(1)}
			s.Ask(fetch(unknown, place{0, 0}))
			s.Ask(fetch(t, place{0, 0}, place{1, 0}, place{-1, 0}, place{1 << 30, 0}))
			req := fetch(unknown, place{0, 0})
			req.Topics = append(req.Topics, fetchTopic(t, place{0, 0}))
			s.Ask(req)
			s.Ask(fetch(topic{}, place{0, 0}))
		}},
		{Name: "nothing", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Ask(fetch(t))
			req := fetch(t)
			req.Topics = nil
			s.Ask(req)
		}},
		{Name: "twice the same partition", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Stored(t, 0, plain("0"))
			s.Stored(t, 0, plain("1"))
			s.Ask(fetch(t, place{0, 0}, place{0, 1}))
		}},
		{Name: "leader epochs", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Stored(t, 0, plain("0"))
			for _, epoch := range []int32{-1, 0, 1, 5, -2, math.MaxInt32} {
				req := fetch(t, place{0, 0})
				req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
				s.Ask(req)
			}
		}},
		{Name: "last fetched epochs", From: 12, Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Stored(t, 0, plain("0", "1"))
			for _, epoch := range []int32{-1, 0, 1, 5, -2} {
				for _, offset := range []int64{0, 1, 2, 3} {
					req := fetch(t, place{0, offset})
					req.Topics[0].Partitions[0].LastFetchedEpoch = epoch
					s.Ask(req)
				}
			}
		}},
		{Name: "isolation", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Stored(t, 0, plain("0", "1"))
			for _, level := range []int8{0, 1, 2, -1} {
				req := fetch(t, place{0, 0})
				req.IsolationLevel = level
				s.Ask(req)
			}
		}},
		{Name: "limits", Run: fetchLimits},
		{Name: "limits at nothing", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Stored(t, 0, plain(strings.Repeat("x", 500)))
			s.Stored(t, 0, plain(strings.Repeat("y", 500)))
			for _, max := range []int32{0, 1, 10, -1, math.MinInt32, math.MaxInt32} {
				req := fetch(t, place{0, 0})
				req.MaxBytes = max
				s.Ask(req)
				req = fetch(t, place{0, 0})
				req.Topics[0].Partitions[0].PartitionMaxBytes = max
				s.Ask(req)
			}
		}},
		{Name: "waiting", Run: func(s *Script) {
			t := s.Topic("a", 2)
			s.Stored(t, 0, plain("0"))
			ask := func(wait, min int32, places ...place) {
				req := fetch(t, places...)
				req.MaxWaitMillis, req.MinBytes = wait, min
				begin := time.Now()
				s.Ask(req)
				s.Note("waited", waited(time.Since(begin), wait))
			}
			ask(30_000, 1, place{0, 0})
			ask(1000, 1, place{0, 1})
			ask(30_000, 0, place{0, 1})
			ask(30_000, -1, place{0, 1})
			ask(-1, 1, place{0, 1})
			ask(0, 1000, place{0, 0})
			ask(1000, 1000, place{0, 0})
			ask(30_000, 1, place{0, 1}, place{0, 9}, place{1, 3}) // out of range answers at once
			ask(1000, 1, place{0, 1}, place{7, 0})                // an unknown partition does not
		}},
		{Name: "woken by a record", Run: func(s *Script) {
			t := s.Topic("a", 1)
			req := fetch(t, place{0, 0})
			req.MaxWaitMillis, req.MinBytes = 10_000, 1
			req.SetVersion(s.Version)
			waiting := s.dialed()
			id, err := waiting.send(req)
			if err != nil {
				s.fail("%w", err)
			}
			s.conn = nil
			time.Sleep(20 * time.Millisecond) // the fetch comes first, usually; the answer is the same otherwise
			s.Stored(t, 0, plain("now"))
			resp, err := waiting.receive(id, req)
			if err != nil {
				s.fail("%w", err)
			}
			s.note("woken", resp)
			waiting.nc.Close()
		}},
		{Name: "replicas and racks", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Stored(t, 0, plain("0"))
			req := fetch(t, place{0, 0})
			req.Rack = "elsewhere"
			s.Ask(req)
			for _, id := range []int32{-2, -3, 4711} {
				req := fetch(t, place{0, 0})
				req.ReplicaID = id
				req.ReplicaState.ID = id
				s.Ask(req)
			}
		}},
		{Name: "log start offset of the client", From: 5, Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Stored(t, 0, plain("0"))
			for _, start := range []int64{0, 5, -5} {
				req := fetch(t, place{0, 0})
				req.Topics[0].Partitions[0].LogStartOffset = start
				s.Ask(req)
			}
		}},
		{Name: "ids", From: 13, Run: func(s *Script) {
			a, b := s.Topic("a", 1), s.Topic("b", 1)
			s.Stored(a, 0, plain("a"))
			s.Stored(b, 0, plain("b"))
			req := fetch(a, place{0, 0})
			req.Topics = append(req.Topics, fetchTopic(topic{id: unknownID(1)}, place{0, 0}), fetchTopic(b, place{0, 0}))
			s.Ask(req)
			s.Ask(fetch(topic{}, place{0, 0}))
		}},
		{Name: "a topic created anew", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Stored(t, 0, plain("old", "older"))
			again := s.recreate(t, 1)
			s.Ask(fetch(t, place{0, 0}))
			s.Ask(fetch(again, place{0, 0}))
			s.Ask(fetch(again, place{0, 2}))
		}},
	}...)}
}

// fetchLimits compares which partitions get records at all: KIP-74 leaves room in how many batches fit.
func fetchLimits(s *Script) {
	t := s.Topic("a", 3)
	for p := range int32(3) {
		for range 3 {
			s.Stored(t, p, plain(strings.Repeat("x", 939))) // batches of about 1,010 bytes
		}
	}
	for _, limit := range []struct{ all, one int32 }{
		{50 << 20, 50 << 20}, {1, 1}, {1, 50 << 20}, {50 << 20, 1}, {1500, 1500}, {50 << 20, 1100}, {2500, 50 << 20}, {4000, 1100},
	} {
		req := fetch(t, place{0, 0}, place{1, 0}, place{2, 0})
		req.MaxBytes = limit.all
		for i := range req.Topics[0].Partitions {
			req.Topics[0].Partitions[i].PartitionMaxBytes = limit.one
		}
		s.Ask(req)
	}
}

// waited puts a time into a class that a busy machine does not change: whether a broker waited as long as it was asked to.
func waited(d time.Duration, ms int32) string {
	if whole := time.Duration(ms) * time.Millisecond; ms > 0 && d > whole*9/10 {
		return "to the end"
	}
	return "not"
}

// recreate deletes a topic and creates it again under its name.
func (s *Script) recreate(t topic, partitions int32) topic {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis, req.TopicNames = 60_000, []string{t.name}
	if got := s.Do(5, req).(*kmsg.DeleteTopicsResponse).Topics[0]; got.ErrorCode != 0 {
		s.fail("delete %s: error %d", t.name, got.ErrorCode)
	}
	var again topic
	s.Until(func() bool {
		got := s.Do(7, createTopics(t.name, partitions)).(*kmsg.CreateTopicsResponse).Topics[0]
		again = topic{t.name, got.TopicID}
		return got.ErrorCode == 0
	})
	s.names.id(again.id, "the new "+s.names.names[t.name])
	s.await(again, partitions)
	// The old log may still answer for a moment.
	s.Until(func() bool { return s.end(again) == 0 })
	return again
}
