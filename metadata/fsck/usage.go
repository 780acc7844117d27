package fsck

import "wadi/metadata/state"

// Usage is what a cluster stores.
type Usage struct {
	Cluster   string      `json:"cluster"`
	ClusterID string      `json:"cluster_id"`
	Position  int64       `json:"position"` // of the newest entry looked at
	Objects   []KindUsage `json:"objects"`  // by kind
	Total     KindUsage   `json:"total"`

	Topics     int           `json:"topics"`
	Partitions int           `json:"partitions"`
	Runs       RunUsage      `json:"runs"`
	Manifests  ManifestUsage `json:"manifests"`

	Appended uint64            `json:"appended_bytes"` // of all batches ever accepted
	Written  map[string]uint64 `json:"written_bytes"`  // by kind, of all objects that ever got into State
	// WriteAmplification is the bytes written for each byte appended: what was introduced into State, without bases, roots,
	// and archives in which no run lies. 0 = nothing was appended.
	WriteAmplification float64 `json:"write_amplification"`
	// SpaceAmplification is the bytes in the bucket for each byte of a run. 0 = there are no runs.
	SpaceAmplification float64 `json:"space_amplification"`

	MergeDebt  Amount           `json:"merge_debt"` // flush objects that runs lie in
	Garbage    GarbageUsage     `json:"garbage"`    // waits for deletion
	State      map[string]int64 `json:"state_bytes"`
	StateTotal int64            `json:"state_total_bytes"`
	Etcd       *EtcdUsage       `json:"etcd"` // null = it did not tell
}

// Amount is a number of objects and their size.
type Amount struct {
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

func (a *Amount) add(bytes int64) { a.Objects++; a.Bytes += bytes }

// KindUsage is what the bucket holds of one kind of object. Orphans are what nothing names: never committed, given up, or on
// the way.
type KindUsage struct {
	Kind string `json:"kind"`
	Amount
	Live    Amount `json:"live"`
	Garbage Amount `json:"garbage"`
	Orphan  Amount `json:"orphan"`
}

// RunUsage counts runs. Max and Median are of those that State holds of a partition, over the partitions that have any.
type RunUsage struct {
	State     int   `json:"in_state"`
	Manifests int   `json:"in_manifests"`
	Max       int   `json:"max_per_partition"`
	Median    int   `json:"median_per_partition"`
	Bytes     int64 `json:"bytes"`
}

// ManifestUsage counts manifests: of partitions, loose ones, which nobody reads any more, and the objects that they own.
type ManifestUsage struct {
	Partitions int `json:"partitions"`
	Loose      int `json:"loose"`
	Owned      int `json:"owned_objects"`
}

// GarbageUsage is what waits for deletion, and since when, by the clocks of who lost the last references.
type GarbageUsage struct {
	Amount
	OldestMs int64 `json:"oldest_age_ms"`
}

// EtcdUsage is the size of etcd's database, and its quota, 0 = unknown.
type EtcdUsage struct {
	Bytes int64 `json:"db_bytes"`
	InUse int64 `json:"in_use_bytes"`
	Quota int64 `json:"quota_bytes"`
}

// The kinds of a Usage, in its order.
var usageKinds = []string{"flush", "merge", "manifest", "archive", "base", "root", "other"}

func kindOf(k state.ObjectKind) string {
	switch k {
	case state.FlushObject, state.FlushHedgeObject:
		return "flush"
	case state.MergedObject:
		return "merge"
	case state.ManifestObject:
		return "manifest"
	default:
		return "archive"
	}
}
