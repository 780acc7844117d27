package state

import (
	"fmt"
	"slices"
	"testing"
)

// A walk in steps comes past every live topic once, however long the steps are and whatever was deleted.
func TestSomeTopics(t *testing.T) {
	j := newJournal(t)
	var want []uint64
	for i := range 10 {
		n := uint64(j.must(alice, createTopic(fmt.Sprintf("t%d", i), 1, j.position)))
		if i%3 == 0 {
			j.must(alice, deleteTopic(n, j.position))
			continue
		}
		want = append(want, n)
	}
	for _, limit := range []int{1, 3, 10, 100} {
		var got []uint64
		steps := 0
		for next, first := uint64(0), true; first || next != 0; first = false {
			steps++
			next = j.s.SomeTopics(next, limit, func(x *Topic) { got = append(got, x.Number) })
		}
		if !slices.Equal(got, want) || steps > 10/limit+1 {
			t.Errorf("steps of %d: topics %v in %d steps, want %v", limit, got, steps, want)
		}
	}
}
