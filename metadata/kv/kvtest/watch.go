package kvtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/metadata/kv"
)

var watchCases = []Case{
	{Name: "WatchHistoryThenPresent", Run: watchHistoryThenPresent},
	{Name: "WatchResumes", Run: watchResumes},
	{Name: "WatchKeepsARevisionWhole", Run: watchKeepsARevisionWhole},
	{Name: "WatchWithoutDeletes", Run: watchWithoutDeletes},
	{Name: "WatchBounds", Run: watchBounds},
	{Name: "WatchSlowReaderLosesNothing", Run: watchSlowReaderLosesNothing},
	{Name: "WatchFuture", Run: watchFuture},
	{Name: "WatchEndsWithContext", Run: watchEndsWithContext},
}

func watchHistoryThenPresent(t *testing.T, k kv.KV) {
	const key = "kvtest/watch/history"
	first := put(t, k, key, "1")
	second := put(t, k, key, "2")
	third := do(t, k, kv.Delete(key)).Header.Revision
	w := k.Watch(t.Context(), kv.WatchRequest{Key: key, From: first})
	require.Equal(t, []kv.Event{
		{KV: kv.KeyValue{Key: key, Value: []byte("1"), CreateRevision: first, ModRevision: first, Version: 1}},
		{KV: kv.KeyValue{Key: key, Value: []byte("2"), CreateRevision: first, ModRevision: second, Version: 2}},
		{Delete: true, KV: kv.KeyValue{Key: key, ModRevision: third}},
	}, collect(t, w, 3))
	fourth := put(t, k, key, "3")
	got := collect(t, w, 1)
	require.Equal(t, fourth, got[0].KV.ModRevision)
	require.Equal(t, int64(1), got[0].KV.Version)
}

func watchResumes(t *testing.T, k kv.KV) {
	const key = "kvtest/watch/resume"
	from := revision(t, k) + 1
	var want []int64
	for i := range 30 {
		want = append(want, put(t, k, key, fmt.Sprint(i)))
	}
	var got []int64
	for len(got) < len(want) {
		ctx, cancel := context.WithCancel(t.Context())
		w := k.Watch(ctx, kv.WatchRequest{Key: key, From: from})
		r := next(t, w)
		require.NoError(t, r.Err)
		// Part of a response is enough to go on from: revisions are whole, so one event each here.
		for _, e := range r.Events[:min(7, len(r.Events))] {
			got = append(got, e.KV.ModRevision)
			from = e.KV.ModRevision + 1
		}
		cancel()
		requireClosed(t, w)
	}
	require.Equal(t, want, got)
}

func watchKeepsARevisionWhole(t *testing.T, k kv.KV) {
	const p, txns, width = "kvtest/watch/whole/", 40, 60
	present := k.Watch(t.Context(), kv.WatchRequest{Key: p, End: kv.PrefixEnd(p), From: revision(t, k) + 1})
	first := int64(0)
	for i := range txns {
		var ops []kv.Op
		for j := range width {
			ops = append(ops, kv.Put(fmt.Sprintf("%s%02d", p, j), make([]byte, 500), 0))
		}
		if rev := do(t, k, ops...).Header.Revision; i == 0 {
			first = rev
		}
	}
	past := k.Watch(t.Context(), kv.WatchRequest{Key: p, End: kv.PrefixEnd(p), From: first})
	for _, w := range []<-chan kv.WatchResponse{present, past} {
		evs := collect(t, w, txns*width) // which checks that no revision is in two responses
		for i, e := range evs {
			require.Equal(t, fmt.Sprintf("%s%02d", p, i%width), e.KV.Key, "ops in their order")
			require.Equal(t, int64(i/width+1), e.KV.Version)
		}
	}
}

func watchWithoutDeletes(t *testing.T, k kv.KV) {
	const p = "kvtest/watch/nodelete/"
	from := put(t, k, p+"a", "")
	filtered := k.Watch(t.Context(), kv.WatchRequest{Key: p, End: kv.PrefixEnd(p), From: from, NoDelete: true})
	full := k.Watch(t.Context(), kv.WatchRequest{Key: p, End: kv.PrefixEnd(p), From: from})
	do(t, k, kv.Delete(p+"a"))
	do(t, k, kv.Put(p+"b", nil, 0), kv.Put(p+"c", nil, 0))
	do(t, k, kv.Delete(p+"b"), kv.Put(p+"d", nil, 0))
	var got []string
	for _, e := range collect(t, filtered, 4) {
		require.False(t, e.Delete)
		got = append(got, e.KV.Key)
	}
	require.Equal(t, []string{p + "a", p + "b", p + "c", p + "d"}, got)
	collect(t, full, 6)
}

func watchBounds(t *testing.T, k kv.KV) {
	const p = "kvtest/watch/bounds/"
	from := revision(t, k) + 1
	one := k.Watch(t.Context(), kv.WatchRequest{Key: p + "b", From: from})
	some := k.Watch(t.Context(), kv.WatchRequest{Key: p + "b", End: p + "d", From: from})
	do(t, k, kv.Put(p+"a", nil, 0), kv.Put(p+"b", nil, 0), kv.Put(p+"bb", nil, 0), kv.Put(p+"c", nil, 0), kv.Put(p+"d", nil, 0))
	put(t, k, p+"b", "last")
	keys := func(evs []kv.Event) (out []string) {
		for _, e := range evs {
			out = append(out, e.KV.Key[len(p):])
		}
		return out
	}
	require.Equal(t, []string{"b", "b"}, keys(collect(t, one, 2)))
	require.Equal(t, []string{"b", "bb", "c", "b"}, keys(collect(t, some, 4)))
}

func watchSlowReaderLosesNothing(t *testing.T, k kv.KV) {
	const key, n = "kvtest/watch/slow", 1500
	w := k.Watch(t.Context(), kv.WatchRequest{Key: key, From: revision(t, k) + 1})
	value := make([]byte, 1000)
	for range n {
		do(t, k, kv.Put(key, value, 0))
	}
	for i, e := range collect(t, w, n) {
		require.Equal(t, int64(i+1), e.KV.Version)
	}
}

func watchFuture(t *testing.T, k kv.KV) {
	const key = "kvtest/watch/future"
	w := k.Watch(t.Context(), kv.WatchRequest{Key: key, From: revision(t, k) + 2})
	r := next(t, w)
	require.ErrorIs(t, r.Err, kv.ErrFuture, "the store has not got there: it was rolled back")
	requireClosed(t, w)
}

func watchEndsWithContext(t *testing.T, k kv.KV) {
	const key = "kvtest/watch/ctx"
	from := revision(t, k) + 1
	quiet, cancelQuiet := context.WithCancel(t.Context())
	a := k.Watch(quiet, kv.WatchRequest{Key: key, From: from})
	unread, cancelUnread := context.WithCancel(t.Context())
	b := k.Watch(unread, kv.WatchRequest{Key: key, From: from})
	for range 10 {
		put(t, k, key, "")
	}
	collect(t, a, 10)
	time.Sleep(10 * time.Millisecond)
	cancelQuiet()
	cancelUnread()
	requireClosed(t, a)
	requireClosed(t, b)
	requireClosed(t, k.Watch(quiet, kv.WatchRequest{Key: key, From: from}))
}
