// Package keycompact compacts partitions by key (cleanup.policy=compact): of what is old enough it leaves, for each key,
// the last record, as Apache Kafka's log cleaner does.
//
// A pass looks for partitions in which enough is dirty, that is, appended since they were compacted last (plan.go). For
// each it reads the dirty section and remembers the last offset of each key (keymap.go), then reads the partition from its
// start to the end of that section and writes it anew without what a later record of the same key replaces, without what
// belongs to aborted transactions, without the markers of transactions, and without tombstones whose time has come
// (sieve.go). The runs come into merged segments, which many small partitions share, and State puts them in the place of
// the old ones, partition by partition (output.go, task.go).
//
// # What stays
//
// Offsets never change, and batches keep theirs, as well as producer id, epoch, sequence and codec. The last record of what
// was read stays whatever it is, a marker, too: a reader that stands there must get on, and a partition never becomes empty.
// What a reader of committed records must not see is either gone or still on State's list of aborted transactions: State
// forgets those whose marker lies within the range that is replaced and before its end, and just their markers go here.
//
// # Manifests
//
// A compaction goes through a partition from its log start on. So one that is due comes back out of its manifest first, in
// steps (package unfold), and is compacted in a later pass; a fold takes what is compacted again once nothing more is due.
// Until then a manifest counts as one long run: as compacted if all of it was, and else as dirty. A manifest that cannot be
// read postpones its partition.
//
// # Tombstones
//
// KIP-534: the first compaction that leaves a tombstone writes into its batch until when it stays, delete.retention.ms from
// then on. A later one drops it. As in Apache Kafka nothing is compacted for the sake of a tombstone alone: it goes when
// the partition is dirty enough, or lags too much, the next time.
//
// # Bounds
//
// A pass holds the map of keys (half of Config.Memory, at most), the window of the reader of runs, one batch as it is and
// decompressed (128 MiB at the most, mostly far less), and the parts of one object under way (16 MiB). A dirty section with
// more keys than the map takes is compacted in several passes, run by run; a single run that has more is cut into smaller
// runs first, and a single batch that has more gets a larger map, of some 30 bytes per record. A pass ends after about
// Config.MaxInput bytes, in the middle of a partition, too, as it notes keys and as it writes; the next one goes on there with
// the same map, which is kept for it (rest.go).
//
// # Several objects
//
// A large partition needs several objects, and each replaces the next range: from the first run on, one after the other. So
// when a range goes, what it names as later lies behind it still, and what is left of aborted transactions before a marker
// has gone. A process that dies in between leaves a partition that is compacted in part; the next pass starts over.
package keycompact
