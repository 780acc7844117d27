package checkpoint

import (
	"context"
	"fmt"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	"wadi/objstore"
)

// Roots lists the root objects of an incarnation, oldest first.
func Roots(ctx context.Context, store objstore.Store, keys layout.Objects) ([]layout.CheckpointName, []string, error) {
	var names []layout.CheckpointName
	var found []string
	for after := ""; ; {
		list, err := store.List(ctx, keys.CheckpointPrefix(layout.Root), after, 1000)
		if err != nil {
			return nil, nil, fmt.Errorf("list roots: %w", err)
		}
		for _, o := range list {
			name, err := keys.ParseCheckpoint(o.Key)
			if err != nil {
				return nil, nil, fmt.Errorf("list roots: %w", err)
			}
			names, found = append(names, name), append(found, o.Key)
			after = o.Key
		}
		if len(list) < 1000 {
			return names, found, nil
		}
	}
}

// CheckRoots compares the bucket's newest root with etcd: one that another etcd wrote, or that counts more entries than
// etcd does, shows that etcd was rolled back or replaced. That is journal.ErrRolledBack.
func CheckRoots(ctx context.Context, store kv.KV, etcd layout.Etcd, objects objstore.Store, keys layout.Objects) error {
	names, found, err := Roots(ctx, objects, keys)
	if err != nil || len(names) == 0 {
		return err
	}
	key := found[len(found)-1]
	root, err := ReadRoot(ctx, objects, key)
	if err != nil {
		return err
	}
	// After the bucket: a head read before could be older than the root for no worse reason than time.
	head, err := journal.New(store, etcd).Head(ctx)
	if err != nil {
		return err
	}
	switch {
	case root.EtcdClusterId != head.EtcdCluster:
		return fmt.Errorf("%w: the checkpoint %s was written with etcd cluster %x, this is etcd cluster %x; use the cluster's own "+
			"etcd, or rebuild it with `wadi recover`", journal.ErrRolledBack, key, root.EtcdClusterId, head.EtcdCluster)
	case root.Head > head.Version:
		return fmt.Errorf("%w: the checkpoint %s holds %d journal entries, etcd counts only %d; restore the newest etcd data, or "+
			"rebuild it with `wadi recover`", journal.ErrRolledBack, key, root.Head, head.Version)
	}
	return nil
}
