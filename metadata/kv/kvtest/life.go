package kvtest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/metadata/kv"
)

var lifeCases = []Case{
	{Name: "ContextEnded", Run: contextEnded},
	{Name: "Status", Run: status},
	{Name: "Close", Run: closeEndsAll, Own: true},
}

func contextEnded(t *testing.T, k kv.KV) {
	const key = "kvtest/ctx"
	lease := grant(t, k, 60)
	before := revision(t, k)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancelLate()
	for ctx, cause := range map[context.Context]error{canceled: context.Canceled, late: context.DeadlineExceeded} {
		for name, call := range map[string]func() error{
			"txn": func() error {
				_, err := k.Txn(ctx, kv.Txn{Then: []kv.Op{kv.Put(key, nil, 0)}})
				return err
			},
			"range":      func() error { _, err := k.Range(ctx, kv.RangeRequest{Key: key}); return err },
			"grant":      func() error { _, err := k.Grant(ctx, 5); return err },
			"keep alive": func() error { _, err := k.KeepAlive(ctx, lease); return err },
			"revoke":     func() error { return k.Revoke(ctx, lease) },
			"compact":    func() error { return k.Compact(ctx, before) },
			"status":     func() error { _, err := k.Status(ctx); return err },
		} {
			err := call()
			require.ErrorIs(t, err, cause, name)
			require.ErrorIs(t, err, kv.ErrUnavailable, name)
			require.False(t, kv.Definite(err), name)
		}
	}
	require.Equal(t, before, revision(t, k), "a call whose context had ended before was not sent")
	require.NoError(t, k.Revoke(t.Context(), lease))
}

func status(t *testing.T, k kv.KV) {
	rev := put(t, k, "kvtest/status", "x")
	st, err := k.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, rev, st.Header.Revision)
	require.NotZero(t, st.Header.ClusterID)
	require.Positive(t, st.DBSize)
	require.Positive(t, st.DBInUse)
	require.LessOrEqual(t, st.DBInUse, st.DBSize)
	require.Greater(t, st.QuotaBytes, st.DBSize)
	require.False(t, st.NoSpace)
	require.Equal(t, 1, st.Members)
}

func closeEndsAll(t *testing.T, k kv.KV) {
	const key = "kvtest/close"
	w := k.Watch(t.Context(), kv.WatchRequest{Key: key, From: put(t, k, key, "")})
	collect(t, w, 1)
	require.NoError(t, k.Close())
	r := next(t, w)
	require.ErrorIs(t, r.Err, kv.ErrUnavailable)
	requireClosed(t, w)
	_, err := k.Txn(t.Context(), kv.Txn{Then: []kv.Op{kv.Put(key, nil, 0)}})
	require.ErrorIs(t, err, kv.ErrUnavailable)
	require.False(t, kv.Definite(err))
	_, err = k.KeepAlive(t.Context(), 1)
	require.ErrorIs(t, err, kv.ErrUnavailable)
	w = k.Watch(t.Context(), kv.WatchRequest{Key: key, From: 1})
	require.ErrorIs(t, next(t, w).Err, kv.ErrUnavailable)
	requireClosed(t, w)
	require.NoError(t, k.Close(), "twice")
}
