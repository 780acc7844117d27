package checker

import (
	"flag"
	"testing"
	"time"

	"wadi/integration/history/judge"
)

var mutate = flag.Bool("mutations", false, "check that planted defects are found (minutes)")

// mutations are the defects that a checker of exactly-once must find.
var mutations = []struct {
	name    string
	patches []patch
}{
	{"skip dedup", []patch{{"metadata/state/producers.go",
		"return Duplicate, base, ms", "_, _ = base, ms\n\t\t\treturn OK, -1, -1"}}},
	{"LSO off by one", []patch{{"metadata/state/txns.go",
		"return max(p.open[0].First, p.LogStart)", "return max(p.open[0].First+1, p.LogStart)"}}},
	{"drop an aborted entry", []patch{{"metadata/state/end_txn.go",
		"\tif !commit {\n\t\tp.aborted.append(", "\tif !commit && r.Base%4 != 0 {\n\t\tp.aborted.append("}}},
	{"acknowledge before apply", []patch{{"metadata/session/core.go",
		"\t\tf.position, f.value = position, nil\n", "\t\tf.position, f.value = position, nil\n" +
			"\t\tfor i, p := range f.proposals {\n\t\t\tif a := p.Command.GetAppendBatches(); a != nil && p.Done != nil {\n" +
			"\t\t\t\tp.Done(Outcome{Position: position, Result: &state.Result{Batches: make([]state.BatchResult, len(a.Records))}})\n" +
			"\t\t\t\tf.proposals[i] = &Proposal{Command: p.Command}\n\t\t\t}\n\t\t}\n"}}},
	{"reuse an epoch", []patch{{"metadata/state/end_txn.go",
		"\ts.bump(t)\n\tt.previousEpoch = noEpoch\n\tif c.Resume {", "\tt.previousEpoch = noEpoch\n\tif c.Resume {"}}},
	{"epoch judged per partition", []patch{{"metadata/state/add_to_txn.go",
		"case id != t.ProducerID || epoch != int32(t.Epoch):\n\t\treturn InvalidProducerEpoch",
		"case id != t.ProducerID:\n\t\treturn InvalidProducerEpoch"}}},
}

// TestMutations plants defects, one at a time, and wants each found within five minutes of runs.
func TestMutations(t *testing.T) {
	if !*mutate {
		t.Skip("opt in with -mutations")
	}
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			path := mustBuild(t, m.patches...)
			began := time.Now()
			for n := 0; time.Since(began) < 5*time.Minute; n++ {
				o := options{Seed: pickSeed(t), Length: 30 * time.Second, Budget: 40 * time.Second, Transactions: true, Late: true}
				found := make(chan *judge.Result, 1)
				t.Run("run", func(t *testing.T) { found <- against(t, path, o) })
				if r := <-found; r.Verdict == judge.False {
					t.Logf("found after %v in run %d: %v", time.Since(began).Round(time.Second), n+1, r.Violations[0])
					t.Log(r)
					return
				}
			}
			t.Error("not found")
		})
	}
}
