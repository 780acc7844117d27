package fetch

import (
	"context"

	"wadi/agent/api"
	"wadi/metadata/state"
)

// Location says where a run's bytes lie: in Object, unless its Kind is 0; of an inline run that is the archive which holds
// them by now, if any.
type Location struct {
	Run    state.Run
	Object state.Object
}

// Locate are the runs of a partition from the one that holds offset on, at most limit of them, those that a manifest
// lists included. Errors are api.ErrUnknownTopic and those of reading the manifest.
func (l *Log) Locate(ctx context.Context, topic uint64, partition int32, offset int64, limit int) (list []Location, err error) {
	var v *volume
	var rest []place
	err = api.ErrUnknownTopic
	l.o.View.Read(func(s *state.State) {
		t := s.TopicByNumber(topic)
		if t == nil || t.Partition(partition) == nil {
			return
		}
		x := t.Partition(partition)
		if m := x.Manifest; m != nil && offset <= m.Last {
			y := volumeOf(s, t, partition)
			v, offset = &y, max(offset, m.First)
		}
		for _, r := range x.RunsFrom(offset, limit, 1<<62, nil) {
			rest = append(rest, resolve(s, r))
		}
		err = nil
	})
	if err != nil {
		return nil, err
	}
	add := func(p place) {
		if len(list) < limit {
			list = append(list, Location{p.run, p.object})
		}
	}
	if v != nil {
		r, err := l.src.manifests.reader(ctx, v, false)
		if err != nil {
			return nil, readError(err)
		}
		for i := r.BlockOf(offset); i < len(r.RunBlocks()) && len(list) < limit; i++ {
			runs, err := l.src.manifests.runs(ctx, v, r, i, false)
			if err != nil {
				return nil, readError(err)
			}
			for _, y := range runs[firstAt(runs, offset):] {
				add(placed(y))
			}
		}
	}
	for _, p := range rest {
		add(p)
	}
	return list, nil
}
