package compactor

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"wadi/compactor/job"
	"wadi/metadata/state"
	"wadi/metadata/view"
)

// passLimit bounds one pass. A pass takes some seconds; one that hangs must not stop the tasks for ever.
const passLimit = 10 * time.Minute

// work lets the tasks work in turns, until ctx ends.
func (c *Compactor) work(ctx context.Context) error {
	began := time.Now()
	turns := NewTurns(0, c.o.Interval, len(c.tasks))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		i, wait := turns.Next(time.Since(began))
		if i < 0 {
			c.snapshot = nil // what changes from now on need not be copied for it
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			continue
		}
		more, err := c.turn(ctx, c.tasks[i])
		turns.Done(time.Since(began), i, more, err)
	}
	return nil
}

// turn is a task's pass, if there is anything for it to work on.
func (c *Compactor) turn(ctx context.Context, t task) (more bool, err error) {
	held := c.Held()
	if health, _ := c.o.View.Health(); held&t.needs == 0 || health != view.Current {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, passLimit)
	defer cancel()
	in := c.see(ctx, held)
	c.meter.begin(t.Name())
	begin := time.Now()
	more, err = contained(ctx, t, in)
	c.meter.end(time.Since(begin), err)
	if err != nil && ctx.Err() == nil {
		c.o.Log.Warn("a task of the compactor failed", "task", t.Name(), "error", err)
	}
	return more, err
}

// contained keeps a panic of a task from ending the process, which may serve clients.
func contained(ctx context.Context, t job.Task, in *job.View) (more bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			more, err = false, fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return t.Pass(ctx, in)
}

// see is what a pass sees of the cluster.
func (c *Compactor) see(ctx context.Context, held Jobs) *job.View {
	if c.snapshot != nil {
		c.o.View.Read(func(s *state.State) {
			if s.Position() != c.snapshot.Position() {
				c.snapshot = nil
			}
		})
	}
	if c.snapshot == nil {
		c.snapshot = c.o.View.Freeze()
	}
	s := c.snapshot
	in := &job.View{
		State:   s,
		Mine:    func(topic uint64, partition uint32) bool { return held.Has(job.Shard(topic, partition)) },
		Configs: c.configs.of(s),
	}
	now, err := c.clock.Now(ctx)
	in.Now, in.Clock = now.UnixMilli(), err
	return in
}
