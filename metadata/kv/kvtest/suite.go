// Package kvtest holds the tests of the contract in package kv, for every implementation of it.
//
// A Case takes a kv.KV that other cases use too, one after the other, so it keeps to keys under its own name and judges
// by revisions relative to those it has seen. Cases use the clock only through package time and end all they start, so
// that they also run in a testing/synctest bubble, where waiting for a lease costs nothing.
package kvtest

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/metadata/kv"
)

// Case is one sentence or a few of the contract.
type Case struct {
	Name string
	Run  func(t *testing.T, k kv.KV)
	// Own: the case closes its KV, or compacts all history: it needs one that no other case uses.
	Own bool
}

// Cases lists the suite.
func Cases() []Case {
	return slices.Concat(txnCases, rangeCases, watchCases, compactCases, leaseCases, limitCases, lifeCases)
}

// Run tests what open makes. open registers its own cleanup; a case may have closed the KV before.
func Run(t *testing.T, open func(t *testing.T) kv.KV) {
	shared := open(t)
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			k := shared
			if c.Own {
				k = open(t)
			}
			c.Run(t, k)
		})
	}
}

// patience bounds every wait. It is far above what a loaded machine needs, so that running into it is a failure.
const patience = 4 * time.Minute

func do(t *testing.T, k kv.KV, ops ...kv.Op) kv.TxnResult {
	t.Helper()
	r, err := k.Txn(t.Context(), kv.Txn{Then: ops})
	require.NoError(t, err)
	require.True(t, r.Succeeded)
	return r
}

// put returns the revision of the put.
func put(t *testing.T, k kv.KV, key, value string) int64 {
	t.Helper()
	return do(t, k, kv.Put(key, []byte(value), 0)).Header.Revision
}

func get(t *testing.T, k kv.KV, key string) (kv.KeyValue, bool) {
	t.Helper()
	r := list(t, k, kv.RangeRequest{Key: key})
	if len(r.KVs) == 0 {
		return kv.KeyValue{}, false
	}
	return r.KVs[0], true
}

func list(t *testing.T, k kv.KV, r kv.RangeRequest) kv.RangeResult {
	t.Helper()
	res, err := k.Range(t.Context(), r)
	require.NoError(t, err)
	return res
}

func revision(t *testing.T, k kv.KV) int64 {
	t.Helper()
	return list(t, k, kv.RangeRequest{Key: "kvtest/none"}).Header.Revision
}

func prefix(key string) kv.RangeRequest {
	return kv.RangeRequest{Key: key, End: kv.PrefixEnd(key)}
}

// next is the watch's next response; one without events is passed over.
func next(t *testing.T, w <-chan kv.WatchResponse) kv.WatchResponse {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case r, open := <-w:
			require.True(t, open, "the watch was closed")
			if r.Err == nil && len(r.Events) == 0 {
				continue
			}
			return r
		case <-late.C:
			require.FailNow(t, "no watch response")
		}
	}
}

// collect reads n events and checks what holds for every watch: whole revisions, in order.
func collect(t *testing.T, w <-chan kv.WatchResponse, n int) (evs []kv.Event) {
	t.Helper()
	for len(evs) < n {
		r := next(t, w)
		require.NoError(t, r.Err)
		if len(evs) > 0 {
			require.Greater(t, r.Events[0].KV.ModRevision, evs[len(evs)-1].KV.ModRevision, "a revision in two responses")
		}
		evs = append(evs, r.Events...)
		require.True(t, slices.IsSortedFunc(evs, func(a, b kv.Event) int { return int(a.KV.ModRevision - b.KV.ModRevision) }))
		require.GreaterOrEqual(t, r.Header.Revision, r.Events[len(r.Events)-1].KV.ModRevision)
	}
	require.Len(t, evs, n)
	return evs
}

func requireClosed(t *testing.T, w <-chan kv.WatchResponse) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case _, open := <-w:
			if !open {
				return
			}
		case <-late.C:
			require.FailNow(t, "the watch stays open")
		}
	}
}
