package agent

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wadi/agent/api"
)

// As long as producers wait, the log says so once a minute, with what they wait for, and whether anybody is there to merge.
func TestSlowedProducersAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		compactors := 0
		s := &slowed{
			log: slog.New(slog.NewTextHandler(&out, nil)), limit: 1000, compactors: func() int { return compactors },
		}
		lines := func() []string {
			defer out.Reset()
			return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		}
		for range 600 {
			s.throttled(api.Throttle{Wait: 125 * time.Millisecond, Unmerged: 1500, Runs: 70_000})
			time.Sleep(99 * time.Millisecond)
		}
		got := lines()
		const want = `no live process has the compactor role" wait=125ms unmerged_objects=1500 compactor.debt=1000 runs=70000 compactors=0`
		if len(got) != 1 || !strings.Contains(got[0], "level=WARN") || !strings.HasSuffix(got[0], want) {
			t.Fatalf("%d lines: %q", len(got), got)
		}
		compactors = 2
		time.Sleep(time.Second)
		s.throttled(api.Throttle{Wait: time.Second})
		s.throttled(api.Throttle{Wait: time.Second})
		if got = lines(); len(got) != 1 || !strings.Contains(got[0], "does not keep up") || !strings.HasSuffix(got[0], "compactors=2") {
			t.Errorf("%d lines: %q", len(got), got)
		}
	})
}
