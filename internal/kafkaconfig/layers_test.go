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
	if v, source := NoLayers.InForce(key, NoLayers.Inherited(key, Nothing, FromTopic)); v != "604800000" || source != FromDefault {
		t.Errorf("%s from %d", v, source)
	}
}

// Defaults of brokers act on topics that have no config of their own.
func TestEffective(t *testing.T) {
	type set = map[string]string
	if d := Defaults; d.MaxMessageBytes != 1048588 || d.RetentionMs != 604800000 || d.RetentionBytes != -1 || !d.Delete || d.Compact ||
		d.Codec != "producer" || d.LogAppendTime || d.TimestampAfter != 3600000 || d.TimestampBefore != 1<<63-1 || d.SegmentMs != 604800000 || d.SegmentBytes != 1<<30 ||
		d.MinCompactionLagMs != 0 || d.MaxCompactionLagMs != 1<<63-1 || d.MinDirtyRatio != 0.5 || d.DeleteRetentionMs != 86400000 {
		t.Errorf("defaults: %+v", d)
	}
	l := places(set{"message.max.bytes": "50"}, set{
		"message.max.bytes": "60", brokerRetentionMs: "-5", "log.retention.bytes": "70", "compression.type": "lz4",
		"log.cleanup.policy": "compact", "log.message.timestamp.type": "LogAppendTime",
		"log.message.timestamp.before.max.ms": "1", "log.message.timestamp.after.max.ms": "2",
		"log.roll.ms": "3", "log.segment.bytes": "1048577", "log.cleaner.min.compaction.lag.ms": "4", "log.cleaner.max.compaction.lag.ms": "5",
		"log.cleaner.min.cleanable.ratio": "0.25", "log.cleaner.delete.retention.ms": "6",
	}, nil)
	want := Effective{MaxMessageBytes: 50, LogAppendTime: true, Codec: "lz4", Compact: true, RetentionMs: -1, RetentionBytes: 70,
		TimestampBefore: 1, TimestampAfter: 2, SegmentMs: 3, SegmentBytes: 1048577, MinCompactionLagMs: 4, MaxCompactionLagMs: 5,
		MinDirtyRatio: 0.25, DeleteRetentionMs: 6}
	if got := l.Topics(); *got != want {
		t.Errorf("%+v, want %+v", *got, want)
	}
	got := l.Topics().With(maps.All(set{CleanupPolicy: "delete", TimestampType: "CreateTime", MaxMessageBytes: "100",
		SegmentMs: "30", SegmentBytes: "1048578", MinCompactionLagMs: "40", MaxCompactionLagMs: "50", MinDirtyRatio: "1.0", DeleteRetentionMs: "0"}))
	want.SegmentMs, want.SegmentBytes, want.MinCompactionLagMs, want.MaxCompactionLagMs = 30, 1048578, 40, 50
	want.MinDirtyRatio, want.DeleteRetentionMs = 1, 0
	want.Delete, want.Compact, want.LogAppendTime, want.MaxMessageBytes = true, false, false, 100
	if *got != want {
		t.Errorf("%+v, want %+v", *got, want)
	}
}

// An empty cleanup policy (KIP-1113) neither deletes nor compacts.
func TestEmptyPolicy(t *testing.T) {
	e := Defaults.With(maps.All(map[string]string{CleanupPolicy: ""}))
	if e.Delete || e.Compact {
		t.Errorf("%+v", e)
	}
}

// Of retention and segment times in several units the finest that is set counts, wherever it is set; what a topic sets
// itself comes before all of them. A negative time is none at all.
func TestTimeUnits(t *testing.T) {
	type set = map[string]string
	const week = 604800000
	ms, minutes, hours := brokerRetentionMs, "log.retention.minutes", "log.retention.hours"
	for name, c := range map[string]struct {
		l               Layers
		own             set
		retention, roll int64
	}{
		"nothing":                        {NoLayers, nil, week, week},
		"hours":                          {places(nil, nil, set{hours: "2", "log.roll.hours": "3"}), nil, 7200_000, 10800_000},
		"minutes before hours":           {places(nil, nil, set{hours: "2", minutes: "5"}), nil, 300_000, week},
		"ms before minutes":              {places(nil, nil, set{hours: "2", minutes: "5", ms: "7", "log.roll.ms": "8", "log.roll.hours": "1"}), nil, 7, 8},
		"ms of a file before hours":      {places(nil, nil, set{ms: "9", hours: "1"}), nil, 9, week},
		"ms of all brokers before those": {places(nil, set{ms: "6"}, set{hours: "2", minutes: "5", ms: "7"}), nil, 6, week},
		"ms of the broker before those":  {places(set{ms: "4"}, set{ms: "6"}, set{minutes: "5"}), nil, 4, week},
		"a negative number of hours":     {places(nil, nil, set{hours: "-3"}), nil, -1, week},
		"the topic's own":                {places(set{ms: "4"}, nil, set{hours: "2"}), set{RetentionMs: "1", SegmentMs: "2"}, 1, 2},
	} {
		e := c.l.Topics().With(maps.All(c.own))
		if e.RetentionMs != c.retention || e.SegmentMs != c.roll {
			t.Errorf("%s: retention %d, segments %d, want %d and %d", name, e.RetentionMs, e.SegmentMs, c.retention, c.roll)
		}
		// What DescribeConfigs shows is what acts.
		for _, k := range []struct {
			name string
			want int64
		}{{RetentionMs, c.retention}, {SegmentMs, c.roll}} {
			key, _ := Topics.Lookup(k.name)
			own := func(n string) (string, bool) { v, ok := c.own[n]; return v, ok }
			if v, _ := c.l.InForce(key, c.l.Inherited(key, own, FromTopic)); number(v) != k.want {
				t.Errorf("%s: %s is shown as %s, not %d", name, k.name, v, k.want)
			}
		}
	}
}

// KIP-354: a compacted topic's records do not wait for longer than max.compaction.lag.ms.
func TestMaxSegmentMs(t *testing.T) {
	for _, c := range []struct {
		e    Effective
		want int64
	}{
		{Effective{SegmentMs: 10, MaxCompactionLagMs: 5}, 10}, {Effective{Compact: true, SegmentMs: 10, MaxCompactionLagMs: 5}, 5},
		{Effective{Compact: true, SegmentMs: 10, MaxCompactionLagMs: 50}, 10},
	} {
		if got := c.e.MaxSegmentMs(); got != c.want {
			t.Errorf("%+v: %d", c.e, got)
		}
	}
}

func TestSpanMs(t *testing.T) {
	for _, c := range []struct {
		e    Effective
		want int64
	}{
		{Effective{Delete: true, RetentionMs: -1, SegmentMs: 10}, -1}, {Effective{RetentionMs: 320, SegmentMs: 10}, -1},
		{Effective{Delete: true, RetentionMs: 320, SegmentMs: 20}, 20}, {Effective{Delete: true, RetentionMs: 320, SegmentMs: 320}, 40},
		{Effective{Delete: true, RetentionMs: 320, SegmentMs: 1}, 10}, {Effective{Delete: true, RetentionMs: 0, SegmentMs: 1}, 1},
		{*Defaults, 604800000 / 8},
	} {
		if got := c.e.SpanMs(); got != c.want {
			t.Errorf("%+v: %d, want %d", c.e, got, c.want)
		}
	}
}
