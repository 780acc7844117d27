package api

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"wadi/internal/batch"
)

func fetchOf(version int16, topics ...kmsg.FetchRequestTopic) *kmsg.FetchRequest {
	r := fetchFrom(version, "", [16]byte{}, 0)
	r.Topics = topics
	return r
}

func offsetsOf(topic string, pairs ...int64) kmsg.FetchRequestTopic {
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	for i := 0; i < len(pairs); i += 2 {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = int32(pairs[i]), pairs[i+1], 1<<20
		t.Partitions = append(t.Partitions, p)
	}
	return t
}

// Of a partition that comes twice the last entry counts, and a topic without partitions is left out, as in Apache Kafka;
// with a session and without.
func TestFetchListsEachPartitionOnce(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 2)
	k := c.dial()
	for _, v := range []string{"0", "1", "2"} {
		k.ask(produceTo(9, -1, "t", [16]byte{}, map[int32][]byte{0: oneBatch(t, batch.None, v)}))
	}
	for _, epoch := range []int32{-1, 0} {
		req := fetchOf(12, offsetsOf("empty"), offsetsOf("t", 0, 0, 1, 0, 0, 1), offsetsOf("nope", 0, 0), offsetsOf("t", 0, 2))
		req.SessionEpoch = epoch
		r := k.ask(req).(*kmsg.FetchResponse)
		require.Len(t, r.Topics, 2)
		require.Equal(t, []string{"t", "nope"}, []string{r.Topics[0].Topic, r.Topics[1].Topic})
		require.Len(t, r.Topics[0].Partitions, 2)
		first, _, err := batch.Split(r.Topics[0].Partitions[0].RecordBatches)
		require.NoError(t, err)
		require.Equal(t, int64(2), first.BaseOffset())
		unknown := r.Topics[1].Partitions[0]
		require.Equal(t, kerr.UnknownTopicOrPartition.Code, unknown.ErrorCode)
		require.NotNil(t, unknown.AbortedTransactions)
		require.Empty(t, unknown.AbortedTransactions)
		require.Nil(t, r.Topics[0].Partitions[1].AbortedTransactions)
	}
}

// eachOnce against a naive twin: a list of places, in which an entry that is there already is overwritten.
func TestEachOnceTwin(t *testing.T) {
	type place struct {
		topic     string
		partition int32
	}
	rapid.Check(t, func(t *rapid.T) {
		var topics []kmsg.FetchRequestTopic
		var order []place
		want := map[place]int64{}
		next := int64(0)
		for range rapid.IntRange(0, 12).Draw(t, "topics") {
			topic := kmsg.NewFetchRequestTopic()
			topic.Topic = rapid.StringMatching("[a-j]").Draw(t, "topic")
			for _, n := range rapid.SliceOfN(rapid.Int32Range(-1, 15), 0, 20).Draw(t, "partitions") {
				next++
				p := kmsg.NewFetchRequestTopicPartition()
				p.Partition, p.FetchOffset = n, next
				topic.Partitions = append(topic.Partitions, p)
				at := place{topic.Topic, n}
				if _, again := want[at]; !again {
					order = append(order, at)
				}
				want[at] = next
			}
			topics = append(topics, topic)
		}
		var got []place
		for _, topic := range eachOnce(topics) {
			require.NotEmpty(t, topic.Partitions)
			for _, p := range topic.Partitions {
				at := place{topic.Topic, p.Partition}
				got = append(got, at)
				require.Equal(t, want[at], p.FetchOffset)
			}
		}
		require.Equal(t, order, got)
	})
}

// What every client sends costs nothing to look at.
func TestEachOnceOfOrderlyRequests(t *testing.T) {
	topics := []kmsg.FetchRequestTopic{offsetsOf("a"), offsetsOf("b")}
	for i := range topics {
		for n := range int32(500) {
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition = n
			topics[i].Partitions = append(topics[i].Partitions, p)
		}
	}
	require.Zero(t, testing.AllocsPerRun(10, func() { topics = eachOnce(topics) }))
}

// An isolation level that nobody has is refused with the only code of the kind that Fetch's clients know
// (Semantics line 36), and not read uncommitted.
func TestFetchIsolationLevels(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	k := c.dial()
	for version := int16(4); version <= 17; version++ {
		for _, level := range []int8{2, -1} {
			req := fetchFrom(version, "t", c.id("t"), 0)
			req.IsolationLevel = level
			r := k.ask(req).(*kmsg.FetchResponse)
			if version >= 7 {
				require.Equal(t, kerr.UnknownServerError.Code, r.ErrorCode)
			}
			if version >= 13 {
				require.Empty(t, r.Topics)
				continue
			}
			p := r.Topics[0].Partitions[0]
			require.Equal(t, kerr.UnknownServerError.Code, p.ErrorCode)
			require.Equal(t, int64(-1), p.HighWatermark)
			require.Empty(t, p.RecordBatches)
		}
	}
}
