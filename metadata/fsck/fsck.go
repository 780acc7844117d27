// Package fsck checks that a cluster's metadata and objects belong together and are whole. Unless it is told to repair, it
// only reads, from etcd and from the object store, and may run beside live agents.
//
// It loads State the way a view does (pointer, root, base, archives, journal tail), checks State against itself and
// against a replay from the oldest root that is kept, reads the manifests, then lists the bucket and compares it in both
// directions with State, manifests and the States of kept roots, and at last reads every run where it lies, those that
// manifests list, too: batches with their checksums, offsets that lead exactly from a run's first to its last (below the
// offset up to which a partition was compacted some may be missing), timestamps, and the markers of aborted transactions
// against the lists that readers go by.
//
// Memory is State twice, 88 bytes for each of its runs, some 130 bytes for each object of it or of a manifest, one manifest
// for each object that is being read, and a window of 8 MiB for each of those. The bucket's listing passes by.
package fsck

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wadi/internal/layout"
	"wadi/metadata/checkpoint"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	"wadi/metadata/manifest"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/segment"
)

// Options of Run.
type Options struct {
	KV      kv.KV
	Store   objstore.Store
	Cluster string
	// Reads is how many objects are read at a time; 0 means 8.
	Reads int
	// Grace is how old an orphan may get until somebody has deleted it, by the store's clock; 0 means 10 minutes.
	Grace time.Duration
	// Repair deletes orphans of closed sessions past the grace, and objects of forgotten sessions after a day. DryRun only
	// says which.
	Repair bool
	DryRun bool
	// Young is the age below which an object that State does not name may still be on its way into the journal, by the
	// store's clock; 0 means an hour.
	Young time.Duration
}

func (o Options) withDefaults() Options {
	if o.Reads == 0 {
		o.Reads = 8
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Minute
	}
	if o.Young == 0 {
		o.Young = time.Hour
	}
	return o
}

// attempts bounds how often a check starts over because agents moved the checkpoint under it.
const attempts = 3

// ErrNoCluster: etcd has no cluster of that name.
var ErrNoCluster = errors.New("no such cluster in etcd")

// Run checks a cluster. An error means that the check could not be made (a service that does not answer, no such
// cluster); what the check found is in the report. With an error of a repair there is a report, too: it says what was
// deleted.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := layout.ValidClusterName(o.Cluster); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	keys := layout.NewEtcd(o.Cluster)
	jrnl := journal.New(o.KV, keys)
	for n := 1; ; n++ {
		c := &checker{o: o, keys: keys, journal: jrnl, folds: folds{}}
		if err := c.check(ctx); err != nil {
			return nil, err
		}
		moved := false
		if c.mu.report.damaged() && n < attempts {
			var err error
			if moved, err = c.moved(ctx); err != nil {
				return nil, err
			}
		}
		if moved {
			continue // what is missing may have been dropped meanwhile, as it should be
		}
		if o.Repair {
			if err := c.repair(ctx); err != nil {
				return c.report(), err
			}
		}
		return c.report(), nil
	}
}

// checker is one attempt.
type checker struct {
	o       Options
	keys    layout.Etcd
	objects layout.Objects
	journal *journal.Journal
	collector

	anchor journal.Anchor
	roots  []root // kept ones, oldest first
	state  *state.State
	tail   []journal.Entry // behind the pointer
	tailMs []int64         // of each: the proposer's clock

	useless    []Item          // objects that a repair may delete
	losses     []loss          // runs whose objects are gone
	partitions []*partition    // of live topics
	homes      homes           // where runs lie
	folds      folds           // the manifests, of State and of kept roots
	wants      wants           // what the bucket must hold besides State's objects
	listed     map[uint64]bool // State's objects that are in the bucket; whether with their size
}

func (c *checker) report() *Report {
	r := &c.mu.report
	r.sort()
	return r
}

// check does one attempt. Its order is from the cheap to the expensive, and from what explains to what follows from it.
func (c *checker) check(ctx context.Context) error {
	for _, step := range []func(context.Context) error{c.identity, c.load, c.digests, c.replay} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if c.state == nil {
		return nil // the findings say why there is no State to compare the bucket with
	}
	for _, step := range []func(context.Context) error{c.judge, c.readManifests, c.list, c.readRuns, c.judgeLosses, c.judgeAborts} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// moved reports whether the checkpoint's pointer is another than at the start.
func (c *checker) moved(ctx context.Context) (bool, error) {
	a, err := c.journal.Anchor(ctx)
	if err != nil {
		return false, err
	}
	return a.PointerRevision != c.anchor.PointerRevision, nil
}

// judge checks State against itself.
func (c *checker) judge(context.Context) error {
	if err := c.state.Check(); err != nil {
		c.finding(BadState, fmt.Sprintf("position %d", c.state.Position()), "%v", err)
	}
	c.homes = c.collectRuns()
	c.state.EachManifest(func(m state.Manifest) { c.folds.add(c, c.state, m, nil, 0) })
	return nil
}

// damage reports whether an error tells of what is stored. Any other one (a service that does not answer, a context
// that ended, denied access) says nothing about it, and the check cannot go on.
func damage(err error) bool {
	for _, kind := range []error{
		objstore.ErrNotFound, objstore.ErrRange, objstore.ErrCorrupt, checkpoint.ErrFormat, state.ErrBase,
		state.ErrUndecodable, segment.ErrCorrupt, segment.ErrVersion, manifest.ErrCorrupt, manifest.ErrVersion, journal.ErrRolledBack,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
