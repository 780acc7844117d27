package checkpoint

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wadi/metadata/kv/faultkv"
	"wadi/objstore/fault"
)

// The exact calls of two checkpoints, one with a base and one without: a change that adds a request is seen in review.
// Keep-alives and the view's reads of the head are left out.
func TestGoldenTranscript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		objects := fault.New(w.objects, fault.WithTranscript(1000))
		k := faultkv.New(w.kv.Client())
		limits := quick()
		limits.BaseBytes = 1 << 20
		a := startAgent(t, k, objects, limits)
		defer a.stop()
		a.open()
		topic := a.topic("t")
		k.Reset() // whether the view's first listing saw the session's first entry is up to the scheduler
		objects.TakeTranscript()
		data := written{}
		var out strings.Builder
		for round := range 5 {
			fmt.Fprintf(&out, "# checkpoint %d\n", round+1)
			for range 3 {
				a.inline(data, topic, strings.Repeat("x", 100))
			}
			time.Sleep(5 * time.Second)
			fmt.Fprint(&out, "etcd:\n")
			var lines []string
			for _, line := range k.Transcript() {
				if !ofNoInterest.MatchString(line) {
					lines = append(lines, revisions.ReplaceAllString(line, "${1}N"))
				}
			}
			slices.Sort(lines) // the digest is put beside the job's calls
			fmt.Fprintf(&out, "  %s\n", strings.Join(lines, "\n  "))
			k.Reset()
			fmt.Fprint(&out, "objects:\n")
			for _, r := range objects.TakeTranscript() {
				fmt.Fprintf(&out, "  %v\n", r)
			}
		}
		const golden = "testdata/transcript"
		if *rewrite {
			if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != string(want) {
			t.Errorf("the calls have changed; run with -rewrite and look at the difference:\n%s", firstDifference(out.String(), string(want)))
		}
	})
}

var revisions = regexp.MustCompile(`(rev |at |\)=|compact )[1-9][0-9]*`)

var ofNoInterest = regexp.MustCompile(`^(keepalive|watch|grant)|^range \S*~head -> `)

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			old := "(nothing)"
			if i < len(w) {
				old = w[i]
			}
			return fmt.Sprintf("line %d:\n got %s\nwant %s", i+1, g[i], old)
		}
	}
	return "lines are missing at the end"
}
