package ingest

import (
	"flag"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wadi/objstore/fault"
	"wadi/objstore/steady"
)

var dayLength = flag.Duration("day", 300*time.Second, "how long each day of TestBadDay lasts, in virtual time")

// day is what producers saw of an agent, in virtual time.
type day struct {
	took       []time.Duration // sorted
	puts       int             // requests
	flushes    uint64
	p50, p99   time.Duration
	extraShare float64
}

// live has a produce call begin every 10 ms for a while, all of them on the way of objects, and waits for the answers.
func live(t *testing.T, profile fault.Profile, seed uint64, cfg steady.Config, length time.Duration) (d day) {
	synctest.Test(t, func(t *testing.T) {
		limits := testConfig()
		limits.InlineMaxBytes = 0
		w := newSteadyWorld(t, limits, cfg, fault.WithLatency(profile, seed, nil))
		defer w.close()
		before := w.store.Calls()
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range int(length / (10 * time.Millisecond)) {
			began, s := time.Now(), w.send(uint64(i%8), int32(i%16), 200)
			wg.Go(func() {
				p := s.wait()
				mu.Lock()
				defer mu.Unlock()
				if p.Err != nil {
					t.Error(p.Err)
				}
				d.took = append(d.took, time.Since(began))
			})
			time.Sleep(10 * time.Millisecond)
		}
		wg.Wait()
		d.puts = w.store.Calls() - before
		w.ingest.step(func(c *Core, _ time.Duration) { d.flushes = c.nextN - 1 })
	})
	slices.Sort(d.took)
	d.p50, d.p99 = d.took[len(d.took)/2], d.took[len(d.took)*99/100]
	d.extraShare = float64(d.puts)/float64(d.flushes) - 1
	return d
}

// TestBadDay is the whole way of a produced batch, where one slow PUT holds up every flush that closed after it: with 1 %
// of the PUTs at 2 s and bursts of SlowDown the 99th percentile of the answers stays within 1.5 times the calm day's, with
// less than 5 % of extra requests. Without hedges the same days are far outside.
func TestBadDay(t *testing.T) {
	length := *dayLength
	for seed := range uint64(3) {
		calm := live(t, fault.S3(), seed, steady.ForS3(), length)
		bad := live(t, fault.BadDay(), seed, steady.ForS3(), length)
		plain := steady.ForS3()
		plain.Hedge.Quantile = 0
		without := live(t, fault.BadDay(), seed, plain, length)
		for _, d := range []struct {
			name string
			day
		}{{"calm", calm}, {"bad", bad}, {"unhedged", without}} {
			t.Logf("seed %d %-8s %d flushes, %.1f %% extra requests, p50 %v, p99 %v", seed, d.name, d.flushes, 100*d.extraShare,
				d.p50.Round(time.Millisecond), d.p99.Round(time.Millisecond))
		}
		if bad.p99 > calm.p99*3/2 {
			t.Errorf("seed %d: p99 %v on a bad day, %v on a calm one", seed, bad.p99, calm.p99)
		}
		if calm.extraShare >= 0.05 || bad.extraShare >= 0.05 {
			t.Errorf("seed %d: %.3f and %.3f extra requests", seed, calm.extraShare, bad.extraShare)
		}
		if without.p99 < 3*calm.p99 {
			t.Errorf("seed %d: these days need no hedges: p99 %v", seed, without.p99)
		}
	}
}
