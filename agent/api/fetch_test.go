package api

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/internal/batch"
)

func fetchFrom(version int16, topic string, id [16]byte, offset int64) *kmsg.FetchRequest {
	r := kmsg.NewPtrFetchRequest()
	r.SetVersion(version)
	r.MaxWaitMillis, r.MinBytes, r.MaxBytes, r.SessionEpoch = 0, 1, 1<<20, -1
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes = offset, 1<<20
	r.Topics = []kmsg.FetchRequestTopic{{Topic: topic, TopicID: id, Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	return r
}

func TestFetchVersions(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	k := c.dial()
	b := oneBatch(t, batch.None, strings.Repeat("x", 3000))
	k.ask(produceTo(9, -1, "t", [16]byte{}, map[int32][]byte{0: b}))
	for version := int16(4); version <= 17; version++ {
		r := k.ask(fetchFrom(version, "t", c.id("t"), 0)).(*kmsg.FetchResponse)
		p := r.Topics[0].Partitions[0]
		require.Zero(t, p.ErrorCode)
		require.Equal(t, b[17:], p.RecordBatches[17:])
		require.Equal(t, int64(1), p.HighWatermark)
		require.Equal(t, int64(1), p.LastStableOffset) // Semantics line 43: set in every reply.
		require.Zero(t, r.SessionID)                   // Semantics line 37: no sessions.
		require.Nil(t, p.AbortedTransactions)          // Semantics line 44.
		require.Equal(t, int32(-1), p.DivergingEpoch.Epoch)
		empty := k.ask(fetchFrom(version, "t", c.id("t"), 1)).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		require.Zero(t, empty.ErrorCode) // Semantics line 35: at the high watermark there is nothing yet, and no error.
		require.NotNil(t, empty.RecordBatches)
		require.Empty(t, empty.RecordBatches) // Semantics line 33.
		require.Equal(t, kerr.OffsetOutOfRange.Code, k.ask(fetchFrom(version, "t", c.id("t"), 2)).(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode)
	}
	committed := fetchFrom(11, "t", [16]byte{}, 0)
	committed.IsolationLevel = 1
	require.NotNil(t, k.ask(committed).(*kmsg.FetchResponse).Topics[0].Partitions[0].AbortedTransactions)
	// Semantics line 40: an unknown id is an error of its entry.
	require.Equal(t, kerr.UnknownTopicID.Code, k.ask(fetchFrom(13, "", [16]byte{1}, 0)).(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode)
	// Semantics line 37: a session that nobody opened.
	session := fetchFrom(12, "t", [16]byte{}, 0)
	session.SessionID, session.SessionEpoch = 5, 3
	r := k.ask(session).(*kmsg.FetchResponse)
	require.Equal(t, kerr.FetchSessionIDNotFound.Code, r.ErrorCode)
	require.Empty(t, r.Topics)
}

// Semantics line 34: a poll waits for its bytes over all partitions; an error of any partition answers at once, with
// what the others have.
func TestFetchWaitsAndErrorsDoNot(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 2)
	waiting, other := c.dial(), c.dial()
	poll := fetchFrom(12, "t", [16]byte{}, 0)
	poll.MaxWaitMillis = 240_000
	answered := make(chan *kmsg.FetchResponse, 1)
	go func() { answered <- waiting.ask(poll).(*kmsg.FetchResponse) }()
	b := oneBatch(t, batch.None, "v")
	other.ask(produceTo(9, -1, "t", [16]byte{}, map[int32][]byte{0: b}))
	require.NotEmpty(t, (<-answered).Topics[0].Partitions[0].RecordBatches)

	poll.MinBytes = 1 << 20
	poll.Topics = append(poll.Topics, kmsg.FetchRequestTopic{Topic: "nope", Partitions: []kmsg.FetchRequestTopicPartition{{Partition: 0, CurrentLeaderEpoch: -1}}})
	start := time.Now()
	r := other.ask(poll).(*kmsg.FetchResponse)
	require.Less(t, time.Since(start), 2*time.Minute)
	require.NotEmpty(t, r.Topics[0].Partitions[0].RecordBatches)
	require.Equal(t, kerr.UnknownTopicOrPartition.Code, r.Topics[1].Partitions[0].ErrorCode)
}

// Semantics line 31: partitions are served and answered in the order of the request, which clients rotate; limits come
// from the request, bounded by the agent's.
func TestFetchKeepsTheOrderAndLimits(t *testing.T) {
	c := newClusterWith(t, Config{MaxFetchBytes: 5000})
	c.topic("t", 3)
	r := fetchFrom(12, "t", [16]byte{}, 0)
	r.MaxBytes = 1 << 30
	part := r.Topics[0].Partitions[0]
	r.Topics[0].Partitions = nil
	for _, p := range []int32{2, 0, 1} {
		part.Partition, part.PartitionMaxBytes = p, 100+p
		r.Topics[0].Partitions = append(r.Topics[0].Partitions, part)
	}
	got := c.dial().ask(r).(*kmsg.FetchResponse)
	var call *FetchCall
	c.set(func() { call = c.fetched[0] })
	require.Equal(t, 5000, call.MaxBytes)
	require.Equal(t, 1, call.MinBytes)
	require.Zero(t, call.MaxWait)
	for i, p := range []int32{2, 0, 1} {
		require.Equal(t, p, got.Topics[0].Partitions[i].Partition)
		require.Equal(t, p, call.Parts[i].Partition)
		require.Equal(t, int(100+p), call.Parts[i].MaxBytes)
	}
}

// Regression R16: a stop answers who waits; it does not wait for their time to be over.
func TestStopEndsLongPolls(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	k := c.dial()
	poll := fetchFrom(12, "t", [16]byte{}, 0)
	poll.MaxWaitMillis = 1 << 30
	k.send(poll)
	require.Eventually(t, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.fetched) == 1 }, 2*time.Minute, time.Millisecond)
	c.stop()
	var head [4]byte
	_, err := io.ReadFull(k.nc, head[:])
	require.NoError(t, err, "the poll is answered, then the connection is closed")
}
