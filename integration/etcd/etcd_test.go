package etcd_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/integration/etcd"
	"wadi/internal/busy"
	"wadi/metadata/kv"
	"wadi/metadata/kv/etcdkv"
	"wadi/metadata/kv/kvtest"
)

func TestContract(t *testing.T) {
	s := etcd.Start(t, etcd.Options{})
	for _, c := range kvtest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			if c.Own {
				s := etcd.Start(t, etcd.Options{})
				c.Run(t, s.Client())
				return
			}
			c.Run(t, s.Client())
		})
	}
}

func put(ctx context.Context, k kv.KV, key string, value []byte) (kv.TxnResult, error) {
	return k.Txn(ctx, kv.Txn{Then: []kv.Op{kv.Put(key, value, 0)}})
}

// eventually repeats a read until it answers, as long as the client reconnects.
func eventually(t *testing.T, k kv.KV, key string) kv.RangeResult {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		r, err := k.Range(ctx, kv.RangeRequest{Key: key})
		cancel()
		if err == nil {
			return r
		}
		require.ErrorIs(t, err, kv.ErrUnavailable)
		require.True(t, time.Now().Before(deadline), "no connection again: %v", err)
	}
}

func TestKillLosesNothingAndEndsWatches(t *testing.T) {
	s := etcd.Start(t, etcd.Options{})
	k := s.Client()
	r, err := put(t.Context(), k, "k", []byte("v"))
	require.NoError(t, err)
	w := k.Watch(t.Context(), kv.WatchRequest{Key: "k", From: r.Header.Revision})
	require.Len(t, (<-w).Events, 1)

	s.Kill()
	got := <-w
	require.ErrorIs(t, got.Err, kv.ErrUnavailable)
	_, open := <-w
	require.False(t, open)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = put(ctx, k, "k", nil)
	require.ErrorIs(t, err, kv.ErrUnavailable)
	require.False(t, kv.Definite(err))

	s.Restart()
	again := eventually(t, k, "k")
	require.Equal(t, "v", string(again.KVs[0].Value))
	require.Equal(t, r.Header.ClusterID, again.Header.ClusterID)
	require.Len(t, (<-k.Watch(t.Context(), kv.WatchRequest{Key: "k", From: r.Header.Revision})).Events, 1)
}

func TestPauseLeavesTheOutcomeUnknown(t *testing.T) {
	s := etcd.Start(t, etcd.Options{})
	k := s.Client()
	before, err := put(t.Context(), k, "k", []byte("1"))
	require.NoError(t, err)
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = put(ctx, k, "k", []byte("2"))
	require.ErrorIs(t, err, kv.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.False(t, kv.Definite(err))
	s.Resume()
	r := eventually(t, k, "k")
	require.LessOrEqual(t, r.KVs[0].Version, int64(2), "sent once at most")
	require.GreaterOrEqual(t, r.KVs[0].ModRevision, before.Header.Revision)
}

func TestRollbackIsSeenByAWatch(t *testing.T) {
	s := etcd.Start(t, etcd.Options{})
	k := s.Client()
	_, err := put(t.Context(), k, "k", nil)
	require.NoError(t, err)
	s.Stop()
	backup := s.Backup()
	s.Restart()
	eventually(t, k, "k")
	var last kv.TxnResult
	for range 5 {
		last, err = put(t.Context(), k, "k", nil)
		require.NoError(t, err)
	}
	s.Stop()
	s.Rollback(backup)
	s.Restart()
	require.Less(t, eventually(t, k, "k").Header.Revision, last.Header.Revision)
	got := <-k.Watch(t.Context(), kv.WatchRequest{Key: "k", From: last.Header.Revision + 1})
	require.ErrorIs(t, got.Err, kv.ErrFuture)

	s.Stop()
	s.Wipe()
	s.Restart()
	require.NotEqual(t, last.Header.ClusterID, eventually(t, k, "k").Header.ClusterID)
}

func TestFullEtcdTakesDeletesOnly(t *testing.T) {
	s := etcd.Start(t, etcd.Options{QuotaBytes: 2 << 20})
	k := s.Client()
	var err error
	for i := 0; err == nil; i++ {
		require.Less(t, i, 100)
		_, err = put(t.Context(), k, "k/"+string(rune('a'+i)), make([]byte, 256<<10))
	}
	require.ErrorIs(t, err, kv.ErrNoSpace)
	require.False(t, kv.Definite(err))
	st, err := k.Status(t.Context())
	require.NoError(t, err)
	require.True(t, st.NoSpace)
	require.Equal(t, int64(2<<20), st.QuotaBytes)
	r, err := k.Txn(t.Context(), kv.Txn{Then: []kv.Op{{Kind: kv.OpDelete, Key: "k/", End: kv.PrefixEnd("k/")}}})
	require.NoError(t, err)
	require.Positive(t, r.Deleted)
	_, err = put(t.Context(), k, "small", nil)
	require.ErrorIs(t, err, kv.ErrNoSpace, "until the alarm is taken back")
	_, err = k.Grant(t.Context(), 60)
	require.ErrorIs(t, err, kv.ErrNoSpace)
}

func TestOneDeadEndpointIsNoOutage(t *testing.T) {
	s, dead := etcd.Start(t, etcd.Options{}), etcd.Start(t, etcd.Options{})
	dead.Pause() // its connections are accepted and nothing answers
	gone := etcd.Start(t, etcd.Options{})
	gone.Kill()
	k, err := etcdkv.Dial(etcdkv.Config{Endpoints: []string{gone.Endpoint(), s.Endpoint()}})
	require.NoError(t, err)
	defer k.Close()
	for range 10 {
		_, err = put(t.Context(), k, "k", nil)
		require.NoError(t, err)
	}
	st, err := k.Status(t.Context())
	require.NoError(t, err)
	require.Positive(t, st.DBSize)

	frozen, err := etcdkv.Dial(etcdkv.Config{Endpoints: []string{dead.Endpoint()}})
	require.NoError(t, err)
	defer frozen.Close()
	start, waited := time.Now(), busy.Since()
	_, err = frozen.Status(t.Context())
	took := time.Since(start)
	require.ErrorIs(t, err, kv.ErrUnavailable)
	require.Less(t, took, 20*time.Second+waited())
}

func TestProgressNotifications(t *testing.T) {
	s := etcd.Start(t, etcd.Options{Args: []string{"--watch-progress-notify-interval=100ms"}})
	k := s.Client()
	w := k.Watch(t.Context(), kv.WatchRequest{Key: "k", Progress: true})
	r, err := put(t.Context(), k, "other", nil)
	require.NoError(t, err)
	for got := range w {
		require.NoError(t, got.Err)
		require.Empty(t, got.Events)
		if got.Header.Revision == r.Header.Revision {
			return
		}
	}
	t.Fatal("the watch ended")
}
