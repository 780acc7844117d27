package semantics

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/rawbatch"
	"wadi/internal/batch"
	"wadi/internal/layout"
	"wadi/metadata/checkpoint"
)

// deleteRecords asks for the records of a partition below an offset to go; it returns the error code and the low
// watermark.
func deleteRecords(c *client, of topic, partition int32, offset int64) [2]int64 {
	c.t.Helper()
	return deleteRecordsAt(c, 2, of, partition, offset)
}

func deleteRecordsAt(c *client, version int16, of topic, partition int32, offset int64) [2]int64 {
	c.t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 30_000
	in, p := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
	in.Topic, p.Partition, p.Offset = of.name, partition, offset
	in.Partitions = append(in.Partitions, p)
	req.Topics = append(req.Topics, in)
	resp := ask[*kmsg.DeleteRecordsResponse](c, version, req)
	require.Len(c.t, resp.Topics, 1)
	require.Equal(c.t, of.name, resp.Topics[0].Topic)
	require.Len(c.t, resp.Topics[0].Partitions, 1)
	got := resp.Topics[0].Partitions[0]
	require.Equal(c.t, partition, got.Partition)
	return [2]int64{int64(got.ErrorCode), got.LowWatermark}
}

// valuesOf are the values of the records that a fetch gave.
func valuesOf(t *testing.T, p fetched) []string {
	t.Helper()
	require.Zero(t, p.ErrorCode)
	var list []string
	for _, r := range records(t, p.RecordBatches) {
		list = append(list, r.Value)
	}
	return list
}

// newestRoot is the key of the newest checkpoint's root object.
func (c *cluster) newestRoot(t *testing.T) string {
	t.Helper()
	list, err := c.store.List(t.Context(), layout.NewObjects("semantics", 1).CheckpointPrefix(layout.Root), "", 1000)
	require.NoError(t, err)
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1].Key
}

// Semantics line 51: DeleteRecords moves the log start at most to the high watermark, which -1 stands for, never back,
// and says where it is; all agents begin there, and none prefers a read replica.
func TestLine51DeleteRecords(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	a, b := cluster.start(t, nil), cluster.start(t, nil)
	ca, cb := dial(t, a), dial(t, b)
	to := create(ca, "line51", 2)
	stored(ca, to, plain("0", "1", "2"), 0)
	stored(cb, to, plain("3", "4"), 3)
	at := func(start int64) {
		t.Helper()
		for name, c := range map[string]*client{"own": ca, "other": cb} {
			for _, timestamp := range []int64{-2, -4} {
				req := kmsg.NewPtrListOffsetsRequest()
				in, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
				in.Topic, p.Timestamp, p.CurrentLeaderEpoch = to.name, timestamp, -1
				in.Partitions = append(in.Partitions, p)
				req.Topics = append(req.Topics, in)
				got := ask[*kmsg.ListOffsetsResponse](c, 8, req).Topics[0].Partitions[0]
				require.Equal(t, []int64{0, start}, []int64{int64(got.ErrorCode), got.Offset}, "%s agent, %d", name, timestamp)
			}
			for offset := range end(c, to) + 1 {
				p := fetch(c, to, offset)
				require.Equal(t, start, p.LogStartOffset, "%s agent, offset %d", name, offset)
				require.Equal(t, int32(-1), p.PreferredReadReplica)
				if offset < start {
					require.Equal(t, int16(1), p.ErrorCode, "%s agent, offset %d", name, offset)
					require.Empty(t, p.RecordBatches)
				} else {
					require.Zero(t, p.ErrorCode, "%s agent, offset %d", name, offset)
				}
			}
		}
	}
	at(0)
	for version := int16(0); version <= 2; version++ {
		require.Equal(t, [2]int64{0, 1}, deleteRecordsAt(ca, version, to, 0, 1), "version %d", version)
	}
	at(1)
	require.Equal(t, []string{"0", "1", "2", "3", "4"}, valuesOf(t, fetch(cb, to, 1)), "the batch that holds the offset comes whole")
	require.Equal(t, [2]int64{1, -1}, deleteRecords(ca, to, 0, 6))
	require.Equal(t, [2]int64{1, -1}, deleteRecords(ca, to, 0, -2))
	require.Equal(t, [2]int64{3, -1}, deleteRecords(ca, to, 2, 0))
	require.Equal(t, [2]int64{3, -1}, deleteRecords(ca, topic{name: "line51-none"}, 0, 0))
	at(1)
	require.Equal(t, [2]int64{0, 3}, deleteRecords(cb, to, 0, 3))
	require.Equal(t, [2]int64{0, 3}, deleteRecords(ca, to, 0, 2), "never back")
	at(3)
	require.Equal(t, []string{"3", "4"}, valuesOf(t, fetch(ca, to, 3)))
	stored(ca, to, plain("5"), 5)
	require.Equal(t, [2]int64{0, 6}, deleteRecords(cb, to, 0, -1), "all that any agent took")
	at(6)
	p := produce(cb, to, plain("6"))
	require.Equal(t, []int64{0, 6, 6}, []int64{int64(p.ErrorCode), p.BaseOffset, p.LogStartOffset})
	at(6)
	require.Equal(t, []string{"6"}, valuesOf(t, fetch(cb, to, 6)))
	require.Equal(t, [2]int64{0, 0}, deleteRecords(ca, to, 1, -1), "of an empty partition")
	policy := create(ca, "line51-compact", 1, "cleanup.policy", "compact")
	require.Equal(t, [2]int64{44, -1}, deleteRecords(ca, policy, 0, 0))
}

// Semantics line 51: a search by time does not find what was deleted.
func TestLine51SearchByTime(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line51-time", 1)
	const base = 1_700_000_000_000
	stored(c, to, at(t, batch.None, base+900, base+100), 0)
	stored(c, to, at(t, batch.None, base+200, base+300), 2)
	require.Equal(t, [2]int64{0, 3}, deleteRecords(c, to, 0, 3))
	for ms, want := range map[int64][2]int64{0: {3, base + 300}, base + 250: {3, base + 300}, base + 301: {-1, -1}, -3: {3, base + 300}} {
		p := offsetOf(c, to, ms)
		require.Equal(t, want, [2]int64{p.Offset, p.Timestamp}, "time %d", ms)
	}
	require.Equal(t, [2]int64{0, 4}, deleteRecords(c, to, 0, -1))
	for _, ms := range []int64{0, -3} {
		require.Equal(t, int64(-1), offsetOf(c, to, ms).Offset)
	}
}

// Semantics lines 35, 51: who waits below a log start that moves is told at once, by any agent; who waits at its end goes
// on waiting.
func TestLine51WakesReaders(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	a, b := cluster.start(t, nil), cluster.start(t, nil)
	ca := dial(t, a)
	to := create(ca, "line51-wait", 1)
	stored(ca, to, plain("a", "b"), 0)
	wait := func(n *node, offset int64) (*client, int32, *kmsg.FetchRequest) {
		c := dial(t, n)
		req := fetchRequest(offset, to)
		req.MaxWaitMillis, req.MinBytes = int32(10*patience/time.Millisecond), 1<<18
		req.SetVersion(12)
		return c, c.send(req), req
	}
	below, belowID, req := wait(b, 1)
	atEnd, atEndID, atEndReq := wait(b, 2)
	time.Sleep(50 * time.Millisecond) // they wait
	require.Equal(t, [2]int64{0, 2}, deleteRecords(ca, to, 0, -1))
	p := only(below, receive[*kmsg.FetchResponse](below, belowID, req))
	require.Equal(t, []int64{1, 2, 2}, []int64{int64(p.ErrorCode), p.LogStartOffset, p.HighWatermark})
	require.Empty(t, p.RecordBatches)
	stored(ca, to, batchOf(nil, rawbatch.Values(string(make([]byte, 1<<19)))...), 2)
	p = only(atEnd, receive[*kmsg.FetchResponse](atEnd, atEndID, atEndReq))
	require.Equal(t, []int64{0, 2, 3}, []int64{int64(p.ErrorCode), p.LogStartOffset, p.HighWatermark})
	require.NotEmpty(t, p.RecordBatches)
}

// Semantics line 51: a log start survives all agents, in the journal and in checkpoints, and the records that are left
// can be read, from memory, archives and objects.
func TestLine51SurvivesAgents(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	limits := checkpoint.DefaultLimits()
	limits.JournalBytes, limits.Interval, limits.BaseBytes = 1, 50*time.Millisecond, 1
	a := cluster.startWith(t, setup{settings: settings{"inline.max.bytes": "1KiB"}, checkpoints: limits})
	ca := dial(t, a)
	to := create(ca, "line51-restart", 1)
	big := string(make([]byte, 4000))
	for i := range int64(20) {
		value := "small"
		if i%2 == 0 {
			value = big
		}
		stored(ca, to, plain(value), i)
	}
	require.Equal(t, [2]int64{0, 15}, deleteRecords(ca, to, 0, 15))
	before := cluster.newestRoot(t)
	eventually(t, "another checkpoint", func() bool { return cluster.newestRoot(t) != before })
	require.NoError(t, a.stop())
	cb := dial(t, cluster.start(t, nil))
	require.Equal(t, []int64{15, 20}, []int64{offsetOf(cb, to, -2).Offset, end(cb, to)})
	require.Equal(t, int16(1), fetch(cb, to, 14).ErrorCode)
	require.Equal(t, []string{"small", big, "small", big, "small"}, valuesOf(t, fetch(cb, to, 15)))
	stored(cb, to, plain("next"), 20)
}

// Semantics lines 35, 51: a consumer whose place was deleted goes on where the log starts now, as its settings say.
func TestLine51ConsumerGoesOn(t *testing.T) {
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line51-consumer", 1)
	for i := range int64(10) {
		stored(c, to, plain(strconv.FormatInt(i, 10)), i)
	}
	require.Equal(t, [2]int64{0, 7}, deleteRecords(c, to, 0, 7))
	client, err := kgo.NewClient(kgo.SeedBrokers(n.addr), kgo.FetchMaxWait(50*time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{to.name: {0: kgo.NewOffset().At(2)}}))
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var values []string
	for len(values) < 3 {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err0())
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	require.Equal(t, []string{"7", "8", "9"}, values)
}
