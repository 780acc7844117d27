package checker

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"wadi/integration/binary"
	"wadi/integration/history"
	"wadi/integration/history/judge"
	"wadi/integration/kafka"
)

var (
	runLength = flag.Duration("run-length", 150*time.Second, "work and faults of a run; the drain comes on top")
	seed      = flag.Uint64("seed", 0, "of the run; 0 draws one")
)

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	binary.Cleanup()
	os.Exit(code)
}

// pickSeed prints the seed of a run.
func pickSeed(t testing.TB) uint64 {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s)
	return s
}

func want(t testing.TB, r *judge.Result, v judge.Verdict) {
	t.Helper()
	t.Log(r)
	if r.Verdict != v {
		t.Errorf("the verdict is %s", r.Verdict)
	}
}

// against runs against three agents of a build.
func against(t *testing.T, path string, o options) *judge.Result {
	w := startWadi(t, path)
	r := execute(t, w.addresses(), o, append(plans(o, true), invariants(o, true)...), func(ctx context.Context, r *run) {
		n := &nemesis{r: r, w: w, random: r.random("nemesis")}
		n.run(ctx)
	})
	if r.Verdict == judge.False {
		for _, a := range w.agents {
			a.kill() // it may not be able to end in order
		}
	}
	return r
}

// TestRun is one run against three agents with every fault on.
func TestRun(t *testing.T) {
	o := options{Seed: pickSeed(t), Length: *runLength, Transactions: *transactions, OldClient: true, Late: true}
	if *planted != "" {
		o.Budget, o.First = soon+20*time.Second, true
	}
	want(t, against(t, mustBuild(t, plantedPatches(t)...), o), judge.True)
}

var transactions = flag.Bool("transactions", true, "transactional clients")

var onKafka = flag.Bool("kafka", false, "judge a run against Apache Kafka")

// TestApacheKafka is the checker's own check: Apache Kafka is to be found free of anomalies.
func TestApacheKafka(t *testing.T) {
	if !*onKafka {
		t.Skip("opt in with -kafka")
	}
	o := options{Seed: pickSeed(t), Length: *runLength, Transactions: *transactions, Late: true, OldClient: true}
	b := kafka.Start(t)
	r := execute(t, []string{b.Address}, o, append(plans(o, false), invariants(o, false)...), func(ctx context.Context, r *run) {
		r.disturbed(ctx)
	})
	want(t, r, judge.True)
}

var dumped = flag.String("history", "", "judge the history in this file again")

// TestHistory judges a history that a run has written.
func TestHistory(t *testing.T) {
	if *dumped == "" {
		t.Skip("opt in with -history")
	}
	f, err := os.Open(*dumped)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	facts, err := history.Load(f)
	if err != nil {
		t.Fatal(err)
	}
	want(t, judge.Judge(facts), judge.True)
}
