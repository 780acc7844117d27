package sim

import (
	"flag"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seeds  = flag.Int("seeds", 200, "how many runs")
	start  = flag.Uint64("start", 1, "seed of the first run")
	seed   = flag.Uint64("seed", 0, "one run only; with -v its trace is written to standard output")
	first  = flag.Bool("first", false, "stop at the first run that fails")
	active = flag.Duration("active", 12*time.Second, "virtual time during which faults happen")
)

// TestSeeds runs clusters under faults and checks everything that must hold (docs/invariants.md).
func TestSeeds(t *testing.T) {
	if *seed != 0 {
		one(t, *seed)
		return
	}
	sum := many(t)
	if *seeds >= 100 && !t.Failed() {
		sum.checkHappened(t)
	}
	t.Logf("%d seeds, %.2f virtual hours: %+v", *seeds, sum.Virtual.Hours(), sum)
}

// many carries out runs, as many at a time as there are processors: they have nothing to do with each other.
func many(t *testing.T) (sum Stats) {
	var next, failed atomic.Uint64
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs := map[uint64]error{}
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !(*first && failed.Load() > 0) {
				n := next.Add(1)
				if n > uint64(*seeds) {
					return
				}
				_, stats, err := Run(Options{Seed: *start + n - 1, Active: *active})
				mu.Lock()
				sum.add(stats)
				if err != nil {
					failed.Add(1)
					errs[*start+n-1] = err
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, s := range slices.Sorted(maps.Keys(errs)) {
		t.Errorf("seed %d: %v", s, errs[s])
	}
	return sum
}

func one(t *testing.T, s uint64) {
	o := Options{Seed: s, Active: *active}
	if testing.Verbose() {
		o.Trace = os.Stdout
	}
	hash, stats, err := Run(o)
	t.Logf("seed %d: hash %016x, %+v", s, hash, stats)
	if err != nil {
		t.Fatal(err)
	}
}

// TestReplay: the same seed takes the same way.
func TestReplay(t *testing.T) {
	for s := uint64(1); s <= 5; s++ {
		first, _, err1 := Run(Options{Seed: s, Active: *active})
		second, _, err2 := Run(Options{Seed: s, Active: *active})
		if first != second {
			t.Errorf("seed %d: traces %016x and %016x (%v, %v)", s, first, second, err1, err2)
		}
	}
}

func (s *Stats) add(o Stats) {
	s.Events += o.Events
	s.Entries += o.Entries
	s.Acked += o.Acked
	s.Duplicates += o.Duplicates
	s.Definite += o.Definite
	s.Unknown += o.Unknown
	s.Reads += o.Reads
	s.Checkpoints += o.Checkpoints
	s.Loads += o.Loads
	s.Sessions += o.Sessions
	s.Crashes += o.Crashes
	s.Trims += o.Trims
	s.Unlisted += o.Unlisted
	s.Generations += o.Generations
	s.Assignments += o.Assignments
	s.Commits += o.Commits
	s.Fenced += o.Fenced
	s.Crossed += o.Crossed
	s.Takeovers += o.Takeovers
	s.Fates += o.Fates
	s.Begun += o.Begun
	s.Committed += o.Committed
	s.Aborted += o.Aborted
	s.Overdue += o.Overdue
	s.Shut += o.Shut
	s.Waits += o.Waits
	s.Copied += o.Copied
	s.Late += o.Late
	s.Passes += o.Passes
	s.Failed += o.Failed
	s.Merged += o.Merged
	s.Outrun += o.Outrun
	s.Compactions += o.Compactions
	s.Expired += o.Expired
	s.Deleted += o.Deleted
	s.Retained += o.Retained
	s.Folded += o.Folded
	s.Indexed += o.Indexed
	s.FoldedTables += o.FoldedTables
	s.Unfolded += o.Unfolded
	s.UnfoldedInPart += o.UnfoldedInPart
	s.Orphans += o.Orphans
	s.Forgotten += o.Forgotten
	s.Calls += o.Calls
	s.Virtual += o.Virtual
	for i, n := range o.Disasters {
		s.Disasters[i] += n
	}
}

// checkHappened fails when something never happened: then its absence of consequences proves nothing.
func (s *Stats) checkHappened(t *testing.T) {
	for i, n := range s.Disasters {
		if n == 0 {
			t.Errorf("no %s in any run", disasters[i].name)
		}
	}
	for name, n := range map[string]int{
		"acknowledged batch": s.Acked, "duplicate": s.Duplicates, "definite refusal": s.Definite, "unknown outcome": s.Unknown,
		"session closed by the next one": s.Unlisted, "read": s.Reads, "checkpoint": s.Checkpoints, "load": s.Loads, "crash": s.Crashes,
		"trim": s.Trims, "generation": s.Generations, "assignment": s.Assignments, "commit": s.Commits, "fenced commit": s.Fenced,
		"commit under an epoch of before": s.Crossed,
		"take-over of a group":            s.Takeovers, "crash, pause or leave of a member": s.Fates,
		"committed transaction": s.Committed, "aborted transaction": s.Aborted, "overdue transaction": s.Overdue,
		"merge": s.Merged, "merge that State refused": s.Outrun, "compaction": s.Compactions, "tombstone that went": s.Expired,
		"deleted object": s.Deleted, "log start that retention moved": s.Retained, "fold": s.Folded, "read by a manifest": s.Indexed,
		"fold of a table": s.FoldedTables, "unfold": s.Unfolded, "unfold in part": s.UnfoldedInPart,
		"session that was forgotten": s.Forgotten, "failed pass": s.Failed,
		"fenced producer": s.Shut, "position that a transaction held": s.Waits, "copy": s.Copied, "late request": s.Late,
	} {
		if n == 0 {
			t.Errorf("no %s in any run", name)
		}
	}
}
