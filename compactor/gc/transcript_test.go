package gc

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
)

var rewrite = flag.Bool("rewrite", false, "write golden files anew")

// The exact calls of the deletion of some garbage and of a sweep: a change that adds a request is seen in review.
func TestGoldenTranscript(t *testing.T) {
	w := newWorld(t)
	var out strings.Builder
	w.propose = func(p *session.Proposal) bool {
		switch c := p.Command.Kind.(type) {
		case *pb.Command_ForgetObjects:
			fmt.Fprintf(&out, "  propose ForgetObjects %v\n", c.ForgetObjects.Objects)
		case *pb.Command_ForgetSessions:
			fmt.Fprintf(&out, "  propose ForgetSessions %v\n", c.ForgetSessions.Sessions)
		}
		return false
	}
	taken := 0
	passes := func(what string) {
		fmt.Fprintf(&out, "# %s\n", what)
		before := out.Len()
		n := w.passes()
		for _, line := range w.kv.Transcript()[taken:] {
			if strings.HasPrefix(line, "range") {
				fmt.Fprintf(&out, "  etcd: %s\n", line[:strings.Index(line, " ->")])
			}
		}
		taken = len(w.kv.Transcript())
		for _, r := range w.store.TakeTranscript() {
			fmt.Fprintf(&out, "  %v\n", r)
		}
		if out.Len() == before {
			fmt.Fprint(&out, "  nothing\n")
		}
		fmt.Fprintf(&out, "  in %d passes\n", n)
	}
	topic, other := w.topic("t"), w.topic("u")
	x := w.open(7)
	x.flushed(w, topic)
	x.write(w, topic, 0)
	w.checkpoint(true)
	x.flushed(w, topic)
	x.merged(w, topic, w.version(topic))
	passes("right after a merge of two flushes and what an archive holds")
	w.later(grace)
	passes("the grace is over; the last checkpoint lies before the merge")
	w.checkpoint(true)
	passes("a checkpoint; the first root still names a flush and the archive")
	w.checkpoint(true)
	w.checkpoint(false)
	passes("the first root is gone")
	passes("once more")
	x.flushed(w, other)
	x.merged(w, other, w.version(other))
	x.fold(w, other)
	x.upload(w)
	w.put(objectKeys.Merged(x.id, x.merge+1), size)
	w.close(x.id)
	passes("a session is closed")
	w.later(grace - time.Minute)
	w.start()
	passes("another process takes over: it has not seen the session closed for the grace")
	for range 17 {
		w.later(grace / 17)
		w.task.ages.see(w.s.Position(), w.ms)
	}
	w.later(grace / 9)
	passes("now it has; two orphans, one merged object is a manifest's")
	w.later(3 * time.Hour)
	passes("hours later")
	if _, known := w.s.Session(x.id); known {
		t.Error("State knows the session still")
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
		t.Errorf("the calls have changed; run with -rewrite and look at the difference:\n%s", out.String())
	}
}
