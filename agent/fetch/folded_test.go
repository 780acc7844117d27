package fetch

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"wadi/agent/api"
	"wadi/metadata/manifest"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
)

// folded is a rig whose partitions have n runs of a record each, of which those of the first merged objects are in a
// manifest: so many runs an object, so many objects.
func newFolded(t *testing.T, partitions, n, perObject, objects int) *rig {
	r := newRig(t, partitions, 1<<20)
	for p := range int32(partitions) {
		for i := range n {
			r.inline(part{p, [][]byte{records(t, 20, int64(1_000_000+i))}})
		}
		for range n / perObject {
			r.mergeRuns(t, p, perObject)
		}
		if got := r.fold(t, p, objects); got != objects*perObject {
			t.Fatalf("%d runs folded", got)
		}
	}
	return r
}

// cold forgets everything that was read.
func (r *rig) cold() {
	r.log = New(r.log.o)
}

func (r *rig) gets() (list []string) {
	for _, x := range r.store.Transcript() {
		if x.Op == fault.Get {
			list = append(list, x.String())
		}
	}
	return list
}

// Where a manifest ends and State's runs begin is not seen by readers, and a small manifest costs one request, once.
func TestFetchThroughManifest(t *testing.T) {
	r := newFolded(t, 1, 100, 10, 7)
	r.cold()
	before := len(r.gets())
	for _, from := range []int64{0, 1, 65, 69, 70, 71, 99} {
		c := r.fetch(nil, at{0, from, 1 << 20})
		want := make([]int64, 0, 100)
		for o := from; o < 100; o++ {
			want = append(want, o)
		}
		if got := c.offsets(t, 0); c.Parts[0].Err != nil || !slices.Equal(got, want) {
			t.Fatalf("from %d: %v %v", from, c.Parts[0].Err, got)
		}
	}
	manifests := slices.DeleteFunc(r.gets()[before:], func(s string) bool { return !strings.Contains(s, ".man") })
	if len(manifests) != 1 {
		t.Errorf("reads of the manifest:\n%s", strings.Join(manifests, "\n"))
	}
	// All of it is in memory now: the answer comes in the caller's goroutine.
	c := r.start(nil, at{0, 3, 1 << 20})
	if c.waits() {
		t.Error("a fetch of what is in memory takes another goroutine")
	}
	<-c.done
}

// Of a large manifest are read the footer and, per place that somebody reads at, a block of runs and one of objects.
func TestFetchFromLargeManifest(t *testing.T) {
	r := newFolded(t, 1, 10_000, 5, 1990)
	r.log.src.manifests.pieces.limit = 8 << 20
	r.cold()
	read := func(offset int64) (manifests int) {
		t.Helper()
		before := len(r.gets())
		c := r.fetch(nil, at{0, offset, 300})
		if got := c.offsets(t, 0); c.Parts[0].Err != nil || got[0] != offset || len(got) < 3 {
			t.Fatalf("offset %d: %v %v", offset, c.Parts[0].Err, got)
		}
		for _, s := range r.gets()[before:] {
			if strings.Contains(s, ".man") {
				manifests++
			}
		}
		return manifests
	}
	if n := read(100); n > 3 {
		t.Errorf("%d reads of the manifest", n)
	}
	if n := read(150) + read(3000); n != 0 {
		t.Errorf("%d reads of the manifest for what is in memory", n)
	}
	if n := read(4094); n > 2 {
		t.Errorf("%d reads where blocks meet", n)
	}
	// A fetch takes no more runs than it may, wherever they lie.
	c := r.fetch(nil, at{0, 9000, 1 << 20})
	if got := c.offsets(t, 0); len(got) != 1000 || got[999] != 9999 {
		t.Errorf("%d batches", len(got))
	}
	c = r.fetch(nil, at{0, 4000, 1 << 20})
	if got := c.offsets(t, 0); len(got) != maxRunsPerPart || got[0] != 4000 {
		t.Errorf("%d batches", len(got))
	}
}

// Regression R4: a manifest that was removed behind our back is an error and an alarm, for what lies in it alone, and after
// a look at what others know.
func TestMissingManifest(t *testing.T) {
	r := newFolded(t, 2, 20, 5, 2)
	key := r.manifestKey(0)
	if err := r.mem.Delete(context.Background(), []string{key}); err != nil {
		t.Fatal(err)
	}
	r.cold()
	barriers := r.v.barriers
	c := r.fetch(nil, at{0, 3, 0}, at{1, 3, 0})
	if !errors.Is(c.Parts[0].Err, api.ErrObjectMissing) || !slices.Equal(r.alarm, []string{key}) || r.v.barriers != barriers+1 {
		t.Errorf("%v, alarms %v, %d barriers", c.Parts[0].Err, r.alarm, r.v.barriers-barriers)
	}
	if c.Parts[1].Err != nil || len(c.offsets(t, 1)) == 0 {
		t.Errorf("of another partition: %v", c.Parts[1].Err)
	}
	c = r.fetch(nil, at{0, 10, 0})
	if c.Parts[0].Err != nil || c.offsets(t, 0)[0] != 10 {
		t.Errorf("behind the manifest: %v", c.Parts[0].Err)
	}
	if _, _, err := r.log.TimeOffset(context.Background(), 1, 0, 1_000_002, 20); !errors.Is(err, api.ErrObjectMissing) {
		t.Error(err)
	}
	if o, _, err := r.log.TimeOffset(context.Background(), 1, 0, 1_000_012, 20); err != nil || o != 12 {
		t.Errorf("a time behind the manifest: %d %v", o, err)
	}
	if _, err := r.log.Locate(context.Background(), 1, 0, 0, 10); !errors.Is(err, api.ErrStoreUnavailable) {
		t.Error(err)
	}
	r.v.barrier = errDown
	if c = r.fetch(nil, at{0, 3, 0}); !errors.Is(c.Parts[0].Err, api.ErrViewBehind) {
		t.Errorf("without a barrier: %v", c.Parts[0].Err)
	}
}

// A view that has not heard of a fold looks for a manifest that was collected since: a barrier tells of the new one.
func TestManifestReplacedElsewhere(t *testing.T) {
	r := newFolded(t, 1, 30, 5, 2)
	key := r.manifestKey(0)
	r.v.heldBack = true
	s := r.v.s
	r.v.s = s.Freeze() // the fold is made on what the view does not show yet
	r.v.heldBack = false
	shown := r.v.s
	r.v.s = s
	r.fold(t, 0, 1)
	r.v.s, r.v.later = shown, []func(){func() { r.v.s = s }}
	if err := r.mem.Delete(context.Background(), []string{key}); err != nil {
		t.Fatal(err)
	}
	r.cold()
	c := r.fetch(nil, at{0, 3, 0})
	if got := c.offsets(t, 0); c.Parts[0].Err != nil || got[0] != 3 || len(got) != 27 || len(r.alarm) > 0 {
		t.Errorf("%v %v, alarms %v", c.Parts[0].Err, got, r.alarm)
	}
}

// A view that has not heard of an unfold reads what came back through the manifest that listed it, and where that was
// collected since a barrier tells of what there is.
func TestUnfoldedElsewhere(t *testing.T) {
	for _, collected := range []bool{false, true} {
		for _, objects := range []int{1, 2} {
			r := newFolded(t, 1, 30, 5, 2)
			key := r.manifestKey(0)
			s := r.v.s
			r.v.s = s.Freeze()
			shown := r.v.s
			r.v.s = s
			r.unfold(t, 0, objects, 0)
			r.v.s, r.v.later = shown, []func(){func() { r.v.s = s }}
			if collected {
				if err := r.mem.Delete(context.Background(), []string{key}); err != nil {
					t.Fatal(err)
				}
			}
			r.cold()
			c := r.fetch(nil, at{0, 3, 0})
			if got := c.offsets(t, 0); c.Parts[0].Err != nil || got[0] != 3 || len(got) != 27 || len(r.alarm) > 0 {
				t.Errorf("%v %v, alarms %v", c.Parts[0].Err, got, r.alarm)
			}
		}
	}
}

// A fold between the two looks makes the fetch look for the new manifest.
func TestManifestReplacedMeanwhile(t *testing.T) {
	r := newFolded(t, 1, 60, 5, 2)
	r.cold()
	folds := 0
	r.store.Script(fault.Fault{Op: fault.Get, Key: ".man", Times: -1, Do: fault.Hook(nil, func(context.Context, fault.Call) error {
		if folds++; folds <= 2 {
			r.fold(t, 0, 1)
		}
		return nil
	})})
	c := r.fetch(nil, at{0, 3, 0})
	if got := c.offsets(t, 0); c.Parts[0].Err != nil || got[0] != 3 || len(got) != 57 || folds != 3 {
		t.Errorf("%v %v, %d reads", c.Parts[0].Err, got, folds)
	}
	// Where that does not end, the fetch does.
	r.cold()
	folds = -1000
	r.store.Script(fault.Fault{Op: fault.Get, Key: ".man", Times: -1, Do: fault.Hook(nil, func(context.Context, fault.Call) error {
		r.fold(t, 0, 1)
		return nil
	})})
	if c = r.fetch(nil, at{0, 3, 0}); !errors.Is(c.Parts[0].Err, api.ErrStoreUnavailable) {
		t.Errorf("%v %v", c.Parts[0].Err, c.offsets(t, 0))
	}
}

// What goes wrong in reading a manifest is the error of the parts that need it; what arrives torn is read again.
func TestManifestReadErrors(t *testing.T) {
	r := newFolded(t, 2, 20, 5, 2)
	key := r.manifestKey(0)
	r.cold()
	armed := r.store.Script(fault.Fault{Op: fault.Get, Key: key, Times: 1, Do: fault.FlipByte(30)})
	c := r.fetch(nil, at{0, 3, 0})
	if got := c.offsets(t, 0); c.Parts[0].Err != nil || got[0] != 3 || armed.Fired() != 1 {
		t.Errorf("%v %v, %d", c.Parts[0].Err, got, armed.Fired())
	}
	for name, effect := range map[string]fault.Effect{"flipped": fault.FlipByte(30), "failed": fault.FailBefore(nil), "torn": fault.TornBody(9)} {
		r.cold()
		armed := r.store.Script(fault.Fault{Op: fault.Get, Key: key, Times: -1, Do: effect})
		c := r.fetch(nil, at{0, 3, 0}, at{1, 3, 0})
		if !errors.Is(c.Parts[0].Err, api.ErrStoreUnavailable) || c.Parts[1].Err != nil || len(c.offsets(t, 1)) == 0 {
			t.Errorf("%s: %v, %v", name, c.Parts[0].Err, c.Parts[1].Err)
		}
		armed.Disarm()
		if c := r.fetch(nil, at{0, 3, 0}); c.Parts[0].Err != nil {
			t.Errorf("%s, and then not: %v", name, c.Parts[0].Err)
		}
	}
	if len(r.alarm) > 0 {
		t.Errorf("alarms %v", r.alarm)
	}
}

// A manifest that says the same of another partition is not believed.
func TestManifestOfAnother(t *testing.T) {
	ctx := context.Background()
	r := newFolded(t, 2, 20, 5, 2)
	key := r.manifestKey(0)
	data, err := r.mem.Get(ctx, key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	x, err := manifest.Open(ctx, r.mem, key, uint64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := manifest.NewWriter(&out, x.Info().Topic, 1)
	if err != nil {
		t.Fatal(err)
	}
	err = x.EachRun(ctx, func(y manifest.Run) error {
		return w.Run(y.Base, y.Last, y.MaxTimestamp, y.Index, y.Offset, y.Length)
	})
	list, lerr := x.Objects(ctx)
	err = errors.Join(err, lerr)
	for _, o := range list {
		err = errors.Join(err, w.Object(o))
	}
	_, cerr := w.Close()
	err = errors.Join(err, cerr, r.mem.Delete(ctx, []string{key}), r.mem.Put(ctx, key, objstore.NewBody(out.Bytes())))
	if err != nil || out.Len() != len(data) {
		t.Fatal(err)
	}
	r.cold()
	c := r.fetch(nil, at{0, 3, 0}, at{1, 3, 0})
	if err := c.Parts[0].Err; !errors.Is(err, api.ErrStoreUnavailable) || !strings.Contains(err.Error(), "it holds") || c.Parts[1].Err != nil {
		t.Errorf("%v, %v", err, c.Parts[1].Err)
	}
}

// Many readers of one place share what is read, and what is kept stays within its bound.
func TestManifestReadersShare(t *testing.T) {
	r := newFolded(t, 1, 9000, 5, 1795)
	r.cold()
	hold := make(chan struct{})
	r.store.Script(fault.Fault{Op: fault.Get, Key: ".man", Times: -1, Do: fault.Hook(func(ctx context.Context, _ fault.Call) error {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return nil
	}, nil)})
	before := len(r.gets())
	var calls []*call
	for range 20 {
		calls = append(calls, r.start(nil, at{0, 17, 300}))
	}
	close(hold)
	for _, c := range calls {
		<-c.done
		if got := c.offsets(t, 0); c.Parts[0].Err != nil || got[0] != 17 {
			t.Fatalf("%v %v", c.Parts[0].Err, got)
		}
	}
	n := 0
	for _, s := range r.gets()[before:] {
		if strings.Contains(s, ".man") {
			n++
		}
	}
	if n > 3 {
		t.Errorf("%d reads of the manifest", n)
	}
	m := r.log.src.manifests
	m.pieces.limit = 600 << 10 // a block takes more than half of it
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for offset := int64(i * 100); offset < 9000; offset += 1700 {
				c := r.fetch(nil, at{0, offset, 300})
				if got := c.offsets(t, 0); c.Parts[0].Err != nil || got[0] != offset {
					t.Errorf("%d: %v %v", offset, c.Parts[0].Err, got)
				}
			}
		})
	}
	wg.Wait()
	m.pieces.mu.Lock()
	defer m.pieces.mu.Unlock()
	sum := int64(0)
	for e := m.pieces.mu.ring.older; e != &m.pieces.mu.ring; e = e.older {
		sum += e.value.cost()
	}
	if sum != m.pieces.mu.size || sum > m.pieces.limit {
		t.Errorf("%d bytes are kept, accounted for %d of %d", sum, m.pieces.mu.size, m.pieces.limit)
	}
}

// A fetch of many partitions that all lie in manifests serves them, as far as its limits go, and the rest when it comes
// again.
func TestManyPartitionsInManifests(t *testing.T) {
	const n = 150
	r := newFolded(t, n, 6, 2, 2)
	r.cold()
	var parts []at
	for p := range int32(n) {
		parts = append(parts, at{p, 1, 0})
	}
	c := r.fetch(nil, parts...)
	for i := range parts {
		if got := c.offsets(t, i); c.Parts[i].Err != nil || !slices.Equal(got, []int64{1, 2, 3, 4, 5}) {
			t.Fatalf("partition %d: %v %v", i, c.Parts[i].Err, got)
		}
	}
	r.cold()
	before := len(r.gets())
	c = r.fetch(func(f *api.FetchCall) { f.MaxBytes = 400 }, parts...)
	served := 0
	for i := range parts {
		if c.Parts[i].Err != nil {
			t.Fatal(c.Parts[i].Err)
		}
		if len(c.offsets(t, i)) > 0 {
			served++
		}
	}
	if served == 0 || len(r.gets())-before > 20 {
		t.Errorf("%d partitions served with %d reads", served, len(r.gets())-before)
	}
}

// Times are found through manifests, by the index: blocks that cannot hold them are not read.
func TestTimesInLargeManifest(t *testing.T) {
	r := newFolded(t, 1, 10_000, 5, 1990)
	for _, x := range []struct{ ms, want int64 }{{0, 0}, {1_000_000, 0}, {1_004_095, 4095}, {1_004_096, 4096}, {1_009_949, 9949}, {1_009_950, 9950}, {1_009_999, 9999}} {
		r.cold()
		before := len(r.gets())
		o, ts, err := r.log.TimeOffset(context.Background(), 1, 0, x.ms, 10_000)
		if err != nil || o != x.want || ts != 1_000_000+x.want {
			t.Errorf("%d: %d %d %v", x.ms, o, ts, err)
		}
		if n := len(r.gets()) - before; n > 4 {
			t.Errorf("%d: %d reads", x.ms, n)
		}
	}
	r.cold()
	before := len(r.gets())
	if o, ts, err := r.log.MaxTime(context.Background(), 1, 0, false); err != nil || o != 9999 || ts != 1_009_999 || len(r.gets())-before > 4 {
		t.Errorf("%d %d %v, %d reads", o, ts, err, len(r.gets())-before)
	}
	if o, _, err := r.log.TimeOffset(context.Background(), 1, 0, 1_010_000, 10_000); err != nil || o != -1 {
		t.Errorf("%d %v", o, err)
	}
}

// Locate tells of runs wherever they are listed.
func TestLocateThroughManifest(t *testing.T) {
	r := newFolded(t, 1, 30, 5, 4)
	r.inline(part{0, [][]byte{one(t, 5)}})
	r.cold()
	for _, from := range []int64{0, 7, 19, 20, 30} {
		list, err := r.log.Locate(context.Background(), 1, 0, from, 100)
		if err != nil || len(list) != int(31-from) {
			t.Fatalf("from %d: %d runs, %v", from, len(list), err)
		}
		for i, x := range list {
			if x.Run.Base != from+int64(i) || (x.Object.Kind == state.MergedObject) != (x.Run.Base < 30) {
				t.Errorf("from %d: %+v", from, x)
			}
			if x.Run.Base < 30 {
				if data, err := r.mem.Get(context.Background(), x.Object.Key(objects), int64(x.Run.Offset), int64(x.Run.Length)); err != nil || !slices.Equal(basesOf(data), []int64{x.Run.Base}) {
					t.Errorf("%+v: %v %v", x, basesOf(data), err)
				}
			}
		}
	}
	if list, err := r.log.Locate(context.Background(), 1, 0, 0, 3); err != nil || len(list) != 3 {
		t.Errorf("%d runs, %v", len(list), err)
	}
	if _, err := r.log.Locate(context.Background(), 9, 0, 0, 3); !errors.Is(err, api.ErrUnknownTopic) {
		t.Error(err)
	}
}
