package gc

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"wadi/internal/layout"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
)

// age lets gc see what there is for the grace, in passes as a runner makes them.
func (w *world) age() {
	w.t.Helper()
	for range 23 {
		w.passes()
		w.later(grace / 20)
	}
	w.passes()
}

// Of a closed session everything that State does not hold goes, once it has been closed for the grace; then State forgets
// it. Live sessions keep what they may yet introduce.
func TestSweep(t *testing.T) {
	w := newWorld(t)
	topic := w.topic("t")
	dead, live := w.open(7), w.open(8)
	held := []string{dead.flushed(w, topic), live.flushed(w, topic)}
	held = append(held, live.merged(w, w.topic("u"), 1<<40)) // garbage: State's, whatever the sweep finds
	skipped := live.upload(w)
	skippedMerge := w.put(objectKeys.Merged(live.id, live.merge+1), size)
	live.merge++
	hedge := w.put(objectKeys.FlushHedge(live.id, 1), size)
	held = append(held, live.flushed(w, topic), live.merged(w, topic, 1<<40))
	orphans := []string{
		dead.upload(w), w.put(objectKeys.FlushHedge(dead.id, 1), size), w.put(objectKeys.FlushHedge(dead.id, 99), size),
		w.put(objectKeys.Merged(dead.id, 1), size), w.put(objectKeys.Manifest(dead.id, 2), size), skipped, skippedMerge, hedge,
	}
	ahead := []string{
		live.upload(w), w.put(objectKeys.FlushHedge(live.id, live.flush), size), w.put(objectKeys.Merged(live.id, live.merge+1), size),
		w.put(objectKeys.Manifest(live.id, live.merge+1), size),
	}
	foreign := []string{
		w.put(objectKeys.Flush(99, 1), size), w.put(layout.NewObjects("demo", 2).Flush(dead.id, 9), size), w.put("demo/00000001/ab/other/x", size),
		w.put(layout.ClusterFile("demo"), size), w.put("other/x", size),
	}
	w.close(dead.id)
	w.passes()
	w.later(grace - time.Minute)
	w.passes()
	w.expect(true, orphans...)
	if w.store.Calls() != 0 {
		t.Errorf("%d requests before the grace is over", w.store.Calls())
	}
	w.age()
	w.expect(false, orphans...)
	w.expect(true, held...)
	w.expect(true, ahead...)
	w.expect(true, foreign...)
	if _, known := w.s.Session(dead.id); known {
		t.Error("State knows the session still")
	}
	if _, known := w.s.Session(live.id); !known {
		t.Error("State has forgotten a live session")
	}
	if w.seen.orphans != len(orphans) || w.seen.unknown != 1 || w.seen.sessions != 1 {
		t.Errorf("%d orphans, %d unknown, %d sessions", w.seen.orphans, w.seen.unknown, w.seen.sessions)
	}
}

// A live session's orphans go within an hour in which it has done anything. A quiet cluster's bucket is not listed.
func TestSweepHourly(t *testing.T) {
	w := newWorld(t)
	topic := w.topic("t")
	x := w.open(7)
	w.passes()
	list := func() (n int) {
		for _, r := range w.store.TakeTranscript() {
			if r.Op == fault.List {
				n++
			}
		}
		return n
	}
	wait := func(d time.Duration) {
		for range int(d / time.Minute) {
			w.later(time.Minute)
			w.passes()
		}
	}
	wait(3 * time.Hour)
	if n := list(); n != 0 {
		t.Errorf("%d listings while nothing was introduced", n)
	}
	orphan := x.upload(w)
	x.flushed(w, topic)
	wait(time.Minute)
	w.expect(false, orphan) // hours ago was the last time
	orphan = x.upload(w)
	x.flushed(w, topic)
	wait(58 * time.Minute)
	w.expect(true, orphan)
	if n := list(); n != 1 {
		t.Errorf("%d listings", n)
	}
	wait(2 * time.Minute)
	w.expect(false, orphan)
	wait(3 * time.Hour)
	if n := list(); n != 1 {
		t.Errorf("%d listings", n)
	}
}

// Merged objects that manifests own are in nobody's table, and no orphans.
func TestSweepLeavesWhatManifestsOwn(t *testing.T) {
	w := newWorld(t)
	a, b := w.topic("a"), w.topic("b")
	x := w.open(7)
	var mine []string
	for range 3 {
		x.flushed(w, a)
		mine = append(mine, x.merged(w, a, w.version(a)))
		x.fold(w, a)
	}
	x.flushed(w, b)
	mine = append(mine, x.merged(w, b, w.version(b)), x.fold(w, b))
	orphan := w.put(objectKeys.Merged(x.id, x.merge+1), size)
	w.close(x.id)
	w.age()
	w.expect(false, orphan)
	w.expect(true, mine...)
	if _, known := w.s.Session(x.id); known {
		t.Error("State knows the session still")
	}
	// The topic goes: until its objects are released nothing but the loose manifest knows them.
	w.deleteTopic(b)
	y := w.open(8)
	y.flushed(w, a)
	w.close(y.id)
	w.age()
	w.expect(true, mine...)
}

// A manifest that another one has replaced since the snapshot: the newer State judges.
func TestManifestReplacedMeanwhile(t *testing.T) {
	w := newWorld(t)
	a := w.topic("a")
	x := w.open(7)
	x.flushed(w, a)
	mine := []string{x.merged(w, a, w.version(a))}
	old := x.fold(w, a)
	dead := w.open(8)
	orphan := w.put(objectKeys.Merged(dead.id, 1), size)
	w.close(dead.id)
	w.store.Script(fault.Fault{Op: fault.Get, Key: old, Do: fault.Hook(func(context.Context, fault.Call) error {
		x.flushed(w, a)
		mine = append(mine, x.merged(w, a, w.version(a)))
		mine = append(mine, x.fold(w, a))
		return w.bucket.Delete(context.Background(), []string{old})
	}, nil)})
	w.age()
	w.expect(false, orphan)
	w.expect(true, mine...)
}

// A manifest that is lost for good: what it owned cannot be told, and stays, with the sessions of it.
func TestManifestLost(t *testing.T) {
	w := newWorld(t)
	a := w.topic("a")
	x := w.open(7)
	x.flushed(w, a)
	mine := x.merged(w, a, w.version(a))
	lost := x.fold(w, a)
	if err := w.bucket.Delete(context.Background(), []string{lost}); err != nil {
		t.Fatal(err)
	}
	flush := x.upload(w)
	w.close(x.id)
	failed := 0
	for range 60 {
		w.later(grace / 20)
		if _, err := w.pass(); err != nil {
			failed++
			if !errors.Is(err, objstore.ErrNotFound) {
				t.Fatal(err)
			}
		}
	}
	w.expect(true, mine)
	w.expect(false, flush)
	if _, known := w.s.Session(x.id); !known || failed != 1 {
		t.Errorf("State knows the session: %t; %d passes failed", known, failed)
	}
}

// A session with checkpoint objects in the bucket is remembered: the checkpoint job deletes only what is of sessions that
// State knows.
func TestSessionWithCheckpoints(t *testing.T) {
	w := newWorld(t)
	x := w.open(7)
	root := w.put(objectKeys.Checkpoint(layout.Root, 5, x.id, 0), size)
	orphan := x.upload(w)
	w.close(x.id)
	w.age()
	w.expect(false, orphan)
	w.expect(true, root)
	if _, known := w.s.Session(x.id); !known {
		t.Error("State has forgotten the session")
	}
	w.store.TakeTranscript()
	w.age()
	if n := len(w.store.TakeTranscript()); n != 0 {
		t.Errorf("%d requests for a session that cannot go", n)
	}
	if err := w.bucket.Delete(context.Background(), []string{root}); err != nil {
		t.Fatal(err)
	}
	other := w.open(8)
	w.close(other.id)
	w.age()
	if _, known := w.s.Session(x.id); known {
		t.Error("State knows the session still")
	}
}

// The listing goes on where it was, over many pages and passes, and in stretches when there is too much to remember.
func TestSweepInStretches(t *testing.T) {
	w := newWorld(t)
	w.task.c.Memory = 2500 * rowBytes
	topic := w.topic("t")
	x := w.open(7)
	var orphans, held []string
	most := 0
	w.task.c.Pause = func(context.Context, time.Duration) error { most = max(most, len(w.task.sweep.found)); return nil }
	for range 20 {
		x.flush += rowBits * 700 // each name in a row of its own
		for range 500 {
			key := objectKeys.Flush(x.id, x.flush)
			orphans = append(orphans, key)
			x.flush += rowBits
		}
		held = append(held, x.flushed(w, topic))
	}
	for _, key := range orphans {
		w.put(key, 1)
	}
	w.close(x.id)
	w.age()
	w.expect(false, orphans...)
	w.expect(true, held...)
	if n := w.store.Calls(); n > len(orphans)/pageKeys+len(orphans)/mostKeys+20 || most < 1000 || most > 2500+pageKeys {
		t.Errorf("%d requests for %d orphans, %d remembered", n, len(orphans), most)
	}
}

// Old unfinished uploads are abandoned by the store's clock, young ones are not.
func TestUploads(t *testing.T) {
	w := newWorld(t)
	x := w.open(7)
	began, err := w.bucket.Begin(context.Background(), objectKeys.Merged(x.id, 1))
	if err != nil {
		t.Fatal(err)
	}
	w.close(x.id)
	w.age()
	left := func() int {
		list, err := w.bucket.Uploads(context.Background(), objectKeys.Root(), "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if left() != 1 {
		t.Errorf("an upload that began today was abandoned: %v", began)
	}
	if _, known := w.s.Session(x.id); known {
		t.Error("State knows the session still")
	}
	// The next sweep finds it a day old.
	y := w.open(8)
	w.close(y.id)
	w.ahead = 25 * time.Hour
	w.age()
	if left() != 0 {
		t.Error("an upload of the day before is left")
	}
}

// The set of names against a plain one.
func TestNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, twin := names{}, map[name]bool{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			x := name{
				state.ObjectKind(rapid.SampledFrom([]state.ObjectKind{state.FlushObject, state.FlushHedgeObject, state.MergedObject, state.ManifestObject}).Draw(t, "kind")),
				layout.Session(rapid.Int64Range(-1, 2).Draw(t, "session")),
				rapid.OneOf(rapid.Uint64Range(500, 520), rapid.Uint64Range(0, 70), rapid.Uint64()).Draw(t, "n"),
			}
			if got, ok := parse(objectKeys, x.key(objectKeys)); !ok || got != x {
				t.Fatalf("%v has the key %s, which is that of %v", x, x.key(objectKeys), got)
			}
			if rapid.Bool().Draw(t, "add") {
				s.add(x)
				twin[x] = true
			} else {
				s.remove(x)
				delete(twin, x)
			}
		}
		var list []name
		s.sorted(func(x name) { list = append(list, x) })
		if len(list) != len(twin) || slices.ContainsFunc(list, func(x name) bool { return !twin[x] }) {
			t.Fatalf("%v, want %v", list, twin)
		}
		for rows, n := s.rows(), rapid.IntRange(1, 9).Draw(t, "at a time"); len(list) > 0; list = list[min(n, len(list)):] {
			batch := s.first(rows, n)
			if !slices.Equal(batch, list[:min(n, len(list))]) {
				t.Fatalf("the first %d are %v of %v", n, batch, list)
			}
			for _, x := range batch {
				s.remove(x)
			}
		}
		if len(s) != 0 {
			t.Fatalf("%d rows of nothing", len(s))
		}
	})
}
