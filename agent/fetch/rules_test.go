package fetch

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"wadi/agent/api"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/view"
)

// Semantics line 31 (KIP-74), Regression R14.
func TestLimits(t *testing.T) {
	r := newRig(t, 4, 1<<20)
	b := one(t, 1000)
	n := len(b)
	r.object(part{0, [][]byte{b, b, b}}, part{1, [][]byte{b, b, b}}, part{2, [][]byte{b}})
	r.inline(part{0, [][]byte{b, b}})
	for _, c := range []struct {
		name  string
		max   int
		parts []at
		want  [][]int64
	}{
		{"everything", 1 << 20, []at{{0, 0, 0}, {1, 0, 0}}, [][]int64{{0, 1, 2, 3, 4}, {0, 1, 2}}},
		{"the first batch whole, above both limits", 10, []at{{0, 0, 10}, {1, 0, 10}}, [][]int64{{0}, nil}},
		{"no bytes at all", 0, []at{{0, 0, 1}, {1, 0, 1}}, [][]int64{{0}, nil}},
		{"an empty partition does not use it up", 10, []at{{3, 0, 10}, {1, 0, 10}}, [][]int64{nil, {0}}},
		{"nor one read to its end", 10, []at{{2, 1, 10}, {1, 1, 10}}, [][]int64{nil, {1}}},
		{"a later one keeps its limit", 1 << 20, []at{{0, 0, n}, {1, 0, n - 1}, {2, 0, n}}, [][]int64{{0}, nil, {0}}},
		{"the limit of all", 3 * n, []at{{0, 0, 2 * n}, {1, 0, 2 * n}}, [][]int64{{0, 1}, {0}}},
		{"of a part, over two runs", 1 << 20, []at{{0, 1, 3*n + 5}}, [][]int64{{1, 2, 3}}},
		{"in the order of the request", 1, []at{{1, 2, 5000}, {0, 4, 5000}}, [][]int64{{2}, nil}},
	} {
		got := r.fetch(func(f *api.FetchCall) { f.MaxBytes = c.max }, c.parts...)
		for i, want := range c.want {
			if o := got.offsets(t, i); !slices.Equal(o, want) || got.Parts[i].Err != nil {
				t.Errorf("%s: part %d has %v (%v), not %v", c.name, i, o, got.Parts[i].Err, want)
			}
		}
	}
}

// Semantics line 32: the whole batch that holds the offset. Semantics line 35: at the high watermark nothing, without an error.
func TestOffsetsInside(t *testing.T) {
	r := newRig(t, 1, 1<<20)
	big := records(t, 10_000, 1, 2, 3, 4, 5)
	r.object(part{0, [][]byte{big, big, big, big, big, big, big, big}}) // over more than one mark of the index
	r.inline(part{0, [][]byte{big}})
	for offset := range int64(45) {
		c := r.fetch(func(f *api.FetchCall) { f.MaxBytes = 1 }, at{0, offset, 1})
		if o := c.offsets(t, 0); len(o) != 1 || o[0] != offset/5*5 {
			t.Errorf("fetch at %d: %v", offset, o)
		}
	}
	c := r.fetch(nil, at{0, 45, 0})
	if p := c.Parts[0]; p.Err != nil || len(p.Records) != 0 || p.HighWatermark != 45 || p.LastStable != 45 || p.LogStart != 0 {
		t.Errorf("at the watermark: %+v", p)
	}
}

// Semantics line 34: min_bytes counts over all partitions, an error answers at once.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3, 1<<20)
		b := one(t, 1000)
		wait := func(f *api.FetchCall) { f.MinBytes, f.MaxWait = 2*len(b), time.Second }
		began := time.Now()
		c := r.start(wait, at{0, 0, 0}, at{1, 0, 0})
		time.Sleep(100 * time.Millisecond)
		r.inline(part{0, [][]byte{b}})
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if !c.waits() {
			t.Error("half of min_bytes answers")
		}
		r.inline(part{1, [][]byte{b}})
		if <-c.done; time.Since(began) != 200*time.Millisecond {
			t.Errorf("answered after %s", time.Since(began))
		}
		if !slices.Equal(c.offsets(t, 0), []int64{0}) || !slices.Equal(c.offsets(t, 1), []int64{0}) {
			t.Error(c.offsets(t, 0), c.offsets(t, 1))
		}
		began = time.Now()
		if c := r.fetch(wait, at{0, 0, 0}); time.Since(began) != time.Second || len(c.offsets(t, 0)) != 1 {
			t.Errorf("max_wait: %v after %s", c.offsets(t, 0), time.Since(began))
		}
		began = time.Now()
		if c := r.fetch(wait, at{2, 0, 0}, at{0, 100, 0}); time.Since(began) != 0 || !errors.Is(c.Parts[1].Err, api.ErrOffsetOutOfRange) {
			t.Errorf("with an error: %v after %s", c.Parts[1].Err, time.Since(began))
		}
		// The end of a long run is not worth min_bytes.
		long := make([][]byte, 100)
		for i := range long {
			long[i] = b
		}
		r.object(part{2, long})
		began = time.Now()
		if c := r.fetch(wait, at{2, 99, 0}); time.Since(began) != time.Second || len(c.offsets(t, 0)) != 1 {
			t.Errorf("the last batch of a run: %v after %s", c.offsets(t, 0), time.Since(began))
		}
		if n := r.v.waiting(); n != 0 {
			t.Errorf("%d subscriptions left", n)
		}
	})
}

// Who waits hears of a drain, of its client's end, of a deleted topic.
func TestWaitingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 1<<20)
		drain, stop := context.WithCancel(context.Background())
		defer stop()
		wait := func(f *api.FetchCall) { f.MaxWait, f.Drain = time.Hour, drain }
		gone, deleted, drained := r.start(wait, at{0, 0, 0}), r.start(wait, at{0, 0, 0}), r.start(nil, at{0, 0, 0})
		<-drained.done
		gone.cancel()
		<-gone.done
		if !deleted.waits() {
			t.Fatal("another client's end answers")
		}
		r.apply(nil, &pb.Command{Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: r.topic}}, Base: r.v.position})
		if <-deleted.done; !errors.Is(deleted.Parts[0].Err, api.ErrUnknownTopic) {
			t.Error(deleted.Parts[0].Err)
		}
		r.apply(nil, &pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: "u", Partitions: 1}}, Base: r.v.position})
		r.topic++
		drained = r.start(wait, at{0, 0, 0})
		synctest.Wait()
		if !drained.waits() {
			t.Fatal("does not wait")
		}
		stop()
		if <-drained.done; drained.Parts[0].Err != nil {
			t.Error(drained.Parts[0].Err)
		}
		if n := r.v.waiting(); n != 0 {
			t.Errorf("%d subscriptions left", n)
		}
	})
}

// Semantics line 35, Regression R13: out of range only after a barrier; an agent that cannot pass one says so.
func TestOutOfRange(t *testing.T) {
	r := newRig(t, 1, 1<<20)
	b := one(t, 100)
	r.v.heldBack = true
	r.inline(part{0, [][]byte{b, b, b}})
	c := r.fetch(nil, at{0, 2, 0})
	if o := c.offsets(t, 0); c.Parts[0].Err != nil || !slices.Equal(o, []int64{2}) || c.Parts[0].HighWatermark != 3 {
		t.Errorf("behind: %v %v", o, c.Parts[0].Err)
	}
	if r.v.barriers != 1 {
		t.Errorf("%d barriers", r.v.barriers)
	}
	c = r.fetch(nil, at{0, 4, 0})
	if p := c.Parts[0]; !errors.Is(p.Err, api.ErrOffsetOutOfRange) || p.HighWatermark != 3 || p.LogStart != 0 {
		t.Errorf("%+v", p)
	}
	r.v.barrier = errDown
	for _, p := range []at{{0, 4, 0}, {7, 0, 0}} {
		c = r.fetch(nil, p)
		if err := c.Parts[0].Err; !errors.Is(err, api.ErrViewBehind) || errors.Is(err, api.ErrOffsetOutOfRange) {
			t.Errorf("without a barrier: %v", err)
		}
	}
}

// A view that is out of touch serves what it has, and never claims for long that there is nothing new.
func TestViewOutOfTouch(t *testing.T) {
	r := newRig(t, 1, 1<<20)
	r.inline(part{0, [][]byte{one(t, 100)}})
	for _, c := range []struct {
		health view.Health
		lag    time.Duration
		fails  bool
	}{
		{view.Current, 0, false}, {view.Behind, 2 * time.Second, false}, {view.Behind, 6 * time.Second, true}, {view.CutOff, 0, true},
	} {
		r.v.health, r.v.lag = c.health, c.lag
		if f := r.fetch(nil, at{0, 0, 0}); f.Parts[0].Err != nil || len(f.Parts[0].Records) != 1 {
			t.Errorf("%s: below the watermark: %v", c.health, f.Parts[0].Err)
		}
		if f := r.fetch(nil, at{0, 1, 0}); errors.Is(f.Parts[0].Err, api.ErrViewBehind) != c.fails {
			t.Errorf("%s, lag %s: at the watermark: %v", c.health, c.lag, f.Parts[0].Err)
		}
	}
}
