package etcd_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"wadi/integration/etcd"
	"wadi/metadata/kv"
	"wadi/metadata/kv/etcdkv"
)

// secured starts an etcd where user "wadi" may use keys under "wadi/" alone and tokens end after a second.
func secured(t *testing.T) *etcd.Server {
	t.Helper()
	s := etcd.Start(t, etcd.Options{Args: []string{"--auth-token-ttl=1"}})
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Endpoint()}, DialTimeout: time.Minute})
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, step := range []func() error{
		func() error { _, err := c.RoleAdd(ctx, "root"); return err },
		func() error { _, err := c.UserAdd(ctx, "root", "root-secret"); return err },
		func() error { _, err := c.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := c.RoleAdd(ctx, "wadi"); return err },
		func() error {
			_, err := c.RoleGrantPermission(ctx, "wadi", "wadi/", kv.PrefixEnd("wadi/"), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := c.UserAdd(ctx, "wadi", "secret"); return err },
		func() error { _, err := c.UserGrantRole(ctx, "wadi", "wadi"); return err },
		func() error { _, err := c.AuthEnable(ctx); return err },
	} {
		require.NoError(t, step())
	}
	return s
}

// current makes a call again that was refused because a busy machine took longer for it than a token lasts.
func current(call func() error) error {
	for {
		began := time.Now()
		err := call()
		if !errors.Is(err, kv.ErrDenied) || time.Since(began) < time.Second {
			return err
		}
	}
}

func TestCredentials(t *testing.T) {
	s := secured(t)
	k, err := etcdkv.Dial(etcdkv.Config{Endpoints: []string{s.Endpoint()}, Username: "wadi", Password: "secret"})
	require.NoError(t, err)
	defer k.Close()

	require.NoError(t, current(func() error { _, err := put(t.Context(), k, "wadi/a", nil); return err }))
	_, err = put(t.Context(), k, "other/a", nil)
	require.ErrorIs(t, err, kv.ErrDenied)
	require.True(t, kv.Definite(err))
	_, err = k.Range(t.Context(), kv.RangeRequest{Key: "other/a"})
	require.ErrorIs(t, err, kv.ErrDenied)
	w := k.Watch(t.Context(), kv.WatchRequest{Key: "other/", End: kv.PrefixEnd("other/"), From: 1})
	require.ErrorIs(t, (<-w).Err, kv.ErrDenied)
	_, open := <-w
	require.False(t, open)
	w = k.Watch(t.Context(), kv.WatchRequest{Key: "wadi/", End: kv.PrefixEnd("wadi/"), From: 1})
	require.Len(t, (<-w).Events, 1)

	var lease int64
	require.NoError(t, current(func() (err error) { lease, err = k.Grant(t.Context(), 600); return err }))
	// The token ends while it is not used: calls go on with a new one, each applied once.
	for i := range 3 {
		time.Sleep(1500 * time.Millisecond)
		switch i {
		case 0:
			var r kv.TxnResult
			require.NoError(t, current(func() (err error) {
				r, err = k.Txn(t.Context(), kv.Txn{Then: []kv.Op{kv.Put("wadi/a", nil, lease), kv.Get("wadi/a")}})
				return err
			}))
			require.Equal(t, int64(2), r.Gets[0][0].Version)
			require.Len(t, (<-w).Events, 1, "a watch outlives its token")
		case 1:
			require.NoError(t, current(func() error { _, err := k.KeepAlive(t.Context(), lease); return err }))
		case 2:
			w := k.Watch(t.Context(), kv.WatchRequest{Key: "wadi/", End: kv.PrefixEnd("wadi/"), From: 1})
			require.Len(t, (<-w).Events, 2)
		}
	}
	require.NoError(t, current(func() error { return k.Revoke(t.Context(), lease) }))
	time.Sleep(1500 * time.Millisecond)
	require.NoError(t, current(func() error { _, err := k.Status(t.Context()); return err }))
	require.ErrorIs(t, k.Compact(t.Context(), 2), kv.ErrDenied, "compacting takes the root role")

	_, err = etcdkv.Dial(etcdkv.Config{Endpoints: []string{s.Endpoint()}, Username: "wadi", Password: "wrong"})
	require.ErrorIs(t, err, kv.ErrDenied)
	anonymous := s.Client()
	_, err = put(t.Context(), anonymous, "wadi/a", nil)
	require.ErrorIs(t, err, kv.ErrDenied)
}
