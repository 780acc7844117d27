package kvtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/metadata/kv"
)

var compactCases = []Case{
	{Name: "CompactHidesThePast", Run: compactHidesThePast, Own: true},
	{Name: "CompactOvertakesASlowWatch", Run: compactOvertakesASlowWatch, Own: true},
}

func compactHidesThePast(t *testing.T, k kv.KV) {
	const p = "kvtest/compact/"
	put(t, k, p+"a", "1")
	old := put(t, k, p+"b", "1")
	put(t, k, p+"a", "2")
	at := do(t, k, kv.Delete(p+"b")).Header.Revision
	last := put(t, k, p+"a", "3")
	require.NoError(t, k.Compact(t.Context(), at))

	r := prefix(p)
	r.Revision = old
	_, err := k.Range(t.Context(), r)
	require.ErrorIs(t, err, kv.ErrCompacted)
	r.Revision = at
	require.Equal(t, "2", string(list(t, k, r).KVs[0].Value), "the compact revision itself can be read")

	w := k.Watch(t.Context(), kv.WatchRequest{Key: p, End: kv.PrefixEnd(p), From: old})
	got := next(t, w)
	require.ErrorIs(t, got.Err, kv.ErrCompacted)
	require.Equal(t, at, got.CompactRevision)
	requireClosed(t, w)

	w = k.Watch(t.Context(), kv.WatchRequest{Key: p, End: kv.PrefixEnd(p), From: got.CompactRevision})
	evs := collect(t, w, 2)
	require.Equal(t, kv.Event{Delete: true, KV: kv.KeyValue{Key: p + "b", ModRevision: at}}, evs[0])
	require.Equal(t, last, evs[1].KV.ModRevision)
	require.Equal(t, int64(3), evs[1].KV.Version, "versions survive")

	require.ErrorIs(t, k.Compact(t.Context(), at), kv.ErrCompacted)
	require.ErrorIs(t, k.Compact(t.Context(), old), kv.ErrCompacted)
	require.ErrorIs(t, k.Compact(t.Context(), revision(t, k)+1), kv.ErrFuture)
}

// compactOvertakesASlowWatch: what a reader gets is gapless to the point where it is told that the rest is gone.
func compactOvertakesASlowWatch(t *testing.T, k kv.KV) {
	const key, n = "kvtest/overtaken", 600
	from := revision(t, k) + 1
	w := k.Watch(t.Context(), kv.WatchRequest{Key: key, From: from})
	value := make([]byte, 64<<10)
	var last int64
	for range n {
		last = do(t, k, kv.Put(key, value, 0)).Header.Revision
	}
	require.NoError(t, k.Compact(t.Context(), last))
	for seen := int64(0); ; {
		r := next(t, w)
		if r.Err != nil {
			require.ErrorIs(t, r.Err, kv.ErrCompacted)
			require.Equal(t, last, r.CompactRevision)
			break
		}
		for _, e := range r.Events {
			seen++
			require.Equal(t, seen, e.KV.Version)
		}
		require.Less(t, seen, int64(n), "the watch was never overtaken")
	}
	requireClosed(t, w)
}
