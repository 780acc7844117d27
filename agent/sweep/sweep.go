package sweep

import (
	"context"
	"log/slog"
	"time"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// Options of Run.
type Options struct {
	Config Config
	// Look must be quick and must not block.
	Look    func() Look
	Session interface {
		Do(ctx context.Context, c *pb.Command, done func(session.Outcome)) error
	}
	Log *slog.Logger
}

const (
	// idle is how often the backlog is looked at while there is none.
	idle = 250 * time.Millisecond
	// proposeTimeout bounds one proposal.
	proposeTimeout = 5 * time.Second
)

// Run proposes Sweeps until ctx ends.
func Run(ctx context.Context, o Options) error {
	core, began := NewCore(o.Config), time.Now()
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		wait := idle
		if core.Tick(time.Since(began), o.Look()) {
			position, err := propose(ctx, o)
			core.Done(time.Since(began), position, err == nil)
			if err == nil {
				wait = o.Config.Pause
			} else if ctx.Err() == nil {
				o.Log.Warn("what deletions left was not swept", "error", err)
			}
		}
		timer.Reset(wait)
	}
}

func propose(ctx context.Context, o Options) (position int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	sweep := &pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: state.MaxSweep}}}
	err = o.Session.Do(ctx, sweep, func(r session.Outcome) { position = r.Position })
	return position, err
}
