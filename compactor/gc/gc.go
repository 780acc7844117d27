package gc

import (
	"context"
	"errors"

	"wadi/compactor/job"
)

// Task is the job.Task that collects garbage. One process does it at a time; two would delete the same things twice.
type Task struct {
	env   *job.Env
	c     Config
	ages  ages
	roots roots
	pace  pace
	sweep sweep
}

// New makes a Task. It starts nothing.
func New(env *job.Env, c Config) *Task {
	return &Task{
		env: env, c: c.withDefaults(), ages: ages{grace: c.Grace.Milliseconds()}, roots: roots{}, pace: newPace(),
		sweep: newSweep(),
	}
}

// Name implements job.Task.
func (t *Task) Name() string { return "gc" }

// Pass implements job.Task: some garbage, then some of a sweep when one is due. It takes some seconds at most, a few MB for
// lists of names, and what a sweep remembers (see the package's comment). While nothing is due it makes no request.
func (t *Task) Pass(ctx context.Context, in *job.View) (more bool, err error) {
	if in.Clock != nil {
		return false, nil // everything here goes by time
	}
	t.ages.see(in.State.Position(), in.Now)
	left, err := t.collect(ctx, in)
	swept, err2 := t.sweeps(ctx, in)
	return left || swept, errors.Join(err, err2)
}
