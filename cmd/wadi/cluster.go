package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"wadi/internal/config"
	"wadi/internal/datadir"
	"wadi/metadata/kv"
	"wadi/objstore"
)

// clusterFlags say where a cluster's metadata and objects are, for commands that look at both themselves.
type clusterFlags struct {
	file    string
	dataDir string
	flags   []config.Given // those of configuration keys
}

var clusterKeys = map[string]string{
	"cluster":        "name of the cluster",
	"etcd.endpoints": "etcd client URLs, separated by commas",
	"store":          "object store URL",
}

func (o *clusterFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.file, "config", "", "configuration file (YAML)")
	cmd.Flags().StringVar(&o.dataDir, "data-dir", "", "data directory of a stopped 'wadi dev'")
	for key, doc := range clusterKeys {
		cmd.Flags().String(key, "", doc)
	}
}

// read takes in the configuration keys that were given as flags.
func (o *clusterFlags) read(cmd *cobra.Command) {
	for _, key := range sortedKeys(clusterKeys) {
		if f := cmd.Flags().Lookup(key); f.Changed {
			o.flags = append(o.flags, config.Given{Key: key, Value: f.Value.String(), Source: "--" + key})
		}
	}
}

// openedCluster is a cluster's etcd and store.
type openedCluster struct {
	name  string
	kv    kv.KV
	store objstore.Store
	grace time.Duration // gc.grace
	done  func() error  // gives the etcd up
}

func (c *openedCluster) close() error { return errors.Join(objstore.Close(c.store), c.done()) }

// openCluster opens both; without write the store leaves no trace of it.
func (a *app) openCluster(ctx context.Context, o clusterFlags, write bool) (*openedCluster, error) {
	find := a.findCluster
	if o.dataDir != "" {
		find = a.findDataDir
	}
	c, metadata, done, err := find(ctx, o)
	if err != nil {
		return nil, err
	}
	open := openForReading
	if write {
		open = openForWriting
	}
	store, err := open(ctx, c.Store)
	if err != nil {
		return nil, errors.Join(err, done())
	}
	return &openedCluster{name: c.Cluster, kv: metadata, store: store, grace: c.Compactor.Grace, done: done}, nil
}

// findCluster finds the cluster as an agent does. The listeners are no matter here: where none are configured, an
// address that nobody binds stands in for them, so that only what the command needs has to be given.
func (a *app) findCluster(_ context.Context, o clusterFlags) (config.Config, kv.KV, func() error, error) {
	loaded, err := config.Load(config.Input{
		File: o.file, Environ: a.environ, Flags: o.flags,
		Defaults: []config.Given{{Key: "listeners", Value: "PLAINTEXT://localhost:9092", Source: "none"}},
	})
	if err != nil {
		return config.Config{}, nil, nil, usageError{err}
	}
	metadata, err := openEtcd(loaded.Config.Etcd.Endpoints, a.logger(slog.LevelWarn))
	if err != nil {
		return config.Config{}, nil, nil, fmt.Errorf("etcd cannot be opened: %w", err)
	}
	return loaded.Config, metadata, metadata.Close, nil
}

// findDataDir starts the embedded etcd of a dev directory under the directory's lock.
func (a *app) findDataDir(ctx context.Context, o clusterFlags) (config.Config, kv.KV, func() error, error) {
	none := config.Config{}
	abs, err := filepath.Abs(o.dataDir)
	if err != nil {
		return none, nil, nil, fmt.Errorf("--data-dir %s: %w", o.dataDir, err)
	}
	objects := url.URL{Scheme: "file", Path: filepath.Join(abs, "objects")}
	loaded, err := config.Load(config.Input{
		File: o.file, Environ: a.environ, OwnEtcd: true, Flags: o.flags,
		Defaults: []config.Given{
			{Key: "cluster", Value: "dev", Source: "dev"},
			{Key: "etcd.endpoints", Value: "", Source: "dev"},
			{Key: "store", Value: objects.String(), Source: "--data-dir"},
			{Key: "listeners", Value: "PLAINTEXT://localhost:9092", Source: "none"},
		},
		Reserved: map[string]string{"etcd.endpoints": "the directory holds an etcd of its own"},
	})
	if err != nil {
		return none, nil, nil, usageError{err}
	}
	// Opening a directory creates it, which is not for a command that looks.
	if _, err := os.Stat(filepath.Join(abs, "etcd")); err != nil {
		return none, nil, nil, fmt.Errorf("%s is not a data directory of 'wadi dev': %w", abs, err)
	}
	dir, err := datadir.Open(abs)
	if errors.Is(err, datadir.ErrLocked) {
		return none, nil, nil, fmt.Errorf("%w: stop the 'wadi dev' that runs there first", err)
	}
	if err != nil {
		return none, nil, nil, err
	}
	metadata, err := embedEtcd(ctx, dir.Sub("etcd"), a.logger(slog.LevelWarn))
	if err != nil {
		return none, nil, nil, errors.Join(fmt.Errorf("the embedded etcd does not start: %w", err), dir.Close())
	}
	return loaded.Config, metadata, func() error { return errors.Join(metadata.Close(), dir.Close()) }, nil
}
