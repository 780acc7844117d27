package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wadi/agent/api"
	"wadi/internal/batch"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
)

// A missing object: a barrier, a second look, then an alarm for that range alone (Regression R4).
func TestMissingObject(t *testing.T) {
	r := newRig(t, 2, 1<<20)
	b := one(t, 1000)
	first := r.object(part{0, [][]byte{b, b}}, part{1, [][]byte{b}})
	second := r.object(part{0, [][]byte{b}})
	if err := r.mem.Delete(context.Background(), []string{second}); err != nil {
		t.Fatal(err)
	}
	c := r.fetch(nil, at{0, 0, 0}, at{1, 0, 0})
	if o := c.offsets(t, 0); c.Parts[0].Err != nil || !slices.Equal(o, []int64{0, 1}) || len(r.alarm) != 0 {
		t.Errorf("what comes before: %v %v, alarms %v", o, c.Parts[0].Err, r.alarm)
	}
	c = r.fetch(nil, at{0, 2, 0}, at{1, 0, 0})
	if !errors.Is(c.Parts[0].Err, api.ErrObjectMissing) || !slices.Equal(r.alarm, []string{second}) || r.v.barriers != 1 {
		t.Errorf("%v, alarms %v, %d barriers", c.Parts[0].Err, r.alarm, r.v.barriers)
	}
	if c.Parts[1].Err != nil || len(c.offsets(t, 1)) != 1 {
		t.Error("another partition:", c.Parts[1].Err)
	}
	r.v.barrier = errDown
	if c := r.fetch(nil, at{0, 2, 0}); !errors.Is(c.Parts[0].Err, api.ErrViewBehind) {
		t.Error("without a barrier:", c.Parts[0].Err)
	}
	r.v.barrier = nil
	if _, _, err := r.log.TimeOffset(context.Background(), 1, 0, 2_000_000, 3); err != nil {
		t.Error("no record is that new, nothing need be read:", err)
	}
	if err := r.mem.Delete(context.Background(), []string{first}); err != nil {
		t.Fatal(err)
	}
	r.log.src.cache = newCache(1 << 20)
	if _, _, err := r.log.TimeOffset(context.Background(), 1, 0, 0, 3); !errors.Is(err, api.ErrObjectMissing) {
		t.Error("by time:", err)
	}
}

// A store's failure is retriable and not remembered.
func TestStoreErrors(t *testing.T) {
	for _, f := range []struct {
		name string
		do   fault.Effect
		n    int
	}{
		{"down", fault.FailBefore(nil), 1}, {"throttled", fault.FailBefore(objstore.ErrThrottled), 1},
		{"torn", fault.TornBody(500), 2}, {"a flipped header", fault.FlipByte(16), 2}, {"a flipped length", fault.FlipByte(8), 2},
		{"a flipped record", fault.FlipByte(-1), 2}, {"a flipped delta", fault.FlipByte(23), 2}, {"nothing", fault.TornBody(0), 2},
	} {
		t.Run(f.name, func(t *testing.T) {
			r := newRig(t, 1, 1<<20)
			r.object(part{0, [][]byte{one(t, 1000)}})
			armed := r.store.Script(fault.Fault{Op: fault.Get, Times: f.n, Do: f.do})
			c := r.fetch(nil, at{0, 0, 0})
			if !errors.Is(c.Parts[0].Err, api.ErrStoreUnavailable) || len(c.Parts[0].Records) != 0 {
				t.Errorf("%v with %d chunks", c.Parts[0].Err, len(c.Parts[0].Records))
			}
			if armed.Fired() != f.n {
				t.Errorf("fired %d times", armed.Fired())
			}
			if c := r.fetch(nil, at{0, 0, 0}); c.Parts[0].Err != nil || len(c.offsets(t, 0)) != 1 {
				t.Error("afterwards:", c.Parts[0].Err)
			}
			// One corrupt answer is read again at once.
			if f.n == 2 {
				r := newRig(t, 1, 1<<20)
				r.object(part{0, [][]byte{one(t, 1000)}})
				r.store.Script(fault.Fault{Op: fault.Get, Do: f.do})
				if c := r.fetch(nil, at{0, 0, 0}); c.Parts[0].Err != nil {
					t.Error("corrupt once:", c.Parts[0].Err)
				}
			}
		})
	}
}

// Readers of one range share a read; a second range brings the whole object; then nothing is read any more.
func TestReadsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3, 1<<20)
		b := one(t, 1000)
		key := r.object(part{0, [][]byte{b}}, part{1, [][]byte{b}}, part{2, [][]byte{b}})
		r.store.Script(fault.Fault{Op: fault.Get, Times: -1, Do: fault.Delay(30*time.Millisecond, nil)})
		var list []*call
		for range 50 {
			list = append(list, r.start(nil, at{0, 0, 0}))
		}
		for _, c := range list {
			if <-c.done; c.Parts[0].Err != nil {
				t.Fatal(c.Parts[0].Err)
			}
		}
		r.fetch(nil, at{1, 0, 0})
		r.fetch(nil, at{2, 0, 0}, at{1, 0, 0}, at{0, 0, 0})
		var got []string
		for _, c := range r.store.TakeTranscript() {
			got = append(got, c.String())
		}
		want := []string{
			fmt.Sprintf("get %s [16,+%d) %d ok (delay)", key, len(b), len(b)),
			fmt.Sprintf("get %s [0,+%d) %d ok (delay)", key, 16+3*len(b), 16+3*len(b)),
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, not %q", got, want)
		}
	})
}

// A reader that catches up on many partitions does not wait for one read after the other.
func TestReadsInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 64, 1<<20)
		parts := make([]at, 64)
		for i := range parts {
			r.object(part{int32(i), [][]byte{one(t, 1000)}})
			parts[i] = at{int32(i), 0, 0}
		}
		r.store.Script(fault.Fault{Op: fault.Get, Times: -1, Do: fault.Delay(30*time.Millisecond, nil)})
		began := time.Now()
		c := r.fetch(nil, parts...)
		for i := range parts {
			if c.Parts[i].Err != nil || len(c.offsets(t, i)) != 1 {
				t.Fatal(c.Parts[i].Err)
			}
		}
		if took := time.Since(began); took != 64/loadsPerFetch*30*time.Millisecond {
			t.Errorf("64 reads of 30 ms took %s", took)
		}
	})
}

// A client that goes away does not fail another one's read of the same range.
func TestClientGoneDuringRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 1<<20)
		r.object(part{0, [][]byte{one(t, 1000)}})
		r.store.Script(fault.Fault{Op: fault.Get, Times: -1, Do: fault.Delay(time.Second, nil)})
		first := r.start(nil, at{0, 0, 0})
		time.Sleep(100 * time.Millisecond)
		second := r.start(nil, at{0, 0, 0})
		time.Sleep(100 * time.Millisecond)
		first.cancel()
		<-first.done
		if <-second.done; second.Parts[0].Err != nil {
			t.Error(second.Parts[0].Err)
		}
	})
}

// Inline bytes come from the view's memory, later from archives.
func TestInline(t *testing.T) {
	r := newRig(t, 1, 1<<20)
	b := one(t, 100)
	r.inline(part{0, [][]byte{b, b}})
	before := bytes.Clone(r.v.inline[r.v.position])
	if o := r.fetch(nil, at{0, 1, 0}).offsets(t, 0); !slices.Equal(o, []int64{1}) {
		t.Error(o)
	}
	if !bytes.Equal(before, r.v.inline[r.v.position]) {
		t.Error("the view's bytes were patched")
	}
	r.forget()
	r.log.src.cache = newCache(1 << 20)
	// State names no archive yet: the checkpoint that was loaded may.
	if c := r.fetch(nil, at{0, 0, 0}); c.Parts[0].Err != nil || len(c.offsets(t, 0)) != 2 {
		t.Error(c.Parts[0].Err)
	}
	if n := r.store.Calls(); n != 0 {
		t.Errorf("%d calls of the store", n)
	}
}

// What this agent stores is read without the store: also between the entry and the word about the object's number.
func TestOwnFlushes(t *testing.T) {
	r := newRig(t, 2, 1<<20)
	b := one(t, 1000)
	cmd, data := command(1, 16+2*uint64(len(b)), []part{{0, [][]byte{b}}, {1, [][]byte{b}}}, 16)
	key := objects.Flush(alice, 1)
	body := objstore.NewBody(make([]byte, 16), data)
	r.log.Stored(key, body)
	r.apply(nil, cmd)
	if o := r.fetch(nil, at{0, 0, 0}).offsets(t, 0); len(o) != 1 {
		t.Error(o)
	}
	clear(data) // the frames go back to the pool
	r.log.Settled(key, 1)
	if o := r.fetch(nil, at{1, 0, 0}).offsets(t, 0); len(o) != 1 {
		t.Error(o)
	}
	if n := r.store.Calls(); n != 0 || !r.log.src.unsettled.empty() {
		t.Errorf("%d calls of the store, %d bytes unsettled", n, r.log.src.unsettled.bytes.Load())
	}
	big := objstore.NewBody(make([]byte, 1<<18))
	r.log.Stored("x", big)
	r.log.Stored("y", big)
	if n := r.log.src.unsettled.bytes.Load(); n != 1<<18 {
		t.Errorf("%d bytes unsettled, at most a quarter of the cache", n)
	}
	r.log.Settled("x", 0)
	r.log.Settled("y", 0)
	if !r.log.src.unsettled.empty() {
		t.Error("not settled")
	}
}

// The cache keeps its bound, and evicting takes nothing away from those who read (Regression R16).
func TestEviction(t *testing.T) {
	r := newRig(t, 1, 20_000)
	var want [][]byte
	for i := range 40 {
		b := records(t, 3000, int64(i))
		r.object(part{0, [][]byte{b}})
		b = bytes.Clone(b)
		batch.Batch(b).SetBaseOffset(int64(i))
		batch.Batch(b).SetPartitionLeaderEpoch(0)
		want = append(want, b)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			var held []*call
			for i := range 200 {
				held = append(held, r.fetch(nil, at{0, int64(i*7+g) % 40, 4000}))
			}
			for _, c := range held {
				p := &c.Parts[0]
				if p.Err != nil || len(p.Records) == 0 || !bytes.Equal(p.Records[0][:len(want[p.Offset])], want[p.Offset]) {
					t.Errorf("offset %d changed: %v", p.Offset, p.Err)
				}
			}
		})
	}
	wg.Wait()
	c := r.log.src.cache
	sum := int64(0)
	n := 0
	for e := c.mu.ring.older; e != &c.mu.ring; e = e.older {
		n++
		sum += e.value.cost()
	}
	if sum != c.mu.size || sum > c.limit || len(c.mu.entries) != n || len(c.mu.loads) != 0 {
		t.Errorf("%d bytes, accounted for %d, limit %d, %d loads", sum, c.mu.size, c.limit, len(c.mu.loads))
	}
	if c.insert(blockKey{Object: 999}, &block{data: make([]byte, 30_000)}); c.lookup(blockKey{Object: 999}) != nil {
		t.Error("a block above the limit is kept")
	}
}

// A fetch that waits holds no goroutine.
func TestNoGoroutineWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 1<<20)
		before := runtime.NumGoroutine()
		list := make([]*call, 10_000)
		for i := range list {
			list[i] = r.start(func(f *api.FetchCall) { f.MaxWait = time.Hour }, at{0, 0, 0})
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > 2 {
			t.Errorf("%d goroutines for %d waiting fetches", n, len(list))
		}
		r.inline(part{0, [][]byte{one(t, 100)}})
		for _, c := range list {
			if <-c.done; len(c.Parts[0].Records) != 1 {
				t.Fatal("woken with nothing")
			}
		}
	})
}

// A run in State that the bytes do not bear out is an error, never a panic.
func TestRunsThatDoNotFit(t *testing.T) {
	b := one(t, 100)
	for _, run := range []state.Run{
		{Base: 5, Last: 5, Offset: 10, Length: uint32(len(b))}, {Base: 5, Last: 6, Length: uint32(len(b))},
		{Base: 5, Last: 5, Length: uint32(len(b)) - 1}, {Base: 5, Last: 5}, {Base: 5, Last: 5, Length: 1 << 31},
	} {
		x := &block{data: bytes.Clone(b)}
		if _, err := x.run(run, int64(run.Offset)); !errors.Is(err, objstore.ErrCorrupt) {
			t.Errorf("%+v: %v", run, err)
		}
	}
}
