package api

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// fill appends records to a partition, in a batch of its own whose bytes nobody reads.
func (c *cluster) fill(topic uint64, partition, records uint32) {
	c.t.Helper()
	r := c.apply(make([]byte, 10), &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: &pb.AppendBatches{
		Topics: []uint64{topic}, Partitions: []uint32{partition}, Offsets: []uint64{0}, Runs: []uint32{1},
		ProducerIds: []int64{-1}, ProducerEpochs: []int32{-1}, Sequences: []int32{-1},
		Batches: []uint32{1}, Records: []uint32{records}, Bytes: []uint32{10}, MaxTimestamps: []int64{0},
	}}})
	require.Equal(c.t, state.OK, r[0].Batches[0].Code)
}

func trimRequest(version int16, topics ...kmsg.DeleteRecordsRequestTopic) *kmsg.DeleteRecordsRequest {
	r := kmsg.NewPtrDeleteRecordsRequest()
	r.SetVersion(version)
	r.TimeoutMillis = 5000
	r.Topics = topics
	return r
}

// before names partitions and offsets in turn.
func before(name string, pairs ...int64) kmsg.DeleteRecordsRequestTopic {
	t := kmsg.DeleteRecordsRequestTopic{Topic: name}
	for i := 0; i < len(pairs); i += 2 {
		t.Partitions = append(t.Partitions, kmsg.DeleteRecordsRequestTopicPartition{Partition: int32(pairs[i]), Offset: pairs[i+1]})
	}
	return t
}

func trimmed(resp kmsg.Response) map[string][2]int64 {
	got := map[string][2]int64{}
	for _, topic := range resp.(*kmsg.DeleteRecordsResponse).Topics {
		for _, p := range topic.Partitions {
			got[fmt.Sprintf("%s-%d", topic.Topic, p.Partition)] = [2]int64{int64(p.ErrorCode), p.LowWatermark}
		}
	}
	return got
}

// Semantics line 51: -1 is up to the high watermark, an offset above it is 1, the low watermark comes back.
func TestDeleteRecords(t *testing.T) {
	c := newCluster(t)
	k := c.dial()
	policy := func(v string) *pb.Config { return &pb.Config{Name: "cleanup.policy", Value: v} }
	c.topic("t", 5)
	c.topic("compact", 1, policy("compact"))
	c.topic("both", 1, policy("compact,delete"))
	for topic := range uint64(3) {
		c.fill(topic+1, 0, 10)
	}
	c.fill(1, 1, 10)
	for version := int16(0); version <= 2; version++ {
		got := trimmed(k.ask(trimRequest(version, before("t", 0, int64(version)+2, 2, 0, 3, -1))))
		require.Equal(t, map[string][2]int64{"t-0": {0, int64(version) + 2}, "t-2": {0, 0}, "t-3": {0, 0}}, got)
	}
	got := trimmed(k.ask(trimRequest(2, before("t", 0, 1, 1, -1, 2, 1, 3, -2, 9, 0, -1, 0), before("nope", 0, 0), before("compact", 0, 1),
		before("both", 0, -1), before("t", 4, 0), before("none"))))
	require.Equal(t, map[string][2]int64{
		"t-0": {0, 4}, "t-1": {0, 10}, "t-2": {1, -1}, "t-3": {1, -1}, "t-9": {3, -1}, "t--1": {3, -1}, "t-4": {0, 0},
		"nope-0": {3, -1}, "compact-0": {44, -1}, "both-0": {0, 10},
	}, got)
	// Of one partition's offsets the last counts, and it is answered once.
	resp := k.ask(trimRequest(2, before("t", 0, 5, 0, 7), before("t", 0, 6))).(*kmsg.DeleteRecordsResponse)
	require.Len(t, resp.Topics, 1)
	require.Len(t, resp.Topics[0].Partitions, 1)
	require.Equal(t, int64(6), resp.Topics[0].Partitions[0].LowWatermark)

	c.topic("__consumer_offsets", 1)
	require.Equal(t, map[string][2]int64{"__consumer_offsets-0": {17, -1}}, trimmed(k.ask(trimRequest(2, before("__consumer_offsets", 0, 0)))))
	require.Empty(t, k.ask(trimRequest(2)).(*kmsg.DeleteRecordsResponse).Topics)
}

// All that there is means all that was acknowledged before by any agent, and the earliest offset follows at once.
func TestDeleteRecordsIsBehindABarrier(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	k := c.dial()
	c.set(func() { c.lagging = append(c.lagging, func() { c.fill(1, 0, 8) }) })
	require.Equal(t, map[string][2]int64{"t-0": {0, 8}}, trimmed(k.ask(trimRequest(2, before("t", 0, -1)))))
	// Another agent has deleted more, and this one has not seen it.
	c.fill(1, 0, 4)
	c.set(func() {
		c.lagging = append(c.lagging, func() {
			c.apply(nil, &pb.Command{Base: c.position, Kind: &pb.Command_TrimPartitions{TrimPartitions: &pb.TrimPartitions{
				Topics: []uint64{1}, Partitions: []uint32{0}, Offsets: []int64{11}}}})
		})
	})
	earliest := func() kmsg.ListOffsetsResponseTopicPartition {
		r := kmsg.NewPtrListOffsetsRequest()
		r.SetVersion(7)
		r.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{
			{Timestamp: offsetEarliest, CurrentLeaderEpoch: -1}}}}
		return k.ask(r).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	}
	require.Equal(t, int64(11), earliest().Offset)

	c.set(func() { c.barrierErr = ErrMetadataUnavailable })
	require.Equal(t, [2]int64{int64(kerr.NotLeaderForPartition.Code), -1}, trimmed(k.ask(trimRequest(2, before("t", 0, -1))))["t-0"])
	require.Equal(t, int64(11), earliest().Offset, "a log start of some time ago is better than none")
	c.set(func() { c.barrierErr, c.proposeErr = nil, ErrOutcomeUnknown })
	require.Equal(t, [2]int64{int64(kerr.RequestTimedOut.Code), -1}, trimmed(k.ask(trimRequest(2, before("t", 0, -1))))["t-0"])
}

// More partitions than a command takes go in several, and each gets its own answer.
func TestDeleteRecordsOfManyPartitions(t *testing.T) {
	c := newCluster(t)
	const n = 2*state.MaxTrims + 7
	c.topic("t", n)
	var pairs []int64
	for i := range int64(n) {
		if i%10 == 0 {
			c.fill(1, uint32(i), 3)
		}
		pairs = append(pairs, i, i%3)
	}
	got := trimmed(c.dial().ask(trimRequest(2, before("t", pairs...))))
	require.Len(t, got, n)
	for i := range int64(n) {
		want := [2]int64{1, -1} // above the high watermark
		if i%10 == 0 || i%3 == 0 {
			want = [2]int64{0, i % 3}
		}
		require.Equal(t, want, got[fmt.Sprintf("t-%d", i)], "partition %d", i)
	}
}

// A topic that another agent changed meanwhile is judged again; what "all there is" meant stays what it was.
func TestDeleteRecordsIsJudgedAgain(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	c.topic("u", 1)
	c.fill(1, 0, 8)
	c.fill(2, 0, 5)
	a, m := meddling(t, c, growCommand(1, 2), growCommand(1, 3))
	ask := func() map[string][2]int64 {
		resp, err := a.deleteRecords(t.Context(), &server.Request{Body: trimRequest(2, before("t", 0, -1), before("u", 0, -1))})
		require.NoError(t, err)
		return trimmed(resp)
	}
	require.Equal(t, map[string][2]int64{"t-0": {0, 8}, "u-0": {0, 5}}, ask())
	require.Equal(t, 3, m.asked)
	m.commands = nil
	for n := range uint32(maxConflicts + 1) {
		m.commands = append(m.commands, growCommand(1, 4+n))
	}
	require.Equal(t, map[string][2]int64{"t-0": {int64(kerr.RequestTimedOut.Code), -1}, "u-0": {0, 5}}, ask())
}
