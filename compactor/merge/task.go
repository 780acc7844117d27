package merge

import (
	"context"
	"errors"
	"fmt"

	"wadi/compactor/job"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore"
)

// Task merges. A pass carries out one plan, or as much of it as makes one large object.
type Task struct {
	env *job.Env
	c   Config
	bad badRuns
}

// New is the task "merge".
func New(env *job.Env, c Config) *Task {
	return &Task{env: env, c: c.withDefaults(), bad: badRuns{}}
}

var _ job.Task = (*Task)(nil)

// Name implements job.Task.
func (t *Task) Name() string { return "merge" }

// Pass implements job.Task. It reads and writes at most about a plan's MaxOutput bytes and one range more, in
// Config.Memory bytes.
func (t *Task) Pass(ctx context.Context, in *job.View) (more bool, err error) {
	p, ok := Make(in.State, t.c, t.scope(in))
	if !ok {
		return false, nil
	}
	left := t.c.MaxOutput
	for i := range p.Outputs {
		if left <= 0 {
			break
		}
		o := &p.Outputs[i]
		stats, err := t.carryOut(ctx, o, in.Now)
		if t.c.Observer.Output != nil {
			t.c.Observer.Output(stats)
		}
		if err != nil {
			return true, err
		}
		t.env.Log.Debug("merged", "why", string(p.Why), "ranges", stats.Ranges, "runs", stats.RunsBefore, "into", stats.RunsAfter,
			"bytes", stats.BytesWritten, "conflicts", stats.Conflicts, "skipped", stats.Skipped)
		left -= o.Bytes
	}
	return true, nil
}

func (t *Task) scope(in *job.View) Scope {
	s := Scope{Mine: in.Mine}
	if in.Configs != nil {
		s.Compacts = func(x *state.Topic) bool { return in.Configs(x).Compact }
	}
	if len(t.bad) > 0 {
		s.Bad = t.bad.has
	}
	return s
}

// tries is how many names an output gets whose upload cannot become an object.
const tries = 3

// carryOut writes an output and has it take its inputs' place.
func (t *Task) carryOut(ctx context.Context, o *Output, now int64) (Stats, error) {
	for try := 1; ; try++ {
		name, err := t.env.Name()
		if err != nil {
			return Stats{}, err
		}
		cmd, unread, stats, err := Build(ctx, t.env, t.c, name, o, now)
		for _, u := range unread {
			t.env.Log.Error("merge: records cannot be read, so they stay where they are", "topic", u.Topic, "partition", u.Partition,
				"offset", u.Err.Run.Base, "key", u.Err.Key, "error", u.Err.Err)
			t.bad.add(u)
		}
		switch {
		case err == nil:
			err = t.introduce(ctx, name, cmd, &stats)
			return stats, err
		case errors.Is(err, ErrNothing):
			return stats, nil
		case try < tries && (errors.Is(err, objstore.ErrConflict) || errors.Is(err, objstore.ErrExists)):
			t.env.Log.Warn("merge: object is written anew under another name", "error", err)
		default:
			return stats, err
		}
	}
}

// introduce proposes the command. Whatever it says, the name is used: after an error the command may land yet.
func (t *Task) introduce(ctx context.Context, name job.Name, cmd *pb.Command, stats *Stats) error {
	columns := cmd.GetReplaceRuns()
	var code state.Code
	proposed := stats.Ranges
	err := t.env.Introduce(ctx, name, cmd, func(o session.Outcome) {
		if code = o.Result.Code; code != state.OK {
			return
		}
		before, after := 0, 0
		stats.Ranges = 0
		for i, r := range o.Result.Batches {
			if r.Code == state.OK {
				stats.Ranges++
				before += int(r.Base)
				after += int(columns.Runs[i])
			} else {
				stats.Conflicts++
			}
		}
		stats.RunsBefore, stats.RunsAfter = before, after
	})
	if err == nil && code != state.OK {
		err = fmt.Errorf("refused: %v", code)
	}
	if err != nil {
		stats.Ranges, stats.RunsBefore, stats.RunsAfter = 0, 0, 0
		return fmt.Errorf("merge: introduce object %d of %d ranges: %w", name.N, proposed, err)
	}
	return nil
}
