package steady_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
	"wadi/objstore/steady"
)

// Beyond the limit calls wait in the order in which they began, also when some of them give up.
func TestQueueKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fault.New(mem.New(), fault.WithTranscript(100))
		f.Script(fault.Fault{Times: -1, Do: fault.Delay(10*time.Millisecond, nil)})
		s := steady.New(f, steady.Config{Limit: steady.Limit{Max: 2, Min: 1, Queue: 20}})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if i == 7 {
					time.AfterFunc(5*time.Millisecond, cancel)
				}
				if err := s.Put(ctx, fmt.Sprintf("%02d", i), hello); (err != nil) != (i == 7) || i == 7 && !errors.Is(err, context.Canceled) {
					t.Errorf("put %d: %v", i, err)
				}
			})
			time.Sleep(time.Microsecond)
		}
		wg.Wait()
		var keys []string
		for _, r := range f.Transcript() {
			keys = append(keys, r.Key)
		}
		if len(keys) != 19 || !slices.IsSorted(keys) {
			t.Error(keys)
		}
		// Reads have a limit of their own; a queue that is full refuses at once, and does not repeat that.
		f.Script(fault.Fault{Op: fault.Put, Times: -1, Do: fault.HangBefore()})
		ctx, cancel := context.WithCancel(t.Context())
		for range 22 {
			wg.Go(func() {
				if err := s.Put(ctx, "x", hello); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		if err := s.Put(t.Context(), "y", hello); !errors.Is(err, objstore.ErrThrottled) || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if _, err := s.Get(t.Context(), "00", 0, -1); err != nil {
			t.Error(err)
		}
		cancel()
		wg.Wait()
	})
}

// A store that asks to slow down is left alone but for a probe now and then; everybody waits, and then goes on.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counted
		f := fault.New(mem.New())
		cfg := steady.ForS3()
		cfg.Hedge.Initial = 200 * time.Millisecond
		s := steady.New(f, c.observe(cfg))
		refuse := f.Script(fault.Fault{Op: fault.Put, Times: -1, Do: fault.FailBefore(objstore.ErrThrottled)})
		time.AfterFunc(500*time.Millisecond, refuse.Disarm)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if _, err := s.PutEither(t.Context(), fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i), hello); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(time.Millisecond)
		}
		if c.limit.Load() != 1 {
			t.Errorf("limit %d while refused", c.limit.Load())
		}
		wg.Wait()
		if n := refuse.Fired(); n < 3 || n > 12 {
			t.Errorf("%d refused requests for 100 calls", n)
		}
		if n := c.retried.Load(); n != int64(refuse.Fired()) {
			t.Errorf("%d repetitions of %d", n, refuse.Fired())
		}
		// No hedge goes to a store that was asking for less a moment ago.
		f.Script(fault.Fault{Op: fault.Put, Key: "slow", Do: fault.Delay(400*time.Millisecond, nil)})
		if key, err := s.PutEither(t.Context(), "slow", "fast", objstore.NewBody(make([]byte, 100_000))); key != "slow" || err != nil {
			t.Error(key, err)
		}
		if c.hedged.Load() != 0 {
			t.Errorf("%d hedges", c.hedged.Load())
		}
	})
}

// A store that refuses for ten seconds costs time and a few probes, and no call: attempts and budget are for failures.
// One that never stops is given up in the end.
func TestRefusalsAreNoFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counted
		f := fault.New(mem.New())
		s := steady.New(f, c.observe(steady.ForS3()))
		refuse := f.Script(fault.Fault{Op: fault.Put, Times: -1, Do: fault.FailBefore(objstore.ErrThrottled)})
		time.AfterFunc(10*time.Second, refuse.Disarm)
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				if err := s.Put(t.Context(), fmt.Sprint(i), hello); err != nil {
					t.Error(err)
				}
			})
		}
		began := time.Now()
		wg.Wait()
		if took := time.Since(began); took < 10*time.Second || took > 13*time.Second || refuse.Fired() > 30+20 {
			t.Errorf("took %v with %d refusals", took, refuse.Fired())
		}
		f.Script(fault.Fault{Op: fault.Put, Times: -1, Do: fault.FailBefore(objstore.ErrThrottled)})
		began = time.Now()
		if err := s.Put(t.Context(), "never", hello); !errors.Is(err, objstore.ErrThrottled) || time.Since(began) > 2*time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if c.spent.Load() != 0 {
			t.Errorf("%d calls without a budget", c.spent.Load())
		}
	})
}

// An outage is not multiplied: repetitions are a burst and then a share of the successes, of which there are none.
func TestRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counted
		f := fault.New(mem.New())
		s := steady.New(f, c.observe(steady.ForS3()))
		down := f.Script(fault.Fault{Times: -1, Do: fault.FailBefore(nil)})
		const calls = 200
		spent := 0
		for i := range calls {
			switch err := s.Put(t.Context(), fmt.Sprintf("%d", i), hello); {
			case errors.Is(err, steady.ErrBudget) && errors.Is(err, fault.ErrInjected):
				spent++
			case !errors.Is(err, fault.ErrInjected):
				t.Error(err)
			}
		}
		if n := down.Fired(); n != calls+20 || c.retried.Load() != 20 || c.spent.Load() != int64(spent) || spent < calls-10 {
			t.Errorf("%d requests for %d calls, %d repetitions, %d without a budget", n, calls, c.retried.Load(), spent)
		}
		// Reads are not poorer for it, and writes earn a budget again.
		down.Disarm()
		f.Script(fault.Fault{Op: fault.List, Do: fault.FailBefore(nil)})
		if _, err := s.List(t.Context(), "", "", 1); err != nil {
			t.Error(err)
		}
		for i := range 10 {
			if err := s.Put(t.Context(), fmt.Sprintf("again%d", i), hello); err != nil {
				t.Error(err)
			}
		}
		f.Script(fault.Fault{Op: fault.Put, Do: fault.FailBefore(nil)})
		if err := s.Put(t.Context(), "last", hello); err != nil {
			t.Error(err)
		}
	})
}

// A throttled write does not hold reads.
func TestLanesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fault.New(mem.New())
		s := steady.New(f, steady.ForS3())
		f.Script(fault.Fault{Op: fault.Put, Times: 3, Do: fault.FailBefore(objstore.ErrThrottled)})
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Put(t.Context(), "a", hello); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		began := time.Now()
		if _, err := s.Date(t.Context()); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		wg.Wait()
	})
}

// A probe that hangs is not the end: others may find that the store is well.
func TestProbeHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fault.New(mem.New())
		s := steady.New(f, steady.ForS3())
		f.Script(fault.Fault{Op: fault.Put, Key: "a", Do: fault.FailBefore(objstore.ErrThrottled)})
		f.Script(fault.Fault{Op: fault.Put, Key: "a", Nth: 2, Do: fault.HangBefore()})
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			if err := s.Put(t.Context(), "a", hello); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(500 * time.Millisecond)
		began := time.Now()
		if err := s.Put(t.Context(), "b", hello); err != nil || time.Since(began) > time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// A hedge that may not be sent yet is sent later, and what it waited for cost no budget.
func TestHedgeWaitsForCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fault.New(mem.New())
		cfg := steady.ForS3()
		cfg.Hedge.Initial = 10 * time.Millisecond
		s := steady.New(f, cfg)
		f.Script(fault.Fault{Op: fault.Put, Do: fault.FailBefore(objstore.ErrThrottled)})
		f.Script(fault.Fault{Op: fault.Put, Key: "a", Nth: 2, Do: fault.HangBefore()})
		began := time.Now()
		key, err := s.PutEither(t.Context(), "a", "b", hello)
		if took := time.Since(began); key != "b" || err != nil || took < time.Second || took > 1050*time.Millisecond {
			t.Errorf("%q, %v after %v", key, err, took)
		}
	})
}
