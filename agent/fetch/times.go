package fetch

import (
	"context"
	"fmt"

	"wadi/agent/api"
	"wadi/internal/batch"
	"wadi/internal/layout"
	"wadi/metadata/state"
)

// TimeOffset implements api.Log: the first record with a timestamp of at least ms (semantics line 47). A run's maximum
// leads to it, also where timestamps do not rise.
func (l *Log) TimeOffset(ctx context.Context, topic uint64, partition int32, ms, limit int64) (int64, int64, error) {
	p, ok, err := l.find(topic, partition, func(x *state.Partition) (state.Run, bool) { return x.RunAtTime(ms) })
	if err != nil || !ok {
		return -1, -1, err
	}
	offset, ts := int64(-1), int64(-1)
	err = l.eachBatch(ctx, p, func(b batch.Batch) (bool, error) {
		if b.MaxTimestamp() < ms {
			return true, nil
		}
		o, t, found, err := batch.FirstOffsetAtOrAfter(b, ms)
		if err != nil || !found {
			return err == nil, err
		}
		offset, ts = o, t
		return false, nil
	})
	if err != nil || offset >= limit {
		return -1, -1, err
	}
	return offset, ts, nil
}

// MaxTime implements api.Log: the record with the largest timestamp, the first of them.
func (l *Log) MaxTime(ctx context.Context, topic uint64, partition int32, limit int64) (int64, int64, error) {
	p, ok, err := l.find(topic, partition, func(x *state.Partition) (best state.Run, found bool) {
		x.EachRun(func(r state.Run) {
			if r.Base < limit && (!found || r.MaxTimestamp > best.MaxTimestamp) {
				best, found = r, true
			}
		})
		return best, found
	})
	if err != nil || !ok {
		return -1, -1, err
	}
	return l.TimeOffset(ctx, topic, partition, p.run.MaxTimestamp, limit)
}

// find picks a run of a partition and resolves its place.
func (l *Log) find(
	topic uint64, partition int32, pick func(*state.Partition) (state.Run, bool),
) (p place, ok bool, err error) {
	var keys layout.Objects = l.o.Objects()
	l.o.View.Read(func(s *state.State) {
		t := s.TopicByNumber(topic)
		if t == nil || t.Partition(partition) == nil {
			err = api.ErrUnknownTopic
			return
		}
		var r state.Run
		if r, ok = pick(t.Partition(partition)); ok {
			p = resolve(s, keys, r)
		}
	})
	return p, ok, err
}

// eachBatch visits the batches of a run until visit returns false or an error.
func (l *Log) eachBatch(ctx context.Context, p place, visit func(batch.Batch) (bool, error)) error {
	x, err := l.src.load(ctx, p)
	if err != nil {
		return readError(err)
	}
	for rest := x.data; len(rest) > 0; {
		b, tail, err := batch.Split(rest)
		if err != nil {
			return fmt.Errorf("run at offset %d: %w", p.run.Base, err)
		}
		more, err := visit(b)
		if err != nil || !more {
			return err
		}
		rest = tail
	}
	return nil
}
