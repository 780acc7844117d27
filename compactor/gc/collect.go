package gc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wadi/compactor/job"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// Bounds of one pass: what is left goes in the next.
const (
	passObjects = 10_000
	passTime    = 5 * time.Second
)

// garbage is an object that may go.
type garbage struct {
	number uint64
	key    string
	size   uint64
}

// collect deletes garbage. It reads State's garbage list, and asks for nothing while nothing is past its grace.
func (t *Task) collect(ctx context.Context, in *job.View) (more bool, err error) {
	waiting := newTally()
	defer func() {
		for _, r := range Reasons {
			t.c.Observe.Waiting(r, waiting[r].objects, waiting[r].bytes)
		}
	}()
	if n, _ := in.State.Garbage(); n == 0 {
		return false, nil
	}
	due, failed := t.due(ctx, in, waiting)
	began := t.c.Elapsed()
	for len(due) > 0 && t.c.Elapsed()-began < passTime {
		batch := due[:min(len(due), t.pace.keys)]
		if err := t.discard(ctx, batch); err != nil {
			return false, errors.Join(failed, err)
		}
		due = due[len(batch):]
		for _, g := range batch {
			waiting[Due].objects--
			waiting[Due].bytes -= int64(g.size)
		}
	}
	return waiting[Due].objects > 0, failed
}

// due is the garbage that may go now, oldest first, at most what a pass takes. What stays is counted. With an error, too,
// what is returned may go: a root that cannot be read holds archives and nothing else.
func (t *Task) due(ctx context.Context, in *job.View, waiting tally) ([]garbage, error) {
	aged := false
	in.State.EachGarbage(func(_ uint64, o state.Object) {
		aged = aged || old(o, &t.ages, in.Now)
	})
	if aged {
		if err := t.roots.refresh(ctx, &t.c, in.State); err != nil {
			return nil, err
		}
	}
	var list []garbage
	type archive struct {
		number uint64
		state.Object
	}
	var archives []archive
	take := func(number uint64, o state.Object) {
		waiting.add(Due, o)
		if len(list) < passObjects {
			list = append(list, garbage{number, o.Key(t.env.Objects), o.Size})
		}
	}
	in.State.EachGarbage(func(number uint64, o state.Object) {
		if !old(o, &t.ages, in.Now) {
			waiting.add(Grace, o)
			return
		}
		switch reason := named(o, t.roots.pointer); {
		case reason != Due:
			waiting.add(reason, o)
		case o.Kind == state.ArchiveObject:
			archives = append(archives, archive{number, o})
		default:
			take(number, o)
		}
	})
	if len(archives) == 0 {
		return list, nil
	}
	replays, err := t.roots.replays(ctx, t.env.Store)
	for _, a := range archives {
		if err != nil || replays[archiveName{a.Session, int64(a.N)}] {
			waiting.add(Replay, a.Object)
		} else {
			take(a.number, a.Object)
		}
	}
	return list, err
}

// discard deletes a batch and has State forget it. When it fails in between, the next pass deletes what is gone already.
func (t *Task) discard(ctx context.Context, batch []garbage) error {
	keys, numbers, bytes := make([]string, len(batch)), make([]uint64, len(batch)), int64(0)
	for i, g := range batch {
		keys[i], numbers[i] = g.key, g.number
		bytes += int64(g.size)
	}
	if err := t.remove(ctx, keys); err != nil {
		return fmt.Errorf("delete garbage: %w", err)
	}
	_, err := t.forget(ctx, "objects", &pb.Command{Kind: &pb.Command_ForgetObjects{ForgetObjects: &pb.ForgetObjects{Objects: numbers}}})
	if err != nil {
		return err
	}
	t.c.Observe.Deleted(len(batch), bytes)
	return nil
}

// forget has State forget what is gone, and returns how many it did.
func (t *Task) forget(ctx context.Context, what string, cmd *pb.Command) (n int64, err error) {
	code := state.OK
	err = t.env.Do(ctx, cmd, func(o session.Outcome) { code, n = o.Result.Code, o.Result.ID })
	switch {
	case err != nil:
		return 0, fmt.Errorf("forget %s: %w", what, err)
	case code != state.OK:
		return 0, fmt.Errorf("forget %s: %s", what, code)
	}
	return n, nil
}

// remove deletes keys in one request, and rests.
func (t *Task) remove(ctx context.Context, keys []string) error {
	began := t.c.Elapsed()
	err := t.env.Store.Delete(ctx, keys)
	rest := t.pace.done(len(keys), t.c.Elapsed()-began, err != nil)
	if err != nil {
		return err
	}
	if rest > 0 {
		return t.c.Pause(ctx, rest)
	}
	return nil
}
