package checker

import (
	"flag"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"wadi/integration/binary"
	"wadi/integration/history/judge"
)

var soak = flag.Duration("soak", 0, "go on with runs for so long")

// atLeast is how often each fault is to have happened in a soak.
const atLeast = 10

// TestSoak runs again and again, each time on a new cluster, and says what became of each run and how often each fault
// happened in all of them.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("opt in with -soak")
	}
	commit, err := exec.Command("git", "-C", binary.Root(), "rev-parse", "HEAD").Output()
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	first := pickSeed(t)
	fmt.Printf("soak of %v, commit %s, first seed %d\n", *soak, strings.TrimSpace(string(commit)), first)
	path := mustBuild(t)
	fired, verdicts := map[string]int{}, map[judge.Verdict]int{}
	var ran time.Duration
	for n := uint64(0); ran < *soak; n++ {
		o := options{Seed: first + n, Length: *runLength, Transactions: true, OldClient: true, Late: true}
		began := time.Now()
		var r *judge.Result
		t.Run(fmt.Sprint(o.Seed), func(t *testing.T) { r = against(t, path, o) })
		if r == nil {
			t.Fatalf("the run with seed %d did not end", o.Seed)
		}
		ran += time.Since(began)
		verdicts[r.Verdict]++
		for name, f := range r.Faults {
			fired[name] += f.Fired
		}
		fmt.Printf("%s seed %d, %v: %v\n", time.Now().UTC().Format("15:04:05"), o.Seed, time.Since(began).Round(time.Second), r)
		if r.Verdict != judge.True {
			t.Errorf("seed %d: verdict %s", o.Seed, r.Verdict)
		}
	}
	fmt.Printf("%v of runs at commit %s: verdicts %v\n", ran.Round(time.Second), strings.TrimSpace(string(commit)), verdicts)
	names := make([]string, 0, len(fired))
	for name := range fired {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Printf("%5d %s\n", fired[name], name)
		if fired[name] < atLeast {
			t.Errorf("%s happened %d times", name, fired[name])
		}
	}
}
