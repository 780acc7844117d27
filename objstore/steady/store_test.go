package steady_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wadi/objstore"
	"wadi/objstore/conformance"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
	"wadi/objstore/steady"
)

func TestConformance(t *testing.T) {
	for name, cfg := range map[string]steady.Config{"plain": {}, "s3": steady.ForS3(), "narrow": {Limit: steady.Limit{Max: 1, Min: 1}}} {
		t.Run(name, func(t *testing.T) {
			conformance.Run(t, func(testing.TB) objstore.Store { return steady.New(mem.New(), cfg) })
		})
	}
}

// The contract holds over a store that fails every few requests, before their effect and after it, and asks to slow down.
func TestConformanceOverFaults(t *testing.T) {
	cfg := steady.ForS3()
	cfg.Pause, cfg.Limit.Hold, cfg.RetryBurst, cfg.Attempts = time.Microsecond, time.Microsecond, 1e6, 20
	conformance.Run(t, func(testing.TB) objstore.Store {
		var n atomic.Int64
		every := func(k int64, err error) func(context.Context, fault.Call) error {
			return func(context.Context, fault.Call) error {
				if n.Add(1)%k == 0 {
					return err
				}
				return nil
			}
		}
		f := fault.New(mem.New())
		f.Script(fault.Fault{Times: -1, Do: fault.Hook(every(7, objstore.ErrThrottled), every(5, fault.ErrInjected))})
		return steady.New(f, cfg)
	})
}

// counted counts what a store does.
type counted struct {
	retried, spent, hedged, won atomic.Int64
	limit                       atomic.Int64 // of puts
}

func (c *counted) observe(cfg steady.Config) steady.Config {
	inc := func(n *atomic.Int64) func(steady.Op) { return func(steady.Op) { n.Add(1) } }
	cfg.Observe = steady.Observer{
		Retried: inc(&c.retried), Spent: inc(&c.spent), Hedged: inc(&c.hedged), HedgeWon: inc(&c.won),
		Limit: func(op steady.Op, n int) {
			if op == steady.Write {
				c.limit.Store(int64(n))
			}
		},
	}
	return cfg
}

var hello = objstore.NewBody([]byte("hello"))

// holds says which of two keys are there.
func holds(t *testing.T, s objstore.Store) string {
	t.Helper()
	infos, err := s.List(t.Context(), "", "", 10)
	if err != nil {
		t.Fatal(err)
	}
	out := ""
	for _, i := range infos {
		out += i.Key
	}
	return out
}

// patient sends hedges after a second until it has seen enough.
func patient() steady.Config {
	cfg := steady.ForS3()
	cfg.Hedge.Initial = time.Second
	return cfg
}

func TestPutEither(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults []fault.Fault
		key    string // "" = fails
		err    error
		there  string
		took   time.Duration // at most
		calls  int
	}{
		{"at once", nil, "a", nil, "a", 0, 1},
		{"the first hangs", []fault.Fault{{Key: "a", Times: -1, Do: fault.HangBefore()}}, "b", nil, "b", time.Second, 2},
		{"the first hangs after its effect", []fault.Fault{{Key: "a", Times: -1, Do: fault.HangAfter()}}, "b", nil, "ab", time.Second, 2},
		{"the first is slow and still first", []fault.Fault{
			{Key: "a", Do: fault.Delay(1500*time.Millisecond, nil)}, {Key: "b", Do: fault.Delay(time.Minute, nil)},
		}, "a", nil, "a", 1500 * time.Millisecond, 2},
		{"the first fails while the second is under way", []fault.Fault{
			{Key: "a", Do: fault.Delay(1100*time.Millisecond, nil)}, {Key: "a", Do: fault.FailBefore(nil)},
			{Key: "b", Do: fault.Delay(300*time.Millisecond, nil)},
		}, "b", nil, "b", 1300 * time.Millisecond, 2},
		{"the second fails", []fault.Fault{
			{Key: "a", Do: fault.Delay(1200*time.Millisecond, nil)}, {Key: "b", Do: fault.FailBefore(nil)},
		}, "a", nil, "a", 1200 * time.Millisecond, 2},
		{"both fail once", []fault.Fault{
			{Key: "a", Do: fault.Delay(1200*time.Millisecond, nil)}, {Key: "a", Do: fault.FailBefore(nil)}, {Key: "b", Do: fault.FailAfter(nil)},
		}, "a", nil, "ab", 1300 * time.Millisecond, 3},
		{"both fail for ever", []fault.Fault{
			{Key: "a", Times: -1, Do: fault.Delay(1200*time.Millisecond, nil)}, {Times: -1, Do: fault.FailBefore(nil)},
		}, "", fault.ErrInjected, "", time.Minute, 8 + 3},
		{"an early failure is repeated, not hedged", []fault.Fault{{Key: "a", Do: fault.FailBefore(nil)}}, "a", nil, "a", 50 * time.Millisecond, 2},
		{"the first is refused for good", []fault.Fault{
			{Key: "a", Do: fault.Delay(1100*time.Millisecond, nil)}, {Key: "a", Do: fault.FailBefore(objstore.ErrDenied)},
			{Key: "b", Do: fault.HangBefore()},
		}, "", objstore.ErrDenied, "", 1100 * time.Millisecond, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // which waits for all goroutines
				inner := mem.New()
				f := fault.New(inner)
				for _, x := range c.faults {
					x.Op = fault.Put
					f.Script(x)
				}
				s := steady.New(f, patient())
				began := time.Now()
				key, err := s.PutEither(t.Context(), "a", "b", hello)
				if !errors.Is(err, c.err) || key != c.key {
					t.Errorf("%q, %v; want %q, %v", key, err, c.key, c.err)
				}
				if took := time.Since(began); took > c.took {
					t.Errorf("took %v", took)
				}
				if f.Calls() != c.calls {
					t.Errorf("%d calls, want %d", f.Calls(), c.calls)
				}
				if got := holds(t, inner); got != c.there {
					t.Errorf("stored %q, want %q", got, c.there)
				}
			})
		})
	}
}

// When PutEither returns, the loser's attempt has ended: its body may be written to.
func TestLoserHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fault.New(mem.New())
		reading := false
		f.Script(fault.Fault{Op: fault.Put, Key: "a", Do: fault.Hook(func(ctx context.Context, _ fault.Call) error {
			reading = true
			<-ctx.Done()
			time.Sleep(100 * time.Millisecond) // what the transport takes to let go
			reading = false
			return ctx.Err()
		}, nil)})
		s := steady.New(f, steady.ForS3())
		if key, err := s.PutEither(t.Context(), "a", "b", hello); key != "b" || err != nil || reading {
			t.Errorf("%q, %v; the first attempt reads its body: %v", key, err, reading)
		}
	})
}

// One name, one request: Put waits.
func TestPutIsNotHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fault.New(mem.New())
		f.Script(fault.Fault{Op: fault.Put, Do: fault.Delay(2*time.Second, nil)})
		if err := steady.New(f, steady.ForS3()).Put(t.Context(), "a", hello); err != nil || f.Calls() != 1 {
			t.Errorf("%v after %d calls", err, f.Calls())
		}
	})
}

func TestGetIsHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counted
		f := fault.New(mem.New())
		s := steady.New(f, c.observe(patient()))
		if err := s.Put(t.Context(), "a", hello); err != nil {
			t.Fatal(err)
		}
		f.Script(fault.Fault{Op: fault.Get, Do: fault.HangBefore()})
		began := time.Now()
		data, err := s.Get(t.Context(), "a", 1, 3)
		if string(data) != "ell" || err != nil || time.Since(began) != time.Second {
			t.Errorf("%q, %v after %v", data, err, time.Since(began))
		}
		// What is not there is not asked for twice.
		f.Script(fault.Fault{Op: fault.Get, Do: fault.Delay(1100*time.Millisecond, nil)})
		f.Script(fault.Fault{Op: fault.Get, Nth: 2, Do: fault.HangBefore()})
		if _, err := s.Get(t.Context(), "b", 0, -1); !errors.Is(err, objstore.ErrNotFound) {
			t.Error(err)
		}
		if c.hedged.Load() != 2 || c.won.Load() != 1 || c.retried.Load() != 0 {
			t.Errorf("%d hedges, %d won, %d retries", c.hedged.Load(), c.won.Load(), c.retried.Load())
		}
	})
}

// The delay follows the latencies of the size class, and a hedge is no excuse to forget how slow the first was.
func TestDelayIsTheQuantile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counted
		f := fault.New(mem.New())
		s := steady.New(f, c.observe(steady.ForS3()))
		put := func(i int, d time.Duration) (took time.Duration) {
			f.Script(fault.Fault{Op: fault.Put, Key: "a", Do: fault.Delay(d, nil)})
			began := time.Now()
			if _, err := s.PutEither(t.Context(), fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i), hello); err != nil {
				t.Fatal(err)
			}
			return time.Since(began)
		}
		for i := range 100 {
			put(i, 100*time.Millisecond)
		}
		took := put(100, time.Minute)
		// What smaller requests take says nothing about a larger one.
		f.Script(fault.Fault{Op: fault.Put, Key: "large", Do: fault.Delay(200*time.Millisecond, nil)})
		if key, err := s.PutEither(t.Context(), "large", "x", objstore.NewBody(make([]byte, 100_000))); key != "large" || err != nil {
			t.Error("a delay taken from smaller requests:", key, err)
		}
		if took < 100*time.Millisecond || took > 110*time.Millisecond || c.won.Load() != 1 {
			t.Errorf("a hedge after %v, %d won", took, c.won.Load())
		}
		// A store that became slow as a whole: hedges end when the budget does, and then the delay has learned.
		for i := range 400 {
			put(200+i, 300*time.Millisecond)
		}
		if n := c.hedged.Load(); n < 3 || n > 6+500*35/1000 {
			t.Errorf("%d hedges of %d puts", n, 501)
		}
	})
}

// A share of requests that hang counts among the latencies, and does not teach the store to wait for them.
func TestManyHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fault.New(mem.New())
		cfg := steady.ForS3()
		cfg.Hedge.Share = 1
		s := steady.New(f, cfg)
		f.Script(fault.Fault{Op: fault.Put, Times: -1, Do: fault.Delay(100*time.Millisecond, nil)})
		var took time.Duration
		for i := range 600 {
			name := "a"
			if i%15 == 14 {
				name = "hangs"
			}
			if i == 0 {
				f.Script(fault.Fault{Op: fault.Put, Key: "hangs", Times: -1, Do: fault.HangBefore()})
			}
			began := time.Now()
			if _, err := s.PutEither(t.Context(), fmt.Sprint(name, i), fmt.Sprintf("h%d", i), hello); err != nil {
				t.Fatal(err)
			}
			if name == "hangs" {
				took = time.Since(began)
			}
		}
		// The hedge itself takes 100 ms.
		if took < 350*time.Millisecond || took > 450*time.Millisecond {
			t.Errorf("the last one that hung took %v", took)
		}
	})
}

// What is merely late does not spend the whole budget.
func TestReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counted
		f := fault.New(mem.New())
		s := steady.New(f, c.observe(patient()))
		f.Script(fault.Fault{Op: fault.Put, Key: "late", Times: -1, Do: fault.Delay(1200*time.Millisecond, nil)})
		f.Script(fault.Fault{Op: fault.Put, Key: "other", Times: -1, Do: fault.Delay(time.Second, nil)})
		for i := range 10 {
			if key, err := s.PutEither(t.Context(), fmt.Sprintf("late%d", i), fmt.Sprintf("other%d", i), hello); key[:4] != "late" || err != nil {
				t.Fatal(key, err)
			}
		}
		if n := c.hedged.Load(); n != 3 {
			t.Errorf("%d hedges for what was late", n)
		}
		f.Script(fault.Fault{Op: fault.Put, Key: "stuck", Do: fault.HangBefore()})
		began := time.Now()
		key, err := s.PutEither(t.Context(), "stuck", "b", hello)
		if took := time.Since(began); key != "b" || err != nil || took != 1500*time.Millisecond {
			t.Errorf("%q, %v after %v", key, err, took)
		}
	})
}

// A size class that is new is judged by a larger one.
func TestDelayOfALargerClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fault.New(mem.New())
		s := steady.New(f, patient())
		large := objstore.NewBody(make([]byte, 300_000))
		f.Script(fault.Fault{Op: fault.Put, Key: "large", Times: -1, Do: fault.Delay(100*time.Millisecond, nil)})
		for i := range 100 {
			if _, err := s.PutEither(t.Context(), fmt.Sprintf("large%d", i), fmt.Sprintf("h%d", i), large); err != nil {
				t.Fatal(err)
			}
		}
		f.Script(fault.Fault{Op: fault.Put, Key: "small", Do: fault.HangBefore()})
		began := time.Now()
		key, err := s.PutEither(t.Context(), "small", "h", hello)
		if took := time.Since(began); key != "h" || err != nil || took > 110*time.Millisecond {
			t.Errorf("%q, %v after %v", key, err, took)
		}
	})
}

// On a store that answers at once a hedge still has to wait a moment.
func TestDelayHasAFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fault.New(mem.New())
		s := steady.New(f, patient())
		for i := range 100 {
			if err := s.Put(t.Context(), fmt.Sprintf("%d", i), hello); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Get(t.Context(), fmt.Sprintf("%d", i), 0, 5); err != nil {
				t.Fatal(err)
			}
		}
		f.Script(fault.Fault{Op: fault.Get, Do: fault.HangBefore()})
		began := time.Now()
		if _, err := s.Get(t.Context(), "1", 0, 5); err != nil || time.Since(began) != 20*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// A request that runs out of its time is repeated; the caller's context has not ended and is not blamed.
func TestAttemptsAreBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fault.New(mem.New())
		s := steady.New(f, steady.Config{})
		f.Script(fault.Fault{Op: fault.Put, Do: fault.HangBefore()})
		began := time.Now()
		if err := s.Put(t.Context(), "a", hello); err != nil || time.Since(began) > 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		f.Script(fault.Fault{Times: -1, Do: fault.HangBefore()})
		_, err := s.Get(t.Context(), "a", 0, -1)
		if !errors.Is(err, objstore.ErrNoAnswer) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// A caller that gives up gets its context's error at once, wherever its request is.
func TestContextEnds(t *testing.T) {
	for name, effect := range map[string]fault.Effect{
		"under way": fault.HangBefore(), "in a pause": fault.FailBefore(nil), "held": fault.FailBefore(objstore.ErrThrottled),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fault.New(mem.New())
				f.Script(fault.Fault{Times: -1, Do: effect})
				cfg := steady.ForS3()
				cfg.Pause, cfg.Limit.Hold = 10*time.Second, 10*time.Second
				cfg.MaxPause, cfg.Limit.MaxHold = time.Minute, time.Minute
				s := steady.New(f, cfg)
				var wg sync.WaitGroup
				for i := range 10 {
					wg.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
						defer cancel()
						began := time.Now()
						_, err := s.PutEither(ctx, fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i), hello)
						if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 1500*time.Millisecond {
							t.Errorf("%v after %v", err, time.Since(began))
						}
					})
				}
				wg.Wait()
			})
		})
	}
}
