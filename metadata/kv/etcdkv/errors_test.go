package etcdkv

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"wadi/metadata/kv"
)

func TestClassify(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		err      error
		want     error
		definite bool
	}{
		{rpctypes.ErrGRPCCompacted, kv.ErrCompacted, false},
		{rpctypes.ErrCompacted, kv.ErrCompacted, false}, // clientv3 has typed it already
		{rpctypes.ErrGRPCFutureRev, kv.ErrFuture, false},
		{rpctypes.ErrGRPCRequestTooLarge, kv.ErrTooLarge, true},
		{rpctypes.ErrGRPCTooManyOps, kv.ErrTooLarge, true},
		{rpctypes.ErrGRPCNoSpace, kv.ErrNoSpace, false},
		{rpctypes.ErrGRPCLeaseNotFound, kv.ErrLeaseNotFound, true},
		{rpctypes.ErrGRPCPermissionDenied, kv.ErrDenied, true},
		{rpctypes.ErrGRPCInvalidAuthToken, kv.ErrDenied, true},
		{rpctypes.ErrGRPCUserEmpty, kv.ErrDenied, true},
		{rpctypes.ErrGRPCAuthFailed, kv.ErrDenied, true},
		{rpctypes.ErrGRPCNoLeader, kv.ErrUnavailable, false},
		{rpctypes.ErrGRPCLeaderChanged, kv.ErrUnavailable, false},
		{rpctypes.ErrGRPCTimeout, kv.ErrUnavailable, false},
		{rpctypes.ErrGRPCStopped, kv.ErrUnavailable, false},
		{rpctypes.ErrTooManyRequests, kv.ErrUnavailable, false},
		{status.Error(codes.ResourceExhausted, "grpc: received message larger than max"), kv.ErrUnavailable, false},
		{status.Error(codes.Unavailable, "transport is closing"), kv.ErrUnavailable, false},
		{status.Error(codes.DeadlineExceeded, "the server's own"), kv.ErrUnavailable, false},
		{status.Error(codes.PermissionDenied, "from a proxy, perhaps after the effect"), kv.ErrUnavailable, false},
		{errors.New("anything"), kv.ErrUnavailable, false},
	} {
		t.Run(fmt.Sprint(c.err), func(t *testing.T) {
			got := classify(t.Context(), "txn", c.err)
			require.ErrorIs(t, got, c.want)
			require.Equal(t, c.definite, kv.Definite(got))
			got = classify(ended, "txn", c.err)
			require.ErrorIs(t, got, context.Canceled)
			require.ErrorIs(t, got, kv.ErrUnavailable)
			require.False(t, kv.Definite(got))
		})
	}
	require.NoError(t, classify(ended, "txn", nil))
	require.NotErrorIs(t, classify(t.Context(), "txn", rpctypes.ErrGRPCDuplicateKey), kv.ErrUnavailable)
	require.ErrorIs(t, canceledWatch(t.Context(), rpctypes.ErrGRPCPermissionDenied.Error()), kv.ErrDenied)
	require.ErrorIs(t, canceledWatch(t.Context(), "a reason of a later version"), kv.ErrUnavailable)
	require.ErrorIs(t, canceledWatch(t.Context(), ""), kv.ErrUnavailable)
}
