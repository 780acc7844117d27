package memkv

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wadi/metadata/kv"
)

const (
	watchBuffer    = 2   // responses between the store and a slow reader
	watchMaxEvents = 256 // aimed at for one response; a revision is never split for it
)

// Watch implements kv.KV. The goroutine reads from the store's history at the reader's pace, so that there is nothing to
// lose; history that is compacted away under a slow reader ends the watch with ErrCompacted.
func (k *KV) Watch(ctx context.Context, w kv.WatchRequest) <-chan kv.WatchResponse {
	out := make(chan kv.WatchResponse, watchBuffer)
	go func() {
		defer close(out)
		k.watch(ctx, w, out)
	}()
	return out
}

func (k *KV) watch(ctx context.Context, w kv.WatchRequest, out chan<- kv.WatchResponse) {
	var progress <-chan time.Time
	if w.Progress {
		t := time.NewTicker(k.srv.progress)
		defer t.Stop()
		progress = t.C
	}
	from := w.From
	if from <= 0 { // etcd's "from now on"
		k.srv.mu.Lock()
		from = k.srv.mu.store.rev + 1
		k.srv.mu.Unlock()
	}
	for {
		if k.closed.Err() != nil {
			k.cut(ctx, out, errClosed)
			return
		}
		resp, next, moved := k.srv.poll(w, from)
		from = next
		if resp.Err != nil || len(resp.Events) > 0 {
			select {
			case out <- resp:
			case <-ctx.Done():
				return
			case <-k.closed.Done():
				continue
			}
			if resp.Err != nil {
				return
			}
			continue
		}
		select {
		case <-moved:
		case <-progress:
			select {
			case out <- kv.WatchResponse{Header: resp.Header}:
			default: // a reader that is behind needs no notification that nothing happened
			}
		case <-ctx.Done():
			return
		case <-k.closed.Done():
		}
	}
}

func (k *KV) cut(ctx context.Context, out chan<- kv.WatchResponse, cause error) {
	select {
	case out <- kv.WatchResponse{Err: fmt.Errorf("%w: %w", kv.ErrUnavailable, cause)}:
	case <-ctx.Done():
	default: // no room: the closed channel alone tells a reader that does not read
	}
}

// poll reads the next events and, under the same lock, the signal that there may be more.
func (s *server) poll(w kv.WatchRequest, from int64) (resp kv.WatchResponse, next int64, moved <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.mu.store
	evs, next, err := st.EventsSince(w.Key, w.End, from, w.NoDelete, watchMaxEvents)
	resp = kv.WatchResponse{Header: st.Header(), Events: evs, Err: err}
	if errors.Is(err, kv.ErrCompacted) {
		resp.CompactRevision = st.compacted
	}
	return resp, next, s.mu.moved
}
