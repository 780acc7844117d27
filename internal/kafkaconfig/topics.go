package kafkaconfig

import "slices"

// Names of the topic configs that Effective knows.
const (
	MaxMessageBytes = "max.message.bytes"
	TimestampType   = "message.timestamp.type"
	Compression     = "compression.type"
	CleanupPolicy   = "cleanup.policy"
	RetentionMs     = "retention.ms"
	RetentionBytes  = "retention.bytes"
	TimestampBefore = "message.timestamp.before.max.ms"
	TimestampAfter  = "message.timestamp.after.max.ms"

	SegmentMs          = "segment.ms"
	SegmentBytes       = "segment.bytes"
	MinCompactionLagMs = "min.compaction.lag.ms"
	MaxCompactionLagMs = "max.compaction.lag.ms"
	MinDirtyRatio      = "min.cleanable.dirty.ratio"
	DeleteRetentionMs  = "delete.retention.ms"
)

const (
	forever    = "9223372036854775807"
	noFiles    = "No effect: Wadi keeps records in objects, not in log files."
	noReplicas = "No effect: there are no follower replicas."
	noTiers    = "No effect: all records are in the object store."
	notYet     = "Kept and shown; no effect yet."
	flushed    = "No effect: what is acknowledged is durable."
)

// Topics are the topic configs.
var Topics = newCatalogue("topic config name", slices.Concat(
	withBroker(table(noFiles, []row{
		{CleanupPolicy, List, "delete", oneOf("compact", "delete"), ClusterWide,
			"!What happens to old records: delete by retention, compact by key, both, or nothing when it is empty."},
		{Compression, String, "producer", oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"), ClusterWide,
			"!Codec in which batches are stored; producer keeps the one they came in."},
		{MaxMessageBytes, Int, "1048588", atLeast(0), ClusterWide,
			"!Largest record batch in bytes as it is stored, header included."},
		{TimestampAfter, Long, "3600000", atLeast(0), ClusterWide,
			"!How far in the future a record's timestamp may lie, in milliseconds."},
		{TimestampBefore, Long, forever, atLeast(0), ClusterWide,
			"!How far in the past a record's timestamp may lie, in milliseconds."},
		{TimestampType, String, "CreateTime", oneOf("CreateTime", "LogAppendTime"), ClusterWide,
			"!Whether records keep their producer's time or get the time of appending."},
		{"file.delete.delay.ms", Long, "60000", atLeast(0), ClusterWide, "Time between marking a file as deleted and removing it."},
		{"index.interval.bytes", Int, "4096", atLeast(0), ClusterWide, "Bytes between two entries of an index."},
		{"preallocate", Boolean, "false", nil, ClusterWide, "Whether files get their full size at once."},
		{SegmentBytes, Int, "1073741824", atLeast(1 << 20), ClusterWide,
			"!Bytes that are deleted together at most, where that is less than 8 MiB, and from which records may be compacted without a further write."},
		{"segment.index.bytes", Int, "10485760", atLeast(4), ClusterWide, "Largest index."},
		{"segment.jitter.ms", Long, "0", atLeast(0), ClusterWide, "By how much the closing of segments is spread."},
		{SegmentMs, Long, "604800000", atLeast(1), ClusterWide,
			"!Over how much time records are spread that are deleted together, within bounds, and age from which they may be compacted without a further write."},
	})),
	withBroker(table(flushed, []row{
		{"flush.messages", Long, forever, atLeast(1), ClusterWide, "Records after which a log is forced to disk."},
		{"flush.ms", Long, forever, atLeast(0), ClusterWide, "Time after which a log is forced to disk."},
		{"min.insync.replicas", Int, "1", atLeast(1), ClusterWide, "Copies that must have a record before it is acknowledged with acks=all."},
		{"unclean.leader.election.enable", Boolean, "false", nil, ClusterWide, "Whether a replica that lacks records may become leader."},
	})),
	withBroker(table(notYet, []row{
		{RetentionBytes, Long, "-1", nil, ClusterWide, "!Bytes per partition from which old records are deleted; -1 keeps all."},
		{RetentionMs, Long, "604800000", atLeast(-1), ClusterWide, "!Age in milliseconds from which records are deleted; -1 keeps all."},
		{"compression.gzip.level", Int, "-1", gzipLevel, ClusterWide, "Level when batches are compressed again with gzip."},
		{"compression.lz4.level", Int, "9", between(1, 17), ClusterWide, "Level when batches are compressed again with lz4."},
		{"compression.zstd.level", Int, "3", between(-131072, 22), ClusterWide, "Level when batches are compressed again with zstd."},
		{DeleteRetentionMs, Long, "86400000", atLeast(0), ClusterWide, "!How long tombstones of compacted topics are kept."},
		{MaxCompactionLagMs, Long, forever, atLeast(1), ClusterWide, "!Longest time before a record may be compacted."},
		{MinDirtyRatio, Double, "0.5", ratio, ClusterWide, "!Share of a log that must be new before it is compacted again."},
		{MinCompactionLagMs, Long, "0", atLeast(0), ClusterWide, "!Shortest time before a record may be compacted."},
	})),
	withBroker(table(noTiers, []row{
		{"local.retention.bytes", Long, "-2", atLeast(-2), ClusterWide, "Bytes kept outside of tiered storage."},
		{"local.retention.ms", Long, "-2", atLeast(-2), ClusterWide, "Time for which records are kept outside of tiered storage."},
		{"remote.log.copy.disable", Boolean, "false", nil, ClusterWide, "Whether nothing more is copied to tiered storage."},
		{"remote.log.delete.on.disable", Boolean, "false", nil, ClusterWide, "Whether tiered records go when tiered storage is turned off."},
		{"remote.storage.enable", Boolean, "false", mustBeFalse, ClusterWide, "Whether the topic is tiered; it cannot be turned on."},
	})),
	withBroker(table(noReplicas, []row{
		{"follower.replication.throttled.replicas", List, "", throttled, ClusterWide, "Replicas whose followers are slowed down."},
		{"leader.replication.throttled.replicas", List, "", throttled, ClusterWide, "Replicas whose leaders are slowed down."},
	})),
)...)

// brokerDefaults names the broker config that is the default of a topic config.
var brokerDefaults = map[string]string{
	CleanupPolicy: "log.cleanup.policy", Compression: Compression, MaxMessageBytes: "message.max.bytes",
	"compression.gzip.level": "compression.gzip.level", "compression.lz4.level": "compression.lz4.level",
	"compression.zstd.level": "compression.zstd.level",
	TimestampAfter:           "log.message.timestamp.after.max.ms", TimestampBefore: "log.message.timestamp.before.max.ms",
	TimestampType: "log.message.timestamp.type", RetentionBytes: "log.retention.bytes", RetentionMs: "log.retention.ms",
	DeleteRetentionMs: "log.cleaner.delete.retention.ms", "file.delete.delay.ms": "log.segment.delete.delay.ms",
	"flush.messages": "log.flush.interval.messages", "flush.ms": "log.flush.interval.ms",
	"index.interval.bytes": "log.index.interval.bytes", "local.retention.bytes": "log.local.retention.bytes",
	"local.retention.ms": "log.local.retention.ms", MaxCompactionLagMs: "log.cleaner.max.compaction.lag.ms",
	MinDirtyRatio:      "log.cleaner.min.cleanable.ratio",
	MinCompactionLagMs: "log.cleaner.min.compaction.lag.ms", "min.insync.replicas": "min.insync.replicas",
	"preallocate": "log.preallocate", SegmentBytes: "log.segment.bytes",
	"segment.index.bytes": "log.index.size.max.bytes", "segment.jitter.ms": "log.roll.jitter.ms", SegmentMs: "log.roll.ms",
	"unclean.leader.election.enable": "unclean.leader.election.enable",
}

func withBroker(keys []Key) []Key {
	for i := range keys {
		keys[i].Broker = brokerDefaults[keys[i].Name]
	}
	return keys
}
