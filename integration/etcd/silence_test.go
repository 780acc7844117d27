package etcd_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/integration/cluster"
	"wadi/integration/etcd"
	"wadi/internal/busy"
	"wadi/metadata/kv"
	"wadi/metadata/kv/etcdkv"
)

// TestSilentConnectionIsGivenUp: what takes bytes and gives none, such as a frozen member or a firewall that forgot the
// connection, is left long before gRPC's pings notice, so that a session outlives it.
func TestSilentConnectionIsGivenUp(t *testing.T) {
	s := etcd.Start(t, etcd.Options{})
	link := cluster.NewLink(t, strings.TrimPrefix(s.Endpoint(), "http://"))
	k, err := etcdkv.Dial(etcdkv.Config{Endpoints: []string{"http://" + link.Address()}})
	require.NoError(t, err)
	defer k.Close()
	r, err := put(t.Context(), k, "k", []byte("v"))
	require.NoError(t, err)
	lease, err := k.Grant(t.Context(), 600)
	require.NoError(t, err)
	_, err = k.KeepAlive(t.Context(), lease)
	require.NoError(t, err)
	w := k.Watch(t.Context(), kv.WatchRequest{Key: "k", From: r.Header.Revision})
	require.Len(t, (<-w).Events, 1)
	time.Sleep(2500 * time.Millisecond) // idle is not silent
	select {
	case x := <-w:
		t.Fatalf("an idle watch got %+v", x)
	default:
	}

	link.Sever()
	began, waited := time.Now(), busy.Since()
	for _, call := range []func(ctx context.Context) error{
		func(ctx context.Context) error { _, err := put(ctx, k, "k", nil); return err },
		func(ctx context.Context) error { _, err := k.KeepAlive(ctx, lease); return err },
	} {
		for {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			err := call(ctx)
			cancel()
			if err == nil {
				break
			}
			require.ErrorIs(t, err, kv.ErrUnavailable)
			took := time.Since(began)
			require.Less(t, took, 8*time.Second+waited(), "no new connection: %v", err)
		}
	}
	require.ErrorIs(t, (<-w).Err, kv.ErrUnavailable, "the watch hears of it too")
	t.Logf("both connections were new after %v", time.Since(began))
}
