package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"wadi/metadata/fsck"
)

func (a *app) storageCommand() *cobra.Command {
	var o clusterFlags
	var topic string
	cmd := &cobra.Command{
		Use:   "storage",
		Short: "Show what a cluster stores: objects, runs, amplification, garbage",
		Long: "Show what a cluster stores, from its state and from the bucket's listing. It only reads, and no records. The\n" +
			"cluster is found as by 'wadi fsck'.",
		Args: cobra.NoArgs,
	}
	o.add(cmd)
	cmd.Flags().StringVar(&topic, "topic", "", "show the partitions of this topic")
	cmd.RunE = a.do(func(ctx context.Context, _ []string) error {
		o.read(cmd)
		return a.storage(ctx, o, topic)
	})
	return cmd
}

func (a *app) storage(ctx context.Context, o clusterFlags, topic string) (err error) {
	c, err := a.openCluster(ctx, o, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	options := fsck.Options{KV: c.kv, Store: c.store, Cluster: c.name}
	if topic != "" {
		u, err := fsck.MeasureTopic(ctx, options, topic)
		if err != nil {
			return fmt.Errorf("topic %s of cluster %s cannot be measured: %w", topic, c.name, err)
		}
		if a.json() {
			return a.printJSON(u)
		}
		return a.printTopicUsage(u)
	}
	u, err := fsck.Measure(ctx, options)
	if err != nil {
		return fmt.Errorf("cluster %s cannot be measured: %w", c.name, err)
	}
	if a.json() {
		return a.printJSON(u)
	}
	return a.printUsage(u)
}

func (a *app) printUsage(u *fsck.Usage) error {
	err := a.printf("cluster %s (id %s) at position %d: %d topics, %d partitions\n\n", u.Cluster, u.ClusterID, u.Position, u.Topics, u.Partitions)
	rows := [][]string{{"KIND", "OBJECTS", "BYTES", "LIVE", "BYTES", "GARBAGE", "BYTES", "ORPHANS", "BYTES"}}
	for _, k := range append(u.Objects[:len(u.Objects):len(u.Objects)], u.Total) {
		row := []string{k.Kind}
		for _, n := range []fsck.Amount{k.Amount, k.Live, k.Garbage, k.Orphan} {
			row = append(row, strconv.Itoa(n.Objects), bytesText(n.Bytes))
		}
		rows = append(rows, row)
	}
	err = errors.Join(err, a.printTable(rows))
	written := uint64(0)
	for _, n := range u.Written {
		written += n
	}
	lines := [][]string{
		{"runs", fmt.Sprintf("%d in State, %d in manifests, %s; at most %d of a partition in State, median %d",
			u.Runs.State, u.Runs.Manifests, bytesText(u.Runs.Bytes), u.Runs.Max, u.Runs.Median)},
		{"manifests", fmt.Sprintf("of %s, with %s; %d that nobody reads any more",
			plural(u.Manifests.Partitions, "partition"), plural(u.Manifests.Owned, "object"), u.Manifests.Loose)},
		{"space amplification", fmt.Sprintf("%.2f: %s in the bucket for %s of runs", u.SpaceAmplification, bytesText(u.Total.Bytes), bytesText(u.Runs.Bytes))},
		{"write amplification", fmt.Sprintf("%.2f: %s written for %s appended, checkpoints not counted", u.WriteAmplification,
			bytesText(int64(written)), bytesText(int64(u.Appended)))},
		{"merge debt", fmt.Sprintf("%s, %s", plural(u.MergeDebt.Objects, "flush object"), bytesText(u.MergeDebt.Bytes))},
		{"garbage waiting", garbageText(u.Garbage)},
		{"State", fmt.Sprintf("%s%s", bytesText(u.StateTotal), classesText(u.State))},
		{"etcd", etcdText(u.Etcd)},
	}
	return errors.Join(err, a.printf("\n"), a.printTable(lines))
}

func garbageText(g fsck.GarbageUsage) string {
	text := fmt.Sprintf("%s, %s", plural(g.Objects, "object"), bytesText(g.Bytes))
	if g.Objects > 0 {
		text += fmt.Sprintf(", the oldest since %v", (time.Duration(g.OldestMs) * time.Millisecond).Round(time.Second))
	}
	return text
}

// classesText lists what State's bytes are, without those that are none.
func classesText(classes map[string]int64) string {
	text, sep := "", ": "
	for _, class := range sortedKeys(classes) {
		if n := classes[class]; n > 0 {
			text += sep + class + " " + bytesText(n)
			sep = ", "
		}
	}
	return text
}

func etcdText(e *fsck.EtcdUsage) string {
	if e == nil {
		return "it does not tell its size"
	}
	text := fmt.Sprintf("%s, %s in use", bytesText(e.Bytes), bytesText(e.InUse))
	if e.Quota > 0 {
		text += fmt.Sprintf(", quota %s", bytesText(e.Quota))
	}
	return text
}

func (a *app) printTopicUsage(u *fsck.TopicUsage) error {
	err := a.printf("%s (id %s) at position %d: %d runs in State, %d in manifests, %s; at most %d of a partition in State, median %d\n",
		u.Topic, u.ID, u.Position, u.Runs.State, u.Runs.Manifests, bytesText(u.Runs.Bytes), u.Runs.Max, u.Runs.Median)
	lie := ""
	for _, where := range sortedKeys(u.Bytes) {
		lie += fmt.Sprintf("  %s %s", where, bytesText(u.Bytes[where]))
	}
	err = errors.Join(err, a.printf("bytes by where they lie:%s\n\n", lie))
	rows := [][]string{{"PARTITION", "START", "END", "BYTES", "RUNS", "MANIFEST RUNS", "OWNED OBJECTS", "COMPACTED TO"}}
	for _, p := range u.Partitions {
		rows = append(rows, []string{
			strconv.Itoa(int(p.Partition)), strconv.FormatInt(p.Start, 10), strconv.FormatInt(p.End, 10), bytesText(p.Bytes),
			strconv.Itoa(p.Runs), strconv.Itoa(p.Manifest), strconv.Itoa(p.Owned), strconv.FormatInt(p.Compacted, 10),
		})
	}
	return errors.Join(err, a.printTable(rows))
}

// bytesText is a size for people: three or four digits and a unit.
func bytesText(n int64) string {
	if n < 10_000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	v := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v /= 1024; v < 1000 || unit == "TiB" {
			return strconv.FormatFloat(v, 'f', 1, 64) + " " + unit
		}
	}
	return ""
}
