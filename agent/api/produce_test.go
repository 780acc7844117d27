package api

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
)

func oneBatch(t *testing.T, codec batch.Codec, values ...string) []byte {
	t.Helper()
	opts := batch.NoProducer(codec)
	var w batch.Builder
	w.Reset(opts)
	for _, v := range values {
		require.NoError(t, w.Append(batch.Record{Timestamp: time.Now().UnixMilli(), Value: []byte(v)}))
	}
	b, err := w.Build(nil)
	require.NoError(t, err)
	return b
}

func produceTo(version, acks int16, topic string, id [16]byte, parts map[int32][]byte) *kmsg.ProduceRequest {
	r := kmsg.NewPtrProduceRequest()
	r.SetVersion(version)
	r.Acks = acks
	rt := kmsg.ProduceRequestTopic{Topic: topic, TopicID: id}
	for p := range int32(16) {
		if b, ok := parts[p]; ok {
			rt.Partitions = append(rt.Partitions, kmsg.ProduceRequestTopicPartition{Partition: p, Records: b})
		}
	}
	r.Topics = append(r.Topics, rt)
	return r
}

// A topic without partitions is not in the answer, as in Apache Kafka.
func TestProduceToNothing(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	k := c.dial()
	for version := int16(3); version <= 13; version++ {
		req := produceTo(version, -1, "t", c.id("t"), nil)
		require.Empty(t, k.ask(req).(*kmsg.ProduceResponse).Topics)
		full := produceTo(version, -1, "t", c.id("t"), map[int32][]byte{0: oneBatch(t, batch.None, "v")})
		req.Topics = append(req.Topics, full.Topics...)
		got := k.ask(req).(*kmsg.ProduceResponse).Topics
		require.Len(t, got, 1)
		require.Zero(t, got[0].Partitions[0].ErrorCode)
	}
}

func TestProduceVersions(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 2)
	k := c.dial()
	for version := int16(3); version <= 13; version++ {
		r := k.ask(produceTo(version, -1, "t", c.id("t"), map[int32][]byte{0: oneBatch(t, batch.None, "v"), 1: []byte("not a batch, but long enough to look at: 0123456789 0123456789")})).(*kmsg.ProduceResponse)
		require.Len(t, r.Topics, 1)
		good, bad := r.Topics[0].Partitions[0], r.Topics[0].Partitions[1]
		require.Zero(t, good.ErrorCode)
		require.Equal(t, int64(version-3), good.BaseOffset)
		require.Equal(t, int64(-1), good.LogAppendTime)
		// Semantics lines 16, 22, 29: each partition on its own, offset -1 with an error, every partition once.
		require.Equal(t, kerr.CorruptMessage.Code, bad.ErrorCode)
		require.Equal(t, int64(-1), bad.BaseOffset)
		require.Equal(t, int32(1), bad.Partition)
	}
}

func TestProduceRefusals(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 2)
	c.topic("logtime", 1, &pb.Config{Name: "message.timestamp.type", Value: "LogAppendTime"})
	c.topic("small", 1, &pb.Config{Name: "max.message.bytes", Value: "100"})
	c.topic("compacted", 1, &pb.Config{Name: "cleanup.policy", Value: "compact"})
	k := c.dial()
	first := func(r *kmsg.ProduceRequest) kmsg.ProduceResponseTopicPartition {
		return k.ask(r).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	}
	good := func() map[int32][]byte { return map[int32][]byte{0: oneBatch(t, batch.None, "v")} }

	// Semantics line 15.
	for _, acks := range []int16{2, -2, 100} {
		require.Equal(t, kerr.InvalidRequiredAcks.Code, first(produceTo(9, acks, "t", [16]byte{}, good())).ErrorCode)
	}
	require.Equal(t, kerr.UnknownTopicOrPartition.Code, first(produceTo(9, -1, "nope", [16]byte{}, good())).ErrorCode)
	// Semantics line 30: an id that is gone, also of a topic of the same name.
	old := c.id("t")
	c.apply(nil, &pb.Command{Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: 1}}})
	c.topic("t", 2)
	require.NotEqual(t, old, c.id("t"))
	require.Equal(t, kerr.UnknownTopicID.Code, first(produceTo(13, -1, "", old, good())).ErrorCode)
	require.Equal(t, kerr.UnknownTopicOrPartition.Code, first(produceTo(13, -1, "", c.id("t"), map[int32][]byte{7: good()[0]})).ErrorCode)
	// Semantics lines 18, 19, 20, 21.
	require.Equal(t, kerr.MessageTooLarge.Code, first(produceTo(9, -1, "small", [16]byte{}, map[int32][]byte{0: oneBatch(t, batch.None, strings.Repeat("x", 200))})).ErrorCode)
	require.InDelta(t, time.Now().UnixMilli(), first(produceTo(9, -1, "logtime", [16]byte{}, good())).LogAppendTime, 60_000)
	require.Equal(t, kerr.UnsupportedCompressionType.Code, first(produceTo(6, -1, "t", [16]byte{}, map[int32][]byte{0: oneBatch(t, batch.Zstd, "v")})).ErrorCode)
	require.Zero(t, first(produceTo(7, -1, "t", [16]byte{}, map[int32][]byte{0: oneBatch(t, batch.Zstd, "v")})).ErrorCode)
	keyless := first(produceTo(8, -1, "compacted", [16]byte{}, good()))
	require.Equal(t, kerr.InvalidRecord.Code, keyless.ErrorCode)
	require.Len(t, keyless.ErrorRecords, 1)
	require.Equal(t, kerr.InvalidRecord.Code, first(produceTo(9, -1, "t", [16]byte{}, map[int32][]byte{0: nil})).ErrorCode)

	twice := produceTo(9, -1, "t", [16]byte{}, good())
	twice.Topics = append(twice.Topics, twice.Topics[0])
	r := k.ask(twice).(*kmsg.ProduceResponse)
	require.Zero(t, r.Topics[0].Partitions[0].ErrorCode)
	require.Equal(t, kerr.InvalidRequest.Code, r.Topics[1].Partitions[0].ErrorCode)
}

// Semantics line 8.
func TestProduceAcksZero(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	k := c.dial()
	b := map[int32][]byte{0: oneBatch(t, batch.None, "v")}
	k.send(produceTo(9, 0, "t", [16]byte{}, b))
	require.Equal(t, int64(1), k.ask(produceTo(9, 1, "t", [16]byte{}, b)).(*kmsg.ProduceResponse).Topics[0].Partitions[0].BaseOffset)
	k.send(produceTo(9, 0, "nope", [16]byte{}, b))
	_, err := k.nc.Read(make([]byte, 1))
	require.Error(t, err)
}
