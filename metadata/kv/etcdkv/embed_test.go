package etcdkv_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/metadata/kv"
	"wadi/metadata/kv/etcdkv"
)

func embedded(t *testing.T, dir string) *etcdkv.KV {
	t.Helper()
	k, err := etcdkv.Embed(t.Context(), dir, etcdkv.EmbedOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	return k
}

func TestEmbedKeepsItsDataAcrossRestarts(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	k := embedded(t, dir)
	put, err := k.Txn(ctx, kv.Txn{Then: []kv.Op{kv.Put("k", []byte("v"), 0)}})
	require.NoError(t, err)

	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err = etcdkv.Embed(short, dir, etcdkv.EmbedOptions{})
	require.ErrorIs(t, err, context.DeadlineExceeded, "one process at a time holds a directory")

	require.NoError(t, k.Close())
	_, err = k.Range(ctx, kv.RangeRequest{Key: "k"})
	require.ErrorIs(t, err, kv.ErrUnavailable)

	k = embedded(t, dir)
	r, err := k.Range(ctx, kv.RangeRequest{Key: "k"})
	require.NoError(t, err)
	require.Equal(t, "v", string(r.KVs[0].Value))
	require.Equal(t, put.Header.Revision, r.KVs[0].ModRevision)
	require.Equal(t, put.Header.ClusterID, r.Header.ClusterID)
}

func TestEmbedsAreDifferentClusters(t *testing.T) {
	a, err := embedded(t, t.TempDir()).Status(t.Context())
	require.NoError(t, err)
	b, err := embedded(t, t.TempDir()).Status(t.Context())
	require.NoError(t, err)
	require.NotZero(t, a.Header.ClusterID)
	require.NotEqual(t, a.Header.ClusterID, b.Header.ClusterID)
	require.Equal(t, 1, a.Members)
	require.Equal(t, int64(8<<30), a.QuotaBytes)
	require.Positive(t, a.DBSize)
}

func BenchmarkTxn(b *testing.B) {
	k, err := etcdkv.Embed(b.Context(), b.TempDir(), etcdkv.EmbedOptions{})
	require.NoError(b, err)
	defer k.Close()
	value := make([]byte, 3000)
	var ds []time.Duration
	for b.Loop() {
		start := time.Now()
		_, err := k.Txn(b.Context(), kv.Txn{Then: []kv.Op{kv.Put("k", value, 0)}})
		require.NoError(b, err)
		ds = append(ds, time.Since(start))
	}
	slices.Sort(ds)
	b.ReportMetric(float64(ds[len(ds)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(ds[len(ds)*99/100].Microseconds()), "p99-us")
}
