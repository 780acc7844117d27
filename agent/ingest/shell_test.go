package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wadi/agent/api"
	"wadi/internal/layout"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
)

// The exact calls: a quiet produce is one journal entry and no object, a busy flush is one of each.
func TestCallsPerFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testConfig())
		defer w.close()
		if p := w.send(1, 0, 200).wait(); p.Err != nil || p.BaseOffset != 0 {
			t.Fatal(p.BaseOffset, p.Err)
		}
		if got := w.calls(); got != "" || w.appends.Load() != 1 {
			t.Errorf("a quiet produce: %d appends, store calls %q", w.appends.Load(), got)
		}
		w.appends.Store(0)
		began := time.Now()
		var list []*sent
		for i := range 100 {
			list = append(list, w.send(uint64(i), int32(i), 20_000))
		}
		for _, s := range list {
			if p := s.wait(); p.Err != nil {
				t.Fatal(p.Err)
			}
		}
		if took := time.Since(began); took != quietFlush {
			t.Errorf("a busy flush waits for %s", took)
		}
		if got, want := w.calls(), "put 0000000000000001.seg ok"; got != want || w.appends.Load() != 1 {
			t.Errorf("a busy flush: %d appends, store calls %q, not %q", w.appends.Load(), got, want)
		}
	})
}

// A store that fails for a while fails what was sent meanwhile, and nothing else (Regressions R2, R8); an answer that was lost is
// none (the object is there: the same bytes count as stored).
func TestStoreFaults(t *testing.T) {
	const some = -1 // calls: up to ten, for pauses are drawn
	for _, c := range []struct {
		name  string
		fault fault.Fault
		fails bool
		calls int
	}{
		{"one failure", fault.Fault{Op: fault.Put, Do: fault.FailBefore(nil)}, false, 2},
		{"lost answer", fault.Fault{Op: fault.Put, Do: fault.FailAfter(nil)}, false, 2},
		{"throttled", fault.Fault{Op: fault.Put, Times: 4, Do: fault.FailBefore(objstore.ErrThrottled)}, false, 5},
		{"one hangs", fault.Fault{Op: fault.Put, Do: fault.HangBefore()}, false, 2},
		{"one hangs after its effect", fault.Fault{Op: fault.Put, Do: fault.HangAfter()}, false, 2},
		{"hedge hangs too", fault.Fault{Op: fault.Put, Times: 2, Do: fault.HangAfter()}, false, 3},
		{"all hang", fault.Fault{Op: fault.Put, Times: -1, Do: fault.HangAfter()}, true, some},
		{"down", fault.Fault{Op: fault.Put, Times: 8, Do: fault.FailBefore(nil)}, true, 8},
		{"denied", fault.Fault{Op: fault.Put, Do: fault.FailBefore(objstore.ErrDenied)}, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, testConfig())
				defer w.close()
				f := w.store.Script(c.fault)
				began := time.Now()
				bad := w.send(1, 0, 20_000)
				time.Sleep(10 * time.Millisecond)
				// A quiet partition is served meanwhile.
				if p := w.send(2, 1, 200).wait(); p.Err != nil {
					t.Error("inline beside it:", p.Err)
				}
				p := bad.wait()
				if took := time.Since(began); took > uploadTimeout+time.Second {
					t.Errorf("the answer took %s", took)
				}
				if got := errors.Is(p.Err, api.ErrStoreUnavailable); got != c.fails || !got && p.Err != nil {
					t.Error(p.Err)
				}
				if c.fails != (p.BaseOffset == -1) || c.fails != (w.next(0) == 0) {
					t.Errorf("base offset %d, next %d", p.BaseOffset, w.next(0))
				}
				n := len(w.store.TakeTranscript())
				if f.Fired() == 0 || n != c.calls && (c.calls != some || n > 10) {
					t.Errorf("%d calls, not %d; fired %d times", n, c.calls, f.Fired())
				}
				f.Disarm()
				if p := w.send(1, 0, 20_000).wait(); p.Err != nil {
					t.Error("afterwards:", p.Err)
				}
				if got := bad.times.Load(); got != 1 {
					t.Errorf("answered %d times", got)
				}
			})
		})
	}
}

// Nothing is acknowledged before it is stored and committed (Regressions R6, R18): with S3's latency, what an answer names is in the
// store and in State.
func TestAcknowledgedIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testConfig(), fault.WithLatency(fault.S3(), 1, nil))
		defer w.close()
		var wg sync.WaitGroup
		for conn := range uint64(8) {
			wg.Go(func() {
				for i := range 30 {
					size := 300
					if (uint64(i)+conn)%3 == 0 {
						size = 30_000
					}
					p := w.send(conn, int32(conn%4), size).wait()
					if p.Err != nil {
						t.Error(p.Err)
						return
					}
					w.durable(int32(conn%4), p.BaseOffset)
				}
			})
		}
		wg.Wait()
		synctest.Wait() // whoever carried the last answer out has more to do
		if n := w.next(0) + w.next(1) + w.next(2) + w.next(3); n != 8*30 {
			t.Errorf("%d records of %d", n, 8*30)
		}
		if !w.ingest.Idle() {
			t.Error("not idle")
		}
	})
}

func (w *world) durable(partition int32, offset int64) {
	var run state.Run
	var key string
	w.view.Read(func(s *state.State) {
		runs := s.TopicByNumber(w.topic).Partition(partition).RunsFrom(offset, 1, 1, nil)
		if len(runs) == 1 {
			run = runs[0]
			if o, ok := s.Object(run.Place); ok && !run.Inline() {
				key = o.Key(layout.NewObjects("test", 1))
			}
		}
	})
	switch {
	case run.Base > offset || run.Last < offset:
		w.t.Errorf("offset %d is not in %+v", offset, run)
	case !run.Inline():
		if _, err := w.store.Get(w.ctx, key, int64(run.Offset), int64(run.Length)); err != nil {
			w.t.Errorf("offset %d: %v", offset, err)
		}
	}
}

// A lost session answers at once what was not proposed, and the next one takes what comes then.
func TestLostSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testConfig())
		defer w.close()
		w.store.Script(fault.Fault{Op: fault.Put, Do: fault.HangAfter()})
		bad := w.send(1, 0, 20_000)
		time.Sleep(5 * time.Millisecond)
		old, _, _ := w.session.Current()
		if err := w.kv.Revoke(w.ctx, int64(old)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if p := bad.wait(); !errors.Is(p.Err, api.ErrNotProposed) {
			t.Error(p.Err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the answer took %s", took)
		}
		w.waitOpen(old)
		if p := w.send(1, 0, 20_000).wait(); p.Err != nil || p.BaseOffset != 0 {
			t.Error(p.BaseOffset, p.Err)
		}
		if !w.ingest.Idle() {
			t.Error("the lost session's upload is still under way")
		}
	})
}

// A proposal without an outcome is no success and no definite failure.
func TestUnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testConfig())
		defer w.close()
		w.ingest.o.Proposer = proposerFunc(func(p *session.Proposal) {
			p.Done(session.Outcome{Err: fmt.Errorf("cut: %w", session.ErrUnknown)})
		})
		for _, size := range []int{200, 20_000} {
			if p := w.send(1, 0, size).wait(); !errors.Is(p.Err, api.ErrOutcomeUnknown) || p.BaseOffset != -1 {
				t.Error(size, p.BaseOffset, p.Err)
			}
		}
	})
}

// The stages of etcd's quota (DESIGN section 3.2).
func TestStages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testConfig())
		defer w.close()
		w.ingest.Stage(true, false)
		if p := w.send(1, 0, 200).wait(); p.Err != nil {
			t.Fatal(p.Err)
		}
		if got := len(w.store.TakeTranscript()); got != 1 {
			t.Errorf("%d store calls without the inline lane", got)
		}
		w.ingest.Stage(true, true)
		began := time.Now()
		if p := w.send(1, 0, 200).wait(); !errors.Is(p.Err, api.ErrMemory) || time.Since(began) != maxStall {
			t.Errorf("%v after %s", p.Err, time.Since(began))
		}
		waits := w.send(1, 0, 200)
		time.Sleep(time.Second)
		w.ingest.Stage(false, false)
		if p := waits.wait(); p.Err != nil {
			t.Error(p.Err)
		}
	})
}

// Whoever comes while the agent ends is answered too.
func TestEndAnswersEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testConfig(), fault.WithLatency(fault.S3(), 1, nil))
		var list []*sent
		for i := range 200 {
			if i == 100 {
				w.stop()
			}
			list = append(list, w.send(uint64(i%5), int32(i%7), 100+(i%3)*10_000))
			time.Sleep(100 * time.Microsecond)
		}
		w.done.Wait()
		for i, s := range list {
			if p := s.wait(); i > 150 && !errors.Is(p.Err, api.ErrDraining) {
				t.Errorf("request %d after the end: %v", i, p.Err)
			}
			if n := s.times.Load(); n != 1 {
				t.Errorf("request %d answered %d times", i, n)
			}
		}
		if !w.ingest.Idle() {
			t.Error("not idle")
		}
	})
}

type proposerFunc func(*session.Proposal)

func (f proposerFunc) Propose(p *session.Proposal) { f(p) }

type noView struct{ s *state.State }

func (v noView) Read(f func(*state.State)) { f(v.s) }

// Flushes are proposed in the order in which they closed although their uploads end on goroutines of their own, many at
// a time: State refuses a flush number that does not rise, so one out of order is lost.
func TestProposalsKeepOrder(t *testing.T) {
	var mu sync.Mutex
	var last uint64
	var open sync.WaitGroup
	cfg := testConfig()
	cfg.FlushBytes, cfg.InlineMaxBytes = 1000, 0
	g := New(Options{
		Config: cfg, View: noView{state.New()}, Store: mem.New(), Log: quiet,
		Proposer: proposerFunc(func(p *session.Proposal) {
			a := p.Command.GetAppendBatches()
			mu.Lock()
			if a.Flush <= last {
				t.Errorf("flush %d proposed after %d", a.Flush, last)
			}
			last = a.Flush
			mu.Unlock()
			go p.Done(session.Outcome{Result: &state.Result{Batches: make([]state.BatchResult, len(a.Bytes))}})
		}),
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	g.Opened(1, layout.NewObjects("test", 1), "test")
	data := records(t, 990)
	for conn := range uint64(8) {
		open.Go(func() {
			for range 300 {
				done := make(chan struct{})
				r := &Request{
					Conn: conn, Deadline: g.now() + time.Minute, answer: func() { close(done) }, release: func() {},
					Items: []Item{{Partition: Partition{1, int32(conn)}, Data: data}},
				}
				g.step(func(c *Core, now time.Duration) { c.Produce(now, r) })
				<-done
				if err := r.Items[0].Result.Err; err != nil {
					t.Error(err)
				}
			}
		})
	}
	open.Wait()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
