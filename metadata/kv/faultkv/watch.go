package faultkv

import (
	"context"

	"wadi/metadata/kv"
)

// Watch implements kv.KV. The responses pass one at a time, without a buffer of their own.
func (k *KV) Watch(ctx context.Context, w kv.WatchRequest) <-chan kv.WatchResponse {
	k.mu.Lock()
	k.mu.watch++
	id := k.mu.watch
	k.mu.Unlock()
	c := Call{Op: Watch, Watch: w}
	r, hit := k.decide(c)
	k.recordWatch(id, c, r, hit)
	out := make(chan kv.WatchResponse)
	go func() {
		defer close(out)
		if hit {
			switch r.Action {
			case FailBefore:
				send(ctx, out, kv.WatchResponse{Err: r.fault(c)})
				return
			case Hang:
				k.last(ctx, out, k.hang(ctx, c, r))
				return
			case Delay:
				if err := k.delay(ctx, c, r); err != nil {
					k.last(ctx, out, err)
					return
				}
			}
		}
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		k.pump(ctx, id, w, k.inner.Watch(inner, w), out)
	}()
	return out
}

// last ends a watch that was held up: with err when the KV was closed, silently when the reader's context ended.
func (k *KV) last(ctx context.Context, out chan<- kv.WatchResponse, err error) {
	if ctx.Err() == nil {
		send(ctx, out, kv.WatchResponse{Err: err})
	}
}

func send(ctx context.Context, out chan<- kv.WatchResponse, resp kv.WatchResponse) bool {
	select {
	case out <- resp:
		return true
	case <-ctx.Done():
		return false
	}
}

// pump passes responses on until the watch or ctx ends. Returning early leaves the inner watch to its cancelled context.
func (k *KV) pump(ctx context.Context, id int, w kv.WatchRequest, in <-chan kv.WatchResponse, out chan<- kv.WatchResponse) {
	var held []kv.WatchResponse // by Swap, to go after the next
	for resp := range in {
		c := Call{Op: Response, Watch: w, Response: resp}
		r, hit := k.decide(c)
		k.recordWatch(id, c, r, hit)
		deliver := []kv.WatchResponse{resp}
		if hit {
			switch r.Action {
			case Drop:
				deliver = nil
			case Repeat:
				deliver = append(deliver, resp)
			case Swap:
				held = append(held, resp)
				continue
			case Delay:
				if err := k.delay(ctx, c, r); err != nil {
					k.last(ctx, out, err)
					return
				}
			case Hang:
				k.last(ctx, out, k.hang(ctx, c, r))
				return
			case Cut:
				send(ctx, out, kv.WatchResponse{Header: resp.Header, Err: r.fault(c), CompactRevision: r.CompactRevision})
				return
			}
		}
		// An error ends the watch: what is held goes before it, as nothing may follow.
		if resp.Err != nil {
			deliver = append(held, deliver...)
		} else {
			deliver = append(deliver, held...)
		}
		held = nil
		for _, d := range deliver {
			if !send(ctx, out, d) {
				return
			}
		}
	}
}
