package fsck

import (
	"context"
	"errors"
	"fmt"

	"wadi/metadata/state"
)

// ErrNoTopic: the cluster has no topic of that name.
var ErrNoTopic = errors.New("no such topic")

// TopicUsage is what a cluster stores of one topic.
type TopicUsage struct {
	Cluster    string           `json:"cluster"`
	Position   int64            `json:"position"`
	Topic      string           `json:"topic"`
	ID         string           `json:"id"` // 32 hex digits
	Runs       RunUsage         `json:"runs"`
	Bytes      map[string]int64 `json:"bytes"` // of runs, by where they lie: journal, or kind of object
	Partitions []PartitionUsage `json:"partitions"`
}

// PartitionUsage is what a cluster stores of one partition.
type PartitionUsage struct {
	Partition int32 `json:"partition"`
	Start     int64 `json:"start"` // first offset
	End       int64 `json:"end"`   // next offset
	Runs      int   `json:"runs"`  // that State holds
	Bytes     int64 `json:"bytes"` // of all runs
	Manifest  int   `json:"manifest_runs"`
	Owned     int   `json:"owned_objects"` // by the manifest
	Compacted int64 `json:"compacted_to"`  // below it offsets may be missing
}

// MeasureTopic is Measure for one topic. It looks at State alone.
func MeasureTopic(ctx context.Context, o Options, topic string) (*TopicUsage, error) {
	c, err := loaded(ctx, o)
	if err != nil {
		return nil, err
	}
	t := c.state.Topic(topic)
	if t == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoTopic, topic)
	}
	u := &TopicUsage{
		Cluster: c.mu.report.Cluster, Position: c.mu.report.Position, Topic: t.Name, ID: fmt.Sprintf("%x", t.ID[:]),
		Bytes: map[string]int64{"journal": 0, "archive": 0, "flush": 0, "merge": 0, "manifest": 0},
	}
	var counts []int
	for i := range int32(t.Partitions()) {
		p := t.Partition(i)
		x := PartitionUsage{
			Partition: i, Start: p.LogStart, End: p.Next, Runs: p.Runs(), Bytes: p.Bytes(), Compacted: p.CompactedTo,
		}
		if m := p.Manifest; m != nil {
			x.Manifest, x.Owned = int(m.Runs), int(m.Owned-m.Released)
			u.Bytes["manifest"] += m.Bytes
		}
		p.EachRun(func(r state.Run) { u.Bytes[c.whereabouts(r)] += int64(r.Length) })
		u.Runs.State += x.Runs
		u.Runs.Manifests += x.Manifest
		u.Runs.Bytes += x.Bytes
		if x.Runs > 0 {
			counts = append(counts, x.Runs)
		}
		u.Partitions = append(u.Partitions, x)
	}
	u.Runs.Max, u.Runs.Median = most(counts)
	return u, nil
}

// whereabouts is the kind of object that a run lies in. A marker lies in State, as what the journal holds does for a
// while.
func (c *checker) whereabouts(r state.Run) string {
	if r.Marker() {
		return "journal"
	}
	if !r.Inline() {
		o, _ := c.state.Object(r.Place)
		return kindOf(o.Kind)
	}
	if _, _, ok := c.state.Archive(int64(r.Place)); ok {
		return "archive"
	}
	return "journal"
}
