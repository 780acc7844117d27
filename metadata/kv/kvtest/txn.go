package kvtest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/metadata/kv"
)

var txnCases = []Case{
	{Name: "TxnCompares", Run: txnCompares},
	{Name: "TxnRevisions", Run: txnRevisions},
	{Name: "TxnOneRevision", Run: txnOneRevision},
	{Name: "TxnGets", Run: txnGets},
	{Name: "TxnElse", Run: txnElse},
	{Name: "TxnConcurrentCompares", Run: txnConcurrentCompares},
	{Name: "TxnHeadCountsEveryAppend", Run: txnHeadCountsEveryAppend},
}

func txnCompares(t *testing.T, k kv.KV) {
	const here, gone, never = "kvtest/cmp/here", "kvtest/cmp/gone", "kvtest/cmp/never"
	created := put(t, k, here, "1")
	modified := put(t, k, here, "2")
	put(t, k, gone, "1")
	do(t, k, kv.Delete(gone))
	for _, c := range []struct {
		cmp   kv.Compare
		holds bool
	}{
		{kv.Compare{Key: here, Target: kv.CreateRevision, Want: created}, true},
		{kv.Compare{Key: here, Target: kv.CreateRevision, Want: modified}, false},
		{kv.Compare{Key: here, Target: kv.CreateRevision, Want: 0}, false},
		{kv.Compare{Key: here, Target: kv.ModRevision, Want: modified}, true},
		{kv.Compare{Key: here, Target: kv.ModRevision, Want: created}, false},
		{kv.Compare{Key: here, Target: kv.ModRevision, Want: modified + 1}, false},
		{kv.Compare{Key: here, Target: kv.Version, Want: 2}, true},
		{kv.Compare{Key: here, Target: kv.Version, Want: 1}, false},
		{kv.Compare{Key: gone, Target: kv.CreateRevision, Want: 0}, true},
		{kv.Compare{Key: gone, Target: kv.ModRevision, Want: 0}, true},
		{kv.Compare{Key: gone, Target: kv.Version, Want: 0}, true},
		{kv.Compare{Key: never, Target: kv.CreateRevision, Want: 0}, true},
		{kv.Compare{Key: never, Target: kv.ModRevision, Want: 0}, true},
		{kv.Compare{Key: never, Target: kv.Version, Want: 0}, true},
		{kv.Compare{Key: never, Target: kv.Version, Want: 1}, false},
	} {
		r, err := k.Txn(t.Context(), kv.Txn{If: []kv.Compare{c.cmp}, Then: []kv.Op{kv.Get(here)}})
		require.NoError(t, err)
		require.Equal(t, c.holds, r.Succeeded, "%+v", c.cmp)
	}
	// All must hold.
	r, err := k.Txn(t.Context(), kv.Txn{If: []kv.Compare{
		{Key: here, Target: kv.Version, Want: 2}, {Key: gone, Target: kv.Version, Want: 1},
	}})
	require.NoError(t, err)
	require.False(t, r.Succeeded)
}

func txnRevisions(t *testing.T, k kv.KV) {
	const key = "kvtest/revs"
	first := put(t, k, key, "a")
	second := put(t, k, key, "b")
	require.Greater(t, second, first)
	got, _ := get(t, k, key)
	require.Equal(t, kv.KeyValue{Key: key, Value: []byte("b"), CreateRevision: first, ModRevision: second, Version: 2}, got)
	do(t, k, kv.Delete(key))
	_, ok := get(t, k, key)
	require.False(t, ok)
	again := put(t, k, key, "c")
	got, _ = get(t, k, key)
	require.Equal(t, kv.KeyValue{Key: key, Value: []byte("c"), CreateRevision: again, ModRevision: again, Version: 1}, got)
}

func txnOneRevision(t *testing.T, k kv.KV) {
	const p = "kvtest/one/"
	put(t, k, p+"old", "")
	before := revision(t, k)
	r := do(t, k, kv.Put(p+"a", nil, 0), kv.Put(p+"b", nil, 0), kv.Delete(p+"old"))
	require.Equal(t, before+1, r.Header.Revision)
	require.Equal(t, int64(1), r.Deleted)
	for _, got := range list(t, k, prefix(p)).KVs {
		require.Equal(t, before+1, got.ModRevision)
		require.Equal(t, before+1, got.CreateRevision)
	}
	// What changes nothing takes no revision.
	r = do(t, k, kv.Delete(p+"none"), kv.Get(p+"a"))
	require.Equal(t, before+1, r.Header.Revision)
	require.Zero(t, r.Deleted)
	require.NotZero(t, r.Header.ClusterID)
}

func txnGets(t *testing.T, k kv.KV) {
	const p = "kvtest/gets/"
	put(t, k, p+"1", "x")
	put(t, k, p+"2", "y")
	all := kv.Op{Kind: kv.OpGet, Key: p, End: kv.PrefixEnd(p)}
	two := all
	two.Limit = 2
	r := do(t, k, all, kv.Get(p+"none"), kv.Put(p+"3", []byte("z"), 0), two, kv.Get(p+"3"),
		kv.Op{Kind: kv.OpDelete, Key: p + "1", End: p + "3"}, all)
	require.Len(t, r.Gets, 5)
	require.Len(t, r.Gets[0], 2, "before the put")
	require.Empty(t, r.Gets[1])
	require.Len(t, r.Gets[2], 2, "the limit")
	require.Equal(t, []kv.KeyValue{{
		Key: p + "3", Value: []byte("z"), Version: 1,
		CreateRevision: r.Header.Revision, ModRevision: r.Header.Revision,
	}}, r.Gets[3], "the transaction's own put")
	require.Len(t, r.Gets[4], 1, "after its delete")
	require.Equal(t, int64(2), r.Deleted)
}

func txnElse(t *testing.T, k kv.KV) {
	const key = "kvtest/else"
	rev := put(t, k, key, "mine")
	r, err := k.Txn(t.Context(), kv.Txn{
		If:   []kv.Compare{{Key: key, Target: kv.CreateRevision, Want: 0}},
		Then: []kv.Op{kv.Put(key, []byte("theirs"), 0)},
		Else: []kv.Op{kv.Get(key)},
	})
	require.NoError(t, err)
	require.False(t, r.Succeeded)
	require.Equal(t, "mine", string(r.Gets[0][0].Value))
	got, _ := get(t, k, key)
	require.Equal(t, rev, got.ModRevision)
}

func txnConcurrentCompares(t *testing.T, k kv.KV) {
	const key, workers, each = "kvtest/cas", 8, 20
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for i := range workers {
		wg.Go(func() { errs[i] = increment(t, k, key, each) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	got, _ := get(t, k, key)
	require.Equal(t, strconv.Itoa(workers*each), string(got.Value), "an increment was lost")
	require.Equal(t, int64(workers*each), got.Version)
}

// increment adds 1 to key n times, each guarded by the revision read before.
func increment(t *testing.T, k kv.KV, key string, n int) error {
	for done := 0; done < n; {
		r, err := k.Range(t.Context(), kv.RangeRequest{Key: key})
		if err != nil {
			return err
		}
		have, rev := 0, int64(0)
		if len(r.KVs) > 0 {
			rev = r.KVs[0].ModRevision
			if have, err = strconv.Atoi(string(r.KVs[0].Value)); err != nil {
				return err
			}
		}
		res, err := k.Txn(t.Context(), kv.Txn{
			If:   []kv.Compare{{Key: key, Target: kv.ModRevision, Want: rev}},
			Then: []kv.Op{kv.Put(key, []byte(strconv.Itoa(have+1)), 0)},
		})
		if err != nil {
			return err
		}
		if res.Succeeded {
			done++
		}
	}
	return nil
}

// txnHeadCountsEveryAppend is how the journal counts its entries: a head key that every append puts.
func txnHeadCountsEveryAppend(t *testing.T, k kv.KV) {
	const p, workers, each = "kvtest/journal/", 4, 50
	w := k.Watch(t.Context(), kv.WatchRequest{Key: p, End: kv.PrefixEnd(p), From: revision(t, k) + 1})
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for i := range workers {
		wg.Go(func() {
			for j := range each {
				key := fmt.Sprintf("%s%d/%04d", p, i, j)
				r, err := k.Txn(t.Context(), kv.Txn{
					If:   []kv.Compare{{Key: key, Target: kv.CreateRevision, Want: 0}},
					Then: []kv.Op{kv.Put(key, []byte("entry"), 0), kv.Put(p+"~head", nil, 0)},
				})
				if err != nil || !r.Succeeded {
					errs[i] = errors.Join(err, fmt.Errorf("append %s: succeeded %v", key, r.Succeeded))
					return
				}
			}
		})
	}
	evs := collect(t, w, 2*workers*each)
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	for i := 0; i < len(evs); i += 2 {
		entry, head := evs[i].KV, evs[i+1].KV
		require.Equal(t, p+"~head", head.Key)
		require.Equal(t, entry.ModRevision, head.ModRevision)
		require.Equal(t, int64(i/2+1), head.Version)
	}
}
