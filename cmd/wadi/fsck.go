package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"wadi/internal/config"
	"wadi/internal/datadir"
	"wadi/metadata/fsck"
	"wadi/metadata/kv"
	"wadi/objstore"
)

type fsckOptions struct {
	file    string
	dataDir string
	flags   []config.Given // those of configuration keys
}

func (a *app) fsckCommand() *cobra.Command {
	var o fsckOptions
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Check that metadata and objects are whole and belong together; changes nothing",
		Long: "Check a cluster's metadata and objects against each other and read every byte. It only reads and may run\n" +
			"beside live agents. The cluster is found as by 'wadi agent' (flags, WADI_ variables, file), or, with\n" +
			"--data-dir, in the directory of a 'wadi dev' that does not run.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&o.file, "config", "", "configuration file (YAML)")
	cmd.Flags().StringVar(&o.dataDir, "data-dir", "", "data directory of a stopped 'wadi dev'")
	keys := map[string]string{
		"cluster":        "name of the cluster",
		"etcd.endpoints": "etcd client URLs, separated by commas",
		"store":          "object store URL",
	}
	for key, doc := range keys {
		cmd.Flags().String(key, "", doc)
	}
	cmd.RunE = a.do(func(ctx context.Context, _ []string) error {
		for key := range keys {
			if f := cmd.Flags().Lookup(key); f.Changed {
				o.flags = append(o.flags, config.Given{Key: key, Value: f.Value.String(), Source: "--" + key})
			}
		}
		return a.fsck(ctx, o)
	})
	return cmd
}

// errFindings: the check was made and found something. What it found is printed already.
var errFindings = errors.New("the check has findings")

func (a *app) fsck(ctx context.Context, o fsckOptions) (err error) {
	open := a.fsckCluster
	if o.dataDir != "" {
		open = a.fsckDataDir
	}
	c, metadata, done, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	store, err := openForReading(ctx, c.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, objstore.Close(store)) }()
	report, err := fsck.Run(ctx, fsck.Options{KV: metadata, Store: store, Cluster: c.Cluster})
	if err != nil {
		return fmt.Errorf("cluster %s cannot be checked: %w", c.Cluster, err)
	}
	if a.json() {
		err = a.printJSON(report)
	} else {
		err = a.printFsck(report)
	}
	if err == nil && !report.Clean() {
		err = errFindings
	}
	return err
}

// fsckCluster finds the cluster as an agent does. The listeners are no matter here: where none are configured, an
// address that nobody binds stands in for them, so that only what the check needs has to be given.
func (a *app) fsckCluster(_ context.Context, o fsckOptions) (config.Config, kv.KV, func() error, error) {
	loaded, err := config.Load(config.Input{
		File: o.file, Environ: a.environ, Flags: o.flags,
		Defaults: []config.Given{{Key: "listeners", Value: "PLAINTEXT://localhost:9092", Source: "fsck"}},
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

// fsckDataDir starts the embedded etcd of a dev directory under the directory's lock.
func (a *app) fsckDataDir(ctx context.Context, o fsckOptions) (config.Config, kv.KV, func() error, error) {
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
			{Key: "listeners", Value: "PLAINTEXT://localhost:9092", Source: "fsck"},
		},
		Reserved: map[string]string{"etcd.endpoints": "the directory holds an etcd of its own"},
	})
	if err != nil {
		return none, nil, nil, usageError{err}
	}
	// Opening a directory creates it, which is not for a check to do.
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

// printFsck prints what was looked at, then each finding and each leftover on a line of its own.
func (a *app) printFsck(r *fsck.Report) error {
	n := r.Counts
	err := a.printf("cluster %s (id %s, incarnation %d) at position %d, checkpoint at %d\n"+
		"%d topics, %d partitions, %d records in %d runs; %d entries, %d sessions, %d roots, %d archives, %d segments\n"+
		"%d objects of %d bytes in the bucket\n",
		r.Cluster, r.ClusterID, r.Incarnation, r.Position, r.Checkpoint,
		n.Topics, n.Partitions, n.Records, n.Runs, n.Entries, n.Sessions, n.Roots, n.Archives, n.Segments,
		n.Objects, n.Bytes)
	for _, i := range r.Findings {
		err = errors.Join(err, a.printf("FINDING %s\n", i))
	}
	for _, i := range r.Leftovers {
		err = errors.Join(err, a.printf("leftover %s\n", i))
	}
	if r.Omitted > 0 {
		err = errors.Join(err, a.printf("%d more lines are left out\n", r.Omitted))
	}
	verdict := "clean"
	if !r.Clean() {
		verdict = "NOT CLEAN"
	}
	return errors.Join(err, a.printf("%s: %d findings, %d leftovers\n", verdict, len(r.Findings), len(r.Leftovers)))
}
