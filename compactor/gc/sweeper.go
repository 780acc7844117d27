package gc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"wadi/compactor/job"
	"wadi/internal/layout"
	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/parts"
)

// Bounds of what a sweep does in one pass and remembers.
const (
	passPages     = 16
	pageKeys      = 1000
	passManifests = 200
	uploadAge     = 24 * time.Hour // of an unfinished upload: longer than any write takes
	sweepUploads  = 1000
)

// sweeps does some of a sweep. What fails is done again by the next pass.
func (t *Task) sweeps(ctx context.Context, in *job.View) (more bool, err error) {
	w := &t.sweep
	if w.phase == resting {
		if !w.due(in.State, &t.ages, in.Now) {
			return false, nil
		}
		w.begin(in.State, &t.ages, in.Now)
	}
	switch w.phase {
	case listing:
		err = t.list(ctx)
	case judging:
		if in.State.Position() < w.settle {
			return true, nil // this snapshot was taken before the listing ended
		}
		w.judge(in.State, t.env.Objects)
		err = t.own(ctx)
	case owning:
		err = t.own(ctx)
	case deleting:
		err = t.bury(ctx)
	case finishing:
		err = t.finish(ctx)
	}
	return err == nil && w.phase != resting, err
}

// list lists some pages, each followed by a rest as long as it took.
func (t *Task) list(ctx context.Context) error {
	w := &t.sweep
	for range passPages {
		began := t.c.Elapsed()
		page, err := t.env.Store.List(ctx, t.env.Objects.Root(), w.after, pageKeys)
		if err != nil {
			return fmt.Errorf("list the bucket: %w", err)
		}
		for _, o := range page {
			w.saw(t.env.Objects, o.Key)
		}
		if w.listed = len(page) < pageKeys; w.listed || w.found.bytes() >= t.c.Memory {
			return t.settle(ctx)
		}
		if err := t.c.Pause(ctx, min(t.c.Elapsed()-began, mostRest)); err != nil {
			return err
		}
	}
	return nil
}

// settle makes sure that what was named before the listing ended is in the State that judges.
func (t *Task) settle(ctx context.Context) error {
	if err := t.env.Barrier(ctx); err != nil {
		return fmt.Errorf("wait for a newer State: %w", err)
	}
	t.env.Read(func(s *state.State) { t.sweep.settle = s.Position() })
	t.sweep.phase = judging
	return nil
}

// own reads some manifests, if merged objects may be theirs.
func (t *Task) own(ctx context.Context) error {
	w := &t.sweep
	left := w.found.merged()
	for range passManifests {
		if len(w.owners) == 0 {
			w.condemn()
			return t.bury(ctx)
		}
		m := w.owners[0]
		err := t.owned(ctx, m, left)
		if errors.Is(err, objstore.ErrNotFound) && w.missing != m.key {
			w.missing = m.key // another one took its place since: State tells which
			return t.settle(ctx)
		}
		if errors.Is(err, objstore.ErrNotFound) || errors.Is(err, manifest.ErrCorrupt) || errors.Is(err, manifest.ErrVersion) {
			w.spare()
		}
		if err != nil {
			return fmt.Errorf("read what a manifest owns: %w", err)
		}
		w.owners = w.owners[1:]
	}
	return nil
}

// owned takes out what a manifest owns. Most are left alone once their footer is read: their objects are of other sessions
// than those of which something is left.
func (t *Task) owned(ctx context.Context, m manifestObject, left func(layout.Session) bool) error {
	r, err := manifest.Open(ctx, t.env.Store, m.key, m.size)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(r.Sessions(), left) {
		return nil
	}
	list, err := r.Objects(ctx)
	if err != nil {
		return err
	}
	for _, o := range list {
		t.sweep.owned(o.Session, o.N)
	}
	return nil
}

// bury deletes some orphans.
func (t *Task) bury(ctx context.Context) error {
	w := &t.sweep
	began := t.c.Elapsed()
	for len(w.left) > 0 && t.c.Elapsed()-began < passTime {
		batch := w.condemned(t.pace.keys)
		keys := make([]string, len(batch))
		for i, x := range batch {
			keys[i] = x.key(t.env.Objects)
		}
		if err := t.remove(ctx, keys); err != nil {
			return fmt.Errorf("delete orphans: %w", err)
		}
		w.buried(batch)
		t.c.Observe.Orphans(len(keys))
		t.env.Log.Info("orphans deleted", "objects", len(keys), "first", keys[0])
	}
	if len(w.left) == 0 {
		w.onward()
	}
	return nil
}

// finish has State forget the sessions that the sweep was for, and abandons old uploads.
func (t *Task) finish(ctx context.Context) error {
	w := &t.sweep
	for ids := w.forgettable(); len(ids) > 0; {
		batch := ids[:min(len(ids), state.MaxSweep)]
		forgotten, err := t.forget(ctx, "sessions", &pb.Command{Kind: &pb.Command_ForgetSessions{ForgetSessions: &pb.ForgetSessions{
			Began: w.began, Sessions: batch,
		}}})
		if err != nil {
			return err
		}
		t.c.Observe.Sessions(int(forgotten))
		ids = ids[len(batch):]
	}
	t.c.Observe.Unknown(w.unknown)
	w.end()
	return t.abandon(ctx)
}

// abandon gives up uploads that nobody finishes any more, by the store's clock. What is left is the next sweep's.
func (t *Task) abandon(ctx context.Context) error {
	date, err := t.env.Store.Date(ctx)
	if err != nil {
		return fmt.Errorf("read the store's clock: %w", err)
	}
	n, err := parts.Sweep(ctx, t.env.Store, t.env.Objects.Root(), date.Add(-uploadAge), sweepUploads)
	t.c.Observe.Uploads(n)
	if err != nil {
		return fmt.Errorf("abandon uploads: %w", err)
	}
	return nil
}
