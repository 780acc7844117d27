package fetch

import (
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"wadi/agent/api"
)

// stamped is a record as a naive reader sees it.
type stamped struct{ offset, ts int64 }

// Semantics lines 46, 47: the first record of at least a time, looking inside batches, and the newest record, on
// timestamps that rise and fall, below any limit.
func TestTimesProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t, 1, 1<<20)
		var all []stamped
		for range rapid.IntRange(0, 8).Draw(rt, "runs") {
			var batches [][]byte
			for range rapid.IntRange(1, 4).Draw(rt, "batches") {
				times := rapid.SliceOfN(rapid.Int64Range(0, 12), 1, 5).Draw(rt, "times")
				for _, ts := range times {
					all = append(all, stamped{int64(len(all)), ts})
				}
				batches = append(batches, records(t, 10, times...))
			}
			if rapid.Bool().Draw(rt, "inline") {
				r.inline(part{0, batches})
			} else {
				r.object(part{0, batches})
			}
		}
		start := int64(0)
		if len(all) > 0 {
			start = rapid.Int64Range(0, int64(len(all))).Draw(rt, "log start")
			r.v.s.TopicByNumber(1).Partition(0).LogStart = start // as retention leaves it: in the middle of a run
		}
		for range 10 {
			limit := rapid.Int64Range(0, int64(len(all))+1).Draw(rt, "limit")
			ms := rapid.Int64Range(-1, 14).Draw(rt, "ms")
			first := stamped{-1, -1}
			for _, x := range all {
				if x.offset < start || x.offset >= limit {
					continue
				}
				if first.offset < 0 && x.ts >= ms {
					first = x
				}
			}
			o, ts, err := r.log.TimeOffset(context.Background(), 1, 0, ms, limit)
			if got := (stamped{o, ts}); err != nil || got != first {
				rt.Fatalf("first of %d from %d below %d: %v %v, not %v in %v", ms, start, limit, got, err, first, all)
			}
		}
		newest := stamped{-1, -1}
		for _, x := range all[start:] {
			if newest.offset < 0 || x.ts > newest.ts {
				newest = x
			}
		}
		for _, committed := range []bool{false, true} {
			o, ts, err := r.log.MaxTime(context.Background(), 1, 0, committed)
			if got := (stamped{o, ts}); err != nil || got != newest {
				rt.Fatalf("newest from %d: %v %v, not %v in %v", start, got, err, newest, all)
			}
		}
	})
}

func TestTimesOfUnknownTopic(t *testing.T) {
	r := newRig(t, 1, 1<<20)
	if _, _, err := r.log.TimeOffset(context.Background(), 9, 0, 0, 1); !errors.Is(err, api.ErrUnknownTopic) {
		t.Error(err)
	}
	if _, _, err := r.log.MaxTime(context.Background(), 1, 5, false); !errors.Is(err, api.ErrUnknownTopic) {
		t.Error(err)
	}
}
