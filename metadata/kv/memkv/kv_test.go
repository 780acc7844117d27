package memkv

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/metadata/kv"
)

func TestLeaseEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, ctx := New(Config{}), t.Context()
		defer k.Close()
		_, err := k.Grant(ctx, 60)
		require.NoError(t, err)
		short, err := k.Grant(ctx, 5) // must pull the timer nearer
		require.NoError(t, err)
		put, err := k.Txn(ctx, kv.Txn{Then: []kv.Op{kv.Put("s", nil, short)}})
		require.NoError(t, err)
		w := k.Watch(ctx, kv.WatchRequest{Key: "s", From: put.Header.Revision + 1})
		time.Sleep(3 * time.Second)
		_, err = k.KeepAlive(ctx, short)
		require.NoError(t, err)
		start := time.Now()
		r := <-w
		require.Equal(t, 5*time.Second, time.Since(start))
		require.True(t, r.Events[0].Delete)
	})
}

func TestCloseEndsOnlyOwnWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		a := New(Config{})
		b := a.Client()
		defer b.Close()
		wa := a.Watch(ctx, kv.WatchRequest{Key: "k", From: 2})
		wb := b.Watch(ctx, kv.WatchRequest{Key: "k", From: 2})
		synctest.Wait()
		require.NoError(t, a.Close())
		r := <-wa
		require.ErrorIs(t, r.Err, kv.ErrUnavailable)
		_, open := <-wa
		require.False(t, open)
		_, err := a.Range(ctx, kv.RangeRequest{Key: "k"})
		require.ErrorIs(t, err, kv.ErrUnavailable)
		_, err = b.Txn(ctx, kv.Txn{Then: []kv.Op{kv.Put("k", nil, 0)}})
		require.NoError(t, err)
		require.Len(t, (<-wb).Events, 1)
	})
}

func TestRollbackUnderAWatchEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, ctx := New(Config{}), t.Context()
		defer k.Close()
		var snap *Snapshot
		k.Inspect(func(s *Store) { snap = s.Snapshot() })
		w := k.Watch(ctx, kv.WatchRequest{Key: "k", From: 2})
		for range 3 {
			_, err := k.Txn(ctx, kv.Txn{Then: []kv.Op{kv.Put("k", nil, 0)}})
			require.NoError(t, err)
			<-w
		}
		k.Inspect(func(s *Store) { s.Restore(time.Now(), snap) })
		r := <-w
		require.ErrorIs(t, r.Err, kv.ErrFuture)
	})
}

func TestProgressOnAQuietWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(Config{ProgressInterval: time.Minute})
		defer k.Close()
		ctx, cancel := context.WithCancel(t.Context())
		w := k.Watch(ctx, kv.WatchRequest{Key: "k", From: 1, Progress: true})
		r := <-w
		require.Empty(t, r.Events)
		require.NoError(t, r.Err)
		require.Equal(t, int64(1), r.Header.Revision)
		cancel()
		_, open := <-w
		require.False(t, open)
	})
}
