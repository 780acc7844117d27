package semantics

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/rawbatch"
	"wadi/internal/batch"
)

const (
	ofTopic   = kmsg.ConfigResourceTypeTopic
	ofBroker  = kmsg.ConfigResourceTypeBroker
	ofGroup   = kmsg.ConfigResourceTypeGroupConfig
	ofMetrics = kmsg.ConfigResourceTypeClientMetrics
)

// alteration is a request of one resource; each change is "op name=value", or without "=value" for none.
func alteration(kind kmsg.ConfigResourceType, name string, changes ...[3]string) *kmsg.IncrementalAlterConfigsRequest {
	ops := map[string]kmsg.IncrementalAlterConfigOp{"set": 0, "delete": 1, "append": 2, "subtract": 3, "what": 7}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	in := kmsg.NewIncrementalAlterConfigsRequestResource()
	in.ResourceType, in.ResourceName = kind, name
	for _, x := range changes {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Op, c.Name = ops[x[0]], x[1]
		if value := x[2]; value != "(null)" {
			c.Value = &value
		}
		in.Configs = append(in.Configs, c)
	}
	req.Resources = append(req.Resources, in)
	return req
}

// alter returns the error code of a change, in every version.
func alter(c *client, kind kmsg.ConfigResourceType, name string, changes ...[3]string) (code int16) {
	c.t.Helper()
	for version := int16(0); version <= 1; version++ {
		resp := ask[*kmsg.IncrementalAlterConfigsResponse](c, version, alteration(kind, name, changes...))
		require.Len(c.t, resp.Resources, 1)
		require.Equal(c.t, name, resp.Resources[0].ResourceName)
		if version > 0 {
			require.Equal(c.t, code, resp.Resources[0].ErrorCode, "version 0 and 1")
		}
		code = resp.Resources[0].ErrorCode
	}
	return code
}

func set(name, value string) [3]string { return [3]string{"set", name, value} }
func unset(name string) [3]string      { return [3]string{"delete", name, "(null)"} }

func describeConfigs(c *client, version int16, kind kmsg.ConfigResourceType, name string, configs ...string) kmsg.DescribeConfigsResponseResource {
	c.t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	in := kmsg.NewDescribeConfigsRequestResource()
	in.ResourceType, in.ResourceName, in.ConfigNames = kind, name, configs
	req.Resources = append(req.Resources, in)
	resp := ask[*kmsg.DescribeConfigsResponse](c, version, req)
	require.Len(c.t, resp.Resources, 1)
	return resp.Resources[0]
}

// configOf is one config as "value source | name=value source | ...": what is in force and its chain of synonyms.
func configOf(c *client, kind kmsg.ConfigResourceType, name, config string) string {
	c.t.Helper()
	got := describeConfigs(c, 4, kind, name, config)
	require.Zero(c.t, got.ErrorCode)
	if len(got.Configs) == 0 {
		return "not listed"
	}
	value := func(v *string) string {
		if v == nil {
			return "null"
		}
		return *v
	}
	text := fmt.Sprintf("%s %d", value(got.Configs[0].Value), got.Configs[0].Source)
	for _, s := range got.Configs[0].ConfigSynonyms {
		text += fmt.Sprintf(" | %s=%s %d", s.Name, value(s.Value), s.Source)
	}
	return text
}

// stamped is a batch of one record with a timestamp.
func stamped(ms int64) []byte {
	return batchOf(func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = ms, ms }, rawbatch.Values("v")...)
}

// Semantics line 19: with CreateTime the answer has no append time and timestamps lie within bounds; with LogAppendTime
// batches get the agent's time, an attribute that says so, and no bounds. Both follow a change of the topic, and of the
// default of all brokers where the topic says nothing, at every agent.
func TestLine19TimestampType(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	a, b := dial(t, cluster.start(t, nil)), dial(t, cluster.start(t, nil))
	to := create(a, "line19", 1)
	const hour, day = int64(time.Hour / time.Millisecond), int64(24 * time.Hour / time.Millisecond)
	now := time.Now().UnixMilli()

	p := produce(a, to, stamped(now-1000*day))
	require.Zero(t, p.ErrorCode, "any past is allowed by default: %s", text(p.ErrorMessage))
	require.Equal(t, int64(-1), p.LogAppendTime)
	p = produce(a, to, stamped(now+hour+60_000))
	require.Equal(t, int16(32), p.ErrorCode, "an hour into the future is")
	require.Equal(t, int64(-1), p.BaseOffset)
	require.Len(t, p.ErrorRecords, 1)

	require.Zero(t, alter(a, ofTopic, to.name, set("message.timestamp.before.max.ms", "60000"), set("message.timestamp.after.max.ms", fmt.Sprint(2*hour))))
	require.Equal(t, "60000 1", configOf(b, ofTopic, to.name, "message.timestamp.before.max.ms")[:7], "the other agent has applied it")
	for _, c := range []*client{a, b} {
		require.Equal(t, int16(32), produce(c, to, stamped(now-day)).ErrorCode)
		require.Zero(t, produce(c, to, stamped(now+hour+60_000)).ErrorCode)
		require.Zero(t, produce(c, to, stamped(-1)).ErrorCode, "no timestamp is within all bounds")
	}

	require.Zero(t, alter(b, ofTopic, to.name, set("message.timestamp.type", "LogAppendTime")))
	require.Equal(t, "LogAppendTime 1", configOf(a, ofTopic, to.name, "message.timestamp.type")[:15])
	for _, c := range []*client{a, b} {
		p = produce(c, to, stamped(now-day))
		require.Zero(t, p.ErrorCode, "%s", text(p.ErrorMessage))
		require.GreaterOrEqual(t, p.LogAppendTime, now)
		got := batches(t, fetch(c, to, p.BaseOffset).RecordBatches)
		require.Equal(t, p.LogAppendTime, got[0].MaxTimestamp)
		require.Equal(t, int16(8), got[0].Attributes&8, "bit 3")
	}

	other := create(a, "line19-default", 1)
	require.Zero(t, alter(a, ofBroker, "", set("log.message.timestamp.type", "LogAppendTime")))
	pid := producerID(a)
	first := produce(a, other, idempotent(pid, 0, 0, "x"))
	require.GreaterOrEqual(t, first.LogAppendTime, now)
	require.Equal(t, "LogAppendTime 3", configOf(b, ofTopic, other.name, "message.timestamp.type")[:15])
	again := produce(b, other, idempotent(pid, 0, 0, "x"))
	require.Equal(t, first.BaseOffset, again.BaseOffset)
	require.Equal(t, first.LogAppendTime, again.LogAppendTime, "a duplicate has the time of its original")
	require.Zero(t, alter(b, ofTopic, other.name, set("message.timestamp.type", "CreateTime")))
	require.Equal(t, int64(-1), produce(b, other, stamped(now)).LogAppendTime, "a topic's own config beats the default")
}

// Semantics line 86: where a value comes from, and what it hides: the topic, this broker, all brokers, the agent's own
// configuration, Kafka's default. A value that equals the default is set all the same.
func TestLine86Sources(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	c := dial(t, cluster.start(t, settings{"kafka.num.partitions": "3"}))
	to := create(c, "line86", 1, "cleanup.policy", "delete")
	require.Equal(t, "delete 1 | cleanup.policy=delete 1 | log.cleanup.policy=delete 5", configOf(c, ofTopic, to.name, "cleanup.policy"))
	require.Equal(t, "1048588 5 | message.max.bytes=1048588 5", configOf(c, ofTopic, to.name, "max.message.bytes"))
	require.Equal(t, "604800000 5", configOf(c, ofTopic, to.name, "retention.ms"))
	require.Equal(t, "3 4 | num.partitions=3 4 | num.partitions=1 5", configOf(c, ofBroker, "0", "num.partitions"))
	require.Empty(t, describeConfigs(c, 4, ofBroker, "").Configs, "nothing is set for all brokers")
	require.Zero(t, alter(c, ofBroker, "", set("message.max.bytes", "5000")))
	require.Zero(t, alter(c, ofBroker, "0", set("message.max.bytes", "6000")))
	require.Equal(t, "5000 3 | message.max.bytes=5000 3", configOf(c, ofBroker, "", "message.max.bytes"))
	chain := "message.max.bytes=6000 2 | message.max.bytes=5000 3 | message.max.bytes=1048588 5"
	require.Equal(t, "6000 2 | "+chain, configOf(c, ofBroker, "0", "message.max.bytes"))
	require.Equal(t, "6000 2 | "+chain, configOf(c, ofTopic, to.name, "max.message.bytes"))
	require.Zero(t, alter(c, ofTopic, to.name, set("max.message.bytes", "7000")))
	require.Equal(t, "7000 1 | max.message.bytes=7000 1 | "+chain, configOf(c, ofTopic, to.name, "max.message.bytes"))
	require.Zero(t, alter(c, ofGroup, "g", set("consumer.session.timeout.ms", "50000")))
	require.Equal(t, "50000 8 | consumer.session.timeout.ms=50000 8 | group.consumer.session.timeout.ms=45000 5",
		configOf(c, ofGroup, "g", "consumer.session.timeout.ms"))
	require.Zero(t, alter(c, ofMetrics, "m", set("interval.ms", "1000")))
	require.Equal(t, "1000 7 | interval.ms=1000 7", configOf(c, ofMetrics, "m", "interval.ms"))

	require.Equal(t, "not listed", configOf(c, ofTopic, to.name, "no.such.config"))
	for version := int16(1); version <= 4; version++ {
		all := describeConfigs(c, version, ofTopic, to.name)
		require.Len(t, all.Configs, 33, "no names ask for all")
		require.Len(t, describeConfigs(c, version, ofTopic, to.name, "retention.ms", "no.such").Configs, 1)
		require.Equal(t, int16(3), describeConfigs(c, version, ofTopic, "line86-none").ErrorCode)
		require.Equal(t, int16(42), describeConfigs(c, version, ofBroker, "4711").ErrorCode)
		require.Len(t, describeConfigs(c, version, ofBroker, "0").Configs, 340)
	}
}

// Semantics line 87: types from version 3 on; sensitive values are null; what cannot be changed is read-only; a topic that
// is only compacted says exactly compact.
func TestLine87Types(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line87", 1, "cleanup.policy", "compact")
	require.Equal(t, "compact", *describeConfigs(c, 4, ofTopic, to.name, "cleanup.policy").Configs[0].Value)
	want := map[string]kmsg.ConfigType{
		"preallocate": kmsg.ConfigTypeBoolean, "compression.type": kmsg.ConfigTypeString, "segment.bytes": kmsg.ConfigTypeInt,
		"retention.ms": kmsg.ConfigTypeLong, "min.cleanable.dirty.ratio": kmsg.ConfigTypeDouble, "cleanup.policy": kmsg.ConfigTypeList,
	}
	for name, kind := range want {
		for version := int16(1); version <= 4; version++ {
			got := describeConfigs(c, version, ofTopic, to.name, name).Configs[0]
			require.Equal(t, version >= 3, got.ConfigType == kind, "%s version %d: %v", name, version, got.ConfigType)
			require.False(t, got.ReadOnly)
		}
	}
	me := fmt.Sprint(ask[*kmsg.MetadataResponse](c, 12, metadataRequest(false, to.name)).ControllerID)
	for name, is := range map[string]struct{ readOnly, sensitive bool }{
		"message.max.bytes": {}, "num.partitions": {readOnly: true}, "ssl.keystore.password": {sensitive: true},
		"delegation.token.secret.key": {readOnly: true, sensitive: true},
	} {
		got := describeConfigs(c, 4, ofBroker, me, name).Configs[0]
		require.Equal(t, is.readOnly, got.ReadOnly, name)
		require.Equal(t, is.sensitive, got.IsSensitive, name)
		require.Equal(t, is.sensitive, got.Value == nil, name)
	}
}

// Semantics line 88: a resource changes as a whole or not at all.
func TestLine88IncrementalAlterConfigs(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line88", 1)
	own := func() map[string]string {
		got := map[string]string{}
		for _, x := range describeConfigs(c, 4, ofTopic, to.name).Configs {
			if x.Source == kmsg.ConfigSourceDynamicTopicConfig {
				got[x.Name] = *x.Value
			}
		}
		return got
	}
	for name, x := range map[string]struct {
		code    int16
		changes [][3]string
	}{
		"unknown name":    {40, [][3]string{set("retention.ms", "5"), set("retention.days", "5")}},
		"bad value":       {40, [][3]string{set("retention.ms", "5"), set("segment.ms", "0")}},
		"bad type":        {40, [][3]string{set("retention.ms", "5 days")}},
		"no list":         {40, [][3]string{{"append", "retention.ms", "5"}}},
		"bad element":     {40, [][3]string{{"append", "cleanup.policy", "shred"}}},
		"twice":           {42, [][3]string{set("retention.ms", "5"), unset("retention.ms")}},
		"null":            {42, [][3]string{set("retention.ms", "(null)")}},
		"null to a list":  {42, [][3]string{{"append", "cleanup.policy", "(null)"}}},
		"unknown command": {42, [][3]string{{"what", "retention.ms", "5"}}},
	} {
		require.Equal(t, x.code, alter(c, ofTopic, to.name, x.changes...), name)
		require.Empty(t, own(), name)
	}
	dry := alteration(ofTopic, to.name, set("retention.ms", "5"))
	dry.ValidateOnly = true
	require.Zero(t, ask[*kmsg.IncrementalAlterConfigsResponse](c, 1, dry).Resources[0].ErrorCode)
	require.Empty(t, own(), "it was only to be validated")
	require.Zero(t, alter(c, ofTopic, to.name, set("retention.ms", "5"), [3]string{"append", "cleanup.policy", "compact"}))
	require.Equal(t, map[string]string{"retention.ms": "5", "cleanup.policy": "delete,compact"}, own())
	require.Zero(t, alter(c, ofTopic, to.name, [3]string{"subtract", "cleanup.policy", "delete"}, unset("retention.ms"), unset("no.such")))
	require.Equal(t, map[string]string{"cleanup.policy": "compact"}, own())
	require.Zero(t, alter(c, ofTopic, to.name, unset("cleanup.policy")))
	require.Empty(t, own())
	require.Equal(t, int16(3), alter(c, ofTopic, "line88-none", set("retention.ms", "5")))

	// The older API replaces everything, and of several resources each is judged on its own.
	req := kmsg.NewPtrAlterConfigsRequest()
	for _, x := range []struct{ name, config, value string }{{to.name, "retention.ms", "9"}, {"line88-none", "retention.ms", "9"}, {"line88-b", "bad", "9"}} {
		in := kmsg.NewAlterConfigsRequestResource()
		in.ResourceType, in.ResourceName = ofTopic, x.name
		one := kmsg.NewAlterConfigsRequestResourceConfig()
		one.Name, one.Value = x.config, &x.value
		in.Configs = append(in.Configs, one)
		req.Resources = append(req.Resources, in)
	}
	for version := int16(0); version <= 2; version++ {
		require.Zero(t, alter(c, ofTopic, to.name, set("segment.ms", "77")))
		resp := ask[*kmsg.AlterConfigsResponse](c, version, req)
		require.Equal(t, []int16{0, 3, 40}, []int16{resp.Resources[0].ErrorCode, resp.Resources[1].ErrorCode, resp.Resources[2].ErrorCode})
		require.Equal(t, map[string]string{"retention.ms": "9"}, own())
	}
}

// Semantics line 88, and 18: what is altered acts on the next batch: sizes, codecs and cleanup policies of topics and of
// all brokers.
func TestLine88ChangesAct(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	n := cluster.start(t, nil)
	c, other := dial(t, n), dial(t, cluster.start(t, nil))
	to := create(c, "line88-acts", 1)
	big := plain(string(make([]byte, 3000)))
	codec := func(p produced) batch.Codec {
		require.Zero(t, p.ErrorCode, "%s", text(p.ErrorMessage))
		return batch.Codec(batches(t, fetch(c, to, p.BaseOffset).RecordBatches)[0].Attributes & 7)
	}
	require.Equal(t, batch.None, codec(produce(c, to, big)))
	require.Zero(t, alter(c, ofBroker, "", set("message.max.bytes", "2000"), set("compression.type", "lz4")))
	require.Equal(t, int16(10), produce(c, to, big).ErrorCode, "the default of all brokers")
	require.Equal(t, "2000 3", configOf(other, ofTopic, to.name, "max.message.bytes")[:6])
	require.Equal(t, int16(10), produce(other, to, big).ErrorCode)
	require.Equal(t, batch.LZ4, codec(produce(c, to, plain("small"))))
	require.Zero(t, alter(c, ofTopic, to.name, set("max.message.bytes", "4000"), set("compression.type", "zstd")))
	require.Equal(t, batch.Zstd, codec(produce(c, to, big)), "the topic's own beats it")
	require.Zero(t, alter(c, ofTopic, to.name, unset("compression.type"), set("cleanup.policy", "compact")))
	keyless := batchOf(nil, kmsg.Record{Value: []byte("v")})
	require.Equal(t, int16(87), produce(c, to, keyless).ErrorCode)
	require.Zero(t, alter(c, ofTopic, to.name, unset("cleanup.policy")))
	require.Zero(t, produce(c, to, keyless).ErrorCode)
	require.Zero(t, alter(c, ofBroker, "", unset("message.max.bytes"), unset("compression.type")))
	require.Equal(t, batch.None, codec(produce(c, to, plain("small"))))

	// They outlive the agents.
	require.NoError(t, n.stop())
	again := dial(t, cluster.start(t, nil))
	require.Equal(t, "4000 1", configOf(again, ofTopic, to.name, "max.message.bytes")[:6])
}

// Semantics line 89: the reply to CreateTopics has all configs from version 5 on, with their sources.
func TestLine89ConfigsOfANewTopic(t *testing.T) {
	t.Parallel()
	c := dial(t, newCluster(t).start(t, nil))
	require.Zero(t, alter(c, ofBroker, "", set("log.retention.bytes", "77")))
	for version := int16(5); version <= 7; version++ {
		req := createRequest(fmt.Sprint("line89-", version), 1, "retention.ms", "604800000")
		got := ask[*kmsg.CreateTopicsResponse](c, version, req).Topics[0]
		require.Zero(t, got.ErrorCode)
		require.Len(t, got.Configs, 33)
		for _, x := range got.Configs {
			want := int8(5)
			switch x.Name {
			case "retention.ms":
				want = 1
			case "retention.bytes":
				want = 3
				require.Equal(t, "77", *x.Value)
			}
			require.Equal(t, want, x.Source, x.Name)
		}
	}
	for _, bad := range [][2]string{{"retention.ms", "x"}, {"no.such", "1"}} {
		got := ask[*kmsg.CreateTopicsResponse](c, 7, createRequest("line89-bad", 1, bad[0], bad[1])).Topics[0]
		require.Equal(t, int16(40), got.ErrorCode, bad[0])
	}
}
