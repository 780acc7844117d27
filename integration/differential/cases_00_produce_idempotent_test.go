package differential

import (
	"fmt"
	"math"
)

func produceIdempotentCases() []Case {
	type sent struct {
		epoch  int16
		seq    int32
		values int
	}
	// follow sends batches one after the other, each answered before the next is sent.
	follow := func(name string, list ...sent) Case {
		return Case{Name: "idempotent: " + name, Run: func(s *Script) {
			t := s.Topic("a", 1)
			pid := s.ProducerID()
			for i, b := range list {
				var words []string
				for j := range max(1, b.values) {
					words = append(words, fmt.Sprintf("%d.%d", i, j))
				}
				s.Ask(produce(-1, t, part{0, idempotent(pid, b.epoch, b.seq, words...)}))
			}
			s.readAll(t, 1)
		}}
	}
	return []Case{
		follow("in order", sent{0, 0, 3}, sent{0, 3, 1}, sent{0, 4, 2}),
		follow("duplicates", sent{0, 0, 1}, sent{0, 1, 1}, sent{0, 2, 1}, sent{0, 3, 1}, sent{0, 4, 1},
			sent{0, 0, 1}, sent{0, 4, 1}, sent{0, 2, 1}, sent{0, 5, 1}, sent{0, 0, 1}),
		follow("duplicates of another length", sent{0, 0, 3}, sent{0, 3, 3}, sent{0, 0, 2}, sent{0, 3, 4}, sent{0, 1, 1}),
		follow("gap", sent{0, 0, 1}, sent{0, 2, 1}, sent{0, 1, 1}),
		follow("first sequence not 0", sent{0, 5, 1}, sent{0, 6, 1}, sent{0, 0, 1}),
		follow("next epoch", sent{0, 0, 2}, sent{1, 0, 1}, sent{0, 2, 1}, sent{1, 1, 1}),
		follow("next epoch not from 0", sent{0, 0, 2}, sent{1, 2, 1}, sent{1, 0, 1}),
		follow("negative sequence", sent{0, -1, 1}, sent{0, -2, 1}, sent{0, math.MinInt32, 1}),
		follow("negative epoch", sent{-1, 0, 1}, sent{-5, 0, 1}),
		follow("end of the numbers", sent{0, math.MaxInt32 - 1, 1}, sent{0, math.MaxInt32, 1}, sent{0, 0, 1}),
		follow("over the end of the numbers", sent{0, math.MaxInt32 - 1, 4}, sent{0, 2, 1}),
		follow("highest epoch", sent{math.MaxInt16, 0, 1}, sent{math.MaxInt16, 1, 1}, sent{0, 0, 1}),
		{Name: "idempotent: ids that nobody gave out", Run: func(s *Script) {
			t := s.Topic("a", 1)
			for _, pid := range []int64{1 << 40, math.MaxInt64, -2, math.MinInt64} {
				s.Ask(produce(-1, t, part{0, idempotent(pid, 0, 0, "1")}))
				s.Ask(produce(-1, t, part{0, idempotent(pid, 0, 1, "2")}))
			}
			s.readAll(t, 1)
		}},
		{Name: "idempotent: two producers", Run: func(s *Script) {
			t := s.Topic("a", 2)
			a, b := s.ProducerID(), s.ProducerID()
			s.Ask(produce(-1, t, part{0, idempotent(a, 0, 0, "a0")}, part{1, idempotent(b, 0, 0, "b0")}))
			s.Ask(produce(-1, t, part{0, idempotent(b, 0, 0, "b1")}, part{1, idempotent(a, 0, 0, "a1")}))
			s.Ask(produce(-1, t, part{0, idempotent(a, 0, 1, "a2")}))
			s.Ask(produce(-1, t, part{0, idempotent(b, 0, 0, "b1")}))
			s.readAll(t, 2)
		}},
		{Name: "idempotent: acks 1 and a plain batch between", Run: func(s *Script) {
			t := s.Topic("a", 1)
			pid := s.ProducerID()
			s.Ask(produce(1, t, part{0, idempotent(pid, 0, 0, "1")}))
			s.Ask(produce(1, t, part{0, plain("2")}))
			s.Ask(produce(1, t, part{0, idempotent(pid, 0, 0, "1")}))
			s.Ask(produce(-1, t, part{0, idempotent(pid, 0, 1, "3")}))
			s.readAll(t, 1)
		}},
	}
}
