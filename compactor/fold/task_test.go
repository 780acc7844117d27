package fold

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"wadi/compactor/unfold"
	"wadi/metadata/manifest"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
)

// grow appends runs to a partition and merges them, alone, so that they can be folded.
func (w *world) grow(ref state.PartRef, runs int) {
	for i := range runs {
		w.append(ref, 1+uint32(i%3), nil, 0)
	}
	w.merged([]state.PartRef{ref}, true)
}

func (w *world) pass(t *testing.T) (more bool) {
	t.Helper()
	more, err := w.task.Pass(t.Context(), w.view())
	if err != nil {
		t.Fatal(err)
	}
	return more
}

// A partition that is written to for long keeps a bounded number of runs in State, all others in one manifest.
func TestRunsInStateAreBounded(t *testing.T) {
	w := newWorld(t, Config{}, 1)
	ref := state.PartRef{Topic: 1}
	for range 100 {
		w.grow(ref, 20)
		w.pass(t)
		if n := w.partition(ref).Runs(); n >= 128+32+20 {
			t.Fatalf("%d runs in State", n)
		}
	}
	p := w.partition(ref)
	if m := p.Manifest; m == nil || int(m.Runs)+p.Runs() != 2000 || p.Runs() < 100 || m.First != 0 || m.Owned != m.Runs/20 {
		t.Errorf("%d runs in State, manifest %+v", p.Runs(), m)
	}
	w.check()
	w.collect() // manifests that were replaced
	w.check()
	if objects, _ := w.s.Garbage(); objects != 0 {
		t.Errorf("%d objects are garbage", objects)
	}
}

// Others' partitions and compacted ones are left alone, and a pass that has done enough says that there is more.
func TestWhatIsFolded(t *testing.T) {
	w := newWorld(t, Config{Keep: 5, Least: 15, Folds: 2}, 5, 1)
	w.compact[2] = true
	for i := range uint32(5) {
		w.grow(state.PartRef{Topic: 1, Partition: i}, 30+int(i))
	}
	w.grow(state.PartRef{Topic: 2}, 30)
	w.grow(state.PartRef{Topic: 1}, 0)
	in := w.view()
	in.Mine = func(topic uint64, partition uint32) bool { return topic == 2 || partition != 1 }
	for _, wantMore := range []bool{true, false} {
		more, err := w.task.Pass(t.Context(), in)
		if err != nil || more != wantMore {
			t.Fatalf("%v %v", more, err)
		}
		if folded := w.partition(state.PartRef{Topic: 1, Partition: 0}).Manifest != nil; folded != !wantMore {
			t.Error("those with the most runs are folded first")
		}
		in.State = w.s.Freeze()
	}
	for i := range uint32(5) {
		if p := w.partition(state.PartRef{Topic: 1, Partition: i}); (p.Manifest != nil) != (i != 1) {
			t.Errorf("partition %d has the manifest %+v", i, p.Manifest)
		}
	}
	if w.partition(state.PartRef{Topic: 2}).Manifest != nil {
		t.Error("a compacted partition was folded")
	}
	w.check()
}

// Of a compacted partition what is compacted is folded, unless a compaction is due, or nobody knows, for want of a clock.
func TestCompactedPartitions(t *testing.T) {
	w := newWorld(t, Config{Keep: 5, Least: 5}, 1)
	w.compact[1] = true
	ref := state.PartRef{Topic: 1}
	grow := func(n int) { // as a merge leaves them, one object each
		for range n {
			w.grow(ref, 1)
		}
	}
	grow(30)
	w.pass(t)
	if w.partition(ref).Manifest != nil {
		t.Fatal("what is dirty was folded")
	}
	w.compacted(ref, 1000)
	to := w.partition(ref).CompactedTo
	grow(30)
	w.pass(t)
	if m := w.partition(ref).Manifest; m != nil {
		t.Fatalf("%+v while half is dirty", *m)
	}
	w.compacted(ref, 1000)
	grow(10)
	in := w.view()
	in.Clock = errors.New("no clock")
	if _, err := w.task.Pass(t.Context(), in); err != nil || w.partition(ref).Manifest != nil {
		t.Fatalf("%v, folded without a clock", err)
	}
	w.pass(t)
	p := w.partition(ref)
	if p.Manifest == nil || p.Manifest.Last+1 != p.CompactedTo || p.CompactedTo == to || p.Runs() != 10 {
		t.Errorf("%d runs, compacted to %d, manifest %+v", p.Runs(), p.CompactedTo, p.Manifest)
	}
	m := *p.Manifest
	for range 5 {
		grow(5)
		w.pass(t)
	}
	if p := w.partition(ref); *p.Manifest != m {
		t.Errorf("manifest %+v, was %+v", p.Manifest, m)
	}
	if err := unfold.Partition(t.Context(), w.task.env, ref, unfold.Limits{}); err != nil {
		t.Fatal(err)
	}
	before := w.partition(ref).Version
	if w.pass(t); w.partition(ref).Version != before+1 {
		t.Error("not due: what came back goes into a manifest again")
	}
	w.check()
}

// What lies in an object with another partition's runs, or is not merged yet, ends what can be folded; so few runs are not
// worth it.
func TestSharedObjectsStay(t *testing.T) {
	w := newWorld(t, Config{Keep: 5, Least: 10}, 2)
	a, b := state.PartRef{Topic: 1}, state.PartRef{Topic: 1, Partition: 1}
	w.grow(a, 9)
	for range 12 {
		w.append(a, 1, nil, 0)
		w.append(b, 1, nil, 0)
	}
	w.merged([]state.PartRef{a, b}, false)
	w.grow(b, 30)
	w.pass(t)
	if p := w.partition(a); p.Manifest != nil || p.Runs() != 21 {
		t.Errorf("%d runs, %+v", p.Runs(), p.Manifest)
	}
	if p := w.partition(b); p.Manifest != nil {
		t.Errorf("%d runs, %+v", p.Runs(), p.Manifest)
	}
}

// A fold costs a read of the manifest there is, when it is small, and a write.
func TestRequests(t *testing.T) {
	w := newWorld(t, Config{Keep: 5, Least: 15}, 1)
	ref := state.PartRef{Topic: 1}
	for range 2 {
		w.grow(ref, 30)
		w.pass(t)
	}
	w.store = fault.New(w.mem, fault.WithTranscript(100))
	w.task.env.Store = w.store
	w.grow(ref, 30)
	w.pass(t)
	var ops []string
	for _, r := range w.store.Transcript() {
		ops = append(ops, string(r.Op))
	}
	if got := strings.Join(ops, " "); got != string(fault.Get)+" "+string(fault.Put) {
		t.Errorf("requests: %s", got)
	}
}

// Every call that fails, before or after it took effect, and every proposal that is lost or whose answer is, leaves a log
// that is whole, and the next pass finds out what is left.
func TestEveryCallMayFail(t *testing.T) {
	run := func(script func(w *world)) error {
		w := newWorld(t, Config{Keep: 5, Least: 15}, 2)
		a, b := state.PartRef{Topic: 1}, state.PartRef{Topic: 1, Partition: 1}
		w.grow(a, 30)
		w.grow(b, 30)
		w.pass(t)
		w.grow(a, 30)
		w.grow(b, 31)
		script(w)
		_, err := w.task.Pass(t.Context(), w.view())
		w.check()
		w.lose = nil
		w.task.env.Store = w.mem
		later := w.view()
		later.Now += damagePause // what arrived torn was taken for damage
		if _, err := w.task.Pass(t.Context(), later); err != nil {
			t.Fatal(err)
		}
		w.collect()
		w.check()
		if x, y := w.partition(a).Runs(), w.partition(b).Runs(); x > 20 || y > 20 {
			t.Errorf("%d and %d runs are left", x, y)
		}
		return err
	}
	for _, effect := range []fault.Effect{fault.FailBefore(nil), fault.FailAfter(nil), fault.TornBody(3)} {
		for n := 1; ; n++ {
			var armed *fault.Armed
			err := run(func(w *world) { armed = w.store.Script(fault.Fault{Nth: n, Do: effect}) })
			if armed.Fired() == 0 {
				if n < 3 || err != nil {
					t.Errorf("%d calls, %v", n-1, err)
				}
				break
			}
			if err != nil && !errors.Is(err, fault.ErrInjected) && !errors.Is(err, objstore.ErrCorrupt) {
				t.Errorf("call %d: %v", n, err)
			}
		}
	}
	for _, applied := range []bool{false, true} {
		for n := 1; n <= 2; n++ {
			calls := 0
			err := run(func(w *world) {
				w.lose = func() (bool, bool) {
					calls++
					return calls == n && !applied, calls == n && applied
				}
			})
			if !errors.Is(err, session.ErrUnknown) {
				t.Errorf("proposal %d: %v", n, err)
			}
		}
	}
}

// A manifest that is gone or damaged keeps its own partition from folding and no other, and is tried again after a while.
func TestDamagedManifest(t *testing.T) {
	w := newWorld(t, Config{Keep: 5, Least: 15}, 2)
	a, b := state.PartRef{Topic: 1}, state.PartRef{Topic: 1, Partition: 1}
	w.grow(a, 40)
	w.grow(b, 30)
	w.pass(t)
	o, _ := w.s.Object(w.partition(a).Manifest.Object)
	key := o.Key(keys)
	good, err := w.mem.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(data []byte) {
		t.Helper()
		if err := w.mem.Delete(context.Background(), []string{key}); err != nil {
			t.Fatal(err)
		}
		if data != nil {
			if err := w.mem.Put(context.Background(), key, objstore.NewBody(data)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var said bytes.Buffer
	w.task.env.Log = slog.New(slog.NewTextHandler(&said, nil))
	in := w.view()
	for _, data := range [][]byte{nil, good[:len(good)-1], append(bytes.Clone(good[:len(good)-1]), 'x'), bytes.Repeat([]byte{7}, len(good))} {
		replace(data)
		w.grow(a, 30)
		w.grow(b, 20)
		said.Reset()
		in.State, in.Now = w.s.Freeze(), in.Now+damagePause
		if _, err := w.task.Pass(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(said.String(), "cannot be read") {
			t.Errorf("nothing is said about %d bytes", len(data))
		}
		if n := w.partition(b).Runs(); n > 20 {
			t.Errorf("%d runs of another partition stay", n)
		}
		said.Reset()
		in.State = w.s.Freeze()
		if _, err := w.task.Pass(t.Context(), in); err != nil || said.Len() > 0 {
			t.Errorf("%v %s", err, said.String())
		}
	}
	replace(good)
	in.State, in.Now = w.s.Freeze(), in.Now+damagePause
	if _, err := w.task.Pass(t.Context(), in); err != nil || w.partition(a).Runs() > 30 {
		t.Errorf("%v, %d runs", err, w.partition(a).Runs())
	}
	w.check()
}

// A manifest of another partition under the right name is not taken for the one there is.
func TestForeignManifest(t *testing.T) {
	w := newWorld(t, Config{Keep: 5, Least: 15}, 2)
	a, b := state.PartRef{Topic: 1}, state.PartRef{Topic: 1, Partition: 1}
	w.grow(a, 30)
	w.grow(b, 30)
	w.pass(t)
	w.grow(a, 30)
	list := due(w.view(), w.task.config)
	p := list[0].plan(w.s, w.task.config)
	p.partition = 1
	if _, err := w.task.open(t.Context(), w.s, &p); !errors.Is(err, manifest.ErrCorrupt) {
		t.Error(err)
	}
}
