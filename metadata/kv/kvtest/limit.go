package kvtest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/metadata/kv"
)

var limitCases = []Case{
	{Name: "LargeValues", Run: largeValues},
	{Name: "TooLarge", Run: tooLarge},
	{Name: "InvalidRequests", Run: invalidRequests},
}

func largeValues(t *testing.T, k kv.KV) {
	const key = "kvtest/large"
	from := revision(t, k) + 1
	w := k.Watch(t.Context(), kv.WatchRequest{Key: key, From: from})
	for _, size := range []int{0, 1, 64 << 10, 256 << 10, 256<<10 + 1, 1 << 20} {
		value := make([]byte, size)
		for i := range value {
			value[i] = byte(i * 31)
		}
		do(t, k, kv.Put(key, value, 0))
		for i := range value {
			value[i] = 0 // the store has its own copy by now
		}
		got, _ := get(t, k, key)
		require.Len(t, got.Value, size)
		ev := collect(t, w, 1)[0]
		require.Equal(t, got, ev.KV)
		for i := range got.Value {
			if got.Value[i] != byte(i*31) {
				require.Failf(t, "altered", "byte %d of %d", i, size)
			}
		}
	}
	do(t, k, kv.Delete(key))
}

func tooLarge(t *testing.T, k kv.KV) {
	const p = "kvtest/toolarge/"
	many := func(op func(i int) kv.Op) (ops []kv.Op) {
		for i := range 129 {
			ops = append(ops, op(i))
		}
		return ops
	}
	before := revision(t, k)
	for name, ops := range map[string][]kv.Op{
		"just above": {kv.Put(p+"a", make([]byte, 3<<19), 0)},
		"far above":  {kv.Put(p+"a", make([]byte, 5<<20), 0)},
		"in sum":     {kv.Put(p+"a", make([]byte, 1<<20), 0), kv.Put(p+"b", make([]byte, 1<<20), 0)},
		"puts":       many(func(i int) kv.Op { return kv.Put(fmt.Sprint(p, i), nil, 0) }),
		"deletes":    many(func(i int) kv.Op { return kv.Delete(fmt.Sprint(p, i)) }),
	} {
		_, err := k.Txn(t.Context(), kv.Txn{Then: ops})
		require.ErrorIs(t, err, kv.ErrTooLarge, name)
		require.True(t, kv.Definite(err), name)
	}
	require.Empty(t, list(t, k, prefix(p)).KVs)
	require.Equal(t, before, revision(t, k))
	do(t, k, many(func(i int) kv.Op { return kv.Put(fmt.Sprint(p, i), nil, 0) })[:128]...)
	r := do(t, k, kv.Op{Kind: kv.OpDelete, Key: p, End: kv.PrefixEnd(p)})
	require.Equal(t, int64(128), r.Deleted)
}

// invalidRequests: a defect of the caller must not look like an outage, or it would be sent for ever.
func invalidRequests(t *testing.T, k kv.KV) {
	const p = "kvtest/invalid/"
	all := kv.Op{Kind: kv.OpDelete, Key: p, End: kv.PrefixEnd(p)}
	before := revision(t, k)
	for name, txn := range map[string]kv.Txn{
		"empty key":           {Then: []kv.Op{kv.Put("", nil, 0)}},
		"empty compare":       {If: []kv.Compare{{Target: kv.Version}}, Then: []kv.Op{kv.Put(p+"a", nil, 0)}},
		"put twice":           {Then: []kv.Op{kv.Put(p+"a", nil, 0), kv.Put(p+"a", nil, 0)}},
		"put and deleted":     {Then: []kv.Op{kv.Put(p+"a", nil, 0), kv.Delete(p + "a")}},
		"deleted and put":     {Then: []kv.Op{all, kv.Put(p+"a", nil, 0)}},
		"in the other branch": {Then: []kv.Op{kv.Put(p+"b", nil, 0)}, Else: []kv.Op{kv.Put(p+"a", nil, 0), kv.Put(p+"a", nil, 0)}},
	} {
		_, err := k.Txn(t.Context(), txn)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, kv.ErrUnavailable, name)
	}
	require.Equal(t, before, revision(t, k))
}
