package ingest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"wadi/internal/layout"
)

// TestTranscripts steps the core through testdata/transcripts and compares what it decides. Commands:
//
//	config [inline-max=] [flush-bytes=] [puts=] [buffered=] [budget=]   a new core
//	open|lost <session>
//	produce <name> conn= [timeout=]     a line per batch: <topic>/<partition> <bytes> [pid= seq= n= epoch=] [txn|joins]
//	uploaded|upload-failed <session>.<n>
//	committed|unknown|not-proposed <session>.<n>|inline
//	expects <topic>/<partition> pid= seq=    what State says from now on
//	advanced <topic>/<partition>
//	began pid= epoch=                   the producer goes on under the epoch: those before it are over
//	outstanding bytes=
//	stage [no-inline] [no-produce]
//	silent [over]
//	pass <duration>
//	end
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		r := newRig(t, testConfig())
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			r.t = t
			arg := func(i int) string { return d.CmdArgs[i].Key }
			session := func() layout.Session { return layout.Session(arg(0)[0] - '0') }
			switch d.Cmd {
			case "config":
				cfg := testConfig()
				scan(t, d, "inline-max", &cfg.InlineMaxBytes)
				scan(t, d, "flush-bytes", &cfg.FlushBytes)
				scan(t, d, "puts", &cfg.PutsPerSecond)
				scan(t, d, "buffered", &cfg.MaxBuffered)
				scan(t, d, "budget", &cfg.InlineBudget)
				r = newRig(t, cfg)
			case "open":
				r.c.Opened(r.now, session())
			case "lost":
				r.c.Lost(r.now, session())
			case "end":
				r.c.End(r.now)
			case "produce":
				conn, timeout := uint64(1), "30s"
				scan(t, d, "conn", &conn)
				scan(t, d, "timeout", &timeout)
				r.produce(arg(0), conn, duration(t, timeout), strings.Split(strings.TrimSpace(d.Input), "\n")...)
			case "uploaded":
				r.uploaded(arg(0), nil)
			case "upload-failed":
				r.uploaded(arg(0), errors.New("store is down"))
			case "committed":
				r.committed(arg(0), nil)
			case "unknown":
				r.committed(arg(0), ErrUnknown)
			case "not-proposed":
				r.committed(arg(0), ErrNoSession)
			case "expects":
				var pid int64
				var seq int
				d.ScanArgs(t, "pid", &pid)
				d.ScanArgs(t, "seq", &seq)
				r.next[producerKey{r.partition(arg(0)), pid}] = int32(seq)
			case "advanced":
				r.c.Advanced(r.now, r.partition(arg(0)))
			case "began":
				var pid int64
				var epoch int
				d.ScanArgs(t, "pid", &pid)
				d.ScanArgs(t, "epoch", &epoch)
				r.began(pid, int16(epoch))
			case "outstanding":
				var n int64
				d.ScanArgs(t, "bytes", &n)
				r.c.Seen(r.now, 0, n)
			case "stage":
				r.c.Stage(r.now, d.HasArg("no-inline"), d.HasArg("no-produce"))
			case "silent":
				r.c.Silent(r.now, !d.HasArg("over"))
			case "pass":
				r.pass(duration(t, arg(0)))
			default:
				t.Fatalf("unknown command %s", d.Cmd)
			}
			if s := r.take(); s != "" {
				return s
			}
			return "nothing\n"
		})
		for q, name := range r.names {
			if e := r.ends[q]; len(r.flying) == 0 && r.c.Idle() && e != [2]int{1, 1} {
				t.Errorf("%s: %d answers, %d releases", name, e[0], e[1])
			}
		}
		if r.c.Idle() && (len(r.c.parts) != 0 || len(r.c.expected) != 0 || r.c.held.count != 0 || len(r.c.deadlines) != 0) {
			t.Errorf("idle core remembers %d partitions, %d producers, %d held, %d deadlines",
				len(r.c.parts), len(r.c.expected), r.c.held.count, len(r.c.deadlines))
		}
	})
}

func scan(t *testing.T, d *datadriven.TestData, key string, dest any) {
	if d.HasArg(key) {
		d.ScanArgs(t, key, dest)
	}
}

func duration(t *testing.T, s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
