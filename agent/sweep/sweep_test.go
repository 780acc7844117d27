package sweep

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
)

// journal takes Sweeps, and fails the first ones.
type journal struct {
	backlog  int
	position int64
	failures int
	asked    []time.Duration
	began    time.Time
}

func (j *journal) Do(_ context.Context, c *pb.Command, done func(session.Outcome)) error {
	j.asked = append(j.asked, time.Since(j.began))
	if c.GetSweep().GetLimit() != 1000 {
		return errors.New("not a whole sweep")
	}
	if j.failures > 0 {
		j.failures--
		return session.ErrUnknown
	}
	j.position += 5
	j.backlog--
	done(session.Outcome{Position: j.position})
	return nil
}

// Run sweeps a backlog down, step by step, tries again what failed, and is silent afterwards.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{backlog: 3, failures: 1, began: time.Now()}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			ended <- Run(ctx, Options{
				Config: Defaults(5 * time.Second), Session: j, Log: slog.New(slog.DiscardHandler),
				Look: func() Look { return Look{Unswept: j.backlog, LastSweep: j.position} },
			})
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		ms := time.Millisecond
		want := []time.Duration{250 * ms, 1250 * ms, 1270 * ms, 1290 * ms}
		if len(j.asked) != len(want) {
			t.Fatalf("sweeps at %v, want %v", j.asked, want)
		}
		for i := range want {
			if j.asked[i] != want[i] {
				t.Errorf("sweeps at %v, want %v", j.asked, want)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
