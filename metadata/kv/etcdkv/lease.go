package etcdkv

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"wadi/metadata/kv"
)

// Grant implements kv.KV. etcd raises a ttl below its own minimum (1.5 election timeouts, in whole seconds).
func (k *KV) Grant(ctx context.Context, ttlSeconds int64) (lease int64, err error) {
	resp, err := call(ctx, k, "grant", &pb.LeaseGrantRequest{TTL: ttlSeconds}, k.lease.LeaseGrant)
	if err != nil {
		return 0, err
	}
	return resp.ID, nil
}

// Revoke implements kv.KV.
func (k *KV) Revoke(ctx context.Context, lease int64) error {
	_, err := call(ctx, k, "revoke", &pb.LeaseRevokeRequest{ID: lease}, k.lease.LeaseRevoke)
	return err
}

// KeepAlive implements kv.KV. It is one request on one short stream: renewals are seldom, and a stream kept open would
// outlive the member it leads to.
func (k *KV) KeepAlive(ctx context.Context, lease int64) (ttlSeconds int64, err error) {
	callCtx, leave, err := k.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave() // ends the stream too
	k.beatSilence.asked()
	ttlSeconds, err = k.renew(callCtx, lease)
	if err != nil && k.retryAuth && staleToken(err) {
		ttlSeconds, err = k.renew(callCtx, lease)
	}
	k.beatSilence.done(ctx, err)
	if err != nil {
		return 0, classify(ctx, "keep alive", err)
	}
	if ttlSeconds <= 0 { // how etcd says that it has no such lease
		return 0, fmt.Errorf("etcd: keep alive %x: %w", lease, kv.ErrLeaseNotFound)
	}
	return ttlSeconds, nil
}

func (k *KV) renew(ctx context.Context, lease int64) (ttl int64, err error) {
	stream, err := k.beat.LeaseKeepAlive(ctx, k.opts...)
	if err != nil {
		return 0, err
	}
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: lease}); err != nil {
		// gRPC answers io.EOF here and the cause from Recv.
		if _, cause := stream.Recv(); cause != nil {
			err = cause
		}
		return 0, err
	}
	resp, err := stream.Recv()
	if err != nil {
		return 0, err
	}
	return resp.TTL, nil
}
