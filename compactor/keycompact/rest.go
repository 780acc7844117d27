package keycompact

import (
	"context"
	"errors"

	"wadi/compactor/job"
	"wadi/metadata/state"
)

// rest is what a pass has left of a large partition, whose keys the task's map holds: a pass ends once it has read enough,
// with a run as it notes keys or finds nothing that stays, else with an object, and the next one goes on behind it. Without
// that a partition that takes longer than a pass may would be begun again and again. It is lost with the process, and then
// the partition is begun anew.
type rest struct {
	ref
	noting bool // keys from next on are not in the map yet, and nothing is written

	// Offsets: where what is to be written begins, what is to be read (nothing stays of what lies between), and the last one.
	first, next, last int64

	away int // passes for which the partition has been another process'
}

// waits reports whether the partition is another process' now, and may come back soon. What was read is kept for it as long as
// there is nothing else to do.
func (r *rest) waits(in *job.View) bool {
	if in.Mine(r.topic, r.partition) {
		return false
	}
	r.away++
	return r.away < maxPause
}

// resume goes on with what the pass before left. done is false when that cannot be: somebody else compacted or trimmed what
// is left, or this process has no part in it any more.
func (t *Task) resume(ctx context.Context, in *job.View) (done bool, err error) {
	r := t.rest
	t.rest = nil
	s, from, ok := r.section(in, readable(t.env, in.State))
	if !ok {
		return false, nil
	}
	w := &writing{task: t, in: in}
	defer w.abandon()
	if r.noting {
		err = w.noteAndWrite(ctx, &s, from)
	} else {
		err = w.write(ctx, &s, from, len(s.runs))
	}
	switch {
	case errors.Is(err, errUnreadable):
		t.postpone(r.ref)
		return true, err
	case err != nil:
		return true, err
	}
	return true, w.finish(ctx)
}

// section is the rest in a snapshot of State, and from which run on to go on. Merges may have changed the runs, as long as they
// begin and end where they did; what is in them is the same then, and the keys are those of the map. What lies in front of what
// is to be written is written anew already, and may be in a manifest by now.
func (r *rest) section(in *job.View, readable func(state.Run) bool) (s section, from int, ok bool) {
	topic := in.State.TopicByNumber(r.topic)
	if topic == nil || !in.Configs(topic).Compact || !in.Mine(r.topic, r.partition) {
		return s, 0, false
	}
	if r.noting && topic.Partition(int32(r.partition)).Manifest != nil {
		return s, 0, false // all of it is still to be written
	}
	s = sectionOf(in, topic, r.partition, r.first, r.last)
	for i, x := range s.runs {
		if !readable(x) {
			return s, 0, false
		}
		if x.Base <= r.next {
			from = i
		}
	}
	n := len(s.runs)
	switch {
	case n == 0 || s.runs[from].Base != r.next || s.runs[n-1].Last != r.last:
		return s, 0, false
	case r.noting:
		return s, from, s.dirty < n // else somebody has compacted all of it
	}
	return s, from, s.runs[0].Base == r.first
}
