package semantics

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadataRequest names topics; without any it has an empty array, which is not null.
func metadataRequest(autoCreate bool, names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = autoCreate
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, name := range names {
		in := kmsg.NewMetadataRequestTopic()
		in.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, in)
	}
	return req
}

// about asks for one topic's metadata.
func about(c *client, version int16, req *kmsg.MetadataRequest) kmsg.MetadataResponseTopic {
	c.t.Helper()
	resp := ask[*kmsg.MetadataResponse](c, version, req)
	require.Len(c.t, resp.Topics, 1, "version %d", version)
	return resp.Topics[0]
}

// Semantics line 9: null means all topics and an empty array none, but in version 0 all; a topic that is not there is
// answered with 3 and a bad name with 17, each in its own entry.
func TestLine9MetadataTopics(t *testing.T) {
	c := dial(t, shared(t))
	create(c, "line9-a", 1)
	create(c, "line9-b", 2)
	for version := int16(0); version <= 13; version++ {
		all, none := metadataRequest(false), metadataRequest(false)
		all.Topics = nil
		listed := map[string]int{}
		for _, topic := range ask[*kmsg.MetadataResponse](c, version, all).Topics {
			require.Zero(t, topic.ErrorCode)
			listed[*topic.Topic] = len(topic.Partitions)
		}
		require.Equal(t, []int{1, 2}, []int{listed["line9-a"], listed["line9-b"]}, "version %d", version)
		if got := len(ask[*kmsg.MetadataResponse](c, version, none).Topics); version == 0 {
			require.Equal(t, len(listed), got)
		} else {
			require.Zero(t, got, "version %d", version)
		}
		if version < 4 {
			continue // they cannot ask for a topic without creating it
		}
		codes := map[string]int16{}
		for _, topic := range ask[*kmsg.MetadataResponse](c, version, metadataRequest(false, "line9-a", "line9-c", "b ad")).Topics {
			codes[*topic.Topic] = topic.ErrorCode
		}
		require.Equal(t, map[string]int16{"line9-a": 0, "line9-c": 3, "b ad": 17}, codes, "version %d", version)
	}
}

// Semantics line 10: a topic is created by Metadata only when both the request and the agent allow it. When two agents
// create one at once, it has one id.
func TestLine10AutoCreation(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.start(t, nil), c.start(t, nil)
	never := c.start(t, settings{"kafka.auto.create.topics.enable": "false"})
	ca, cb := dial(t, a), dial(t, b)
	require.Equal(t, int16(3), about(ca, 12, metadataRequest(false, "line10")).ErrorCode)
	require.Equal(t, int16(3), about(dial(t, never), 12, metadataRequest(true, "line10")).ErrorCode)
	for _, name := range []string{"line10-x", "line10-y", "line10-z"} {
		var wg sync.WaitGroup
		answers := make([]kmsg.MetadataResponseTopic, 2)
		for i, c := range []*client{ca, cb} {
			wg.Go(func() {
				for range 100 { // 3 and 5 mean "ask again"
					if answers[i] = about(c, 12, metadataRequest(true, name)); answers[i].ErrorCode != 3 && answers[i].ErrorCode != 5 {
						return
					}
				}
			})
		}
		wg.Wait()
		for _, topic := range answers {
			require.Zero(t, topic.ErrorCode)
			require.Len(t, topic.Partitions, 1)
			require.GreaterOrEqual(t, topic.Partitions[0].Leader, int32(0))
		}
		require.NotZero(t, answers[0].TopicID)
		require.Equal(t, answers[0].TopicID, answers[1].TopicID)
	}
}

// Semantics line 11: names of two topics may not differ in '.' and '_' alone, and there are bad names; all are refused
// with 17, also when CreateTopics only validates.
func TestLine11TopicNames(t *testing.T) {
	c := dial(t, shared(t))
	create(c, "line11.a_b", 1)
	long := strings.Repeat("n", 249)
	for name, want := range map[string]int16{
		"line11.a_b": 36, "line11_a.b": 17, "line11.a.b": 17, "line11-a-b": 0, "": 17, ".": 17, "..": 17, "...": 0,
		long: 0, long + "n": 17, "line11 x": 17, "line11/x": 17, "line11é": 17,
	} {
		for _, validate := range []bool{true, false} {
			req := createRequest(name, 1)
			req.ValidateOnly = validate
			resp := ask[*kmsg.CreateTopicsResponse](c, 7, req)
			require.Len(t, resp.Topics, 1)
			require.Equal(t, want, resp.Topics[0].ErrorCode, "%q, validate only: %v", name, validate)
		}
	}
	require.Equal(t, int16(17), about(c, 12, metadataRequest(true, "line11_a_b")).ErrorCode, "created by Metadata")
}

// Semantics line 12: topic ids are not zero, stay, and change when a topic is created again; a topic can be asked for by
// id; an id that is not there is answered with 100 and no name.
func TestLine12TopicIDs(t *testing.T) {
	c := dial(t, shared(t))
	first := create(c, "line12", 1)
	byID := func(id [16]byte) kmsg.MetadataResponseTopic {
		req := metadataRequest(false)
		in := kmsg.NewMetadataRequestTopic()
		in.TopicID = id
		req.Topics = append(req.Topics, in)
		return about(c, 12, req)
	}
	require.NotZero(t, first.id)
	for version := int16(10); version <= 13; version++ {
		require.Equal(t, first.id, about(c, version, metadataRequest(false, "line12")).TopicID)
	}
	require.Equal(t, "line12", *byID(first.id).Topic)
	remove(c, "line12")
	second := create(c, "line12", 1)
	require.NotEqual(t, first.id, second.id)
	gone := byID(first.id)
	require.Equal(t, int16(100), gone.ErrorCode)
	require.Nil(t, gone.Topic)
	require.Equal(t, first.id, gone.TopicID)
	require.Equal(t, second.id, byID(second.id).TopicID)
}

// Semantics lines 13, 14: all agents tell one leader and leader epoch of each partition, and one live controller; the
// cluster's id is the same everywhere. What they tell of the epoch does not change when an agent leaves.
func TestLines13And14AgentsAgree(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	nodes := []*node{c.start(t, nil), c.start(t, nil), c.start(t, nil)}
	create(dial(t, nodes[0]), "line13", 12)
	views := func(nodes []*node) *kmsg.MetadataResponse {
		var same *kmsg.MetadataResponse
		eventually(t, "the agents know of each other", func() bool {
			same = nil
			for _, n := range nodes {
				m := ask[*kmsg.MetadataResponse](dial(t, n), 12, metadataRequest(false, "line13"))
				if len(m.Brokers) != len(nodes) {
					return false
				}
				if same != nil {
					require.Equal(t, same, m)
				}
				same = m
			}
			return true
		})
		return same
	}
	check := func(m *kmsg.MetadataResponse, nodes int) {
		live := map[int32]bool{}
		for _, b := range m.Brokers {
			live[b.NodeID] = true
		}
		require.Len(t, live, nodes)
		require.True(t, live[m.ControllerID], "the controller is not a live broker")
		require.NotNil(t, m.ClusterID)
		require.NotEmpty(t, *m.ClusterID)
		require.False(t, m.Topics[0].IsInternal)
		for _, p := range m.Topics[0].Partitions {
			require.Zero(t, p.ErrorCode)
			require.Zero(t, p.LeaderEpoch)
			require.True(t, live[p.Leader])
		}
	}
	before := views(nodes)
	check(before, 3)
	require.NoError(t, nodes[2].stop())
	after := views(nodes[:2])
	check(after, 2)
	require.Equal(t, before.ClusterID, after.ClusterID)
}
