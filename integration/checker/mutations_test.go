package checker

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

var (
	mutate  = flag.Bool("mutations", false, "check that planted defects are found (minutes)")
	planted = flag.String("planted", "", "the defect that the agents of TestRun have")
)

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

// TestMutations plants defects, one at a time, and wants each found within five minutes of runs, each a process of its
// own: what a defect does to its agents is no failure of this test.
func TestMutations(t *testing.T) {
	if !*mutate {
		t.Skip("opt in with -mutations")
	}
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			for n := 1; ctx.Err() == nil; n++ {
				cmd := exec.CommandContext(ctx, os.Args[0], "-test.v", "-test.run", "^TestRun$", "-planted", m.name, "-run-length", "30s")
				out, err := cmd.CombinedOutput()
				_, verdict, ok := strings.Cut(string(out), "verdict false\n")
				if ok {
					_, broken, _ := strings.Cut(verdict, "broken:")
					broken, _, _ = strings.Cut(broken, "\n")
					t.Logf("found after %v in run %d:%s", time.Since(began).Round(time.Second), n, broken)
					return
				}
				if !strings.Contains(string(out), "verdict ") && ctx.Err() == nil {
					t.Fatalf("the run did not end: %v\n%s", err, out)
				}
			}
			t.Error("not found")
		})
	}
}

// TestDefectsFollowTheCode fails when the text is gone that a defect or an overlay changes.
func TestDefectsFollowTheCode(t *testing.T) {
	if _, err := apply(haltPatches); err != nil {
		t.Error(err)
	}
	for _, m := range mutations {
		if _, err := apply(m.patches); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
	if _, err := apply([]patch{{"go.mod", "this is not there", ""}}); err == nil {
		t.Error("a patch that does not fit")
	}
}

// plantedPatches are those of the defect of -planted.
func plantedPatches(t testing.TB) []patch {
	for _, m := range mutations {
		if m.name == *planted {
			return m.patches
		}
	}
	if *planted != "" {
		t.Fatalf("no defect is called %q", *planted)
	}
	return nil
}
