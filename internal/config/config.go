package config

import (
	"time"
)

// Config is what is in force after Load. It is a plain value; nobody changes it afterwards.
type Config struct {
	Cluster    string     // 1 to 64 of [a-z0-9-]
	Listeners  []Listener // at least one
	Advertised []Listener // as many as Listeners, same order; equal to Listeners when not configured
	HTTP       string     // host:port of the operations endpoint, "" = none
	Etcd       Etcd
	Store      string // store URL, checked for its scheme only
	Zone       string // "" = none
	Roles      []Role // at least one, no repeats
	SessionTTL time.Duration
	Flush      Flush
	Inline     Inline
	Memory     Memory
	Compactor  Compaction
	Recover    Recover
	Kafka      Kafka
}

// Etcd says where the metadata lives.
type Etcd struct {
	Endpoints []string // http or https URLs; empty only where the process runs etcd itself
}

// Flush bounds the buffers that become segment objects.
type Flush struct {
	Bytes         Size          // a buffer of this size is flushed
	Interval      time.Duration // so is one of this age
	PutsPerSecond int           // small flushes beyond this rate wait for Interval; 0 = no limit
}

// Inline bounds what is committed inside journal entries.
type Inline struct {
	MaxBytes Size // largest flush that goes into the entry; 0 = none does
	Budget   Size // bytes per second over the whole cluster at which agents back off; 0 = no inline
}

// Memory bounds the two big consumers of memory.
type Memory struct {
	Ingest Size // produced bytes that are not yet acknowledged
	Cache  Size // block cache for fetches
}

// Recover says which checkpoints are kept, each with everything in the bucket that it needs.
type Recover struct {
	Roots  int           // the newest ones
	Hourly time.Duration // besides, the first of each hour for that long; 0 = none
}

// Compaction bounds the work on what is stored.
type Compaction struct {
	Interval time.Duration // between looks for work
	Memory   Size          // of all tasks' buffers
	Debt     int           // objects that are not merged: above it agents slow producers down
	Grace    time.Duration // gc.grace: how long what nothing needs stays in the store
}

// Kafka holds the broker settings that clients can see.
type Kafka struct {
	NumPartitions    int // partitions of a topic that is created without a number
	AutoCreateTopics bool
	Groups           Groups
	Txns             Txns
}

// Txns bounds transactions, by Kafka's broker configs.
type Txns struct {
	MaxTimeoutMs           int // that a producer may ask for
	IDExpirationMs         int // of a transactional id that nobody uses
	ProducerIDExpirationMs int // of what partitions know of a producer that is silent
	AbortIntervalMs        int // between looks for overdue transactions
	RemoveIntervalMs       int // between looks for transactional ids that nobody uses
}

// Groups bounds consumer groups, by Kafka's broker configs.
type Groups struct {
	InitialRebalanceDelayMs int
	MinSessionTimeoutMs     int
	MaxSessionTimeoutMs     int
	MaxSize                 int // members of a group

	ConsumerSessionTimeoutMs    int // of the consumer protocol (KIP-848), where a group's own configs do not say
	ConsumerHeartbeatIntervalMs int
	ConsumerMaxSize             int

	OffsetsRetentionMinutes int // after the last member has gone
	OffsetMetadataMaxBytes  int
}

// Role is a job that an agent takes.
type Role string

const (
	Broker    Role = "broker"    // serves the Kafka protocol
	Compactor Role = "compactor" // merges, retains, collects
)

// HasRole reports whether the agent takes the role.
func (c *Config) HasRole(r Role) bool {
	for _, have := range c.Roles {
		if have == r {
			return true
		}
	}
	return false
}
