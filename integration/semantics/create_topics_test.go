package semantics

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type created = kmsg.CreateTopicsResponseTopic

// creating sends topics in one request and returns the answers by name.
func creating(c *client, version int16, validate bool, topics ...kmsg.CreateTopicsRequestTopic) map[string]created {
	c.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis, req.ValidateOnly, req.Topics = 5000, validate, topics
	got := map[string]created{}
	for _, r := range ask[*kmsg.CreateTopicsResponse](c, version, req).Topics {
		require.NotContains(c.t, got, r.Topic, "answered twice")
		got[r.Topic] = r
	}
	return got
}

func wanted(name string, partitions int32, factor int16) kmsg.CreateTopicsRequestTopic {
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = name, partitions, factor
	return in
}

// configured adds configs; a null value is "\x00".
func configured(in kmsg.CreateTopicsRequestTopic, pairs ...string) kmsg.CreateTopicsRequestTopic {
	for i := 0; i < len(pairs); i += 2 {
		cfg := kmsg.NewCreateTopicsRequestTopicConfig()
		cfg.Name = pairs[i]
		if pairs[i+1] != "\x00" {
			cfg.Value = &pairs[i+1]
		}
		in.Configs = append(in.Configs, cfg)
	}
	return in
}

// assigned adds an assignment: the replicas of partition numbers, in turn.
func assigned(in kmsg.CreateTopicsRequestTopic, pairs ...[]int32) kmsg.CreateTopicsRequestTopic {
	for i := 0; i < len(pairs); i += 2 {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = pairs[i][0], pairs[i+1]
		in.ReplicaAssignment = append(in.ReplicaAssignment, a)
	}
	return in
}

// Semantics line 89: -1 means the default number of partitions and of replicas; version 5 and later tell what became of
// them and the configs, version 7 the topic's id. What is created once is there when it is asked for again.
func TestLine89CreateTopics(t *testing.T) {
	t.Parallel()
	c := dial(t, newCluster(t).start(t, settings{"kafka.num.partitions": "3"}))
	for version := int16(2); version <= 7; version++ {
		name := fmt.Sprintf("line89-%d", version)
		want := []kmsg.CreateTopicsRequestTopic{wanted(name, -1, -1), configured(wanted(name+"-b", 5, 1), "retention.ms", "60000")}
		for _, validate := range []bool{true, false} {
			got := creating(c, version, validate, want...)
			require.Len(t, got, 2)
			for i, n := range []int32{3, 5} {
				r := got[want[i].Topic]
				require.Zero(t, r.ErrorCode)
				require.Nil(t, r.ErrorMessage)
				if version < 5 {
					continue
				}
				require.Equal(t, []int{int(n), 1}, []int{int(r.NumPartitions), int(r.ReplicationFactor)})
				require.Equal(t, version >= 7 && !validate, r.TopicID != [16]byte{})
				values := map[string]string{}
				for _, cfg := range r.Configs {
					values[cfg.Name] = *cfg.Value
				}
				require.Equal(t, []string{"604800000", "60000"}[i], values["retention.ms"])
				require.Equal(t, "delete", values["cleanup.policy"])
			}
			exists := about(c, 12, metadataRequest(false, name))
			require.Equal(t, map[bool]int{true: 0, false: 3}[validate], len(exists.Partitions), "validating creates nothing")
			if version >= 7 && !validate {
				require.Equal(t, got[name].TopicID, exists.TopicID)
			}
		}
		for _, validate := range []bool{true, false} {
			again := creating(c, version, validate, want...)[name]
			require.Equal(t, int16(36), again.ErrorCode)
			require.Equal(t, version >= 5, again.Configs != nil, "configs are an empty array beside an error")
		}
	}
}

// Semantics line 89: each topic of a request is judged on its own, a name that comes twice once and with 42.
func TestLine89RefusedTopics(t *testing.T) {
	t.Parallel()
	c := dial(t, newCluster(t).start(t, nil))
	create(c, "there", 1)
	me := []int32{0} // the first agent's node id
	cases := []struct {
		code int16
		in   kmsg.CreateTopicsRequestTopic
	}{
		{0, wanted("good", 1, 1)},
		{0, wanted("two-replicas", 1, 2)}, // nothing is replicated: up to 3 are accepted whoever is alive
		{36, wanted("there", 1, 1)},
		{37, wanted("none", 0, 1)},
		{37, wanted("minus-two", -2, 1)},
		{38, wanted("factor-0", 1, 0)},
		{38, wanted("factor-minus-2", 1, -2)},
		{38, wanted("factor-4", 1, 4)},
		{38, wanted("factor-first", 0, 0)},
		{17, wanted("bad name", 0, 0)},
		{42, wanted("__cluster_metadata", 1, 1)},
		{40, configured(wanted("null-config", 1, 1), "retention.ms", "\x00")},
		{40, configured(wanted("empty-config", 1, 1), "retention.ms", "")},
		{40, configured(wanted("bad-config", 1, 1), "retention.ms", "soon")},
		{40, configured(wanted("unknown-config", 1, 1), "no.such", "1")},
		{40, configured(wanted("config-first", 0, 0), "no.such", "1")},
		{0, assigned(wanted("assigned", -1, -1), []int32{1}, me, []int32{0}, me)},
		{42, assigned(wanted("assigned-count", 1, -1), []int32{0}, me)},
		{42, assigned(wanted("assigned-factor", -1, 1), []int32{0}, me)},
		{39, assigned(wanted("assigned-gap", -1, -1), []int32{0}, me, []int32{2}, me)},
		{39, assigned(wanted("assigned-from-1", -1, -1), []int32{1}, me)},
		{39, assigned(wanted("assigned-minus", -1, -1), []int32{-1}, me)},
		{39, assigned(wanted("assigned-twice", -1, -1), []int32{0}, me, []int32{0}, me)},
		{39, assigned(wanted("assigned-nobody", -1, -1), []int32{0}, []int32{})},
		{39, assigned(wanted("assigned-stranger", -1, -1), []int32{0}, []int32{7})},
		{39, assigned(wanted("assigned-double", -1, -1), []int32{0}, []int32{0, 0})},
	}
	for _, validate := range []bool{true, false} {
		var topics []kmsg.CreateTopicsRequestTopic
		for _, k := range cases {
			topics = append(topics, k.in)
		}
		got := creating(c, 7, validate, append(topics, wanted("double", 1, 1), wanted("double", 2, 1))...)
		require.Len(t, got, len(cases)+1)
		for _, k := range cases {
			require.Equal(t, k.code, got[k.in.Topic].ErrorCode, "%s: %s", k.in.Topic, text(got[k.in.Topic].ErrorMessage))
			require.Equal(t, k.code != 0, got[k.in.Topic].ErrorMessage != nil)
		}
		require.Equal(t, int16(42), got["double"].ErrorCode)
	}
	// One that is there already is said to be there, whatever else is wrong with it.
	require.Equal(t, int16(36), creating(c, 7, false, configured(wanted("there", 0, 0), "no.such", "1"))["there"].ErrorCode)
	// More than 10,000 partitions in one request are refused, all of its topics with 44.
	for _, sizes := range [][]int32{{10_001}, {5_000, 5_001}, {1 << 30, 1 << 30}} {
		var many []kmsg.CreateTopicsRequestTopic
		for i, n := range sizes {
			many = append(many, wanted(fmt.Sprintf("many-%d", i), n, 1))
		}
		for name, r := range creating(c, 7, true, many...) {
			require.Equal(t, int16(44), r.ErrorCode, "%s of %v", name, sizes)
		}
	}
	require.Zero(t, creating(c, 7, true, wanted("many", 10_000, 1))["many"].ErrorCode)
	// Of a config that comes twice the last counts, as in Apache Kafka.
	for _, cfg := range creating(c, 7, false, configured(wanted("last", 1, 1), "retention.ms", "1000", "retention.ms", "2000"))["last"].Configs {
		if cfg.Name == "retention.ms" {
			require.Equal(t, "2000", *cfg.Value)
		}
	}
}
