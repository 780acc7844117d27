package compactor

import "time"

// Pauses of a task after failures in a row: the first, and the longest.
const (
	firstPause   = time.Second
	longestPause = time.Minute
)

// Turns decides which task works next. It has no clock: now is any time that only grows. A task is due every interval, and
// at once while it says that there is more to do; between two passes of its own the others that are due get their turn. A
// task that fails pauses, the longer the more often it did in a row, and keeps nobody else from working.
type Turns struct {
	interval time.Duration
	last     int // who worked last
	tasks    []turn
}

// turn is one task's.
type turn struct {
	due      time.Duration
	failures int // in a row
}

// NewTurns has n tasks, all due an interval from now on.
func NewTurns(now, interval time.Duration, n int) *Turns {
	t := &Turns{interval: interval, last: n - 1, tasks: make([]turn, n)}
	for i := range t.tasks {
		t.tasks[i].due = now + interval
	}
	return t
}

// Next is the task that is to work now, or none and how long to wait.
func (t *Turns) Next(now time.Duration) (task int, wait time.Duration) {
	wait = t.interval
	for k := range t.tasks {
		i := (t.last + 1 + k) % len(t.tasks)
		if t.tasks[i].due <= now {
			return i, 0
		}
		wait = min(wait, t.tasks[i].due-now)
	}
	return -1, wait
}

// Done ends a task's pass.
func (t *Turns) Done(now time.Duration, task int, more bool, err error) {
	t.last = task
	x := &t.tasks[task]
	switch {
	case err != nil:
		x.due = now + min(firstPause<<min(x.failures, 10), longestPause)
		x.failures++
	case more:
		x.due, x.failures = now, 0
	default:
		x.due, x.failures = now+t.interval, 0
	}
}
