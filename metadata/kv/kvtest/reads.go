package kvtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/metadata/kv"
)

var rangeCases = []Case{
	{Name: "RangeBounds", Run: rangeBounds},
	{Name: "RangeLimitAndCount", Run: rangeLimitAndCount},
	{Name: "RangeOldRevision", Run: rangeOldRevision},
}

func keysOf(kvs []kv.KeyValue) (out []string) {
	for _, e := range kvs {
		out = append(out, e.Key)
	}
	return out
}

func rangeBounds(t *testing.T, k kv.KV) {
	const p = "kvtest/bounds/"
	do(t, k, kv.Put(p+"c", nil, 0), kv.Put(p+"a", nil, 0), kv.Put(p+"b", nil, 0), kv.Put(p+"aa", nil, 0))
	for _, c := range []struct {
		from, end string
		want      []string
	}{
		{p + "a", "", []string{p + "a"}},
		{p + "none", "", nil},
		{p + "a", p + "b", []string{p + "a", p + "aa"}},
		{p + "aa", p + "c", []string{p + "aa", p + "b"}},
		{p, kv.PrefixEnd(p), []string{p + "a", p + "aa", p + "b", p + "c"}},
		{p + "b", p + "a", nil},
		{p + "c", kv.PrefixEnd(p + "c"), []string{p + "c"}},
	} {
		require.Equal(t, c.want, keysOf(list(t, k, kv.RangeRequest{Key: c.from, End: c.end}).KVs), "[%q, %q)", c.from, c.end)
	}
	last := "\xff" + p
	put(t, k, last, "")
	require.Equal(t, []string{last}, keysOf(list(t, k, kv.RangeRequest{Key: last, End: kv.PrefixEnd("\xff")}).KVs), "to the very end")
	do(t, k, kv.Delete(last))
}

func rangeLimitAndCount(t *testing.T, k kv.KV) {
	const p = "kvtest/limit/"
	lease := grant(t, k, 60)
	for _, key := range []string{"a", "b", "c", "d"} {
		do(t, k, kv.Put(p+key, []byte("value"), lease))
	}
	r := prefix(p)
	r.Limit = 2
	got := list(t, k, r)
	require.Equal(t, []string{p + "a", p + "b"}, keysOf(got.KVs))
	require.True(t, got.More)
	require.Equal(t, int64(4), got.Count)
	r.Limit = 4
	got = list(t, k, r)
	require.Len(t, got.KVs, 4)
	require.False(t, got.More)

	r = prefix(p)
	r.CountOnly = true
	got = list(t, k, r)
	require.Empty(t, got.KVs)
	require.Equal(t, int64(4), got.Count)

	r = prefix(p)
	r.KeysOnly = true
	got = list(t, k, r)
	require.Len(t, got.KVs, 4)
	for _, e := range got.KVs {
		require.Empty(t, e.Value)
		require.Zero(t, e.Lease, "etcd 3.7 lists keys without their leases")
		require.NotZero(t, e.ModRevision)
		require.Equal(t, e.ModRevision, e.CreateRevision)
		require.Equal(t, int64(1), e.Version)
	}
	r.Serializable = true
	require.Equal(t, got.KVs, list(t, k, r).KVs)
}

func rangeOldRevision(t *testing.T, k kv.KV) {
	const p = "kvtest/old/"
	first := put(t, k, p+"a", "1")
	second := put(t, k, p+"b", "1")
	third := do(t, k, kv.Put(p+"a", []byte("2"), 0), kv.Delete(p+"b")).Header.Revision
	at := func(rev int64) []kv.KeyValue {
		r := prefix(p)
		r.Revision = rev
		got := list(t, k, r)
		require.GreaterOrEqual(t, got.Header.Revision, third, "the header has the newest revision")
		return got.KVs
	}
	require.Empty(t, at(first-1))
	require.Equal(t, []string{p + "a"}, keysOf(at(first)))
	require.Equal(t, []string{p + "a", p + "b"}, keysOf(at(second)))
	require.Equal(t, "1", string(at(second)[0].Value))
	require.Equal(t, []string{p + "a"}, keysOf(at(third)))
	require.Equal(t, int64(2), at(third)[0].Version)

	_, err := k.Range(t.Context(), kv.RangeRequest{Key: p, Revision: revision(t, k) + 1})
	require.ErrorIs(t, err, kv.ErrFuture)
}
