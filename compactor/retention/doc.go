// Package retention moves log starts as retention.ms and retention.bytes say, and frees what manifests hold below them
// (DESIGN section 5, step 8). The log start moves first, by a TrimPartitions; what then nobody can read goes later: runs in
// State by its Sweep, objects of manifests by ReleaseObjects, the objects themselves by the garbage collection.
//
// A run is to Wadi what a segment is to Apache Kafka: it goes as a whole, when all of its records are due, and nothing
// behind a run that stays goes. Kafka's rules hold: first by size, as long as what stays is at least retention.bytes; then
// by time, when the newest timestamp is more than retention.ms ago. Without an active segment even the newest run may go.
// What differs:
//
//   - Nothing at or above the last stable offset goes: readers of committed records have not seen it. Kafka's bound is the
//     high watermark. A transaction is aborted when it takes too long, so it holds up retention no longer than that.
//   - A run none of whose records has a timestamp goes by time together with the next one that has some. Kafka goes by the
//     time at which its file was written.
//
// What State keeps of a run decides; only where a manifest holds the oldest runs it may have to be read, its footer and
// the block with the log start. What was found is remembered (notes) until the manifest or the log start is another one:
// some 100 bytes per manifest, and nothing that could not be found out anew. A pass reads Config.Looks manifests at most,
// Config.Parallel at a time with about 1 MiB of memory each, and proposes as many commands at most as maxTrims and
// maxReleases say.
//
// A trim is judged by the configs of a snapshot and carries its position: State refuses it for a topic that was changed
// since. It only moves forward, so one that lands late, or twice, does no harm.
//
// Partitions belong to shards (job.View.Mine). A manifest that no partition has any more belongs to none: it is dealt with
// by who works on the shard of its object's number, as if that were a topic's.
package retention
