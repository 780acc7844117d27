package steady_test

import (
	"context"
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

// day is what an hour of steady calls on a store of a profile looked like, in virtual time.
type day struct {
	calls    int
	requests int
	took     []time.Duration // sorted
}

func (d day) quantile(p float64) time.Duration { return d.took[int(p*float64(len(d.took)-1))] }

func (d day) extra() float64 { return float64(d.requests-d.calls) / float64(d.calls) }

func (d day) String() string {
	return fmt.Sprintf("%d calls, %.1f %% extra requests, p50 %v, p99 %v, p99.9 %v", d.calls, 100*d.extra(),
		d.quantile(0.5).Round(time.Millisecond), d.quantile(0.99).Round(time.Millisecond), d.quantile(0.999).Round(time.Millisecond))
}

// live makes a call each interval, whether or not the ones before have ended: clients do not wait for the store.
func live(t *testing.T, p fault.Profile, seed uint64, cfg steady.Config, calls int, interval time.Duration,
	do func(context.Context, *steady.Store, int) error,
) (d day) {
	synctest.Test(t, func(t *testing.T) {
		f := fault.New(mem.New(), fault.WithLatency(p, seed, nil))
		s := steady.New(f, cfg)
		if err := s.Put(t.Context(), "read", objstore.NewBody(make([]byte, 1000))); err != nil {
			t.Fatal(err)
		}
		before := f.Calls()
		took := make([]time.Duration, calls)
		var wg sync.WaitGroup
		for i := range calls {
			wg.Go(func() {
				began := time.Now()
				if err := do(t.Context(), s, i); err != nil {
					t.Errorf("call %d: %v", i, err)
				}
				took[i] = time.Since(began)
			})
			time.Sleep(interval)
		}
		wg.Wait()
		slices.Sort(took)
		d = day{calls, f.Calls() - before, took}
	})
	return d
}

func put(ctx context.Context, s *steady.Store, i int) error {
	_, err := s.PutEither(ctx, fmt.Sprintf("%06d", i), fmt.Sprintf("%06d.h", i), objstore.NewBody(nil))
	return err
}

func get(ctx context.Context, s *steady.Store, _ int) error {
	_, err := s.Get(ctx, "read", 0, 1000)
	return err
}

// TestBadDay: with 1 % of the writes at 2 s and bursts of SlowDown the 99th percentile stays within 1.5 times the calm
// day's, at less than 5 % of extra requests. This needs the hedges: without them the same day is far outside.
func TestBadDay(t *testing.T) {
	const interval = 80 * time.Millisecond // 100 MB/s in flushes of 8 MiB
	const length = 15_000
	slowReads := fault.S3() // a burst's half second is more than one in a hundred reads can wait
	slowReads.StallReads, slowReads.Stall = 100, 2*time.Second
	for _, c := range []struct {
		name string
		do   func(context.Context, *steady.Store, int) error
		day  fault.Profile
	}{
		{"put", put, fault.BadDay()},
		{"get", get, slowReads},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(2) {
				calm := live(t, fault.S3(), seed, steady.ForS3(), length, interval, c.do)
				bad := live(t, c.day, seed, steady.ForS3(), length, interval, c.do)
				plain := steady.ForS3()
				plain.Hedge.Quantile = 0
				without := live(t, c.day, seed, plain, length, interval, c.do)
				t.Logf("seed %d\ncalm    %v\nbad     %v\nwithout %v", seed, calm, bad, without)
				if limit := calm.quantile(0.99) * 3 / 2; bad.quantile(0.99) > limit {
					t.Errorf("seed %d: p99 %v, more than %v", seed, bad.quantile(0.99), limit)
				}
				for _, d := range []day{calm, bad} {
					if d.extra() >= 0.05 {
						t.Errorf("seed %d: %v", seed, d)
					}
				}
				if without.quantile(0.995) < 2*calm.quantile(0.995) {
					t.Errorf("seed %d: this day needs no hedges: %v", seed, without)
				}
			}
		})
	}
}
