package keycompact

import (
	"context"
	"errors"

	"wadi/compactor/job"
	"wadi/metadata/state"
)

// rest is what a pass has left of a large partition, whose keys the task's map holds: a pass ends with an object once it
// has read enough, and the next one goes on behind it. Without that a partition that takes longer than a pass may would be
// begun again and again. It is lost with the process, and then the partition is begun anew.
type rest struct {
	ref
	next, last int64 // offsets: the first that is to be written, and the last of the section
}

// resume goes on with what the pass before left. done is false when that cannot be: somebody else compacted or trimmed what
// is left, or this process has no part in it any more.
func (t *Task) resume(ctx context.Context, in *job.View) (done bool, err error) {
	r := t.rest
	t.rest = nil
	s, ok := r.section(in, readable(t.env, in.State))
	if !ok {
		return false, nil
	}
	w := &writing{task: t, in: in}
	defer w.abandon()
	switch err := w.write(ctx, &s, len(s.runs)); {
	case errors.Is(err, errUnreadable):
		t.postpone(r.ref)
		return true, err
	case err != nil:
		return true, err
	}
	return true, w.finish(ctx)
}

// section is the rest in a snapshot of State. Merges may have changed the runs, as long as they begin and end where they
// did; what is in them is the same then, and the keys are those of the map. What lies in front of it is written anew
// already, and may be in a manifest by now.
func (r *rest) section(in *job.View, readable func(state.Run) bool) (s section, ok bool) {
	topic := in.State.TopicByNumber(r.topic)
	if topic == nil || !in.Configs(topic).Compact || !in.Mine(r.topic, r.partition) {
		return s, false
	}
	s = sectionOf(in, topic, r.partition, r.next, r.last)
	for _, x := range s.runs {
		if !readable(x) {
			return s, false
		}
	}
	n := len(s.runs)
	return s, n > 0 && s.runs[0].Base == r.next && s.runs[n-1].Last == r.last
}
