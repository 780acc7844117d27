package etcdkv

import (
	"context"
	"fmt"
	"math"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"wadi/metadata/kv"
)

// DefaultMaxRequestBytes is etcd's own default bound of one request.
const DefaultMaxRequestBytes = 3 << 19 // 1.5 MiB

// KV keeps the contract of kv.KV. The bytes of values belong to the receiver, but those of watch events may be shared
// between the watches of one KV: they must not be modified.
type KV struct {
	kv    pb.KVClient
	watch pb.WatchClient
	lease pb.LeaseClient // grant and revoke
	// beat renews leases on a connection of its own: on a shared one a renewal would wait for the send quota behind
	// every large transaction.
	beat    pb.LeaseClient
	status  func(ctx context.Context) (kv.Status, error)
	release func() error

	dataSilence, beatSilence *silence // of the two connections; nil for an embedded server

	opts       []grpc.CallOption
	maxRequest int
	retryAuth  bool // credentials with a token that is renewed by the connection

	closing context.Context // ends when Close begins
	cancel  context.CancelFunc
	// calls counts what is in flight. An embedded server's backend must not be closed under a call that reads it.
	calls struct {
		sync.RWMutex
		sync.WaitGroup
		closed bool
	}
	closeOnce sync.Once
	closeErr  error
}

var _ kv.KV = (*KV)(nil)

func (k *KV) init() {
	k.closing, k.cancel = context.WithCancel(context.Background())
	if k.maxRequest == 0 {
		k.maxRequest = DefaultMaxRequestBytes
	}
	// A watch that catches up gets up to 1,000 revisions in one message, and no message may be refused for its size
	// after its effect: the bound is gRPC's own.
	k.opts = []grpc.CallOption{grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)}
}

// enter registers a call; leave ends it. The context ends with the caller's and with Close.
func (k *KV) enter(ctx context.Context) (callCtx context.Context, leave func(), err error) {
	k.calls.RLock()
	defer k.calls.RUnlock()
	if k.calls.closed {
		return nil, nil, fmt.Errorf("etcd: %w: %w", kv.ErrUnavailable, errClosed)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("etcd: %w: %w", kv.ErrUnavailable, err)
	}
	k.calls.Add(1)
	callCtx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(k.closing, cancel)
	return callCtx, func() {
		stop()
		cancel()
		k.calls.Done()
	}, nil
}

// call runs one unary request: once, and a second time only when the first was refused for an outdated token.
func call[Req, Resp any](ctx context.Context, k *KV, op string, req Req,
	f func(context.Context, Req, ...grpc.CallOption) (Resp, error)) (resp Resp, err error) {
	callCtx, leave, err := k.enter(ctx)
	if err != nil {
		return resp, err
	}
	defer leave()
	k.dataSilence.asked()
	resp, err = f(callCtx, req, k.opts...)
	if err != nil && k.retryAuth && staleToken(err) {
		resp, err = f(callCtx, req, k.opts...)
	}
	k.dataSilence.done(ctx, err)
	return resp, classify(ctx, op, err)
}

// Txn implements kv.KV.
func (k *KV) Txn(ctx context.Context, t kv.Txn) (kv.TxnResult, error) {
	req := txnRequest(t)
	if n := proto.Size(req); n > k.maxRequest {
		return kv.TxnResult{}, fmt.Errorf("etcd: txn of %d bytes, at most %d: %w", n, k.maxRequest, kv.ErrTooLarge)
	}
	resp, err := call(ctx, k, "txn", req, k.kv.Txn)
	if err != nil {
		return kv.TxnResult{}, err
	}
	return txnResult(resp), nil
}

// Range implements kv.KV.
func (k *KV) Range(ctx context.Context, r kv.RangeRequest) (kv.RangeResult, error) {
	resp, err := call(ctx, k, "range", &pb.RangeRequest{
		Key: []byte(r.Key), RangeEnd: rangeEnd(r.End), Revision: r.Revision, Limit: r.Limit,
		KeysOnly: r.KeysOnly, CountOnly: r.CountOnly, Serializable: r.Serializable,
	}, k.kv.Range)
	if err != nil {
		return kv.RangeResult{}, err
	}
	kvs := keyValues(resp.Kvs)
	if r.KeysOnly {
		for i := range kvs {
			kvs[i].Lease = 0 // before 3.7 etcd read the leases too: nobody shall come to depend on it
		}
	}
	return kv.RangeResult{Header: header(resp.Header), KVs: kvs, More: resp.More, Count: resp.Count}, nil
}

// Compact implements kv.KV. It returns when the compaction is decided; etcd frees the space in the background.
func (k *KV) Compact(ctx context.Context, revision int64) error {
	_, err := call(ctx, k, "compact", &pb.CompactionRequest{Revision: revision}, k.kv.Compact)
	return err
}

// Status implements kv.KV.
func (k *KV) Status(ctx context.Context) (kv.Status, error) {
	callCtx, leave, err := k.enter(ctx)
	if err != nil {
		return kv.Status{}, err
	}
	defer leave()
	st, err := k.status(callCtx)
	if err != nil && k.retryAuth && staleToken(err) {
		st, err = k.status(callCtx)
	}
	return st, classify(ctx, "status", err)
}

// Close ends all watches, waits for the calls in flight and lets go of the connections, or stops the embedded server.
func (k *KV) Close() error {
	k.closeOnce.Do(func() {
		k.calls.Lock()
		k.calls.closed = true
		k.calls.Unlock()
		k.cancel()
		k.calls.Wait()
		k.closeErr = k.release()
	})
	return k.closeErr
}
