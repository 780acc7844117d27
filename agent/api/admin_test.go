package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/internal/kafkaconfig"
	"wadi/metadata/state"
)

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
			require.Len(t, got.Configs, len(kafkaconfig.Topics.Keys))
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
	assigned.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 1, Replicas: []int32{0}}, {Partition: 0, Replicas: []int32{0}}}
	both := assigned
	both.Topic, both.NumPartitions = "both", 2
	gap := assigned
	gap.Topic = "gap"
	gap.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 1, Replicas: []int32{0}}}
	null := spec("null", 1, 1)
	null.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms"}}
	r := k.ask(create(7,
		spec("defaults", -1, -1), spec("none", 0, 1), spec("minus", -5, 1), spec("rf0", 1, 0), spec("rf4", 1, 4),
		spec("bad name", 1, 1), spec("dup", 1, 1), spec("dup", 1, 1), spec("conf", 1, 1, "retention.ms", "soon"),
		spec("conf2", 1, 1, "no.such", "1"), assigned, both, gap, null, spec("v_7", 1, 1), spec("v.7", 1, 1), spec("twice", 1, 1, "retention.ms", "1", "retention.ms", "2"),
	)).(*kmsg.CreateTopicsResponse)
	got := map[string]int16{}
	for _, e := range r.Topics {
		got[e.Topic] = e.ErrorCode
		require.Equal(t, e.ErrorCode == 0, e.ErrorMessage == nil, e.Topic)
	}
	require.Len(t, r.Topics, 16, "one entry per name")
	require.Equal(t, map[string]int16{"defaults": 0, "none": 37, "minus": 37, "rf0": 38, "rf4": 38, "bad name": 17, "dup": 42,
		"conf": 40, "conf2": 40, "assigned": 0, "both": 42, "gap": 39, "null": 40, "v_7": 0, "v.7": 17, "twice": 0}, got)

	dry := create(7, spec("dry", 1, 1), spec("v7", 1, 1))
	dry.ValidateOnly = true
	r = k.ask(dry).(*kmsg.CreateTopicsResponse)
	require.Equal(t, []int16{0, 36}, []int16{r.Topics[0].ErrorCode, r.Topics[1].ErrorCode})
	c.Read(func(s *state.State) { require.Nil(t, s.Topic("dry")) })

	// A failure that nobody can tell the outcome of is not "already exists" and not success (Regressions R15, R18).
	c.set(func() { c.proposeErr = ErrOutcomeUnknown })
	require.Equal(t, kerr.RequestTimedOut.Code, k.ask(create(7, spec("lost", 1, 1))).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
	c.set(func() { c.proposeErr = ErrNotProposed })
	require.Equal(t, kerr.NotController.Code, k.ask(create(7, spec("lost", 1, 1))).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
}

// Regression R11, Semantics line 91: a topic that is created again is another one.
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
	r.Topics = []kmsg.DeleteTopicsRequestTopic{{TopicID: [16]byte{3}}, {}, {Topic: kmsg.StringPtr("t"), TopicID: c.id("t")}, {TopicID: c.id("t")}}
	var codes []int16
	got := k.ask(r).(*kmsg.DeleteTopicsResponse)
	for _, e := range got.Topics {
		codes = append(codes, e.ErrorCode)
	}
	require.Equal(t, []int16{100, 42, 42, 0}, codes)
	require.Nil(t, got.Topics[0].Topic)
	require.Equal(t, "t", *got.Topics[3].Topic)
}

// A topic that comes twice in one request, by name, by id or by both, is listed once with INVALID_REQUEST and stays.
// The others of the request go.
func TestDeleteTopicsTwice(t *testing.T) {
	c := newCluster(t)
	k := c.dial()
	name := func(s string) kmsg.DeleteTopicsRequestTopic {
		return kmsg.DeleteTopicsRequestTopic{Topic: kmsg.StringPtr(s)}
	}
	id := func(id [16]byte) kmsg.DeleteTopicsRequestTopic { return kmsg.DeleteTopicsRequestTopic{TopicID: id} }
	c.topic("t", 1)
	nobodys := [16]byte{7}
	for i, test := range []struct {
		topics []kmsg.DeleteTopicsRequestTopic
		want   string
	}{
		{[]kmsg.DeleteTopicsRequestTopic{name("t"), name("o"), name("t"), name("t")}, "t::42 o:id:0"},
		{[]kmsg.DeleteTopicsRequestTopic{id(c.id("t")), name("o"), id(c.id("t"))}, ":id:42 o:id:0"},
		{[]kmsg.DeleteTopicsRequestTopic{id(c.id("t")), name("t"), name("o")}, "t:id:42 o:id:0"},
		{[]kmsg.DeleteTopicsRequestTopic{name("t"), id(c.id("t"))}, "t:id:42"},
		{[]kmsg.DeleteTopicsRequestTopic{name("t"), id(c.id("t")), id(c.id("t"))}, "t:id:42 :id:42"},
		{[]kmsg.DeleteTopicsRequestTopic{name("x"), name("x"), id(nobodys), id(nobodys)}, "x::42 :id:42"},
	} {
		for version := int16(1); version <= 6; version++ {
			if i > 0 && version < 6 {
				continue // has no ids
			}
			missing := false
			c.Read(func(s *state.State) { missing = s.Topic("o") == nil })
			if missing {
				c.topic("o", 1)
			}
			r := kmsg.NewPtrDeleteTopicsRequest()
			r.SetVersion(version)
			r.Topics = test.topics
			for _, in := range test.topics {
				if in.Topic != nil {
					r.TopicNames = append(r.TopicNames, *in.Topic)
				}
			}
			got := ""
			for _, e := range k.ask(r).(*kmsg.DeleteTopicsResponse).Topics {
				if got != "" {
					got += " "
				}
				if e.Topic != nil {
					got += *e.Topic
				}
				got += ":"
				if e.TopicID != ([16]byte{}) {
					got += "id"
				}
				got += fmt.Sprintf(":%d", e.ErrorCode)
				if version >= 5 {
					require.Equal(t, e.ErrorCode == 0, e.ErrorMessage == nil)
				}
			}
			want := test.want
			if version < 6 {
				want = strings.ReplaceAll(want, ":id", ":")
			}
			require.Equal(t, want, got)
		}
		c.Read(func(s *state.State) { require.NotNil(t, s.Topic("t")) })
	}
}

func describe(version int16, kind kmsg.ConfigResourceType, name string, keys ...string) *kmsg.DescribeConfigsRequest {
	r := kmsg.NewPtrDescribeConfigsRequest()
	r.SetVersion(version)
	r.IncludeSynonyms, r.IncludeDocumentation = true, true
	r.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name, ConfigNames: keys}}
	return r
}

// Configs of what is there: configs_test.go.
