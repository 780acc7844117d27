package open

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"wadi/objstore"
	"wadi/objstore/s3"
)

// The pauses between two tries grow from firstPause to lastPause.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 3 * time.Second
)

// Await is Open for processes that may start before their store: while its service is not reached or not well it tries
// again, telling log, until ctx ends. Everything else, such as a bucket that does not exist, is an error at once.
func Await(ctx context.Context, url string, opts Options, log *slog.Logger) (objstore.Store, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		store, err := Open(ctx, url, opts)
		if err == nil || !s3.Transient(err) {
			return store, err
		}
		if ctx.Err() != nil {
			return nil, err
		}
		log.Warn("the object store does not answer yet", "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the object store: %w", ctx.Err())
		}
	}
}
