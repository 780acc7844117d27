package keycompact

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"wadi/compactor/job"
	"wadi/compactor/unfold"
	"wadi/metadata/state"
)

// Task is the job.Task "compact". See New.
type Task struct {
	env    *job.Env
	cfg    Config
	keys   keyMap
	failed map[ref]*failure
	passes uint64
	rest   *rest // of a large partition, nil: none
}

type ref struct {
	topic     uint64
	partition uint32
}

// failure keeps a partition that cannot be read from being tried in every pass.
type failure struct {
	times uint64
	until uint64 // pass
}

// maxPause bounds how many passes go by before a partition that failed is tried again.
const maxPause = 64

// New is a task that works in an environment. It starts nothing.
func New(env *job.Env, cfg Config) *Task {
	return &Task{env: env, cfg: cfg.withDefaults(), failed: map[ref]*failure{}}
}

// Name implements job.Task.
func (t *Task) Name() string { return "compact" }

// Pass implements job.Task: it compacts the dirtiest partitions. Those that cannot be read are left out, and are the pass'
// error in the end.
func (t *Task) Pass(ctx context.Context, in *job.View) (more bool, err error) {
	t.passes++
	if t.rest != nil && !t.rest.waits(in) {
		if done, err := t.resume(ctx, in); done || err != nil {
			return true, err
		}
	}
	list := slices.DeleteFunc(Plan(in, readable(t.env, in.State)), func(d Due) bool {
		f := t.failed[ref{d.Topic, d.Partition}]
		return f != nil && f.until > t.passes
	})
	if len(list) == 0 {
		if t.rest == nil {
			t.keys = keyMap{} // its memory is for others
		}
		return false, nil
	}
	t.rest = nil // the map is needed
	left := t.cfg.MaxInput
	var failed error
	for len(list) > 0 && left > 0 {
		if d := list[0]; d.Folded { // a later pass, which sees what came back, compacts it
			switch err := t.unfold(ctx, d); {
			case err == nil:
				more = true
			case errors.Is(err, errUnreadable):
				failed = cmp.Or(failed, err)
			default:
				return true, err
			}
			left, list = left-d.Bytes, list[1:]
			continue
		}
		n := t.group(in.State, list)
		for _, d := range list[:n] {
			left -= d.Bytes
		}
		again, err := t.compact(ctx, in, list[:n])
		if errors.Is(err, errUnreadable) {
			failed = cmp.Or(failed, err)
		} else if err != nil {
			return true, err
		}
		more, list = more || again, list[n:]
		if t.rest != nil {
			return true, failed // its keys are in the map
		}
	}
	return more || len(list) > 0, failed
}

// keysFor empties the map of keys and makes room for those of some runs, as far as the memory goes.
func (t *Task) keysFor(list []state.Run) *keyMap {
	records := int64(0)
	for _, r := range list {
		records += r.Last - r.Base + 1
	}
	t.keys.reset(records, t.cfg.Memory/2)
	return &t.keys
}

// group is how many of the first of list share objects: as many as surely fit into one, or a large one alone.
func (t *Task) group(s *state.State, list []Due) (n int) {
	bytes, runs := int64(0), 0
	for n < min(len(list), state.MaxReplaceRanges) {
		d := list[n]
		if d.Folded {
			break
		}
		bytes += d.Bytes
		runs += s.TopicByNumber(d.Topic).Partition(int32(d.Partition)).Runs()
		if n > 0 && (bytes > t.cfg.MaxOutput || runs > maxRuns) {
			break
		}
		n++
	}
	return n
}

// maxRuns bounds the runs that one object replaces.
const maxRuns = state.MaxReplacedRuns

// compact compacts partitions into objects that they share, and tells whether there is more to do in them at once. An
// error that wraps errUnreadable is about some of them, the first one; the others are done.
func (t *Task) compact(ctx context.Context, in *job.View, list []Due) (again bool, err error) {
	slices.SortFunc(list, func(a, b Due) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	w := &writing{task: t, in: in}
	defer w.abandon()
	var failed error
	for _, d := range list {
		s, ok := newSection(in, d, readable(t.env, in.State))
		if !ok {
			continue
		}
		at := ref{d.Topic, d.Partition}
		switch err := w.section(ctx, &s); {
		case err == nil:
		case errors.Is(err, errUnreadable):
			t.postpone(at)
			w.drop()
			failed = cmp.Or(failed, fmt.Errorf("compact partition %d of topic %d: %w", d.Partition, d.Topic, err))
		default:
			return false, err
		}
		if t.rest != nil {
			w.again = true
			break // the map is this partition's
		}
	}
	return w.again, cmp.Or(w.finish(ctx), failed)
}

// unfold brings back what the manifest of a partition lists, for a compaction goes through all of it. One that cannot be
// read postpones the partition.
func (t *Task) unfold(ctx context.Context, d Due) error {
	err := unfold.Partition(ctx, t.env, state.PartRef{Topic: d.Topic, Partition: d.Partition}, t.cfg.Unfold)
	var bad *unfold.Error
	if errors.As(err, &bad) && bad.Lasting() {
		t.postpone(ref{d.Topic, d.Partition})
		err = fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if err != nil {
		return fmt.Errorf("unfold partition %d of topic %d: %w", d.Partition, d.Topic, err)
	}
	return nil
}

// postpone keeps a partition out of the next passes.
func (t *Task) postpone(at ref) {
	f := t.failed[at]
	if f == nil {
		if len(t.failed) > 1000 {
			clear(t.failed)
		}
		f = &failure{}
		t.failed[at] = f
	}
	f.times++
	f.until = t.passes + min(uint64(1)<<min(f.times, 32), maxPause)
}
