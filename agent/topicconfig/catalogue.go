// Package topicconfig knows Kafka's topic configs: which exist, what values they take, their defaults in Apache Kafka
// 4, and which of them change what Wadi does. A topic stores only what its creator set; everything else is the default.
package topicconfig

// Kind is a config's type, by Kafka's numbers in DescribeConfigs.
type Kind int8

const (
	Boolean Kind = 1
	String  Kind = 2
	Int     Kind = 3
	Long    Kind = 5
	Double  Kind = 6
	List    Kind = 7
)

// Key is one config of the catalogue.
type Key struct {
	Name    string
	Kind    Kind
	Default string
	Min     int64    // Int and Long
	Max     int64    // Int and Long; 0 = the type's largest
	Values  []string // allowed values of a String, or elements of a List
	// Acts says that Wadi's behaviour depends on it. The others are accepted, checked and shown, as tools set them,
	// but describe files and replicas that Wadi does not have.
	Acts bool
	// Broker is the broker config that this one's default comes from, "" when there is none.
	Broker string
	Doc    string
}

// Names of the configs that act.
const (
	MaxMessageBytes = "max.message.bytes"
	TimestampType   = "message.timestamp.type"
	Compression     = "compression.type"
	CleanupPolicy   = "cleanup.policy"
	RetentionMs     = "retention.ms"
	RetentionBytes  = "retention.bytes"
	TimestampBefore = "message.timestamp.before.max.ms"
	TimestampAfter  = "message.timestamp.after.max.ms"
)

// Catalogue holds every topic config, sorted by name.
var Catalogue = []Key{
	{Name: CleanupPolicy, Kind: List, Default: "delete", Values: []string{"compact", "delete"}, Acts: true,
		Broker: "log.cleanup.policy", Doc: "What happens to old records: delete by retention, compact by key, or both."},
	{Name: "compression.gzip.level", Kind: Int, Default: "-1", Min: -1, Max: 9, Broker: "compression.gzip.level",
		Doc: "Level when batches are compressed again with gzip."},
	{Name: "compression.lz4.level", Kind: Int, Default: "9", Min: 1, Max: 17, Broker: "compression.lz4.level",
		Doc: "Level when batches are compressed again with lz4."},
	{Name: Compression, Kind: String, Default: "producer", Acts: true, Broker: "compression.type",
		Values: []string{"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"},
		Doc:    "Codec in which batches are stored; producer keeps the one they came in."},
	{Name: "compression.zstd.level", Kind: Int, Default: "3", Min: -131072, Max: 22, Broker: "compression.zstd.level",
		Doc: "Level when batches are compressed again with zstd."},
	{Name: "delete.retention.ms", Kind: Long, Default: "86400000", Broker: "log.cleaner.delete.retention.ms",
		Doc: "How long tombstones of compacted topics are kept."},
	{Name: "file.delete.delay.ms", Kind: Long, Default: "60000", Broker: "log.segment.delete.delay.ms",
		Doc: "Has no effect: objects are deleted after the cluster's own grace."},
	{Name: "flush.messages", Kind: Long, Default: "9223372036854775807", Min: 1, Broker: "log.flush.interval.messages",
		Doc: "Has no effect: what is acknowledged is durable."},
	{Name: "flush.ms", Kind: Long, Default: "9223372036854775807", Broker: "log.flush.interval.ms",
		Doc: "Has no effect: what is acknowledged is durable."},
	{Name: "follower.replication.throttled.replicas", Kind: List, Default: "",
		Doc: "Has no effect: there are no follower replicas."},
	{Name: "index.interval.bytes", Kind: Int, Default: "4096", Broker: "log.index.interval.bytes",
		Doc: "Has no effect: batches are found through the journal's index."},
	{Name: "leader.replication.throttled.replicas", Kind: List, Default: "",
		Doc: "Has no effect: there are no follower replicas."},
	{Name: "local.retention.bytes", Kind: Long, Default: "-2", Min: -2, Broker: "log.local.retention.bytes",
		Doc: "Has no effect: nothing is kept locally."},
	{Name: "local.retention.ms", Kind: Long, Default: "-2", Min: -2, Broker: "log.local.retention.ms",
		Doc: "Has no effect: nothing is kept locally."},
	{Name: "max.compaction.lag.ms", Kind: Long, Default: "9223372036854775807", Min: 1,
		Broker: "log.cleaner.max.compaction.lag.ms", Doc: "Longest time before a record may be compacted."},
	{Name: MaxMessageBytes, Kind: Int, Default: "1048588", Acts: true, Broker: "message.max.bytes",
		Doc: "Largest record batch in bytes as it is stored, header included."},
	{Name: TimestampAfter, Kind: Long, Default: "3600000", Acts: true, Broker: "log.message.timestamp.after.max.ms",
		Doc: "How far in the future a record's timestamp may lie."},
	{Name: TimestampBefore, Kind: Long, Default: "9223372036854775807", Acts: true,
		Broker: "log.message.timestamp.before.max.ms", Doc: "How far in the past a record's timestamp may lie."},
	{Name: TimestampType, Kind: String, Default: "CreateTime", Values: []string{"CreateTime", "LogAppendTime"}, Acts: true,
		Broker: "log.message.timestamp.type", Doc: "Whether records keep their producer's time or get the time of appending."},
	{Name: "min.cleanable.dirty.ratio", Kind: Double, Default: "0.5", Max: 1, Broker: "log.cleaner.min.cleanable.ratio",
		Doc: "Share of a compacted log that must be new before it is compacted again."},
	{Name: "min.compaction.lag.ms", Kind: Long, Default: "0", Broker: "log.cleaner.min.compaction.lag.ms",
		Doc: "Shortest time before a record may be compacted."},
	{Name: "min.insync.replicas", Kind: Int, Default: "1", Min: 1, Broker: "min.insync.replicas",
		Doc: "Has no effect: an acknowledged record is durable in the object store or in etcd's quorum."},
	{Name: "preallocate", Kind: Boolean, Default: "false", Broker: "log.preallocate",
		Doc: "Has no effect: there are no files."},
	{Name: "remote.log.copy.disable", Kind: Boolean, Default: "false", Doc: "Has no effect: everything is in the object store."},
	{Name: "remote.log.delete.on.disable", Kind: Boolean, Default: "false", Doc: "Has no effect: everything is in the object store."},
	{Name: "remote.storage.enable", Kind: Boolean, Default: "false", Doc: "Has no effect: everything is in the object store."},
	{Name: RetentionBytes, Kind: Long, Default: "-1", Min: -1, Acts: true, Broker: "log.retention.bytes",
		Doc: "Bytes per partition from which old records are deleted; -1 keeps all."},
	{Name: RetentionMs, Kind: Long, Default: "604800000", Min: -1, Acts: true, Broker: "log.retention.ms",
		Doc: "Age in milliseconds from which records are deleted; -1 keeps all."},
	{Name: "segment.bytes", Kind: Int, Default: "1073741824", Min: 1 << 20, Broker: "log.segment.bytes",
		Doc: "Has no effect: sizes of objects are the cluster's choice."},
	{Name: "segment.index.bytes", Kind: Int, Default: "10485760", Min: 4, Broker: "log.index.size.max.bytes",
		Doc: "Has no effect: batches are found through the journal's index."},
	{Name: "segment.jitter.ms", Kind: Long, Default: "0", Broker: "log.roll.jitter.ms",
		Doc: "Has no effect: sizes of objects are the cluster's choice."},
	{Name: "segment.ms", Kind: Long, Default: "604800000", Min: 1, Broker: "log.roll.ms",
		Doc: "Has no effect: sizes of objects are the cluster's choice."},
	{Name: "unclean.leader.election.enable", Kind: Boolean, Default: "false", Broker: "unclean.leader.election.enable",
		Doc: "Has no effect: no election can lose records."},
}

var byName = func() map[string]*Key {
	m := make(map[string]*Key, len(Catalogue))
	for i := range Catalogue {
		m[Catalogue[i].Name] = &Catalogue[i]
	}
	return m
}()

// Lookup finds a config by name.
func Lookup(name string) (*Key, bool) {
	k, ok := byName[name]
	return k, ok
}
