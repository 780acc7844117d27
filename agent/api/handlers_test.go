package api

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/internal/batch"
	"wadi/metadata/state"
)

// A topic that another agent has just created is not called unknown: a barrier brings it (Regressions R12, R13). Without a barrier
// nobody is told that it does not exist.
func TestUnknownNeedsABarrier(t *testing.T) {
	c := newClusterWith(t, Config{DefaultPartitions: 1})
	k := c.dial()
	asks := []struct {
		name string
		code func(topic string) int16
		cut  *kerr.Error
	}{
		{"produce", func(topic string) int16 {
			return k.ask(produceTo(9, -1, topic, [16]byte{}, map[int32][]byte{0: oneBatch(t, batch.None, "v")})).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
		}, kerr.NotLeaderForPartition},
		{"fetch", func(topic string) int16 {
			return k.ask(fetchFrom(12, topic, [16]byte{}, 0)).(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode
		}, kerr.NotLeaderForPartition},
		{"metadata", func(topic string) int16 {
			return k.ask(metadataOf(12, topic)).(*kmsg.MetadataResponse).Topics[0].ErrorCode
		}, kerr.LeaderNotAvailable},
		{"list offsets", func(topic string) int16 {
			return k.ask(listOffset(7, topic, -2)).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].ErrorCode
		}, kerr.OffsetNotAvailable},
		{"describe configs", func(topic string) int16 {
			return k.ask(describe(4, kmsg.ConfigResourceTypeTopic, topic)).(*kmsg.DescribeConfigsResponse).Resources[0].ErrorCode
		}, kerr.RequestTimedOut},
	}
	for i, a := range asks {
		t.Run(a.name, func(t *testing.T) {
			topic := fmt.Sprintf("late-%d", i)
			c.set(func() { c.barrierErr = ErrMetadataUnavailable })
			require.Equal(t, a.cut.Code, a.code(topic))
			c.set(func() { c.barrierErr = nil })
			require.Equal(t, kerr.UnknownTopicOrPartition.Code, a.code(topic))
			c.set(func() { c.lagging = append(c.lagging, func() { c.topic(topic, 1) }) })
			require.Zero(t, a.code(topic))
		})
	}
}

// Semantics line 41. Fetch takes any negative epoch for none, as Apache Kafka does.
func TestLeaderEpochs(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	k := c.dial()
	for epoch, want := range map[int32]int16{-1: 0, 0: 0, 1: kerr.UnknownLeaderEpoch.Code, -2: kerr.FencedLeaderEpoch.Code} {
		f := fetchFrom(12, "t", [16]byte{}, 0)
		f.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
		fetched := want
		if epoch < 0 {
			fetched = 0
		}
		require.Equal(t, fetched, k.ask(f).(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode)
		f.SessionEpoch = 0
		require.Equal(t, fetched, k.ask(f).(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode)
		l := listOffset(7, "t", -1)
		l.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
		require.Equal(t, want, k.ask(l).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].ErrorCode)
		o := epochOf(4, "t", 0)
		o.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
		require.Equal(t, want, k.ask(o).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0].ErrorCode)
	}
}

func epochOf(version int16, topic string, epoch int32) *kmsg.OffsetForLeaderEpochRequest {
	r := kmsg.NewPtrOffsetForLeaderEpochRequest()
	r.SetVersion(version)
	p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	p.LeaderEpoch = epoch
	r.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}}}
	return r
}

// Semantics line 49.
func TestOffsetForLeaderEpoch(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	k := c.dial()
	k.ask(produceTo(9, -1, "t", [16]byte{}, map[int32][]byte{0: oneBatch(t, batch.None, "a", "b", "c")}))
	for version := int16(2); version <= 4; version++ {
		for epoch, want := range map[int32][2]int64{0: {0, 3}, 1: {-1, -1}, 9: {-1, -1}} {
			p := k.ask(epochOf(version, "t", epoch)).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]
			require.Zero(t, p.ErrorCode)
			require.Equal(t, want, [2]int64{int64(p.LeaderEpoch), p.EndOffset})
		}
	}
	c.set(func() { c.barrierErr = ErrViewBehind })
	require.Equal(t, kerr.NotLeaderForPartition.Code, k.ask(epochOf(4, "t", 0)).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0].ErrorCode)
}

func listOffset(version int16, topic string, ms int64) *kmsg.ListOffsetsRequest {
	r := kmsg.NewPtrListOffsetsRequest()
	r.SetVersion(version)
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = ms
	r.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
	return r
}

// Semantics lines 46, 47, 35 (a view that may be behind does not tell the latest offset).
func TestListOffsets(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	k := c.dial()
	k.ask(produceTo(9, -1, "t", [16]byte{}, map[int32][]byte{0: oneBatch(t, batch.None, "a", "b", "c")}))
	ask := func(version int16, ms int64) kmsg.ListOffsetsResponseTopicPartition {
		return k.ask(listOffset(version, "t", ms)).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	}
	for version := int16(1); version <= 10; version++ {
		require.Equal(t, int64(3), ask(version, -1).Offset)
		require.Equal(t, int64(0), ask(version, -2).Offset)
		require.Equal(t, int64(0), ask(version, 0).Offset)
		none := ask(version, time.Now().Add(time.Hour).UnixMilli())
		require.Equal(t, [3]int64{-1, -1, 0}, [3]int64{none.Offset, none.Timestamp, int64(none.ErrorCode)})
	}
	for version, ms := range map[int16]int64{6: -3, 7: -4, 8: -5, 10: -6} {
		require.Equal(t, kerr.UnsupportedVersion.Code, ask(version, ms).ErrorCode)
	}
	require.Equal(t, int64(0), ask(8, -4).Offset)
	require.Equal(t, int64(-1), ask(9, -5).Offset)
	c.set(func() { c.barrierErr = ErrViewBehind })
	require.Equal(t, kerr.OffsetNotAvailable.Code, ask(7, -1).ErrorCode)
	require.Zero(t, ask(7, -2).ErrorCode)
}

func TestInitProducerID(t *testing.T) {
	c := newCluster(t)
	k := c.dial()
	last := int64(0)
	for version := int16(0); version <= 5; version++ {
		r := kmsg.NewPtrInitProducerIDRequest()
		r.SetVersion(version)
		got := k.ask(r).(*kmsg.InitProducerIDResponse)
		require.Zero(t, got.ErrorCode)
		require.Greater(t, got.ProducerID, last)
		require.Zero(t, got.ProducerEpoch)
		last = got.ProducerID
	}
	c.set(func() { c.proposeErr = fmt.Errorf("no session: %w", ErrNotProposed) })
	r := kmsg.NewPtrInitProducerIDRequest()
	got := k.ask(r).(*kmsg.InitProducerIDResponse)
	require.Equal(t, kerr.CoordinatorNotAvailable.Code, got.ErrorCode)
	require.Equal(t, int64(-1), got.ProducerID)
}

// Semantics line 64.
func TestFindCoordinator(t *testing.T) {
	c := newCluster(t)
	c.set(func() {
		c.brokers = append(c.brokers, Broker{NodeID: 4, Host: "b4", Port: 1}, Broker{NodeID: 9, Host: "b9", Port: 2})
	})
	k := c.dial()
	named := map[string]int32{}
	for version := int16(0); version <= 6; version++ {
		for i := range 20 {
			r := kmsg.NewPtrFindCoordinatorRequest()
			r.SetVersion(version)
			key := fmt.Sprintf("group-%d", i)
			r.CoordinatorKey, r.CoordinatorKeys = key, []string{key}
			got := k.ask(r).(*kmsg.FindCoordinatorResponse)
			node, code := got.NodeID, got.ErrorCode
			if version >= 4 {
				require.Len(t, got.Coordinators, 1)
				node, code = got.Coordinators[0].NodeID, got.Coordinators[0].ErrorCode
			}
			require.Zero(t, code)
			if was, ok := named[key]; ok {
				require.Equal(t, was, node)
			}
			named[key] = node
		}
	}
	counts := map[int32]int{}
	for _, n := range named {
		counts[n]++
	}
	require.Len(t, counts, 3, "the work is spread")
	bad := kmsg.NewPtrFindCoordinatorRequest()
	bad.SetVersion(4)
	bad.CoordinatorType, bad.CoordinatorKeys = 3, []string{"x"}
	require.Equal(t, kerr.InvalidRequest.Code, k.ask(bad).(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode)
	c.set(func() { c.brokers = nil })
	bad.CoordinatorType = 0
	require.Equal(t, kerr.CoordinatorNotAvailable.Code, k.ask(bad).(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode)
}

// No internal number reaches clients as success: what State refuses is an error (Regression R15).
func TestRefusedIsNeverSuccess(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	p := ProducePart{Err: &Refused{state.FlushReused}}
	require.NotZero(t, code(keyProduce, p.Err))
}
