package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"wadi/compactor/job"
	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore"
)

// Bounds of one pass, in commands.
const (
	maxTrims    = 32 // of 1,000 partitions
	maxReleases = 32 // of 1,000 objects
)

// Config bounds a pass.
type Config struct {
	Looks    int // manifests that are read to find a log start, at most
	Parallel int // of those at the same time; 1: one after the other, without goroutines
}

// DefaultConfig lets a pass take about two seconds on S3.
func DefaultConfig() Config { return Config{Looks: 256, Parallel: 8} }

// Task is retention. Its passes take turns.
type Task struct {
	env    *job.Env
	config Config
	notes  notes
	after  part // where the last look was
	blind  bool // there was no clock in the pass before
}

// New makes the task. Fields of the config that are not set get their defaults.
func New(env *job.Env, c Config) *Task {
	d := DefaultConfig()
	if c.Looks <= 0 {
		c.Looks = d.Looks
	}
	if c.Parallel <= 0 {
		c.Parallel = d.Parallel
	}
	return &Task{env: env, config: c}
}

// Name implements job.Task.
func (t *Task) Name() string { return "retention" }

// Pass implements job.Task. A manifest that is lost or damaged is logged and left alone for a while: what others hold must
// not wait for it. Any other error of the store ends the pass once what is known is proposed.
func (t *Task) Pass(ctx context.Context, in *job.View) (more bool, err error) {
	t.tell(in)
	t.notes.begin()
	w := plan(in, &t.notes, t.after, t.config.Looks)
	t.notes.end()
	lookErr := t.look(ctx, in, &w)
	trimmed, err := t.trim(ctx, in, w.trims)
	if err != nil {
		return false, err
	}
	cut, err := t.release(ctx, in, w.releases)
	if err = errors.Join(lookErr, err); err != nil {
		return false, err
	}
	return w.more || cut || trimmed, nil
}

// tell says when there is no clock to go by, and when there is one again.
func (t *Task) tell(in *job.View) {
	switch blind := in.Clock != nil; {
	case blind && !t.blind:
		t.env.Log.Warn("nothing is deleted by age: there is no clock to go by", "reason", in.Clock)
	case t.blind && !blind:
		t.env.Log.Info("records are deleted by age again")
	}
	t.blind = in.Clock != nil
}

// look reads manifests and adds the trims that follow.
func (t *Task) look(ctx context.Context, in *job.View, w *work) error {
	type answer struct {
		start int64
		found note
		err   error
	}
	answers := make([]answer, len(w.looks))
	one := func(ctx context.Context, i int) {
		a := &answers[i]
		a.start, a.found, a.err = w.looks[i].read(ctx, t.env, in.State)
	}
	if t.config.Parallel == 1 {
		for i := range w.looks {
			one(ctx, i)
		}
	} else {
		var group errgroup.Group
		group.SetLimit(t.config.Parallel)
		for i := range w.looks {
			group.Go(func() error { one(ctx, i); return nil })
		}
		_ = group.Wait() // errors are in the answers
	}
	var failed error
	for i, a := range answers {
		x := &w.looks[i]
		t.after = x.part
		switch {
		case a.err == nil:
			m := x.p.Manifest
			a.found.next = t.notes.at(m).next
			t.notes.keep(m.Object, a.found)
			if a.start > x.p.LogStart {
				w.trims = append(w.trims, trim{x.part, a.start})
			}
		case t.damaged(in, x.p.Manifest, a.err):
		case failed == nil:
			failed = fmt.Errorf("manifest of partition %d of topic %d: %w", x.partition, x.topic, a.err)
		}
	}
	return failed
}

// damaged reports whether an error is about the manifest, not about the way to it, and if so notes and tells it.
func (t *Task) damaged(in *job.View, m *state.Manifest, err error) bool {
	if !errors.Is(err, objstore.ErrNotFound) && !errors.Is(err, objstore.ErrRange) && !errors.Is(err, objstore.ErrCorrupt) &&
		!errors.Is(err, manifest.ErrCorrupt) && !errors.Is(err, manifest.ErrVersion) {
		return false
	}
	x := t.notes.at(m)
	x.damaged = max(1, in.Now)
	t.notes.keep(m.Object, x)
	t.env.Log.Error("a manifest cannot be read: what it holds is neither deleted nor freed; run wadi fsck", "object", m.Object, "error", err)
	return true
}

// trim moves log starts. What State refuses because the topic changed, or is gone, is judged anew in the next pass.
func (t *Task) trim(ctx context.Context, in *job.View, trims []trim) (any bool, err error) {
	moved, conflicts := 0, 0
	for n := 0; len(trims) > 0 && n < maxTrims; n++ {
		some := trims[:min(len(trims), state.MaxTrims)]
		trims = trims[len(some):]
		k := &pb.TrimPartitions{}
		for _, x := range some {
			k.Topics, k.Partitions, k.Offsets = append(k.Topics, x.topic), append(k.Partitions, x.partition), append(k.Offsets, x.start)
		}
		cmd := &pb.Command{Base: in.State.Position(), Kind: &pb.Command_TrimPartitions{TrimPartitions: k}}
		var refused error
		err := t.env.Do(ctx, cmd, func(o session.Outcome) {
			if o.Result.Code != state.OK {
				refused = fmt.Errorf("trim of %d partitions refused: %v", len(some), o.Result.Code)
			}
			for _, b := range o.Result.Batches {
				switch b.Code {
				case state.OK:
					moved++
				case state.Conflict, state.UnknownTopic:
					conflicts++
				default:
					refused = fmt.Errorf("trim refused: %v", b.Code)
				}
			}
		})
		if err = errors.Join(err, refused); err != nil {
			return false, err
		}
	}
	if moved > 0 {
		t.env.Log.LogAttrs(ctx, slog.LevelInfo, "retention moved log starts", slog.Int("partitions", moved), slog.Int("conflicts", conflicts))
	}
	return moved > 0 || len(trims) > 0, nil
}
