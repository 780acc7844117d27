package api

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
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
	require.Equal(t, int16(3), k.ask(allow(9, clusterMetadata, true)).(*kmsg.MetadataResponse).Topics[0].ErrorCode, "no client's")
	k.ask(allow(9, "a.b", true))
	require.Equal(t, int16(17), k.ask(allow(9, "a_b", true)).(*kmsg.MetadataResponse).Topics[0].ErrorCode) // Semantics line 11.

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
