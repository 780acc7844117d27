package kafkaconfig

import (
	"maps"
	"reflect"
	"testing"
)

func places(broker, all, file map[string]string) Layers {
	from := func(m map[string]string) Lookup {
		return func(n string) (string, bool) { v, ok := m[n]; return v, ok }
	}
	return Layers{Broker: from(broker), All: from(all), File: from(file)}
}

// Semantics line 86: the chain of synonyms, in the order and with the values that the real broker gave.
func TestChain(t *testing.T) {
	type set = map[string]string
	hours := Setting{"log.retention.hours", "168", FromDefault}
	for _, c := range []struct {
		l    Layers
		name string
		want []Setting
	}{
		{NoLayers, brokerRetentionMs, nil},
		{NoLayers, "log.retention.hours", []Setting{hours}},
		{NoLayers, "log.flush.interval.ms", nil},
		{NoLayers, "ssl.keystore.password", nil},
		{places(nil, set{brokerRetentionMs: "1000"}, nil), brokerRetentionMs,
			[]Setting{{brokerRetentionMs, "1000", FromDefaultBroker}, hours}},
		{places(set{brokerRetentionMs: "2000"}, set{brokerRetentionMs: "1000"}, nil), brokerRetentionMs,
			[]Setting{{brokerRetentionMs, "2000", FromBroker}, {brokerRetentionMs, "1000", FromDefaultBroker}, hours}},
		{places(set{brokerRetentionMs: "2000"}, nil, nil), "log.retention.hours", []Setting{hours}},
		{places(nil, nil, set{NumPartitions: "7"}), NumPartitions,
			[]Setting{{NumPartitions, "7", FromFile}, {NumPartitions, "1", FromDefault}}},
	} {
		if got := c.l.Chain(c.name); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestInherited(t *testing.T) {
	type set = map[string]string
	key, _ := Topics.Lookup(RetentionMs)
	own := func(n string) (string, bool) { return "3000", n == RetentionMs }
	l := places(nil, set{brokerRetentionMs: "1000"}, nil)
	want := []Setting{{RetentionMs, "3000", FromTopic}, {brokerRetentionMs, "1000", FromDefaultBroker}, {"log.retention.hours", "168", FromDefault}}
	if got := l.Inherited(key, own, FromTopic); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if v, source := InForce(key, NoLayers.Inherited(key, Nothing, FromTopic)); v != "604800000" || source != FromDefault {
		t.Errorf("%s from %d", v, source)
	}
}

// Defaults of brokers act on topics that have no config of their own.
func TestEffective(t *testing.T) {
	type set = map[string]string
	if d := Defaults; d.MaxMessageBytes != 1048588 || d.RetentionMs != 604800000 || d.RetentionBytes != -1 || !d.Delete || d.Compact ||
		d.Codec != "producer" || d.LogAppendTime || d.TimestampAfter != 3600000 || d.TimestampBefore != 1<<63-1 {
		t.Errorf("defaults: %+v", d)
	}
	l := places(set{"message.max.bytes": "50"}, set{
		"message.max.bytes": "60", brokerRetentionMs: "-5", "log.retention.bytes": "70", "compression.type": "lz4",
		"log.cleanup.policy": "compact", "log.message.timestamp.type": "LogAppendTime",
		"log.message.timestamp.before.max.ms": "1", "log.message.timestamp.after.max.ms": "2",
	}, nil)
	want := Effective{MaxMessageBytes: 50, LogAppendTime: true, Codec: "lz4", Compact: true, RetentionMs: -1, RetentionBytes: 70,
		TimestampBefore: 1, TimestampAfter: 2}
	if got := l.Topics(); *got != want {
		t.Errorf("%+v, want %+v", *got, want)
	}
	got := l.Topics().With(maps.All(set{CleanupPolicy: "delete", TimestampType: "CreateTime", MaxMessageBytes: "100"}))
	want.Delete, want.Compact, want.LogAppendTime, want.MaxMessageBytes = true, false, false, 100
	if *got != want {
		t.Errorf("%+v, want %+v", *got, want)
	}
}
