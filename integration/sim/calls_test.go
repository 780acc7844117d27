package sim

import (
	"flag"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var everyCall = flag.Bool("calls", false, "hit every call of a compactor, not a sample (a minute or two)")

// TestEveryCall lets the process of a compactor end before or after a call, the call fail, or its answer get lost, at
// each call of merges, compactions, folds, retention and gc that a quiet cluster makes, one in each run: everything that
// must hold does.
func TestEveryCall(t *testing.T) {
	o, stats := calmRun(t)
	var hits []Hit
	for how := range Harms {
		for n := range stats.Calls {
			hits = append(hits, Hit{n + 1, how})
		}
	}
	if !*everyCall {
		r := rand.New(rand.NewPCG(1, 1)) // the same ones each time; -calls takes all
		r.Shuffle(len(hits), func(i, j int) { hits[i], hits[j] = hits[j], hits[i] })
		hits = hits[:40]
	}
	var next, missed atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= len(hits) {
					return
				}
				o := o
				o.Hit = hits[n]
				_, stats, err := Run(o)
				if err != nil {
					t.Errorf("call %d %s: %v", o.Hit.Call, o.Hit.How, err)
				}
				if stats.Hits == 0 {
					missed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if missed.Load() > 0 {
		t.Errorf("%d runs made fewer calls than the one before, which is the same up to there", missed.Load())
	}
	t.Logf("%d runs, %d calls in each", len(hits), stats.Calls)
}

// calmRun is the first run of a quiet cluster in which all kinds of a compactor's work come about.
func calmRun(t *testing.T) (Options, Stats) {
	for seed := range uint64(50) {
		o := Options{Seed: 1 + seed, Active: 3 * time.Second, Calm: true}
		_, s, err := Run(o)
		if err != nil {
			t.Fatal(err)
		}
		if min(s.Merged, s.Compactions, s.Folded, s.FoldedTables, s.UnfoldedInPart, s.Retained, s.Deleted, s.Forgotten) > 0 {
			return o, s
		}
	}
	t.Fatal("in no run all of a compactor's work is done")
	return Options{}, Stats{}
}
