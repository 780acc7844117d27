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

// longestTTL ends what begins with leases of two seconds, as nobody wants to wait for longer. Where a machine holds up the
// requests that need a lease for longer than it lives, they are sent again for one that lives four times as long.
const longestTTL = 128

func seconds(ttl int64) time.Duration { return time.Duration(ttl) * time.Second }

func leaseExpiryDeletesItsKeys(t *testing.T, k kv.KV) {
	const p = "kvtest/lease/expiry/"
	var (
		id    int64
		r     kv.TxnResult
		asked time.Time
		ttl   = int64(2)
	)
	for ; ; ttl *= 4 {
		before := revision(t, k)
		asked = time.Now()
		id = grant(t, k, ttl)
		require.Equal(t, before, revision(t, k), "a lease takes no revision")
		var err error
		r, err = k.Txn(t.Context(), kv.Txn{Then: []kv.Op{kv.Put(p+"b", nil, id), kv.Put(p+"a", nil, id), kv.Put(p+"c", nil, 0)}})
		got, there := get(t, k, p+"a")
		if there && err == nil {
			require.Equal(t, id, got.Lease)
			break
		}
		if err != nil {
			require.ErrorIs(t, err, kv.ErrLeaseNotFound)
		}
		require.Greater(t, time.Since(asked), seconds(ttl), "the lease was over before its time")
		require.Less(t, ttl, int64(longestTTL))
	}
	w := k.Watch(t.Context(), kv.WatchRequest{Key: p, End: kv.PrefixEnd(p), From: r.Header.Revision + 1})
	resp := next(t, w)
	require.NoError(t, resp.Err)
	require.GreaterOrEqual(t, time.Since(asked), seconds(ttl)-100*time.Millisecond)
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
	for ttl := int64(2); ; ttl *= 4 {
		put, renewed, kept := keptAlive(t, k, key, ttl)
		if !kept {
			require.Less(t, ttl, int64(longestTTL))
			continue
		}
		r := next(t, k.Watch(t.Context(), kv.WatchRequest{Key: key, From: put + 1}))
		require.NoError(t, r.Err)
		require.True(t, r.Events[0].Delete)
		require.GreaterOrEqual(t, time.Since(renewed), seconds(ttl)-100*time.Millisecond, "not before a full ttl after the last renewal")
		return
	}
}

// keptAlive puts a key under a lease and renews that for longer than it lives by itself. It returns the revision of the put
// and when the last renewal was asked for; false when a renewal came too late.
func keptAlive(t *testing.T, k kv.KV, key string, ttl int64) (put int64, renewed time.Time, kept bool) {
	t.Helper()
	renewed = time.Now()
	id := grant(t, k, ttl)
	// gone: the lease is not there, which must be because nobody renewed it in time.
	gone := func() bool {
		require.Greater(t, time.Since(renewed), seconds(ttl), "the lease was over before its time")
		return false
	}
	r, err := k.Txn(t.Context(), kv.Txn{Then: []kv.Op{kv.Put(key, nil, id)}})
	if errors.Is(err, kv.ErrLeaseNotFound) {
		return 0, renewed, gone()
	}
	require.NoError(t, err)
	for range 5 {
		time.Sleep(seconds(ttl) * 35 / 100)
		asked := time.Now()
		got, err := k.KeepAlive(t.Context(), id)
		if errors.Is(err, kv.ErrLeaseNotFound) {
			return 0, renewed, gone()
		}
		require.NoError(t, err)
		require.Equal(t, ttl, got)
		renewed = asked
	}
	if _, there := get(t, k, key); !there {
		return 0, renewed, gone()
	}
	return r.Header.Revision, renewed, true
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
