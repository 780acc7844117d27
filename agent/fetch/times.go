package fetch

import (
	"context"
	"errors"
	"fmt"
	"math"

	"wadi/agent/api"
	"wadi/internal/batch"
	"wadi/metadata/state"
	"wadi/objstore"
)

// TimeOffset implements api.Log: the first record from the log start on and below limit with a timestamp of at least ms
// (Semantics line 47). A run's maximum leads to it, also where timestamps do not rise; to that of a run in a manifest the
// maximum of its block.
func (l *Log) TimeOffset(ctx context.Context, topic uint64, partition int32, ms, limit int64) (int64, int64, error) {
	return l.search(ctx, topic, partition, func(s *state.State, t *state.Topic) search { return firstSince(s, t, partition, ms, limit) })
}

// MaxTime implements api.Log: the record with the largest timestamp from the log start on, the first of them (KIP-734).
// With committed there is none when it is not stable yet: so it is in Apache Kafka, which does not look for the largest
// one below the last stable offset.
func (l *Log) MaxTime(ctx context.Context, topic uint64, partition int32, committed bool) (int64, int64, error) {
	var end int64
	offset, timestamp, err := l.search(ctx, topic, partition, func(s *state.State, t *state.Topic) search {
		x := t.Partition(partition)
		if end = x.Next; committed {
			end = x.LSO()
		}
		return newest(s, t, partition)
	})
	if err == nil && offset >= end {
		return -1, -1, nil
	}
	return offset, timestamp, err
}

// Markers have a timestamp, that of their transaction's end, and are found like records (as in Apache Kafka).

// search is which runs to look into, and for what: the first record of at least ms, or with best the one with the
// largest timestamp. Where there is a manifest in front of the runs, those in it that count come first.
type search struct {
	from, end int64 // offsets
	ms        int64
	best      bool
	places    []place
	top       *place  // with best: that of the runs behind the log start which has the largest maximum, the first of them
	volume    *volume // the manifest, if something in it may count
}

// firstSince looks into the first run whose maximum is high enough. That of a run which begins below the log start may
// be a record that is gone, so the next one counts too.
func firstSince(s *state.State, t *state.Topic, partition int32, ms, limit int64) search {
	x := t.Partition(partition)
	q := search{from: x.LogStart, end: min(limit, x.Next), ms: ms}
	if m := x.Manifest; m != nil && m.Last >= q.from && m.MaxTimestamp >= ms {
		v := volumeOf(s, t, partition)
		q.volume = &v
	}
	if r, ok := x.RunAtTime(ms); ok && r.Base >= q.from {
		if r.Base < q.end {
			q.places = append(q.places, resolve(s, r))
		}
		return q
	}
	whole := false
	x.EachRun(func(r state.Run) {
		if !whole && r.Last >= q.from && r.MaxTimestamp >= ms {
			q.places = append(q.places, resolve(s, r))
			whole = r.Base >= q.from
		}
	})
	return q
}

// newest looks into the run with the largest maximum, and into one that the log start lies in: its maximum may be a
// record that is gone.
func newest(s *state.State, t *state.Topic, partition int32) search {
	x := t.Partition(partition)
	q := search{from: x.LogStart, end: x.Next, ms: math.MinInt64, best: true}
	if m := x.Manifest; m != nil && m.Last >= q.from {
		v := volumeOf(s, t, partition)
		q.volume = &v
	}
	var top state.Run
	found := false
	x.EachRun(func(r state.Run) {
		switch {
		case r.Last < q.from:
		case r.Base < q.from:
			q.places = append(q.places, resolve(s, r))
		case !found || r.MaxTimestamp > top.MaxTimestamp:
			top, found = r, true
		}
	})
	if found {
		p := resolve(s, top)
		q.top = &p
	}
	return q
}

func (l *Log) search(
	ctx context.Context, topic uint64, partition int32, plan func(*state.State, *state.Topic) search,
) (offset, timestamp int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	offset, timestamp, err = l.searchOnce(ctx, topic, partition, plan)
	if errors.Is(err, objstore.ErrNotFound) {
		// A merge may have replaced the run.
		if berr := l.o.View.Barrier(ctx); berr != nil {
			return -1, -1, fmt.Errorf("%w: %w", api.ErrViewBehind, berr)
		}
		offset, timestamp, err = l.searchOnce(ctx, topic, partition, plan)
		err = l.missing(err)
	}
	if err != nil {
		return -1, -1, readError(err)
	}
	return offset, timestamp, nil
}

func (l *Log) searchOnce(
	ctx context.Context, topic uint64, partition int32, plan func(*state.State, *state.Topic) search,
) (offset, timestamp int64, err error) {
	var q search
	l.o.View.Read(func(s *state.State) {
		t := s.TopicByNumber(topic)
		if t == nil || t.Partition(partition) == nil {
			err = api.ErrUnknownTopic
			return
		}
		q = plan(s, t)
	})
	if q.volume != nil {
		err = q.unfold(ctx, l.src.manifests)
	}
	if err != nil {
		return -1, -1, err
	}
	if q.top != nil {
		q.places = append(q.places, *q.top)
	}
	offset, timestamp = -1, -1
	for i := range q.places {
		data, lerr := l.bytes(ctx, &q.places[i])
		if lerr != nil {
			return -1, -1, lerr
		}
		o, ts, rerr := q.in(data)
		if rerr != nil {
			return -1, -1, fmt.Errorf("run at offset %d: %w", q.places[i].run.Base, rerr)
		}
		switch {
		case o < 0:
		case !q.best:
			return o, ts, nil
		case offset < 0 || ts > timestamp || ts == timestamp && o < offset:
			offset, timestamp = o, ts
		}
	}
	return offset, timestamp, nil
}

// bytes are the batches of a place.
func (l *Log) bytes(ctx context.Context, p *place) ([]byte, error) {
	if p.run.Marker() {
		return marker(nil, &p.run), nil
	}
	x, err := l.src.load(ctx, p)
	if err != nil {
		return nil, err
	}
	return x.data, nil
}

// in looks through the batches of one run; offset -1 is none.
func (q *search) in(data []byte) (offset, timestamp int64, err error) {
	offset, timestamp = -1, -1
	for len(data) > 0 {
		b, rest, err := batch.Split(data)
		if err != nil {
			return -1, -1, err
		}
		data = rest
		if b.LastOffset() < q.from || b.MaxTimestamp() < q.ms || q.best && offset >= 0 && b.MaxTimestamp() <= timestamp {
			continue
		}
		if b.BaseOffset() >= q.end {
			break
		}
		o, ts, err := q.inBatch(b)
		switch {
		case err != nil:
			return -1, -1, err
		case o < 0:
		case !q.best:
			return o, ts, nil
		case offset < 0 || ts > timestamp:
			offset, timestamp = o, ts
		}
	}
	return offset, timestamp, nil
}

func (q *search) inBatch(b batch.Batch) (offset, timestamp int64, err error) {
	offset, timestamp = -1, -1
	it := b.Iter()
	defer it.Close()
	for r, ok := it.Next(); ok; r, ok = it.Next() {
		switch {
		case r.Offset < q.from || r.Timestamp < q.ms:
		case r.Offset >= q.end:
			return offset, timestamp, nil
		case !q.best:
			return r.Offset, r.Timestamp, nil
		case offset < 0 || r.Timestamp > timestamp:
			offset, timestamp = r.Offset, r.Timestamp
		}
	}
	return offset, timestamp, it.Err()
}
