package compactor

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// step lets time pass until a task is due and returns which one, and when.
func step(t *Turns, now time.Duration) (int, time.Duration) {
	for {
		task, wait := t.Next(now)
		if task >= 0 {
			return task, now
		}
		now += wait
	}
}

// Every task has its turn each interval; one that has more to do is asked again at once, after those that are due.
func TestTurns(t *testing.T) {
	turns, now := NewTurns(0, 10*time.Second, 3), time.Duration(0)
	var order []int
	for range 3 {
		var task int
		task, now = step(turns, now)
		require.Equal(t, 10*time.Second, now)
		order = append(order, task)
		turns.Done(now, task, task == 0, nil)
	}
	require.Equal(t, []int{0, 1, 2}, order)
	task, at := step(turns, now)
	require.Equal(t, 0, task, "it said more")
	require.Equal(t, now, at)
	now = 20 * time.Second // that pass took ten seconds
	turns.Done(now, 0, true, nil)
	order = order[:0]
	for range 3 {
		task, now = step(turns, now)
		order = append(order, task)
		turns.Done(now, task, task == 0, nil)
	}
	require.Equal(t, []int{1, 2, 0}, order, "the others are due too, and go first")
	turns.Done(now, 0, false, nil)
	_, at = step(turns, now)
	require.Equal(t, 30*time.Second, at)
}

// A failing task pauses 1, 2, 4 ... 60 seconds, and the others work meanwhile.
func TestFailingTask(t *testing.T) {
	turns, failed := NewTurns(0, time.Second, 2), errors.New("failed")
	var pauses []time.Duration
	last, others := time.Duration(0), 0
	for now := time.Duration(0); len(pauses) < 9; {
		var task int
		if task, now = step(turns, now); task == 1 {
			others++
			turns.Done(now, 1, false, nil)
			continue
		}
		pauses = append(pauses, (now-last)/time.Second)
		last = now
		turns.Done(now, 0, false, failed)
	}
	require.Equal(t, []time.Duration{1, 1, 2, 4, 8, 16, 32, 60, 60}, pauses)
	require.Greater(t, others, 180)
	task, now := step(turns, last+60*time.Second)
	for task != 0 {
		turns.Done(now, task, false, nil)
		task, now = step(turns, now)
	}
	turns.Done(now, 0, true, nil)
	turns.Done(now, 0, false, failed)
	at := now
	for task = -1; task != 0; {
		task, at = step(turns, at)
		if task == 1 {
			turns.Done(at, 1, false, nil)
		}
	}
	require.Equal(t, now+time.Second, at, "a pass that went well ends the row")
}
