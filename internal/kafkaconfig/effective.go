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
}

// Defaults is a topic without any config of its own where nothing is set for brokers. It is shared: do not change it.
var Defaults = NoLayers.Topics()

// Topics is what topics without any config of their own get from the brokers.
func (l Layers) Topics() *Effective {
	e := &Effective{}
	for i := range Topics.Keys {
		k := &Topics.Keys[i]
		v, _ := InForce(k, l.Inherited(k, Nothing, FromTopic))
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
	}
}
