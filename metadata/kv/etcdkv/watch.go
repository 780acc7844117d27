package etcdkv

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"wadi/metadata/kv"
)

// watchBuffer is how many responses wait for a slow reader; what follows waits in the stream's window, then in etcd.
const watchBuffer = 2

// Watch implements kv.KV.
//
// The events of one revision stay together because etcd keeps them so (storage/mvcc): a watch in step gets one response
// for each transaction; one that catches up gets batches that end between revisions (1,000 of them at most); one whose
// channel was full gets the refused batch again as it was. Responses are cut apart only for a watch that asked for
// fragments.
func (k *KV) Watch(ctx context.Context, w kv.WatchRequest) <-chan kv.WatchResponse {
	out := make(chan kv.WatchResponse, watchBuffer)
	callCtx, leave, err := k.enter(ctx)
	if err != nil {
		if ctx.Err() == nil {
			out <- kv.WatchResponse{Err: err}
		}
		close(out)
		return out
	}
	go func() {
		defer close(out)
		defer leave()
		last := k.stream(callCtx, ctx, w, out)
		if ctx.Err() != nil {
			return
		}
		select {
		case out <- last:
		case <-ctx.Done():
		case <-k.closing.Done():
			select { // Close waits for us: leave the error only where there is room for it
			case out <- last:
			default:
			}
		}
	}()
	return out
}

// stream carries one watch until it ends and returns the response that says why. caller is the caller's context, ctx
// its child that also ends with the KV.
func (k *KV) stream(ctx, caller context.Context, w kv.WatchRequest, out chan<- kv.WatchResponse) kv.WatchResponse {
	fail := func(err error) kv.WatchResponse {
		if k.closing.Err() != nil {
			err = errClosed
		}
		return kv.WatchResponse{Err: classify(caller, "watch", err)}
	}
	stream, err := k.watch.Watch(clientv3.WithRequireLeader(ctx), k.opts...)
	if err != nil {
		return fail(err)
	}
	create := &pb.WatchCreateRequest{
		Key: []byte(w.Key), RangeEnd: rangeEnd(w.End), StartRevision: w.From, ProgressNotify: w.Progress,
	}
	if w.NoDelete {
		create.Filters = []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NODELETE}
	}
	err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}})
	if err != nil {
		if _, cause := stream.Recv(); cause != nil {
			err = cause
		}
		return fail(err)
	}
	for {
		resp, err := stream.Recv()
		if err != nil {
			return fail(err)
		}
		k.dataSilence.heard()
		switch {
		case resp.CompactRevision != 0:
			return kv.WatchResponse{
				Header: header(resp.Header), CompactRevision: resp.CompactRevision,
				Err: fmt.Errorf("etcd: watch from %d: %w", w.From, kv.ErrCompacted),
			}
		case resp.Canceled:
			return kv.WatchResponse{Header: header(resp.Header), Err: canceledWatch(caller, resp.CancelReason)}
		case resp.Created:
			if err := k.rolledBack(ctx, caller, w, resp.Header.GetRevision()); err != nil {
				return kv.WatchResponse{Header: header(resp.Header), Err: err}
			}
			continue
		}
		select {
		case out <- kv.WatchResponse{Header: header(resp.Header), Events: events(resp.Events)}:
		case <-ctx.Done():
			return fail(ctx.Err())
		}
	}
}

// rolledBack reports ErrFuture for a watch that starts above the store's next revision. etcd itself would wait, silently
// drop what a rolled back store writes until it gets there, and go on as if nothing had happened. The revision of the
// watch's creation is the member's own, which may lag: only a linearizable read proves a rollback.
func (k *KV) rolledBack(ctx, caller context.Context, w kv.WatchRequest, created int64) error {
	if w.From <= created+1 {
		return nil
	}
	resp, err := k.kv.Range(ctx, &pb.RangeRequest{Key: []byte(w.Key), CountOnly: true}, k.opts...)
	if err != nil {
		return classify(caller, "watch", err)
	}
	if rev := resp.Header.GetRevision(); w.From > rev+1 {
		return fmt.Errorf("etcd: watch from %d of %d: %w", w.From, rev, kv.ErrFuture)
	}
	return nil
}
