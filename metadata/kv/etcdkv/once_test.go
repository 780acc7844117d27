package etcdkv_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"wadi/metadata/kv"
	"wadi/metadata/kv/etcdkv"
)

// refusing is an etcd that counts requests and answers all with one error.
type refusing struct {
	pb.UnimplementedKVServer
	pb.UnimplementedLeaseServer
	calls  atomic.Int64
	answer error
}

func (r *refusing) refuse() error { r.calls.Add(1); return r.answer }

func (r *refusing) Txn(context.Context, *pb.TxnRequest) (*pb.TxnResponse, error) {
	return nil, r.refuse()
}

func (r *refusing) Compact(context.Context, *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	return nil, r.refuse()
}

func (r *refusing) LeaseGrant(context.Context, *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	return nil, r.refuse()
}

func (r *refusing) LeaseRevoke(context.Context, *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	return nil, r.refuse()
}

func (r *refusing) LeaseKeepAlive(pb.Lease_LeaseKeepAliveServer) error { return r.refuse() }

// A request is sent at most once, whatever is answered. clientv3's defaults send some of these a hundred times.
func TestRequestsAreSentOnce(t *testing.T) {
	for _, answer := range []error{
		status.Error(codes.Canceled, "context canceled"), status.Error(codes.DeadlineExceeded, "context deadline exceeded"),
		rpctypes.ErrGRPCTimeout, rpctypes.ErrGRPCLeaderChanged, rpctypes.ErrGRPCInvalidAuthToken, rpctypes.ErrGRPCNoSpace,
		status.Error(codes.Unavailable, "there is no address available"), status.Error(codes.ResourceExhausted, "slow down"),
	} {
		t.Run(answer.Error(), func(t *testing.T) {
			etcd := &refusing{answer: answer}
			srv := grpc.NewServer()
			pb.RegisterKVServer(srv, etcd)
			pb.RegisterLeaseServer(srv, etcd)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			done := make(chan error, 1)
			go func() { done <- srv.Serve(l) }()
			k, err := etcdkv.Dial(etcdkv.Config{Endpoints: []string{l.Addr().String()}})
			require.NoError(t, err)
			defer func() {
				require.NoError(t, k.Close())
				srv.Stop()
				require.NoError(t, <-done)
			}()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for i, call := range []func() error{
				func() error {
					_, err := k.Txn(ctx, kv.Txn{Then: []kv.Op{kv.Put("k", nil, 0)}})
					return err
				},
				func() error { _, err := k.Grant(ctx, 5); return err },
				func() error { return k.Revoke(ctx, 1) },
				func() error { return k.Compact(ctx, 1) },
				func() error { _, err := k.KeepAlive(ctx, 1); return err },
			} {
				require.Error(t, call())
				require.Equal(t, int64(i+1), etcd.calls.Load())
			}
		})
	}
}
