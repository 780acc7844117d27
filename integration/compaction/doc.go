// Package compaction compares what is left of a compacted topic in Wadi and in Apache Kafka, of the same records, after both
// have compacted it: the same records at the same offsets.
package compaction
