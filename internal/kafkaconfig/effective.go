package kafkaconfig

import (
	"iter"
	"strings"
)

// Effective is what a topic's configs mean for its records.
type Effective struct {
	MaxMessageBytes int
	LogAppendTime   bool
	Codec           string // compression.type
	Compact, Delete bool   // cleanup.policy
	RetentionMs     int64  // -1 = for ever
	RetentionBytes  int64  // -1 = all
	TimestampBefore int64  // ms that a timestamp may lie in the past
	TimestampAfter  int64  // ms that a timestamp may lie in the future

	SegmentMs          int64   // age from which records may be compacted although nothing followed them
	SegmentBytes       int64   // size from which they may
	MinCompactionLagMs int64   // ms for which a record is not compacted
	MaxCompactionLagMs int64   // ms after which one is, whatever the ratio
	MinDirtyRatio      float64 // share of bytes not yet compacted from which compaction is worth it
	DeleteRetentionMs  int64   // ms for which tombstones and markers stay when they are compacted
}

// MaxSegmentMs is the age from which records may be compacted although nothing followed them: no compacted record waits
// longer than the longest lag (KIP-354).
func (e *Effective) MaxSegmentMs() int64 {
	if e.Compact && e.MaxCompactionLagMs > 0 {
		return min(e.MaxCompactionLagMs, e.SegmentMs)
	}
	return e.SegmentMs
}

// SpanMs is over how much time the timestamps of records may be spread that are deleted together, -1 = any: a segment of
// Apache Kafka holds those of segment.ms. What is deleted is late by no more than that. Where it is more than an eighth of
// retention.ms, it is that; it is never less than a 32nd, so that what is kept comes in some ten pieces.
func (e *Effective) SpanMs() int64 {
	if !e.Delete || e.RetentionMs < 0 {
		return -1
	}
	return max(1, e.RetentionMs/32, min(e.SegmentMs, e.RetentionMs/8))
}

// Defaults is a topic without any config of its own where nothing is set for brokers. It is shared: do not change it.
var Defaults = NoLayers.Topics()

// Topics is what topics without any config of their own get from the brokers.
func (l Layers) Topics() *Effective {
	e := &Effective{}
	for i := range Topics.Keys {
		k := &Topics.Keys[i]
		v, _ := l.InForce(k, l.Inherited(k, Nothing, FromTopic))
		e.set(k.Name, v)
	}
	return e
}

// With is e under a topic's own configs. Values were checked when they were stored.
func (e *Effective) With(own iter.Seq2[string, string]) *Effective {
	fresh := *e
	for name, value := range own {
		fresh.set(name, value)
	}
	return &fresh
}

func (e *Effective) set(name, value string) {
	switch name {
	case MaxMessageBytes:
		e.MaxMessageBytes = int(number(value))
	case TimestampType:
		e.LogAppendTime = value == "LogAppendTime"
	case Compression:
		e.Codec = value
	case CleanupPolicy:
		e.Compact, e.Delete = strings.Contains(value, "compact"), strings.Contains(value, "delete")
	case RetentionMs:
		e.RetentionMs = max(-1, number(value))
	case RetentionBytes:
		e.RetentionBytes = max(-1, number(value))
	case TimestampBefore:
		e.TimestampBefore = number(value)
	case TimestampAfter:
		e.TimestampAfter = number(value)
	case SegmentMs:
		e.SegmentMs = number(value)
	case SegmentBytes:
		e.SegmentBytes = number(value)
	case MinCompactionLagMs:
		e.MinCompactionLagMs = number(value)
	case MaxCompactionLagMs:
		e.MaxCompactionLagMs = number(value)
	case MinDirtyRatio:
		e.MinDirtyRatio = ratioOf(value)
	case DeleteRetentionMs:
		e.DeleteRetentionMs = number(value)
	}
}
