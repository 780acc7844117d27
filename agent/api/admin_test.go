package api

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/topicconfig"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

func metadataOf(version int16, topics ...string) *kmsg.MetadataRequest {
	r := kmsg.NewPtrMetadataRequest()
	r.SetVersion(version)
	r.Topics = []kmsg.MetadataRequestTopic{}
	for _, t := range topics {
		r.Topics = append(r.Topics, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr(t)})
	}
	return r
}

// Semantics lines 9, 13, 14.
func TestMetadata(t *testing.T) {
	c := newClusterWith(t, Config{})
	c.set(func() {
		c.brokers = append(c.brokers, Broker{NodeID: 1, Host: "h1", Port: 1}, Broker{NodeID: 5, Host: "h5", Port: 5}, Broker{NodeID: 6, Host: "h6", Port: 6})
	})
	c.topic("a", 3)
	c.topic("b", 40)
	k := c.dial()
	for version := int16(0); version <= 13; version++ {
		all := kmsg.NewPtrMetadataRequest()
		all.SetVersion(version)
		r := k.ask(all).(*kmsg.MetadataResponse)
		require.Len(t, r.Topics, 2)
		require.Len(t, r.Brokers, 4)
		if version >= 2 {
			require.Equal(t, "cluster-1", *r.ClusterID)
		}
		nodes := map[int32]bool{}
		for _, b := range r.Brokers {
			nodes[b.NodeID] = true
		}
		if version >= 1 {
			require.True(t, nodes[r.ControllerID])
		}
		leaders := map[int32]int{}
		for i, p := range r.Topics[1].Partitions {
			require.Equal(t, int32(i), p.Partition)
			require.Zero(t, p.ErrorCode)
			require.True(t, nodes[p.Leader])
			require.Len(t, p.Replicas, 3)
			require.Equal(t, p.Replicas, p.ISR)
			require.Equal(t, p.Leader, p.Replicas[0])
			require.NotEqual(t, p.Replicas[1], p.Replicas[2])
			if version >= 7 {
				require.Zero(t, p.LeaderEpoch)
			}
			leaders[p.Leader]++
		}
		require.Len(t, leaders, 4)

		none := k.ask(metadataOf(version)).(*kmsg.MetadataResponse)
		require.Len(t, none.Topics, map[bool]int{true: 2, false: 0}[version == 0])
		some := k.ask(metadataOf(version, "a", "nope", "bad name", "a")).(*kmsg.MetadataResponse)
		require.Len(t, some.Topics, 3)
		require.Equal(t, []int16{0, 3, 17}, []int16{some.Topics[0].ErrorCode, some.Topics[1].ErrorCode, some.Topics[2].ErrorCode})
	}
	c.set(func() { c.brokers = nil })
	r := k.ask(metadataOf(9, "a")).(*kmsg.MetadataResponse)
	require.Equal(t, kerr.LeaderNotAvailable.Code, r.Topics[0].Partitions[0].ErrorCode)
	require.Equal(t, int32(-1), r.Topics[0].Partitions[0].Leader)
}

// Semantics line 12.
func TestMetadataByID(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 1)
	k := c.dial()
	r := metadataOf(12)
	r.Topics = []kmsg.MetadataRequestTopic{{TopicID: c.id("a")}, {TopicID: [16]byte{9}}}
	got := k.ask(r).(*kmsg.MetadataResponse)
	require.Equal(t, "a", *got.Topics[0].Topic)
	require.NotZero(t, got.Topics[0].TopicID)
	require.Equal(t, kerr.UnknownTopicID.Code, got.Topics[1].ErrorCode)
	require.Nil(t, got.Topics[1].Topic)
	require.Equal(t, [16]byte{9}, got.Topics[1].TopicID)
	r.SetVersion(10) // Ids came with version 12: before it a name is needed.
	r.Topics[0].Topic, r.Topics[1].Topic = kmsg.StringPtr(""), kmsg.StringPtr("")
	for _, e := range k.ask(r).(*kmsg.MetadataResponse).Topics {
		require.Equal(t, kerr.InvalidRequest.Code, e.ErrorCode)
	}
}

// Semantics line 10: created only when both sides allow it; concurrent creation gives one id.
func TestAutoCreate(t *testing.T) {
	off := newClusterWith(t, Config{})
	on := newCluster(t)
	allow := func(version int16, name string, yes bool) *kmsg.MetadataRequest {
		r := metadataOf(version, name)
		r.AllowAutoTopicCreation = yes
		return r
	}
	require.Equal(t, int16(3), off.dial().ask(allow(9, "x", true)).(*kmsg.MetadataResponse).Topics[0].ErrorCode)
	k := on.dial()
	require.Equal(t, int16(3), k.ask(allow(9, "x", false)).(*kmsg.MetadataResponse).Topics[0].ErrorCode)
	got := k.ask(allow(9, "x", true)).(*kmsg.MetadataResponse).Topics[0]
	require.Zero(t, got.ErrorCode)
	require.Len(t, got.Partitions, 2)
	require.Zero(t, k.ask(allow(0, "older", false)).(*kmsg.MetadataResponse).Topics[0].ErrorCode, "no flag before version 4")
	require.Equal(t, int16(17), k.ask(allow(9, "old.er/", true)).(*kmsg.MetadataResponse).Topics[0].ErrorCode)
	k.ask(allow(9, "a.b", true))
	require.Equal(t, int16(17), k.ask(allow(9, "a_b", true)).(*kmsg.MetadataResponse).Topics[0].ErrorCode) // Line 11.

	var wg sync.WaitGroup
	ids := make([][16]byte, 8)
	for i := range ids {
		c := on.dial()
		wg.Go(func() { ids[i] = c.ask(allow(12, "race", true)).(*kmsg.MetadataResponse).Topics[0].TopicID })
	}
	wg.Wait()
	for _, id := range ids {
		require.Equal(t, on.id("race"), id)
	}
	on.set(func() { on.proposeErr = ErrOutcomeUnknown })
	require.Equal(t, int16(5), k.ask(allow(9, "later", true)).(*kmsg.MetadataResponse).Topics[0].ErrorCode)
}

// Semantics line 11.
func TestTopicNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "a.b_c-D9": true, "...": true, strings.Repeat("x", 249): true,
		"": false, ".": false, "..": false, "a b": false, "ä": false, "a/b": false, strings.Repeat("x", 250): false,
	} {
		require.Equal(t, ok, validName(name) == nil, name)
	}
}

func create(version int16, topics ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsRequest {
	r := kmsg.NewPtrCreateTopicsRequest()
	r.SetVersion(version)
	r.TimeoutMillis = 5000
	r.Topics = topics
	return r
}

func spec(name string, partitions int32, factor int16, configs ...string) kmsg.CreateTopicsRequestTopic {
	s := kmsg.CreateTopicsRequestTopic{Topic: name, NumPartitions: partitions, ReplicationFactor: factor}
	for i := 0; i < len(configs); i += 2 {
		s.Configs = append(s.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: configs[i], Value: &configs[i+1]})
	}
	return s
}

// Semantics line 89.
func TestCreateTopics(t *testing.T) {
	c := newCluster(t)
	k := c.dial()
	for version := int16(2); version <= 7; version++ {
		name := fmt.Sprintf("v%d", version)
		r := k.ask(create(version, spec(name, 3, 3, "retention.ms", "1000", "cleanup.policy", "compact"))).(*kmsg.CreateTopicsResponse)
		require.Len(t, r.Topics, 1)
		got := r.Topics[0]
		require.Zero(t, got.ErrorCode, "%v", got.ErrorMessage)
		if version >= 5 {
			require.Equal(t, int32(3), got.NumPartitions)
			require.Len(t, got.Configs, len(topicconfig.Catalogue))
		}
		if version >= 7 {
			require.Equal(t, c.id(name), got.TopicID)
		}
		c.Read(func(s *state.State) {
			v, _ := s.Topic(name).Config("retention.ms")
			require.Equal(t, "1000", v)
		})
		require.Equal(t, kerr.TopicAlreadyExists.Code, k.ask(create(version, spec(name, 3, 1))).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
	}
	assigned := spec("assigned", -1, -1)
	assigned.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 1, Replicas: []int32{0}}, {Partition: 0, Replicas: []int32{0, 1}}}
	both := assigned
	both.Topic, both.NumPartitions = "both", 2
	gap := assigned
	gap.Topic = "gap"
	gap.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 1, Replicas: []int32{0}}}
	null := spec("null", 1, 1)
	null.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms"}}
	r := k.ask(create(7,
		spec("defaults", -1, -1), spec("none", 0, 1), spec("minus", -5, 1), spec("huge", 1<<30, 1), spec("rf0", 1, 0), spec("rf4", 1, 4),
		spec("bad name", 1, 1), spec("dup", 1, 1), spec("dup", 1, 1), spec("conf", 1, 1, "retention.ms", "soon"),
		spec("conf2", 1, 1, "no.such", "1"), assigned, both, gap, null, spec("v_7", 1, 1), spec("v.7", 1, 1), spec("twice", 1, 1, "retention.ms", "1", "retention.ms", "2"),
	)).(*kmsg.CreateTopicsResponse)
	got := map[string]int16{}
	for _, e := range r.Topics {
		got[e.Topic] = e.ErrorCode
		require.Equal(t, e.ErrorCode == 0, e.ErrorMessage == nil, e.Topic)
	}
	require.Len(t, r.Topics, 17, "one entry per name")
	require.Equal(t, map[string]int16{"defaults": 0, "none": 37, "minus": 37, "huge": 37, "rf0": 38, "rf4": 38, "bad name": 17, "dup": 42,
		"conf": 40, "conf2": 40, "assigned": 0, "both": 42, "gap": 39, "null": 40, "v_7": 0, "v.7": 17, "twice": 40}, got)

	dry := create(7, spec("dry", 1, 1), spec("v7", 1, 1))
	dry.ValidateOnly = true
	r = k.ask(dry).(*kmsg.CreateTopicsResponse)
	require.Equal(t, []int16{0, 36}, []int16{r.Topics[0].ErrorCode, r.Topics[1].ErrorCode})
	c.Read(func(s *state.State) { require.Nil(t, s.Topic("dry")) })

	// A failure that nobody can tell the outcome of is not "already exists" and not success (R15, R18).
	c.set(func() { c.proposeErr = ErrOutcomeUnknown })
	require.Equal(t, kerr.RequestTimedOut.Code, k.ask(create(7, spec("lost", 1, 1))).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
	c.set(func() { c.proposeErr = ErrNotProposed })
	require.Equal(t, kerr.NotController.Code, k.ask(create(7, spec("lost", 1, 1))).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
}

// R11, semantics line 91: a topic that is created again is another one.
func TestDeleteTopics(t *testing.T) {
	c := newCluster(t)
	k := c.dial()
	for version := int16(1); version <= 6; version++ {
		c.topic("t", 1)
		id := c.id("t")
		r := kmsg.NewPtrDeleteTopicsRequest()
		r.SetVersion(version)
		r.TopicNames = []string{"t", "nope"}
		r.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("t")}, {Topic: kmsg.StringPtr("nope")}}
		got := k.ask(r).(*kmsg.DeleteTopicsResponse)
		require.Equal(t, []int16{0, 3}, []int16{got.Topics[0].ErrorCode, got.Topics[1].ErrorCode})
		require.Equal(t, "t", *got.Topics[0].Topic)
		if version == 6 {
			require.Equal(t, id, got.Topics[0].TopicID)
		}
		c.Read(func(s *state.State) { require.Nil(t, s.Topic("t")) })
	}
	c.topic("t", 1)
	r := kmsg.NewPtrDeleteTopicsRequest()
	r.SetVersion(6)
	r.Topics = []kmsg.DeleteTopicsRequestTopic{{TopicID: [16]byte{3}}, {}, {Topic: kmsg.StringPtr("t"), TopicID: c.id("t")}, {TopicID: c.id("t")}, {TopicID: c.id("t")}}
	var codes []int16
	got := k.ask(r).(*kmsg.DeleteTopicsResponse)
	for _, e := range got.Topics {
		codes = append(codes, e.ErrorCode)
	}
	require.Equal(t, []int16{100, 42, 42, 0, 42}, codes)
	require.Nil(t, got.Topics[0].Topic)
	require.Equal(t, "t", *got.Topics[3].Topic)
}

func describe(version int16, kind kmsg.ConfigResourceType, name string, keys ...string) *kmsg.DescribeConfigsRequest {
	r := kmsg.NewPtrDescribeConfigsRequest()
	r.SetVersion(version)
	r.IncludeSynonyms, r.IncludeDocumentation = true, true
	r.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name, ConfigNames: keys}}
	return r
}

// Semantics lines 86, 87.
func TestDescribeConfigs(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1, &pb.Config{Name: "cleanup.policy", Value: "compact"}, &pb.Config{Name: "retention.ms", Value: "604800000"})
	k := c.dial()
	for version := int16(1); version <= 4; version++ {
		r := k.ask(describe(version, kmsg.ConfigResourceTypeTopic, "t")).(*kmsg.DescribeConfigsResponse).Resources[0]
		require.Zero(t, r.ErrorCode)
		require.Len(t, r.Configs, len(topicconfig.Catalogue))
		for _, e := range r.Configs {
			switch e.Name {
			case "cleanup.policy":
				require.Equal(t, "compact", *e.Value)
				require.Equal(t, kmsg.ConfigSourceDynamicTopicConfig, e.Source)
				require.Len(t, e.ConfigSynonyms, 2)
			case "retention.ms": // Set to the default: an override all the same.
				require.Equal(t, kmsg.ConfigSourceDynamicTopicConfig, e.Source)
				if version >= 3 {
					require.Equal(t, kmsg.ConfigTypeLong, e.ConfigType)
					require.NotNil(t, e.Documentation)
				}
			default:
				require.Equal(t, kmsg.ConfigSourceDefaultConfig, e.Source, e.Name)
			}
		}
	}
	one := k.ask(describe(4, kmsg.ConfigResourceTypeTopic, "t", "retention.ms", "no.such")).(*kmsg.DescribeConfigsResponse).Resources[0]
	require.Len(t, one.Configs, 1)
	codeOf := func(kind kmsg.ConfigResourceType, name string) int16 {
		return k.ask(describe(4, kind, name)).(*kmsg.DescribeConfigsResponse).Resources[0].ErrorCode
	}
	require.Equal(t, kerr.UnknownTopicOrPartition.Code, codeOf(kmsg.ConfigResourceTypeTopic, "nope"))
	require.Equal(t, kerr.InvalidTopicException.Code, codeOf(kmsg.ConfigResourceTypeTopic, "a b"))
	require.Equal(t, kerr.InvalidRequest.Code, codeOf(kmsg.ConfigResourceTypeBroker, "77"))
	require.Equal(t, kerr.InvalidRequest.Code, codeOf(kmsg.ConfigResourceTypeBroker, "x"))
	require.Equal(t, kerr.InvalidRequest.Code, codeOf(99, "x"))
	broker := k.ask(describe(4, kmsg.ConfigResourceTypeBroker, "0")).(*kmsg.DescribeConfigsResponse).Resources[0]
	values := map[string]string{}
	for _, e := range broker.Configs {
		require.NotContains(t, values, e.Name)
		values[e.Name] = *e.Value
	}
	require.Equal(t, "2", values["num.partitions"])
	require.Equal(t, "true", values["auto.create.topics.enable"])
	require.Equal(t, "1048588", values["message.max.bytes"])
	require.Zero(t, codeOf(kmsg.ConfigResourceTypeBroker, "")) // The cluster's defaults: none are set.
}
