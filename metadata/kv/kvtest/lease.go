package kvtest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/metadata/kv"
)

var leaseCases = []Case{
	{Name: "LeaseExpiryDeletesItsKeys", Run: leaseExpiryDeletesItsKeys},
	{Name: "LeaseKeepAlive", Run: leaseKeepAlive},
	{Name: "LeaseRevoke", Run: leaseRevoke},
	{Name: "LeaseOfAPut", Run: leaseOfAPut},
	{Name: "LeaseUnknown", Run: leaseUnknown},
	{Name: "LeasesInHundreds", Run: leasesInHundreds},
}

func grant(t *testing.T, k kv.KV, ttl int64) int64 {
	t.Helper()
	id, err := k.Grant(t.Context(), ttl)
	require.NoError(t, err)
	require.NotZero(t, id)
	return id
}

func leaseExpiryDeletesItsKeys(t *testing.T, k kv.KV) {
	const p = "kvtest/lease/expiry/"
	before := revision(t, k)
	id := grant(t, k, 2)
	granted := time.Now()
	require.Equal(t, before, revision(t, k), "a lease takes no revision")
	r := do(t, k, kv.Put(p+"b", nil, id), kv.Put(p+"a", nil, id), kv.Put(p+"c", nil, 0))
	got, _ := get(t, k, p+"a")
	require.Equal(t, id, got.Lease)

	w := k.Watch(t.Context(), kv.WatchRequest{Key: p, End: kv.PrefixEnd(p), From: r.Header.Revision + 1})
	resp := next(t, w)
	require.NoError(t, resp.Err)
	require.GreaterOrEqual(t, time.Since(granted), 1900*time.Millisecond)
	require.Len(t, resp.Events, 2, "all keys of the lease at one revision")
	for i, key := range []string{p + "a", p + "b"} {
		require.Equal(t, kv.Event{Delete: true, KV: kv.KeyValue{Key: key, ModRevision: r.Header.Revision + 1}}, resp.Events[i])
	}
	require.Equal(t, []string{p + "c"}, keysOf(list(t, k, prefix(p)).KVs))
	_, err := k.KeepAlive(t.Context(), id)
	require.ErrorIs(t, err, kv.ErrLeaseNotFound)
	require.True(t, kv.Definite(err))
}

func leaseKeepAlive(t *testing.T, k kv.KV) {
	const key = "kvtest/lease/kept"
	id := grant(t, k, 2)
	put := do(t, k, kv.Put(key, nil, id)).Header.Revision
	for range 5 {
		time.Sleep(700 * time.Millisecond)
		ttl, err := k.KeepAlive(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, int64(2), ttl)
	}
	renewed := time.Now()
	_, ok := get(t, k, key)
	require.True(t, ok)
	r := next(t, k.Watch(t.Context(), kv.WatchRequest{Key: key, From: put + 1}))
	require.NoError(t, r.Err)
	require.True(t, r.Events[0].Delete)
	require.GreaterOrEqual(t, time.Since(renewed), 1900*time.Millisecond, "not before a full ttl after the last renewal")
}

func leaseRevoke(t *testing.T, k kv.KV) {
	const p = "kvtest/lease/revoke/"
	id := grant(t, k, 60)
	before := do(t, k, kv.Put(p+"a", nil, id), kv.Put(p+"b", nil, id)).Header.Revision
	require.NoError(t, k.Revoke(t.Context(), id))
	got := list(t, k, prefix(p))
	require.Empty(t, got.KVs)
	require.Equal(t, before+1, got.Header.Revision)
	require.ErrorIs(t, k.Revoke(t.Context(), id), kv.ErrLeaseNotFound)
	_, err := k.KeepAlive(t.Context(), id)
	require.ErrorIs(t, err, kv.ErrLeaseNotFound)

	bare := grant(t, k, 60)
	require.NoError(t, k.Revoke(t.Context(), bare))
	require.Equal(t, before+1, revision(t, k), "a lease without keys takes no revision")
}

func leaseOfAPut(t *testing.T, k kv.KV) {
	const p = "kvtest/lease/moves/"
	a, b := grant(t, k, 60), grant(t, k, 60)
	do(t, k, kv.Put(p+"to-b", nil, a), kv.Put(p+"to-none", nil, a), kv.Put(p+"stays", nil, a), kv.Put(p+"again", nil, a))
	do(t, k, kv.Put(p+"to-b", nil, b), kv.Put(p+"to-none", nil, 0), kv.Delete(p+"again"))
	put(t, k, p+"again", "a new key")
	require.NoError(t, k.Revoke(t.Context(), a))
	require.Equal(t, []string{p + "again", p + "to-b", p + "to-none"}, keysOf(list(t, k, prefix(p)).KVs))
	require.NoError(t, k.Revoke(t.Context(), b))
	require.Equal(t, []string{p + "again", p + "to-none"}, keysOf(list(t, k, prefix(p)).KVs))
}

func leaseUnknown(t *testing.T, k kv.KV) {
	const p = "kvtest/lease/unknown/"
	id := grant(t, k, 60)
	require.NoError(t, k.Revoke(t.Context(), id))
	_, err := k.Txn(t.Context(), kv.Txn{Then: []kv.Op{kv.Put(p+"free", nil, 0), kv.Put(p+"leased", nil, id)}})
	require.ErrorIs(t, err, kv.ErrLeaseNotFound)
	require.True(t, kv.Definite(err))
	require.Empty(t, list(t, k, prefix(p)).KVs, "nothing of the transaction was written")
	// Only the branch taken is judged.
	r, err := k.Txn(t.Context(), kv.Txn{
		If:   []kv.Compare{{Key: p + "free", Target: kv.Version, Want: 7}},
		Then: []kv.Op{kv.Put(p+"leased", nil, id)},
	})
	require.NoError(t, err)
	require.False(t, r.Succeeded)
}

func leasesInHundreds(t *testing.T, k kv.KV) {
	const p, n, workers = "kvtest/lease/many/", 200, 8
	ids := make([]int64, n)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for i := worker; i < n; i += workers {
				id, err := k.Grant(t.Context(), 60)
				if err == nil {
					_, err = k.Txn(t.Context(), kv.Txn{Then: []kv.Op{kv.Put(fmt.Sprintf("%s%03d", p, i), nil, id)}})
				}
				if err == nil {
					_, err = k.KeepAlive(t.Context(), id)
				}
				ids[i], errs[worker] = id, errors.Join(errs[worker], err)
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	seen := map[int64]bool{}
	for i, id := range ids {
		require.False(t, seen[id], "lease %x twice", id)
		seen[id] = true
		got, ok := get(t, k, fmt.Sprintf("%s%03d", p, i))
		require.True(t, ok)
		require.Equal(t, id, got.Lease)
		require.NoError(t, k.Revoke(t.Context(), id))
	}
	require.Empty(t, list(t, k, prefix(p)).KVs)
}
