package fold

import (
	"context"
	"errors"
	"fmt"

	"wadi/compactor/job"
	"wadi/compactor/unfold"
	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// damagePause is for how long a manifest that is lost or damaged is left alone, in ms.
const damagePause = 10 * 60_000

// Task is the folding of runs. Its passes take turns. A fold holds about 100 bytes per object of the manifest it writes,
// 200 per new run, and 10 MiB of what is on its way to the store.
type Task struct {
	env     *job.Env
	config  Config
	damaged map[uint64]int64 // manifests that cannot be read, by object number: Unix ms at which that was found
}

// New makes the task. Fields of the config that are not set get their defaults.
func New(env *job.Env, c Config) *Task {
	d := DefaultConfig()
	for _, x := range []struct {
		set *int
		to  int
	}{{&c.Keep, d.Keep}, {&c.Least, d.Least}, {&c.Folds, d.Folds}} {
		if *x.set <= 0 {
			*x.set = x.to
		}
	}
	if c.Bytes <= 0 {
		c.Bytes = d.Bytes
	}
	return &Task{env: env, config: c, damaged: map[uint64]int64{}}
}

// Name implements job.Task.
func (t *Task) Name() string { return "fold" }

// Pass implements job.Task. It folds what is due, one partition after the other, until it has done enough for one pass. A
// manifest that is lost or damaged is logged and left alone for a while, so that it keeps no other partition from folding;
// its partition's runs stay in State.
func (t *Task) Pass(ctx context.Context, in *job.View) (more bool, err error) {
	list := due(in, t.config)
	folds, written := 0, int64(0)
	for i, x := range list {
		if folds == t.config.Folds || written >= t.config.Bytes {
			return true, nil
		}
		p := x.plan(in.State, t.config)
		if t.rests(in.Now, p.old.Object) {
			continue
		}
		size, err := t.fold(ctx, in.State, &p)
		switch {
		case err == nil:
		case t.unreadable(ctx, in.Now, &p, err):
			continue
		default:
			return false, fmt.Errorf("partition %d of topic %d, %d more are due: %w", x.partition, x.topic, len(list)-i-1, err)
		}
		folds, written = folds+1, written+int64(size)
	}
	return false, nil
}

// rests reports whether a manifest was found damaged a moment ago.
func (t *Task) rests(now int64, object uint64) bool {
	found, ok := t.damaged[object]
	if ok && (now < found || now-found >= damagePause) {
		delete(t.damaged, object)
		return false
	}
	return ok
}

// unreadable reports whether an error says that the old manifest is lost or damaged, and notes that. One that another
// process replaced since the snapshot is neither: it may be gone for good.
func (t *Task) unreadable(ctx context.Context, now int64, p *plan, err error) bool {
	var at *unfold.Error
	if !errors.As(err, &at) || !at.Lasting() {
		return false
	}
	replaced, failed := unfold.Replaced(ctx, t.env, p.ref(), p.old.Object)
	if failed != nil {
		return false
	}
	if !replaced {
		t.damaged[p.old.Object] = now
		t.env.Log.Error("a manifest cannot be read: the partition's runs stay in the metadata; run wadi fsck",
			"topic", p.topic, "partition", p.partition, "object", p.old.Object, "error", err)
	}
	return true
}

// fold carries one plan out and returns the size of the manifest that it wrote.
func (t *Task) fold(ctx context.Context, s *state.State, p *plan) (size uint64, err error) {
	old, err := t.open(ctx, s, p)
	if err != nil {
		return 0, err
	}
	name, err := t.env.Name()
	if err != nil {
		return 0, err
	}
	info, size, err := write(ctx, t.env.Store, t.env.Objects.Manifest(name.Session, name.N), old, p)
	if err != nil {
		return 0, err
	}
	k := &pb.FoldRuns{
		N: name.N, Size: size, Topic: p.topic, Partition: p.partition, Version: p.version, Old: p.old.Object,
		Released: p.old.Released, First: info.First, Last: info.Last, Runs: info.Runs, Owned: info.Objects,
		Bytes: uint64(info.Bytes), MaxTimestamp: info.MaxTimestamp,
	}
	code := state.OK
	err = t.env.Introduce(ctx, name, &pb.Command{Kind: &pb.Command_FoldRuns{FoldRuns: k}}, func(o session.Outcome) { code = o.Result.Code })
	if err != nil {
		return 0, err
	}
	switch code {
	case state.OK:
		t.env.Log.Debug("folded runs into a manifest", "topic", p.topic, "partition", p.partition, "runs", len(p.runs), "manifest_runs", info.Runs)
		return size, nil
	case state.Conflict, state.UnknownTopic:
		// The partition has changed since the snapshot, or is gone. The next one tells.
		t.env.Log.Debug("a fold came too late", "topic", p.topic, "partition", p.partition, "code", code)
		return size, nil
	default:
		return 0, fmt.Errorf("fold refused: %v", code)
	}
}

// open opens the old manifest, if there is one.
func (t *Task) open(ctx context.Context, s *state.State, p *plan) (*manifest.Reader, error) {
	if p.old.Object == 0 {
		return nil, nil
	}
	return unfold.Open(ctx, t.env, s, p.ref(), p.id, p.old)
}
