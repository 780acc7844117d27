package semantics

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/internal/batch"
)

// at is a batch whose records have these timestamps.
func at(t *testing.T, codec batch.Codec, times ...int64) []byte {
	t.Helper()
	var w batch.Builder
	w.Reset(batch.NoProducer(codec))
	for _, ms := range times {
		require.NoError(t, w.Append(batch.Record{Timestamp: ms, Value: []byte("v")}))
	}
	b, err := w.Build(nil)
	require.NoError(t, err)
	return b
}

// Semantics line 47: a search by time finds the first record at or after it, inside batches of every codec and where
// times do not rise; none is offset -1 and time -1, not the high watermark.
func TestLine47OffsetsByTime(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line47", 1)
	const base = 1_700_000_000_000
	var log []int64
	for _, sent := range []struct {
		codec batch.Codec
		times []int64
	}{
		{batch.None, []int64{100, 200, 300}}, {batch.Gzip, []int64{400, 350, 500}}, {batch.LZ4, []int64{250}},
		{batch.Zstd, []int64{500, 900, 700, 900}}, {batch.Snappy, []int64{600, 650}},
	} {
		var times []int64
		for _, ms := range sent.times {
			times = append(times, base+ms)
		}
		stored(c, to, at(t, sent.codec, times...), int64(len(log)))
		log = append(log, times...)
	}
	for ms := int64(base); ms <= base+1000; ms += 50 {
		offset, stamp := int64(-1), int64(-1)
		for i, have := range log {
			if have >= ms {
				offset, stamp = int64(i), have
				break
			}
		}
		p := offsetOf(c, to, ms)
		require.Zero(t, p.ErrorCode)
		require.Equal(t, []int64{offset, stamp}, []int64{p.Offset, p.Timestamp}, "time %d", ms-base)
	}
	// The largest time, and the first record that has it.
	p := offsetOf(c, to, -3)
	require.Equal(t, []int64{8, base + 900}, []int64{p.Offset, p.Timestamp})
	empty := create(c, "line47-empty", 1)
	for _, ms := range []int64{0, base, -3} {
		p := offsetOf(c, empty, ms)
		require.Equal(t, []int64{0, -1, -1}, []int64{int64(p.ErrorCode), p.Offset, p.Timestamp}, "time %d", ms)
	}
	// LogAppendTime is the time of all records of a batch, whatever they came with.
	appended := create(c, "line47-append", 1, "message.timestamp.type", "LogAppendTime")
	first := produce(c, appended, at(t, batch.None, base+100, base+200))
	require.Zero(t, first.ErrorCode)
	for ms, want := range map[int64]int64{base: 0, first.LogAppendTime: 0, first.LogAppendTime + 1: -1} {
		require.Equal(t, want, offsetOf(c, appended, ms).Offset)
	}
	require.Equal(t, first.LogAppendTime, offsetOf(c, appended, base+150).Timestamp)
}

func epochEnd(c *client, of topic, current, asked int32) kmsg.OffsetForLeaderEpochResponseTopicPartition {
	c.t.Helper()
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.ReplicaID = -1
	in, p := kmsg.NewOffsetForLeaderEpochRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	in.Topic, p.CurrentLeaderEpoch, p.LeaderEpoch = of.name, current, asked
	in.Partitions = append(in.Partitions, p)
	req.Topics = append(req.Topics, in)
	resp := ask[*kmsg.OffsetForLeaderEpochResponse](c, 4, req)
	require.Len(c.t, resp.Topics, 1)
	require.Len(c.t, resp.Topics[0].Partitions, 1)
	return resp.Topics[0].Partitions[0]
}

// Semantics line 49: OffsetForLeaderEpoch of the current epoch gives the log's end, of a later one -1 and -1.
func TestLine49OffsetForLeaderEpoch(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line49", 1)
	for n := range int64(3) {
		p := epochEnd(c, to, -1, 0)
		require.Equal(t, []int64{0, 0, n}, []int64{int64(p.ErrorCode), int64(p.LeaderEpoch), p.EndOffset})
		for _, asked := range []int32{1, 7, 1<<31 - 1} {
			p := epochEnd(c, to, -1, asked)
			require.Equal(t, []int64{0, -1, -1}, []int64{int64(p.ErrorCode), int64(p.LeaderEpoch), p.EndOffset}, "epoch %d", asked)
		}
		stored(c, to, plain("v"), n)
	}
	unknown := epochEnd(c, topic{name: "line49-none"}, -1, 0)
	require.Equal(t, []int64{3, -1}, []int64{int64(unknown.ErrorCode), unknown.EndOffset})
}
