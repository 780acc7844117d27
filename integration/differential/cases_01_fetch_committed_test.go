package differential

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchCommittedCases are those of Fetch and ListOffsets with isolation level read_committed.
func fetchCommittedCases() []Case {
	// history is offsets 0-1 of x, 2 of y, 3 of neither, 4 x's abort, 5 of x, 6 y's commit, 7 of x, and x still writes.
	history := func(s *Script) (topic, *writer) {
		t, x, y := s.Topic("a", 2), s.Writer("x"), s.Writer("y")
		s.Sent(x, t, 0, "0", "1")
		s.Sent(y, t, 0, "2")
		s.Stored(t, 0, plain("3"))
		s.Ended(x, false)
		s.Sent(x, t, 0, "5")
		s.Ended(y, true)
		s.Sent(x, t, 0, "7")
		return t, x
	}
	cases := []Case{
		{Name: "committed: every offset", From: 4, Run: func(s *Script) {
			t, x := history(s)
			for offset := range int64(10) {
				s.AskFor(fmt.Sprint(offset), committed(t, place{0, offset}))
			}
			s.Ended(x, true)
			for offset := range int64(10) {
				s.AskFor(fmt.Sprint(offset, " ended"), committed(t, place{0, offset}))
				s.AskFor(fmt.Sprint(offset, " uncommitted"), fetch(t, place{0, offset}))
			}
		}},
		{Name: "committed: not asked for", Run: func(s *Script) {
			t, x := history(s)
			s.Ask(fetch(t, place{0, 0}, place{1, 0}))
			s.Ended(x, false)
			s.Ask(fetch(t, place{0, 0}, place{1, 0}))
		}},
		{Name: "committed: several aborted transactions", From: 4, Run: func(s *Script) {
			t, x, y := s.Topic("a", 1), s.Writer("x"), s.Writer("y")
			for range 2 {
				s.Sent(y, t, 0, "y")
				s.Sent(x, t, 0, "x")
				s.Ended(y, false)
				s.Sent(y, t, 0, "y")
				s.Ended(x, false)
				s.Ended(y, false)
			}
			for offset := range int64(13) {
				s.AskFor(fmt.Sprint(offset), committed(t, place{0, offset}))
			}
		}},
		{Name: "committed: limits", From: 4, Run: func(s *Script) {
			t, _ := history(s)
			for offset := range int64(6) {
				req := committed(t, place{0, offset})
				req.Topics[0].Partitions[0].PartitionMaxBytes = 1
				s.AskFor(fmt.Sprint(offset), req)
			}
		}},
		{Name: "committed: of clients of the new kind", From: 4, Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			for _, commit := range []bool{true, false, true} {
				s.SentTV2(w, t, 0, "0", "1")
				s.Ask(committed(t, place{0, 0}))
				s.EndedTV2(w, commit)
				s.Ask(committed(t, place{0, 0}))
			}
		}},
		{Name: "committed: LogAppendTime", From: 4, Run: func(s *Script) {
			const stamps, keeps = "message.timestamp.type=LogAppendTime", "message.timestamp.type=CreateTime"
			t, x, y := s.Topic("a", 1, "message.timestamp.type", "LogAppendTime"), s.Writer("x"), s.Writer("y")
			s.Sent(x, t, 0, "0")
			s.SentTV2(y, t, 0, "1")
			s.Ended(x, true)
			s.EndedTV2(y, false)
			s.Ask(committed(t, place{0, 0}))
			s.Sent(x, t, 0, "4")
			s.Do(1, alter(kmsg.ConfigResourceTypeTopic, t.name, keeps))
			s.Ended(x, false)
			s.Sent(x, t, 0, "6")
			s.Do(1, alter(kmsg.ConfigResourceTypeTopic, t.name, stamps))
			s.Ended(x, true)
			for _, offset := range []int64{0, 3, 5, 7} {
				s.AskFor(fmt.Sprint(offset), committed(t, place{0, offset}))
			}
		}},
		{Name: "committed: nothing produced", From: 4, Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			s.Registered(w, t, 0)
			s.Ask(committed(t, place{0, 0}))
			s.Stored(t, 0, plain("0"))
			s.Ask(committed(t, place{0, 0}))
			s.Sent(w, t, 0, "1")
			s.Ask(committed(t, place{0, 0}))
		}},
		{Name: "committed: records deleted", From: 4, Run: func(s *Script) {
			t, x := history(s)
			for _, offset := range []int64{1, 4, 5, 7, 8} {
				s.Do(2, deleteRecords(t.name, place{0, offset}))
				s.AskFor(fmt.Sprint("before ", offset), committed(t, place{0, offset}))
			}
			s.Ended(x, true)
			s.Ask(committed(t, place{0, 8}))
		}},
	}
	for i := range cases {
		cases[i].Of = []int16{4, 5, 7, 11, 12, 13, 17} // where answers change
	}
	return cases
}

// listOffsetsCommittedCases are those of ListOffsets with isolation level read_committed.
func listOffsetsCommittedCases() []Case {
	cases := []Case{
		{Name: "committed", From: 2, Run: func(s *Script) {
			t, w := s.Topic("a", 1), s.Writer("x")
			ask := func(label string) {
				for _, isolation := range []int8{0, 1} {
					for _, ts := range []int64{-1, -2, -3, chosen, chosen + 5, 0} {
						if ts == -3 && s.Version < 7 {
							continue
						}
						req := listOffsets(t.name, ts, 1)
						req.IsolationLevel = isolation
						s.AskFor(fmt.Sprintf("%s, level %d, %s", label, isolation, whenAsked(ts)), req)
					}
				}
			}
			s.Stored(t, 0, at(0, "0"))
			ask("nothing open")
			s.Registered(w, t, 0)
			ask("nothing sent")
			s.Sent(w, t, 0, "1")
			s.Stored(t, 0, at(10, "2"))
			ask("open")
			s.Ended(w, false)
			ask("ended")
		}},
	}
	for i := range cases {
		cases[i].Of = []int16{2, 4, 6, 7, 11} // where answers change
	}
	return cases
}

func whenAsked(ts int64) string {
	if ts <= 0 {
		return fmt.Sprint(ts)
	}
	return fmt.Sprintf("chosen%+d", ts-chosen)
}
