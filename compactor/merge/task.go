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
	// patient is set from the first merge of flushes on until there is nothing else to do: passes follow each other at
	// once, and flushes come in all the time.
	patient bool
	turns   []int64 // positions at which the last turns ended
}

// New is the task "merge".
func New(env *job.Env, c Config) *Task {
	return &Task{env: env, c: c.withDefaults(), bad: badRuns{}}
}

var _ job.Task = (*Task)(nil)

// Name implements job.Task.
func (t *Task) Name() string { return "merge" }

// Pass implements job.Task. It reads and writes at most about Config.MaxOutput bytes and one range more, in Config.Memory
// bytes.
func (t *Task) Pass(ctx context.Context, in *job.View) (more bool, err error) {
	p, ok := Make(in.State, t.c, t.scope(in))
	if !ok {
		t.patient = false // until the next turn
		if t.turns = append(t.turns, in.State.Position()); len(t.turns) > t.c.Turns {
			t.turns = t.turns[1:]
		}
		return false, nil
	}
	t.patient = t.patient || p.Why == Flushes
	outputs, left := p.Outputs, t.c.MaxOutput
	for i := range outputs {
		if left -= outputs[i].Bytes; left <= 0 {
			outputs = outputs[:i+1]
			break
		}
	}
	for tries := maxTries; len(outputs) > 0 && err == nil; tries-- {
		var done int
		done, err = t.carryOut(ctx, outputs, in.Now)
		outputs = outputs[done:]
		if tries > 1 && (errors.Is(err, objstore.ErrConflict) || errors.Is(err, objstore.ErrExists)) {
			t.env.Log.Warn("merge: object is written anew under another name", "error", err)
			err = nil
		}
	}
	return true, err
}

// maxTries is how often a pass begins anew as an upload cannot become an object.
const maxTries = 3

func (t *Task) scope(in *job.View) Scope {
	s := Scope{Mine: in.Mine, Patient: t.patient}
	if t.env.Inline != nil {
		s.Inline = func(position int64) bool { return t.env.Inline(position) != nil }
	}
	if in.Configs != nil {
		s.Compacts = func(x *state.Topic) bool { return in.Configs(x).Compact }
		s.Shape = func(x *state.Topic) (span, bytes int64) {
			e := in.Configs(x)
			return e.SpanMs(), e.SegmentBytes
		}
	}
	if len(t.turns) == t.c.Turns {
		s.Lying = t.turns[0]
	}
	if len(t.bad) > 0 {
		s.Bad = t.bad.has
	}
	return s
}

// carryOut writes outputs and has each take its inputs' place, one after the other, up to the first that fails.
func (t *Task) carryOut(ctx context.Context, outputs []Output, now int64) (done int, err error) {
	in := open(ctx, t.env, &t.c, outputs)
	defer in.Close()
	first := 0
	for i := range outputs {
		o := &outputs[i]
		name, err := t.env.Name()
		if err != nil {
			return i, err
		}
		cmd, unread, stats, err := build(ctx, t.env, &t.c, in, first, name, o, now)
		t.remember(o, unread)
		if err == nil {
			err = t.introduce(ctx, name, cmd, &stats)
		}
		if t.c.Observer.Output != nil {
			t.c.Observer.Output(stats)
		}
		if err != nil && !errors.Is(err, ErrNothing) {
			return i, err
		}
		t.env.Log.Debug("merged", "ranges", stats.Ranges, "runs", stats.RunsBefore, "into", stats.RunsAfter, "bytes", stats.BytesWritten,
			"conflicts", stats.Conflicts, "skipped", stats.Skipped)
		first += o.runs()
	}
	return len(outputs), nil
}

// remember keeps what cannot be read from being tried again, and tells of it, an object at a time.
func (t *Task) remember(o *Output, unread []Unread) {
	ranges := map[string]int{}
	for _, u := range unread {
		if r := &u.Err.Run; r.Inline() && !archived(o, r) {
			continue // it has left memory since, for an archive
		}
		t.bad.add(u)
		ranges[u.Err.Key]++
	}
	for _, u := range unread {
		n := ranges[u.Err.Key]
		if n == 0 {
			continue
		}
		delete(ranges, u.Err.Key)
		t.env.Log.Error("merge: records cannot be read, so they stay where they are", "key", u.Err.Key, "ranges", n, "topic", u.Topic,
			"partition", u.Partition, "offset", u.Err.Run.Base, "error", u.Err.Err)
	}
}

// archived reports whether an archive held an inline run when the plan was made.
func archived(o *Output, r *state.Run) bool {
	_, _, ok := o.from.Archive(int64(r.Place))
	return ok
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
