package member

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"wadi/internal/layout"
	"wadi/metadata/bootstrap"
	"wadi/metadata/checkpoint"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	"wadi/objstore"
)

// attempt bounds one attempt to find the cluster.
const attempt = 10 * time.Second

// Find finds the cluster's identity, again and again while etcd or the store do not answer; because is told what it waits
// for. It returns the reason when the process must not start: bootstrap.ErrMismatch, journal.ErrRolledBack, or that ctx
// has ended.
func Find(
	ctx context.Context, store kv.KV, keys layout.Etcd, objects objstore.Store, cluster string, log *slog.Logger,
	because func(string),
) (bootstrap.Identity, error) {
	const waiting = "waiting for etcd and the object store"
	because(waiting) // a first attempt, with what the store repeats, may take seconds
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 3*time.Second) {
		try, cancel := context.WithTimeout(ctx, attempt)
		id, err := bootstrap.Run(try, store, keys, objects, cluster)
		if err == nil {
			err = checkpoint.CheckRoots(try, store, keys, objects, layout.NewObjects(id.Cluster, id.Incarnation))
		}
		cancel()
		if err == nil {
			return id, nil
		}
		if ctx.Err() != nil || errors.Is(err, bootstrap.ErrMismatch) || errors.Is(err, journal.ErrRolledBack) {
			return id, err
		}
		because(waiting + ": " + err.Error())
		log.Warn("cannot start yet", "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return id, ctx.Err()
		}
	}
}
