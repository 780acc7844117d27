package gc

import (
	"context"
	"errors"
	"testing"
	"time"

	"wadi/compactor/job"
)

// What nothing needs goes: after its grace, behind a checkpoint, when no kept root's State names it.
func TestGarbageGoes(t *testing.T) {
	w := newWorld(t)
	x := w.open(7)
	topic := w.topic("t")
	first, second := x.flushed(w, topic), x.flushed(w, topic)
	w.checkpoint(true)
	merged := x.merged(w, topic, w.version(topic))
	w.passes()
	if w.seen.waiting[Grace] != 2 {
		t.Errorf("waiting: %v", w.seen.waiting)
	}
	w.expect(true, first, second, merged)
	w.later(grace)
	w.passes()
	if w.seen.waiting[Checkpoint] != 2 {
		t.Errorf("waiting: %v", w.seen.waiting)
	}
	for range 3 {
		w.expect(true, first, second)
		w.checkpoint(false)
		w.passes()
	}
	w.expect(false, first, second)
	w.expect(true, merged)
	if w.knows(first) || w.knows(second) || !w.knows(merged) || w.seen.deleted != 2 {
		t.Errorf("State knows %t %t %t, %d deleted", w.knows(first), w.knows(second), w.knows(merged), w.seen.deleted)
	}
}

// Without a clock that can be trusted nothing goes, and nothing grows old.
func TestNoClock(t *testing.T) {
	w := newWorld(t)
	x := w.open(7)
	topic := w.topic("t")
	key := x.flushed(w, topic)
	w.deleteTopic(topic)
	for range 3 {
		w.checkpoint(true)
	}
	w.later(grace)
	for range 3 {
		more, err := w.task.Pass(context.Background(), &job.View{State: w.s.Freeze(), Now: w.ms, Clock: errors.New("no clock")})
		if more || err != nil {
			t.Fatal(more, err)
		}
	}
	w.expect(true, key)
	if n := w.store.Calls(); n != 0 {
		t.Errorf("%d object requests", n)
	}
	w.passes()
	w.expect(false, key)
}

// A proposer's clock that was ahead delays its garbage no longer than the grace after gc saw it.
func TestClockAhead(t *testing.T) {
	w := newWorld(t)
	x := w.open(7)
	topic := w.topic("t")
	key := x.flushed(w, topic)
	w.ms += (24 * time.Hour).Milliseconds()
	w.deleteTopic(topic)
	w.ms -= (24 * time.Hour).Milliseconds()
	for range 3 {
		w.checkpoint(true)
	}
	for range 22 {
		w.passes()
		w.expect(true, key)
		w.later(grace / 22)
	}
	w.later(grace / 10)
	w.passes()
	w.expect(false, key)
}
