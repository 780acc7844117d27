package gc

import (
	"context"
	"errors"
	"testing"
	"time"

	"wadi/compactor/job"
	"wadi/metadata/checkpoint"
	"wadi/metadata/kv/faultkv"
	"wadi/objstore"
	"wadi/objstore/fault"
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
	w.skewed = true
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

// An archive goes when its runs are merged, no kept root's State has them, and no kept root replays it.
func TestArchives(t *testing.T) {
	w := newWorld(t)
	x := w.open(7)
	topic := w.topic("t")
	x.write(w, topic, 0)
	position := w.position
	w.checkpoint(true)
	replayed := w.archiveOf(position)
	x.write(w, topic, 0)
	position = w.position
	w.checkpoint(false)
	// The base is older than this one; all later roots replay it, until there is a new base.
	key := w.archiveOf(position)
	x.merged(w, topic, w.version(topic))
	w.later(grace)
	for range 4 {
		w.checkpoint(false)
		w.passes()
	}
	w.expect(false, replayed)
	w.expect(true, key)
	if w.seen.waiting[Replay] != 1 {
		t.Errorf("waiting: %v", w.seen.waiting)
	}
	// Roots are read once: whoever looks again while nothing has changed asks for nothing.
	calls, asked := w.store.Calls(), len(w.kv.Transcript())
	for range 10 {
		w.passes()
	}
	if w.store.Calls() != calls || len(w.kv.Transcript()) != asked {
		t.Errorf("%d object requests and %d to etcd while nothing happens", w.store.Calls()-calls, len(w.kv.Transcript())-asked)
	}
	for range 3 {
		w.expect(true, key)
		w.checkpoint(true)
		w.passes()
	}
	w.expect(false, key)
	if w.knows(key) {
		t.Error("State knows the archive still")
	}
}

// An archive whose checkpoint came into force, but which State did not hear of for long: the roots until then name its runs
// by replaying it.
func TestArchiveRecordedLate(t *testing.T) {
	w := newWorld(t)
	x := w.open(7)
	topic := w.topic("t")
	x.write(w, topic, 0)
	position := w.position
	w.mark(true)
	w.publish(2)
	w.mark(true) // State at this mark has the runs, the base that holds it is newer than the archive
	w.publish(2)
	w.record()
	key := w.archiveOf(position)
	w.deleteTopic(topic)
	w.later(grace)
	w.mark(false)
	w.publish(2)
	w.record()
	w.passes()
	w.expect(true, key)
	w.mark(true)
	w.publish(2)
	w.record()
	w.passes()
	w.expect(false, key)
}

// A kept root that is damaged keeps archives, for nobody knows which it replays, and nothing else.
func TestDamagedRoot(t *testing.T) {
	w := newWorld(t)
	x := w.open(7)
	topic := w.topic("t")
	x.write(w, topic, 0)
	position := w.position
	w.checkpoint(true)
	archive, flush := w.archiveOf(position), x.flushed(w, topic)
	w.deleteTopic(topic)
	for range 3 {
		w.checkpoint(true)
	}
	damaged := w.roots[0].key
	if err := w.bucket.Delete(context.Background(), []string{damaged}); err != nil {
		t.Fatal(err)
	}
	w.put(damaged, size)
	w.later(grace)
	if more, err := w.pass(); more || !errors.Is(err, checkpoint.ErrFormat) {
		t.Errorf("more is %t, error %v", more, err)
	}
	w.expect(false, flush)
	w.expect(true, archive)
	for range 3 {
		w.checkpoint(true)
	}
	w.passes()
	w.expect(false, archive)
}

// What fails is done again: a request, the proposal behind it, with its effect or without.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		what string
		plan func(w *world)
	}{
		{"delete", func(w *world) { w.store.Script(fault.Fault{Op: fault.Delete, Do: fault.FailBefore(nil)}) }},
		{"delete, late", func(w *world) {
			w.store.Script(fault.Fault{Op: fault.Delete, Do: fault.FailAfter(objstore.ErrThrottled)})
		}},
		{"pointer", func(w *world) {
			w.kv.Add(faultkv.Rule{Op: faultkv.Range, Times: 1, Action: faultkv.FailBefore})
		}},
		{"forget", func(w *world) { w.lose(false) }},
		{"forget, late", func(w *world) { w.lose(true) }},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newWorld(t)
			x := w.open(7)
			topic := w.topic("t")
			keys := []string{x.flushed(w, topic), x.flushed(w, topic)}
			w.deleteTopic(topic)
			for range 3 {
				w.checkpoint(true)
			}
			w.later(grace)
			c.plan(w)
			if _, err := w.pass(); err == nil {
				t.Error("nothing failed")
			}
			w.passes()
			w.expect(false, keys...)
			if n, _ := w.s.Garbage(); n != 0 {
				t.Errorf("State keeps %d", n)
			}
		})
	}
}

// Much garbage goes in passes of bounded length, in requests that grow.
func TestManyPasses(t *testing.T) {
	w := newWorld(t)
	x := w.open(7)
	for range 12_000 {
		x.merged(w, w.firstTopic(), 1<<40) // another version: garbage at once
	}
	w.checkpoint(true)
	w.later(grace)
	if n := w.passes(); n != 2 {
		t.Errorf("%d passes", n)
	}
	if n, _ := w.s.Garbage(); n != 0 || w.seen.deleted != 12_000 {
		t.Errorf("%d left, %d deleted", n, w.seen.deleted)
	}
	sizes := map[int]int{}
	for _, r := range w.store.TakeTranscript() {
		if r.Op == fault.Delete {
			sizes[len(r.Keys)]++
		}
	}
	if len(sizes) > 6 || sizes[mostKeys] < 9 {
		t.Errorf("keys in a request, and how often: %v", sizes)
	}
}
