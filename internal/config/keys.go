package config

import (
	"math"
	"strings"
	"time"
)

// Key describes one configuration key.
type Key struct {
	Name    string // dotted: flush.bytes
	Default string // as it would be written on the command line; "" = empty
	Allowed string // what is accepted, for the reader
	Doc     string // what it does, one sentence

	list bool                           // takes several values
	text bool                           // takes any text, so that a file must not turn it into a number first
	set  func(c *Config, v value) error // parses and checks the bounds
	show func(c *Config) string         // the value in force, readable by set
}

// Env is the key's environment variable: WADI_FLUSH_BYTES
func (k Key) Env() string { return EnvName(k.Name) }

// EnvName is the environment variable of a key.
func EnvName(key string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// EnvPrefix starts the names of all variables that Wadi reads.
const EnvPrefix = "WADI_"

// Keys lists every key in the order in which they are documented and printed.
func Keys() []Key { return keys() }

func keys() []Key {
	return []Key{
		stringKey("cluster", "demo", "1 to 64 of a-z, 0-9 and inner '-'",
			"Name of the cluster: agents with the same name, etcd and store form one.",
			func(c *Config) *string { return &c.Cluster }, checkCluster),
		listenersKey("listeners", "PLAINTEXT://0.0.0.0:9092", "list of PLAINTEXT://host:port",
			"Where Kafka clients are accepted. Port 0 takes a free one.",
			func(c *Config) *[]Listener { return &c.Listeners }),
		listenersKey("advertised.listeners", "", "list of PLAINTEXT://host:port, one for each listener",
			"The addresses that clients are told to connect to. Default: the listeners; needed when one of them is a wildcard address.",
			func(c *Config) *[]Listener { return &c.Advertised }),
		stringKey("http", "127.0.0.1:9644", "host:port, or empty for none",
			"Where /healthz, /readyz, /metrics and /debug/pprof are served.",
			func(c *Config) *string { return &c.HTTP }, checkHTTP),
		stringsKey("etcd.endpoints", "http://127.0.0.1:2379", "list of http:// or https:// URLs",
			"The members of the etcd cluster that holds the journal.",
			func(c *Config) *[]string { return &c.Etcd.Endpoints }, checkEndpoint),
		stringKey("store", "", "s3://bucket/prefix?endpoint=...&region=..., file:///path or mem://",
			"The object store. It has no default: every agent of a cluster must name the same one.",
			func(c *Config) *string { return &c.Store }, checkStore),
		stringKey("zone", "", "up to 64 of A-Z, a-z, 0-9, '.', '_', '-'",
			"The availability zone, advertised as the broker's rack.",
			func(c *Config) *string { return &c.Zone }, checkZone),
		rolesKey(),
		durationKey("session.ttl", 5*time.Second, 2*time.Second, 60*time.Second, time.Second,
			"How long an agent that has gone silent counts as alive. Whole seconds.",
			func(c *Config) *time.Duration { return &c.SessionTTL }),
		sizeKey("flush.bytes", 8*MiB, 64*KiB, 64*MiB,
			"Produced bytes are written to the store when this many have gathered.",
			func(c *Config) *Size { return &c.Flush.Bytes }),
		durationKey("flush.interval", 250*time.Millisecond, time.Millisecond, 10*time.Second, time.Millisecond,
			"Produced bytes are written at the latest after this time.",
			func(c *Config) *time.Duration { return &c.Flush.Interval }),
		intKey("flush.puts.per.second", 8, 0, 10_000,
			"Beyond this rate small flushes wait for flush.interval. 0: no limit, which is the default on file:// and mem:// stores.",
			func(c *Config) *int { return &c.Flush.PutsPerSecond }),
		sizeKey("inline.max.bytes", 16*KiB, 0, 128*KiB,
			"A flush of at most this size is committed inside its journal entry instead of an object. 0: never.",
			func(c *Config) *Size { return &c.Inline.MaxBytes }),
		sizeKey("inline.budget", 1*MiB, 0, 64*MiB,
			"Inline bytes per second, over the whole cluster, at which agents back off to objects. 0: no inline data.",
			func(c *Config) *Size { return &c.Inline.Budget }),
		sizeKey("memory.ingest", 256*MiB, 16*MiB, 1024*GiB,
			"Memory for produced bytes that are not acknowledged yet. At least twice flush.bytes.",
			func(c *Config) *Size { return &c.Memory.Ingest }),
		sizeKey("memory.cache", 512*MiB, 16*MiB, 1024*GiB,
			"Memory for the block cache that serves fetches.",
			func(c *Config) *Size { return &c.Memory.Cache }),
		durationKey("compactor.interval", 10*time.Second, 100*time.Millisecond, 24*time.Hour, time.Millisecond,
			"How often the compactor looks for work: merging, retention, compaction, collecting garbage.",
			func(c *Config) *time.Duration { return &c.Compactor.Interval }),
		sizeKey("compactor.memory", 256*MiB, 64*MiB, 64*GiB,
			"Memory for the compactor's buffers.",
			func(c *Config) *Size { return &c.Compactor.Memory }),
		intKey("compactor.debt", 20_000, 1000, 1_000_000,
			"While more objects than this wait for a merge, producers are slowed down, by a second for each request from five times as many on.",
			func(c *Config) *int { return &c.Compactor.Debt }),
		durationKey("gc.grace", 10*time.Minute, time.Second, 30*24*time.Hour, time.Second,
			"How long an object that nothing needs any more stays in the store. Readers that began before have that long to finish.",
			func(c *Config) *time.Duration { return &c.Compactor.Grace }),
		intKey("recover.roots", 3, 2, 100,
			"How many of the newest checkpoints are kept to recover from, with everything in the store that they need.",
			func(c *Config) *int { return &c.Recover.Roots }),
		durationKey("recover.hourly", 24*time.Hour, 0, 30*24*time.Hour, time.Hour,
			"Besides, the first checkpoint of each hour is kept for this long. 0: none, which is the default of wadi dev. Whole hours.",
			func(c *Config) *time.Duration { return &c.Recover.Hourly }),
		intKey("kafka.num.partitions", 1, 1, 10_000,
			"Partitions of a topic that is created without a number of partitions.",
			func(c *Config) *int { return &c.Kafka.NumPartitions }),
		boolKey("kafka.auto.create.topics.enable", true,
			"Whether a client's request for an unknown topic creates it.",
			func(c *Config) *bool { return &c.Kafka.AutoCreateTopics }),
		intKey("kafka.group.initial.rebalance.delay.ms", 3000, 0, 5*60*1000,
			"How long the first member of an empty group waits for others before the first rebalance ends.",
			func(c *Config) *int { return &c.Kafka.Groups.InitialRebalanceDelayMs }),
		intKey("kafka.group.min.session.timeout.ms", 6000, 1, math.MaxInt32,
			"The shortest session timeout that a member of a group may ask for.",
			func(c *Config) *int { return &c.Kafka.Groups.MinSessionTimeoutMs }),
		intKey("kafka.group.max.session.timeout.ms", 30*60*1000, 1, math.MaxInt32,
			"The longest session timeout that a member of a group may ask for.",
			func(c *Config) *int { return &c.Kafka.Groups.MaxSessionTimeoutMs }),
		intKey("kafka.group.max.size", math.MaxInt32, 1, math.MaxInt32,
			"The most members that a group may have. Wadi takes no more than 10000, nor more than 160 KiB of what they say of themselves.",
			func(c *Config) *int { return &c.Kafka.Groups.MaxSize }),
		intKey("kafka.group.consumer.session.timeout.ms", 45_000, 1, math.MaxInt32,
			"Silence after which a member of a group of the consumer protocol (KIP-848) is out.",
			func(c *Config) *int { return &c.Kafka.Groups.ConsumerSessionTimeoutMs }),
		intKey("kafka.group.consumer.heartbeat.interval.ms", 5000, 1, math.MaxInt32,
			"How often members of a group of the consumer protocol are told to send heartbeats.",
			func(c *Config) *int { return &c.Kafka.Groups.ConsumerHeartbeatIntervalMs }),
		intKey("kafka.group.consumer.max.size", math.MaxInt32, 1, math.MaxInt32,
			"The most members that a group of the consumer protocol may have. Wadi takes no more than 10000.",
			func(c *Config) *int { return &c.Kafka.Groups.ConsumerMaxSize }),
		intKey("kafka.offsets.retention.minutes", 7*24*60, 1, math.MaxInt32,
			"How long committed offsets outlive the last member of their group.",
			func(c *Config) *int { return &c.Kafka.Groups.OffsetsRetentionMinutes }),
		intKey("kafka.offset.metadata.max.bytes", 4096, 0, 32767,
			"The longest text that may be committed with an offset.",
			func(c *Config) *int { return &c.Kafka.Groups.OffsetMetadataMaxBytes }),
		intKey("kafka.transaction.max.timeout.ms", 15*60*1000, 1, math.MaxInt32,
			"The longest transaction timeout that a producer may ask for.",
			func(c *Config) *int { return &c.Kafka.Txns.MaxTimeoutMs }),
		intKey("kafka.transaction.abort.timed.out.transaction.cleanup.interval.ms", 10_000, 100, math.MaxInt32,
			"How often an agent looks for transactions that are open for longer than their timeout, to abort them.",
			func(c *Config) *int { return &c.Kafka.Txns.AbortIntervalMs }),
		intKey("kafka.transactional.id.expiration.ms", 7*24*60*60*1000, 1, math.MaxInt32,
			"A transactional id that was not used for this long is forgotten.",
			func(c *Config) *int { return &c.Kafka.Txns.IDExpirationMs }),
		intKey("kafka.transaction.remove.expired.transaction.cleanup.interval.ms", 60*60*1000, 1000, math.MaxInt32,
			"How often an agent looks for transactional ids to forget.",
			func(c *Config) *int { return &c.Kafka.Txns.RemoveIntervalMs }),
		intKey("kafka.producer.id.expiration.ms", 24*60*60*1000, 1, math.MaxInt32,
			"What a partition knows of a producer without a transactional id is forgotten when it has appended nothing for this long.",
			func(c *Config) *int { return &c.Kafka.Txns.ProducerIDExpirationMs }),
	}
}
