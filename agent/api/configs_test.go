package api

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/internal/kafkaconfig"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// change is op, name, value; "-" is no value.
func change(kind kmsg.ConfigResourceType, name string, changes ...string) *kmsg.IncrementalAlterConfigsRequest {
	r := kmsg.NewPtrIncrementalAlterConfigsRequest()
	in := kmsg.NewIncrementalAlterConfigsRequestResource()
	in.ResourceType, in.ResourceName = kind, name
	ops := map[string]kmsg.IncrementalAlterConfigOp{"set": 0, "delete": 1, "append": 2, "subtract": 3, "other": 9}
	for i := 0; i < len(changes); i += 3 {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Op, c.Name = ops[changes[i]], changes[i+1]
		if changes[i+2] != "-" {
			c.Value = &changes[i+2]
		}
		in.Configs = append(in.Configs, c)
	}
	r.Resources = append(r.Resources, in)
	return r
}

func (c *client) change(kind kmsg.ConfigResourceType, name string, changes ...string) int16 {
	c.t.Helper()
	return c.ask(change(kind, name, changes...)).(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode
}

func describeOf(version int16, kind kmsg.ConfigResourceType, name string, keys ...string) *kmsg.DescribeConfigsRequest {
	r := kmsg.NewPtrDescribeConfigsRequest()
	r.SetVersion(version)
	r.IncludeSynonyms, r.IncludeDocumentation = true, true
	r.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name, ConfigNames: keys}}
	return r
}

// config is "value source synonyms" of one config, "" when it is not listed.
func (c *client) config(kind kmsg.ConfigResourceType, name, config string) string {
	c.t.Helper()
	r := c.ask(describeOf(4, kind, name, config)).(*kmsg.DescribeConfigsResponse).Resources[0]
	require.Zero(c.t, r.ErrorCode, "%v", r.ErrorMessage)
	if len(r.Configs) == 0 {
		return ""
	}
	e := r.Configs[0]
	text := "null"
	if e.Value != nil {
		text = *e.Value
	}
	text += fmt.Sprint(" ", int8(e.Source))
	for _, s := range e.ConfigSynonyms {
		text += fmt.Sprintf(" %s=%s %d", s.Name, *s.Value, s.Source)
	}
	return text
}

const (
	topics  = kmsg.ConfigResourceTypeTopic
	brokers = kmsg.ConfigResourceTypeBroker
	loggers = kmsg.ConfigResourceTypeBrokerLogger
	metrics = kmsg.ConfigResourceTypeClientMetrics
	groups  = kmsg.ConfigResourceTypeGroupConfig
)

// Semantics lines 86, 87.
func TestDescribeConfigs(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1, &pb.Config{Name: "cleanup.policy", Value: "compact"}, &pb.Config{Name: "retention.ms", Value: "604800000"})
	k := c.dial()
	for version := int16(1); version <= 4; version++ {
		r := k.ask(describeOf(version, topics, "t")).(*kmsg.DescribeConfigsResponse).Resources[0]
		require.Zero(t, r.ErrorCode)
		require.Len(t, r.Configs, len(kafkaconfig.Topics.Keys))
		for _, e := range r.Configs {
			switch e.Name {
			case "cleanup.policy", "retention.ms": // Set to the default: an override all the same.
				require.Equal(t, kmsg.ConfigSourceDynamicTopicConfig, e.Source)
			default:
				require.Equal(t, kmsg.ConfigSourceDefaultConfig, e.Source, e.Name)
			}
			require.False(t, e.ReadOnly)
			require.Equal(t, version >= 3, e.ConfigType != 0)
			require.Equal(t, version >= 3, e.Documentation != nil)
		}
	}
	require.Equal(t, "compact 1 cleanup.policy=compact 1 log.cleanup.policy=delete 5", k.config(topics, "t", "cleanup.policy"))
	require.Equal(t, "604800000 1 retention.ms=604800000 1", k.config(topics, "t", "retention.ms"))
	require.Empty(t, k.config(topics, "t", "no.such"))
	plain := describeOf(4, topics, "t")
	plain.IncludeSynonyms, plain.IncludeDocumentation = false, false
	for _, e := range k.ask(plain).(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
		require.Empty(t, e.ConfigSynonyms)
		require.Nil(t, e.Documentation)
	}
	for _, bad := range []struct {
		kind kmsg.ConfigResourceType
		name string
		code int16
	}{
		{topics, "nope", 3}, {topics, "a b", 17}, {topics, "", 17}, {brokers, "77", 42}, {brokers, "x", 42}, {groups, "", 42},
		{metrics, "", 42}, {loggers, "", 42}, {loggers, "5", 42}, {99, "x", 42}, {brokers, "", 0}, {groups, "g", 0}, {metrics, "m", 0},
	} {
		r := k.ask(describeOf(4, bad.kind, bad.name)).(*kmsg.DescribeConfigsResponse).Resources[0]
		require.Equal(t, bad.code, r.ErrorCode, "%v", bad)
	}
	seen := map[string]kmsg.DescribeConfigsResponseResourceConfig{}
	for _, e := range k.ask(describeOf(4, brokers, "0")).(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
		require.NotContains(t, seen, e.Name)
		seen[e.Name] = e
	}
	require.Len(t, seen, len(kafkaconfig.Brokers.Keys)-3, "all but those that show only where they are set")
	require.Equal(t, "2", *seen["num.partitions"].Value)
	require.Equal(t, kmsg.ConfigSourceStaticBrokerConfig, seen["num.partitions"].Source)
	require.Equal(t, kmsg.ConfigSourceDefaultConfig, seen["auto.create.topics.enable"].Source)
	require.True(t, seen["num.partitions"].ReadOnly)
	require.False(t, seen["message.max.bytes"].ReadOnly)
	require.True(t, seen["ssl.key.password"].IsSensitive)
	require.Nil(t, seen["ssl.key.password"].Value)
	require.Equal(t, "0", *seen["node.id"].Value)
	require.Equal(t, "INFO 6", k.config(loggers, "0", ""+"root"))
	c.set(func() { c.barrierErr = ErrViewBehind })
	require.Equal(t, int16(7), k.ask(describeOf(4, topics, "t")).(*kmsg.DescribeConfigsResponse).Resources[0].ErrorCode)
}

// Semantics line 86: what is set for this broker hides what is set for all of them, which hides Kafka's default; a topic
// gets it unless it has its own.
func TestDynamicBrokerConfigs(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	k := c.dial()
	require.Empty(t, k.config(brokers, "", "log.retention.ms"))
	require.Zero(t, k.change(brokers, "", "set", "log.retention.ms", "1000"))
	require.Equal(t, "1000 3 log.retention.ms=1000 3", k.config(brokers, "", "log.retention.ms"))
	require.Zero(t, k.change(brokers, "0", "set", "log.retention.ms", "2000"))
	require.Equal(t, "2000 2 log.retention.ms=2000 2 log.retention.ms=1000 3 log.retention.hours=168 5", k.config(brokers, "0", "log.retention.ms"))
	require.Equal(t, "2000 2 log.retention.ms=2000 2 log.retention.ms=1000 3 log.retention.hours=168 5", k.config(topics, "t", "retention.ms"))
	require.Equal(t, "168 5 log.retention.hours=168 5", k.config(brokers, "0", "log.retention.hours"))
	require.Zero(t, k.change(topics, "t", "set", "retention.ms", "3000"))
	require.Equal(t, "3000 1 retention.ms=3000 1 log.retention.ms=2000 2 log.retention.ms=1000 3 log.retention.hours=168 5", k.config(topics, "t", "retention.ms"))
	require.Zero(t, k.change(brokers, "0", "delete", "log.retention.ms", "-", "delete", "num.partitions", "-"))
	require.Equal(t, "1000 3 log.retention.ms=1000 3 log.retention.hours=168 5", k.config(brokers, "0", "log.retention.ms"))
	for _, bad := range [][]string{
		{"set", "num.partitions", "3"}, {"set", "listeners", "PLAINTEXT://:1"}, {"set", "log.retention.ms", "soon"},
		{"set", "message.max.bytes", "-1"}, {"other", "message.max.bytes", "1"},
	} {
		require.Equal(t, int16(42), k.change(brokers, "", bad...), "%v", bad)
		require.Equal(t, int16(42), k.change(brokers, "0", bad...), "%v", bad)
	}
	require.Equal(t, int16(40), k.change(brokers, "", "append", "log.retention.ms", "5"))
	require.Equal(t, int16(40), k.change(brokers, "", "set", "no.such", "5"))
	require.Equal(t, int16(42), k.change(brokers, "1", "set", "log.retention.ms", "5"), "another broker is asked itself")
	require.Zero(t, k.change(brokers, "", "set", "leader.replication.throttled.rate", "5"))
	require.Equal(t, "5 3 leader.replication.throttled.rate=5 3 leader.replication.throttled.rate=9223372036854775807 5",
		k.config(brokers, "0", "leader.replication.throttled.rate"))
}

// Semantics line 88: nothing of a resource is changed when one change of it is wrong.
func TestIncrementalAlterConfigs(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	k := c.dial()
	own := func() (list []string) {
		c.Read(func(s *state.State) {
			for _, x := range s.Topic("t").Configs {
				list = append(list, x.Name+"="+x.Value)
			}
		})
		return list
	}
	for _, x := range []struct {
		changes []string
		code    int16
		after   []string
	}{
		{[]string{"set", "retention.ms", "5", "set", "segment.ms", "soon"}, 40, nil},
		{[]string{"set", "retention.ms", "5", "set", "no.such", "1"}, 40, nil},
		{[]string{"set", "retention.ms", "5", "set", "retention.ms", "6"}, 42, nil},
		{[]string{"set", "retention.ms", "-"}, 42, nil},
		{[]string{"append", "cleanup.policy", "-"}, 42, nil},
		{[]string{"other", "retention.ms", "5"}, 42, nil},
		{[]string{"append", "retention.ms", "5"}, 40, nil},
		{[]string{"set", "min.compaction.lag.ms", "10", "set", "max.compaction.lag.ms", "5"}, 40, nil},
		{[]string{"set", "retention.ms", "5", "append", "cleanup.policy", "compact"}, 0, []string{"cleanup.policy=delete,compact", "retention.ms=5"}},
		{[]string{"append", "cleanup.policy", "compact", "delete", "retention.ms", "-", "delete", "no.such", "-"}, 0, []string{"cleanup.policy=delete,compact"}},
		{[]string{"subtract", "cleanup.policy", "delete,other"}, 0, []string{"cleanup.policy=compact"}},
		{[]string{"subtract", "cleanup.policy", "compact"}, 0, []string{"cleanup.policy="}},
		{[]string{"delete", "cleanup.policy", "ignored"}, 0, nil},
		{nil, 0, nil},
	} {
		before := own()
		dry := change(topics, "t", x.changes...)
		dry.ValidateOnly = true
		require.Equal(t, x.code, k.ask(dry).(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode, "%v", x.changes)
		require.Equal(t, before, own(), "validated only")
		require.Equal(t, x.code, k.change(topics, "t", x.changes...), "%v", x.changes)
		require.Equal(t, x.after, own(), "%v", x.changes)
	}
	for _, x := range []struct {
		kind kmsg.ConfigResourceType
		name string
		code int16
	}{
		{topics, "nope", 3}, {topics, "a b", 17}, {topics, "", 42}, {groups, "", 42}, {metrics, "", 42}, {loggers, "0", 40}, {loggers, "1", 42},
		{99, "x", 42}, {0, "x", 42}, {brokers, "x", 42},
	} {
		require.Equal(t, x.code, k.change(x.kind, x.name), "%v", x)
	}
	require.Equal(t, int16(40), k.change(topics, "nope", "set", "retention.ms", "soon"), "values are checked first")
	both := change(topics, "t", "set", "retention.ms", "5")
	both.Resources = append(both.Resources, both.Resources[0], change(groups, "g", "set", "consumer.session.timeout.ms", "50000").Resources[0])
	r := k.ask(both).(*kmsg.IncrementalAlterConfigsResponse)
	require.Equal(t, []int16{42, 42, 0}, []int16{r.Resources[0].ErrorCode, r.Resources[1].ErrorCode, r.Resources[2].ErrorCode})
	require.Nil(t, own())
	c.set(func() { c.proposeErr = ErrOutcomeUnknown })
	require.Equal(t, int16(7), k.change(topics, "t", "set", "retention.ms", "5"))
	c.set(func() { c.proposeErr = ErrNotProposed })
	require.Equal(t, int16(41), k.change(topics, "t", "set", "retention.ms", "5"))
}

// A topic that another agent has just created is not unknown.
func TestAlterConfigsOfANewTopic(t *testing.T) {
	c := newCluster(t)
	k := c.dial()
	c.set(func() { c.lagging = append(c.lagging, func() { c.topic("t", 1) }) })
	require.Zero(t, k.change(topics, "t", "set", "retention.ms", "5"))
	c.set(func() { c.barrierErr = ErrViewBehind })
	require.Equal(t, int16(7), k.change(topics, "other", "set", "retention.ms", "5"))
}

// Semantics line 88: the older API replaces all that a resource has.
func TestAlterConfigs(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1, &pb.Config{Name: "segment.ms", Value: "7"})
	k := c.dial()
	replace := func(kind kmsg.ConfigResourceType, name string, pairs ...string) int16 {
		r := kmsg.NewPtrAlterConfigsRequest()
		in := kmsg.NewAlterConfigsRequestResource()
		in.ResourceType, in.ResourceName = kind, name
		for i := 0; i < len(pairs); i += 2 {
			x := kmsg.NewAlterConfigsRequestResourceConfig()
			if x.Name = pairs[i]; pairs[i+1] != "-" {
				x.Value = &pairs[i+1]
			}
			in.Configs = append(in.Configs, x)
		}
		r.Resources = append(r.Resources, in)
		got := k.ask(r).(*kmsg.AlterConfigsResponse).Resources[0]
		require.Equal(t, kind, got.ResourceType)
		return got.ErrorCode
	}
	require.Zero(t, replace(topics, "t", "retention.ms", "5"))
	require.Equal(t, "604800000 5", k.config(topics, "t", "segment.ms"))
	require.Equal(t, "5 1 retention.ms=5 1", k.config(topics, "t", "retention.ms"))
	for code, pairs := range map[int16][]string{40: {"no.such", "1"}, 42: {"retention.ms", "-"}} {
		require.Equal(t, code, replace(topics, "t", pairs...))
	}
	require.Equal(t, int16(42), replace(topics, "t", "retention.ms", "1", "retention.ms", "2"))
	require.Equal(t, int16(42), replace(loggers, "0", "root", "INFO"))
	require.Equal(t, "5 1 retention.ms=5 1", k.config(topics, "t", "retention.ms"))
	require.Zero(t, replace(topics, "t"))
	require.Equal(t, "604800000 5", k.config(topics, "t", "retention.ms"))
	require.Zero(t, replace(groups, "g", "consumer.session.timeout.ms", "50000"))
	require.Equal(t, "50000 8 consumer.session.timeout.ms=50000 8 group.consumer.session.timeout.ms=45000 5", k.config(groups, "g", "consumer.session.timeout.ms"))
	require.Equal(t, int16(40), replace(groups, "g", "consumer.session.timeout.ms", "50"))
	require.Equal(t, "latest 5 share.auto.offset.reset=latest 5", k.config(groups, "g", "share.auto.offset.reset"))
	require.Zero(t, replace(metrics, "m", "interval.ms", "1000"))
	require.Equal(t, "1000 7 interval.ms=1000 7", k.config(metrics, "m", "interval.ms"))
	for name, code := range map[string]int16{"interval.ms": 42, "no.such": 42, "match": 40} {
		require.Equal(t, code, replace(metrics, "m", name, "5"), name)
	}
	require.Equal(t, int16(40), replace(metrics, "m", "interval.ms", "soon"))
}

// Changes at the same time all count: each is worked out anew when it finds that another one came first.
func TestConfigsChangeAtTheSameTime(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	const n = 4
	done := make(chan int16)
	for i := range n {
		k := c.dial()
		go func() {
			done <- k.change(topics, "t", "append", "leader.replication.throttled.replicas", fmt.Sprintf("%d:0", i))
		}()
	}
	for range n {
		require.Zero(t, <-done)
	}
	c.Read(func(s *state.State) {
		v, _ := s.Topic("t").Config("leader.replication.throttled.replicas")
		require.Len(t, kafkaconfig.Elements(v), n, v)
	})
}

// A view that lags does not make a removal do nothing: what another agent has just set is taken back all the same.
func TestRemovalOfWhatIsNotSeenYet(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	k := c.dial()
	c.set(func() {
		c.before = func() { // between the look and the proposal
			c.before = nil
			topic := c.st.Topic("t").Number
			c.applyLocked(nil, &pb.Command{Base: c.position, Kind: &pb.Command_AlterConfigs{AlterConfigs: &pb.AlterConfigs{
				Type: 2, Topic: topic, Set: []*pb.Config{{Name: "retention.ms", Value: "5"}},
			}}})
		}
	})
	require.Zero(t, k.change(topics, "t", "delete", "retention.ms", "-"))
	require.Equal(t, "604800000 5", k.config(topics, "t", "retention.ms"))
}

// What configs mean is worked out once and shared, until it changes: by the topic, by the brokers' defaults, or because
// the agent became another broker.
func TestEffectiveIsShared(t *testing.T) {
	c := newCluster(t)
	c.topic("own", 1, &pb.Config{Name: "max.message.bytes", Value: "100"})
	c.topic("none", 1)
	k := c.dial()
	var e effectives
	of := func(topic, self string) (found *kafkaconfig.Effective) {
		c.Read(func(s *state.State) { found = e.of(s, s.Topic(topic), self) })
		return found
	}
	own, none := of("own", "0"), of("none", "0")
	require.Same(t, own, of("own", "0"))
	require.Same(t, none, of("none", "0"))
	require.Equal(t, 100, own.MaxMessageBytes)
	require.Zero(t, k.change(topics, "own", "set", "max.message.bytes", "200"))
	require.Equal(t, 200, of("own", "0").MaxMessageBytes)
	require.Zero(t, k.change(groups, "g", "set", "consumer.session.timeout.ms", "50000"))
	require.Same(t, none, of("none", "0"), "a group's configs change nothing")
	require.Zero(t, k.change(brokers, "", "set", "message.max.bytes", "300", "set", "compression.type", "zstd"))
	require.Zero(t, k.change(brokers, "0", "set", "message.max.bytes", "400"))
	require.Equal(t, []int{400, 300, 200}, []int{of("none", "0").MaxMessageBytes, of("none", "1").MaxMessageBytes, of("own", "0").MaxMessageBytes})
	require.Equal(t, "zstd", of("own", "0").Codec)
	c.Read(func(s *state.State) {
		topic := s.Topic("own")
		require.Zero(t, testing.AllocsPerRun(100, func() { e.of(s, topic, "0") }))
	})
}

func TestListConfigResources(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	k := c.dial()
	require.Zero(t, k.change(groups, "g", "set", "consumer.session.timeout.ms", "50000"))
	require.Zero(t, k.change(metrics, "m", "set", "interval.ms", "1000"))
	require.Zero(t, k.change(brokers, "", "set", "log.retention.ms", "1000"))
	list := func(version int16, kinds ...int8) (names []string, code int16) {
		r := kmsg.NewPtrListConfigResourcesRequest()
		r.ResourceTypes = kinds
		r.SetVersion(version)
		resp := k.ask(r).(*kmsg.ListConfigResourcesResponse)
		for _, x := range resp.ConfigResources {
			names = append(names, fmt.Sprint(x.Name, " ", x.Type))
		}
		return names, resp.ErrorCode
	}
	for _, x := range []struct {
		version int16
		kinds   []int8
		want    []string
		code    int16
	}{
		{1, nil, []string{"g 32", "m 16", "0 8", "0 4", "t 2"}, 0},
		{1, []int8{2, 2}, []string{"t 2"}, 0},
		{1, []int8{32, 4}, []string{"g 32", "0 4"}, 0},
		{1, []int8{4, 99}, nil, 35},
	} {
		got, code := list(x.version, x.kinds...)
		require.Equal(t, x.want, got)
		require.Equal(t, x.code, code)
	}
	c.set(func() { c.barrierErr = ErrViewBehind })
	_, code := list(1)
	require.Equal(t, int16(7), code)
}
