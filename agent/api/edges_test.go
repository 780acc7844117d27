package api

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Without an authorizer every operation is allowed on whatever has a name, there or not, in the versions that can ask;
// nothing is said where nothing was asked.
func TestMetadataAuthorizedOperations(t *testing.T) {
	const unasked = -1 << 31
	c := newClusterWith(t, Config{})
	c.topic("t", 1)
	k := c.dial()
	for version := int16(4); version <= 13; version++ {
		for _, ask := range []bool{true, false} {
			req := metadataOf(version, "t", "nope", "bad name")
			req.IncludeTopicAuthorizedOperations, req.IncludeClusterAuthorizedOperations = ask, ask
			want, cluster := int32(unasked), int32(unasked)
			if ask && version >= 8 {
				want = 3576
			}
			if ask && version >= 8 && version <= 10 {
				cluster = 8096
			}
			r := k.ask(req).(*kmsg.MetadataResponse)
			require.Len(t, r.Topics, 3)
			for _, topic := range r.Topics {
				require.Equal(t, want, topic.AuthorizedOperations, "version %d, %s", version, *topic.Topic)
			}
			require.Equal(t, cluster, r.AuthorizedOperations, "version %d", version)
		}
	}
}

// From version 12 on a topic id counts, and a name beside it does not; before, ids cannot be asked for.
func TestMetadataIDBesideName(t *testing.T) {
	c := newClusterWith(t, Config{})
	c.topic("t", 1)
	k := c.dial()
	about := func(version int16, id [16]byte) kmsg.MetadataResponseTopic {
		req := metadataOf(version, "t")
		req.Topics[0].TopicID = id
		return k.ask(req).(*kmsg.MetadataResponse).Topics[0]
	}
	for version := int16(12); version <= 13; version++ {
		gone := about(version, [16]byte{9})
		require.Equal(t, kerr.UnknownTopicID.Code, gone.ErrorCode)
		require.Nil(t, gone.Topic)
		require.Equal(t, "t", *about(version, c.id("t")).Topic)
	}
	for version := int16(10); version <= 11; version++ {
		require.Equal(t, kerr.InvalidRequest.Code, about(version, c.id("t")).ErrorCode)
	}
}

// Topics that brokers keep for themselves are marked where they exist.
func TestInternalTopics(t *testing.T) {
	c := newClusterWith(t, Config{})
	k := c.dial()
	for name, internal := range map[string]bool{"__consumer_offsets": true, "__transaction_state": true, "__share_group_state": true, "__mine": false} {
		c.topic(name, 1)
		require.Equal(t, internal, k.ask(metadataOf(12, name)).(*kmsg.MetadataResponse).Topics[0].IsInternal, name)
		require.Equal(t, internal, k.ask(partitionsOf(1, nil, name)).(*kmsg.DescribeTopicPartitionsResponse).Topics[0].IsInternal, name)
	}
}

// Semantics line 49: below the first epoch, which is 0, there is the log's start; -1 is no epoch.
func TestOffsetForEpochsThatNeverWere(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	k := c.dial()
	for version := int16(2); version <= 4; version++ {
		for epoch, want := range map[int32][2]int64{-1: {-1, -1}, -2: {-2, 0}, -1 << 31: {-1 << 31, 0}, 0: {0, 0}, 1: {-1, -1}} {
			p := k.ask(epochOf(version, "t", epoch)).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]
			require.Zero(t, p.ErrorCode)
			require.Equal(t, want, [2]int64{int64(p.LeaderEpoch), p.EndOffset}, "epoch %d", epoch)
		}
	}
}
