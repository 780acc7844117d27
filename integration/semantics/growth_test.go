package semantics

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func growRequest(name string, count int32) *kmsg.CreatePartitionsRequest {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = 30_000
	in := kmsg.NewCreatePartitionsRequestTopic()
	in.Topic, in.Count = name, count
	req.Topics = append(req.Topics, in)
	return req
}

// grow asks for a number of partitions and returns the error code.
func grow(c *client, version int16, name string, count int32) int16 {
	c.t.Helper()
	resp := ask[*kmsg.CreatePartitionsResponse](c, version, growRequest(name, count))
	require.Len(c.t, resp.Topics, 1)
	require.Equal(c.t, name, resp.Topics[0].Topic)
	return resp.Topics[0].ErrorCode
}

// Semantics line 90: a topic grows and does not shrink. Whatever agent did it, the others list the new partitions, with a
// live leader, in the epoch of all, and take and give records there; what was in the others stays.
func TestLine90PartitionsAreAdded(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	a, b := cluster.start(t, nil), cluster.start(t, nil)
	ca, cb := dial(t, a), dial(t, b)
	to := create(ca, "line90", 2)
	stored(ca, to, plain("old"), 0)
	for version := int16(0); version <= 3; version++ {
		for _, count := range []int32{2, 1, 0, -7} {
			require.Equal(t, int16(37), grow(ca, version, to.name, count), "version %d count %d", version, count)
		}
		require.Equal(t, int16(3), grow(ca, version, "line90-none", 5))
	}
	dry := growRequest(to.name, 6)
	dry.ValidateOnly = true
	require.Zero(t, ask[*kmsg.CreatePartitionsResponse](ca, 3, dry).Topics[0].ErrorCode)
	require.Len(t, about(ca, 12, metadataRequest(false, to.name)).Partitions, 2, "it was only to be validated")

	require.Zero(t, grow(ca, 3, to.name, 5))
	require.Equal(t, int16(37), grow(cb, 3, to.name, 5), "the other agent knows already")
	for name, c := range map[string]*client{"own": ca, "other": cb} {
		in := about(c, 12, metadataRequest(false, to.name))
		require.Equal(t, to.id, in.TopicID, name)
		require.Len(t, in.Partitions, 5, name)
		for _, p := range in.Partitions {
			require.Zero(t, p.ErrorCode)
			require.Zero(t, p.LeaderEpoch)
			require.Contains(t, p.Replicas, p.Leader)
			require.Contains(t, p.ISR, p.Leader)
		}
	}
	for i := range int32(5) {
		req := produceRequest(plain("new"), to)
		req.Topics[0].Partitions[0].Partition = i
		p := ask[*kmsg.ProduceResponse](cb, 11, req).Topics[0].Partitions[0]
		want := []int64{0, 0}
		if i == 0 {
			want[1] = 1
		}
		require.Equal(t, want, []int64{int64(p.ErrorCode), p.BaseOffset}, "partition %d", i)
	}
	beyond := produceRequest(plain("new"), to)
	beyond.Topics[0].Partitions[0].Partition = 5
	require.Equal(t, int16(3), ask[*kmsg.ProduceResponse](cb, 11, beyond).Topics[0].Partitions[0].ErrorCode)
	require.Equal(t, []string{"old", "new"}, valuesOf(t, fetch(cb, to, 0)))
	require.Zero(t, grow(cb, 3, to.name, 6))
	require.Len(t, about(dial(t, cluster.start(t, nil)), 12, metadataRequest(false, to.name)).Partitions, 6, "an agent that starts later")
}

// Semantics line 90: producers and consumers that look at Metadata again find the growth by themselves.
func TestLine90ClientsFindNewPartitions(t *testing.T) {
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line90-clients", 1)
	client, err := kgo.NewClient(kgo.SeedBrokers(n.addr), kgo.ConsumeTopics(to.name),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(20*time.Millisecond), kgo.MetadataMaxAge(50*time.Millisecond),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.FetchMaxWait(50*time.Millisecond))
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, client.ProduceSync(ctx, &kgo.Record{Topic: to.name, Value: []byte("first")}).FirstErr())
	require.Zero(t, grow(c, 3, to.name, 3))
	written, read := map[int32]bool{}, map[int32]bool{}
	for i := 0; len(read) < 3; i++ {
		r, err := client.ProduceSync(ctx, &kgo.Record{Topic: to.name, Value: fmt.Append(nil, i)}).First()
		require.NoError(t, err)
		written[r.Partition] = true
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { read[r.Partition] = true })
	}
	require.Equal(t, read, written)
}

// Semantics line 91: a topic that is created again under its name has another id, fewer partitions if it was created so,
// offsets from 0, and knows nothing of its records, of where they began, nor of its producers. Who names the old one is
// told that it is unknown, who waits for it at once.
func TestLine91CreatedAgain(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	a, b := cluster.start(t, nil), cluster.start(t, nil)
	ca, cb := dial(t, a), dial(t, b)
	old := create(ca, "line91", 1)
	pid := producerID(ca)
	stored(ca, old, idempotent(pid, 0, 0, "a", "b", "c"), 0)
	stored(cb, old, idempotent(pid, 0, 0, "a", "b", "c"), 0)
	stored(cb, old, idempotent(pid, 0, 3, "d"), 3)
	require.Equal(t, [2]int64{0, 2}, deleteRecords(ca, old, 0, 2))
	require.Zero(t, grow(ca, 3, old.name, 3))

	waiting := fetchRequest(4, old)
	waiting.MaxWaitMillis = int32(10 * patience / time.Millisecond)
	waiting.SetVersion(13)
	id := cb.send(waiting)
	remove(ca, old.name)
	require.Contains(t, []int16{3, 100}, only(cb, receive[*kmsg.FetchResponse](cb, id, waiting)).ErrorCode)

	again := create(ca, old.name, 1)
	require.NotEqual(t, old.id, again.id)
	for name, c := range map[string]*client{"own": ca, "other": cb} {
		require.Equal(t, int16(100), only(c, ask[*kmsg.FetchResponse](c, 13, fetchRequest(0, old))).ErrorCode, name)
		require.Equal(t, int16(100), produceAt(c, 13, old, plain("x")).ErrorCode, name)
		in := about(c, 12, metadataRequest(false, old.name))
		require.Equal(t, again.id, in.TopicID, name)
		require.Len(t, in.Partitions, 1, name)
		require.Equal(t, []int64{0, 0}, []int64{offsetOf(c, again, -2).Offset, end(c, again)}, name)
		p := fetch(c, again, 0)
		require.Equal(t, []int64{0, 0, 0}, []int64{int64(p.ErrorCode), p.LogStartOffset, p.HighWatermark}, name)
		require.Empty(t, p.RecordBatches, name)
	}
	// The producer begins anew: what it sends is no duplicate of what the old topic held.
	stored(cb, again, idempotent(pid, 0, 0, "a", "b", "c"), 0)
	require.Equal(t, int64(3), end(ca, again)) // it has seen what the other took
	require.Equal(t, []string{"a", "b", "c"}, valuesOf(t, fetch(ca, again, 0)))
}
