package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"wadi/metadata/fsck"
)

type fsckOptions struct {
	clusterFlags
	grace  time.Duration
	repair bool
	dryRun bool
	all    bool // leftovers one by one
}

func (a *app) fsckCommand() *cobra.Command {
	var o fsckOptions
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Check that metadata and objects are whole and belong together",
		Long: "Check a cluster's metadata and objects against each other and read every byte. Without --repair it only reads. It\n" +
			"may run beside live agents. The cluster is found as by 'wadi agent' (flags, WADI_ variables, file), or, with\n" +
			"--data-dir, in the directory of a 'wadi dev' that does not run.",
		Args: cobra.NoArgs,
	}
	o.add(cmd)
	cmd.Flags().DurationVar(&o.grace, "grace", 0, "age from which on an orphan should have been deleted (default gc.grace)")
	cmd.Flags().BoolVar(&o.repair, "repair", false, "delete orphans of closed sessions, and of forgotten ones after a day")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "with --repair: only say what would be deleted")
	cmd.Flags().BoolVar(&o.all, "verbose", false, "list every leftover; JSON always does")
	cmd.RunE = a.do(func(ctx context.Context, _ []string) error {
		if o.grace < 0 {
			return usagef("--grace %v: must not be negative", o.grace)
		}
		if o.dryRun && !o.repair {
			return usagef("--dry-run belongs to --repair")
		}
		o.read(cmd)
		return a.fsck(ctx, o)
	})
	return cmd
}

// errFindings: the check was made and found something. What it found is printed already.
var errFindings = errors.New("the check has findings")

func (a *app) fsck(ctx context.Context, o fsckOptions) (err error) {
	c, err := a.openCluster(ctx, o.clusterFlags, o.repair && !o.dryRun)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if o.grace == 0 {
		o.grace = c.grace
	}
	report, err := fsck.Run(ctx, fsck.Options{
		KV: c.kv, Store: c.store, Cluster: c.name, Grace: o.grace, Repair: o.repair, DryRun: o.dryRun,
	})
	if report == nil {
		return fmt.Errorf("cluster %s cannot be checked: %w", c.name, err)
	}
	if err != nil {
		err = fmt.Errorf("cluster %s cannot be repaired: %w", c.name, err)
	}
	if a.json() {
		err = errors.Join(err, a.printJSON(report))
	} else {
		err = errors.Join(err, a.printFsck(report, o))
	}
	if err == nil && !report.Clean() {
		err = errFindings
	}
	return err
}

// printFsck prints what was looked at, then each finding on a line of its own, and one for each kind of leftovers.
func (a *app) printFsck(r *fsck.Report, o fsckOptions) error {
	n := r.Counts
	err := a.printf("cluster %s (id %s, incarnation %d) at position %d, checkpoint at %d\n"+
		"%d topics, %d partitions, %d records in %d runs; %d entries, %d sessions, %d roots, %d archives, %d segments, %d manifests\n"+
		"%d objects of %d bytes in the bucket\n",
		r.Cluster, r.ClusterID, r.Incarnation, r.Position, r.Checkpoint,
		n.Topics, n.Partitions, n.Records, n.Runs, n.Entries, n.Sessions, n.Roots, n.Archives, n.Segments, n.Manifests,
		n.Objects, n.Bytes)
	for _, i := range r.Findings {
		err = errors.Join(err, a.printf("FINDING %s\n", i))
	}
	left := 0
	for _, s := range r.Sums {
		left += s.Objects
		oldest := (time.Duration(s.OldestMs) * time.Millisecond).Round(time.Second)
		err = errors.Join(err, a.printf("leftover %s: %s, %s, the oldest %v old\n", s.Kind, plural(s.Objects, "object"), bytesText(s.Bytes), oldest))
	}
	if o.all {
		for _, i := range r.Leftovers {
			err = errors.Join(err, a.printf("leftover %s\n", i))
		}
	}
	what := "deleted"
	if o.dryRun {
		what = "would delete"
	}
	for _, i := range r.Deleted {
		err = errors.Join(err, a.printf("%s %s\n", what, i))
	}
	if r.Omitted > 0 && (o.all || len(r.Findings) >= fsck.MaxItems) {
		err = errors.Join(err, a.printf("%d more lines are left out\n", r.Omitted))
	}
	verdict := "clean"
	if !r.Clean() {
		verdict = "NOT CLEAN"
	}
	return errors.Join(err, a.printf("%s: %d findings, %d leftovers\n", verdict, len(r.Findings), left))
}
