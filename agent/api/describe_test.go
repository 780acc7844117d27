package api

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"wadi/internal/batch"
)

// fourBrokers makes the cluster list brokers 0, 1, 5 and 6.
func fourBrokers(c *cluster) {
	c.set(func() {
		c.brokers = append(c.brokers, Broker{NodeID: 1, Host: "h1", Port: 1, Rack: "b"}, Broker{NodeID: 5, Host: "h5", Port: 5}, Broker{NodeID: 6, Host: "h6", Port: 6})
	})
}

func inVersion[R kmsg.Request](r R, version int16) R {
	r.SetVersion(version)
	return r
}

// DescribeCluster names the brokers and the controller of Metadata; endpoints of another type are refused (KIP-919).
func TestDescribeCluster(t *testing.T) {
	c := newCluster(t)
	fourBrokers(c)
	k := c.dial()
	known := k.ask(metadataOf(12)).(*kmsg.MetadataResponse)
	for version := int16(0); version <= 2; version++ {
		req := inVersion(kmsg.NewPtrDescribeClusterRequest(), version)
		r := k.ask(req).(*kmsg.DescribeClusterResponse)
		require.Zero(t, r.ErrorCode)
		require.Nil(t, r.ErrorMessage)
		require.Equal(t, []any{*known.ClusterID, known.ControllerID}, []any{r.ClusterID, r.ControllerID})
		require.Len(t, r.Brokers, len(known.Brokers))
		for i, b := range r.Brokers {
			m := known.Brokers[i]
			require.Equal(t, []any{m.NodeID, m.Host, m.Port, m.Rack}, []any{b.NodeID, b.Host, b.Port, b.Rack})
			require.False(t, b.IsFenced)
		}
		require.Equal(t, int32(-1<<31), r.ClusterAuthorizedOperations)
		req.IncludeClusterAuthorizedOperations = true
		require.Equal(t, int32(8096), k.ask(req).(*kmsg.DescribeClusterResponse).ClusterAuthorizedOperations)
		if version == 0 {
			continue
		}
		for kind, want := range map[int8]int16{0: 115, 1: 0, 2: 114, 3: 115, -1: 115} {
			req.EndpointType = kind
			r := k.ask(req).(*kmsg.DescribeClusterResponse)
			require.Equal(t, want, r.ErrorCode, "endpoint type %d", kind)
			require.Equal(t, want != 0, r.ErrorMessage != nil && len(r.Brokers) == 0 && r.ControllerID == -1 && r.ClusterID == "")
		}
	}
	c.set(func() { c.brokers = nil }) // before there is a node id
	r := k.ask(inVersion(kmsg.NewPtrDescribeClusterRequest(), 2)).(*kmsg.DescribeClusterResponse)
	require.Equal(t, int32(-1), r.ControllerID)
	require.Empty(t, r.Brokers)
}

func partitionsOf(limit int32, cursor *kmsg.DescribeTopicPartitionsRequestCursor, topics ...string) *kmsg.DescribeTopicPartitionsRequest {
	r := kmsg.NewPtrDescribeTopicPartitionsRequest()
	r.ResponsePartitionLimit, r.Cursor = limit, cursor
	for _, name := range topics {
		r.Topics = append(r.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: name})
	}
	return r
}

// Whatever the limit, following the cursors gives every topic and partition once, in the order of names, as Metadata
// has them (KIP-966). No reply has more partitions than asked for.
func TestDescribeTopicPartitionsInPieces(t *testing.T) {
	c := newClusterWith(t, Config{})
	fourBrokers(c)
	sizes := map[string]int{"a": 3, "b": 1, "b.c": 7, "d": 2}
	for name, n := range sizes {
		c.topic(name, uint32(n))
	}
	k := c.dial()
	known := map[string]kmsg.MetadataResponseTopic{}
	for _, m := range k.ask(metadataOf(12, "a", "b", "b.c", "d")).(*kmsg.MetadataResponse).Topics {
		known[*m.Topic] = m
	}
	rapid.Check(t, func(rt *rapid.T) {
		var topics []string
		if rapid.Bool().Draw(rt, "named") {
			topics = rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "b.c", "d", "nope", "bad name"}), 1, 8).Draw(rt, "topics")
		}
		limit := rapid.Int32Range(-1, 14).Draw(rt, "limit")
		got, last := map[string][]int32{}, ""
		var cursor *kmsg.DescribeTopicPartitionsRequestCursor
		for page := 0; ; page++ {
			if page > 20 {
				rt.Fatal("the cursor does not end")
			}
			r := k.ask(partitionsOf(limit, cursor, topics...)).(*kmsg.DescribeTopicPartitionsResponse)
			count := 0
			for _, d := range r.Topics {
				if *d.Topic < last {
					rt.Fatalf("%s comes after %s", *d.Topic, last)
				}
				last = *d.Topic
				m, there := known[last]
				want := map[bool]int16{true: 0, false: kerr.UnknownTopicOrPartition.Code}[there]
				if last == "bad name" {
					want = kerr.InvalidTopicException.Code
				}
				if d.ErrorCode != want || d.TopicID != m.TopicID || d.AuthorizedOperations != 3576 {
					rt.Fatalf("%s: %+v", last, d)
				}
				for _, p := range d.Partitions {
					mp := m.Partitions[p.Partition]
					require.Equal(rt, []any{mp.Leader, mp.LeaderEpoch, mp.Replicas, mp.ISR}, []any{p.LeaderID, p.LeaderEpoch, p.Replicas, p.ISR})
					require.Equal(rt, []int32{}, p.EligibleLeaderReplicas)
					got[last] = append(got[last], p.Partition)
					count++
				}
				if len(d.Partitions) == 0 {
					got[last] = append(got[last], -1)
				}
			}
			if count > max(1, int(limit)) {
				rt.Fatalf("%d partitions for a limit of %d", count, limit)
			}
			if r.NextCursor == nil {
				break
			}
			cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: r.NextCursor.Topic, Partition: r.NextCursor.Partition}
		}
		want := map[string][]int32{}
		for _, name := range topics {
			want[name] = []int32{-1}
		}
		for name, n := range sizes {
			if topics != nil && want[name] == nil {
				continue
			}
			want[name] = nil
			for i := range n {
				want[name] = append(want[name], int32(i))
			}
		}
		require.Equal(rt, want, got)
	})
}

// A cursor that cannot be one fails every topic; one that names a topic that is gone goes on behind it.
func TestDescribeTopicPartitionsCursor(t *testing.T) {
	c := newClusterWith(t, Config{})
	c.topic("a", 2)
	c.topic("c", 2)
	k := c.dial()
	answer := func(cursor string, partition int32, topics ...string) map[string]string {
		r := k.ask(partitionsOf(2000, &kmsg.DescribeTopicPartitionsRequestCursor{Topic: cursor, Partition: partition}, topics...)).(*kmsg.DescribeTopicPartitionsResponse)
		require.Nil(t, r.NextCursor)
		got := map[string]string{}
		for _, d := range r.Topics {
			got[*d.Topic] = fmt.Sprint(d.ErrorCode, len(d.Partitions))
		}
		return got
	}
	require.Equal(t, map[string]string{"c": "42 0", "a": "42 0"}, answer("c", -1, "c", "a"))
	require.Equal(t, map[string]string{"c": "42 0", "a": "42 0"}, answer("b", 0, "c", "a"))
	require.Equal(t, map[string]string{"c": "0 1"}, answer("c", 1, "c", "a"))
	require.Equal(t, map[string]string{"c": "0 0"}, answer("c", 2, "c", "a"))
	require.Equal(t, map[string]string{"c": "0 0"}, answer("c", 1<<31-1, "c"))
	require.Equal(t, map[string]string{"b": "3 0", "c": "0 2"}, answer("b", 1, "b", "c", "a"))
	require.Equal(t, map[string]string{"c": "0 2"}, answer("b", 1))
	require.Equal(t, map[string]string{}, answer("d", 0))

	c.set(func() { c.barrierErr = ErrViewBehind })
	cut := k.ask(partitionsOf(2000, nil, "nope", "a")).(*kmsg.DescribeTopicPartitionsResponse)
	require.Equal(t, []int16{0, kerr.LeaderNotAvailable.Code}, []int16{cut.Topics[0].ErrorCode, cut.Topics[1].ErrorCode})
}

// One log directory per agent, with the partitions that Metadata lists on it and the bytes of their records.
func TestDescribeLogDirs(t *testing.T) {
	c := newClusterWith(t, Config{LogDir: "s3://bucket/main"})
	fourBrokers(c)
	c.topic("t", 40)
	c.topic("u", 1)
	k := c.dial()
	v := oneBatch(t, batch.None, "some value")
	for _, n := range []int32{0, 3, 3} {
		r := k.ask(produceTo(9, -1, "t", [16]byte{}, map[int32][]byte{n: append([]byte(nil), v...)})).(*kmsg.ProduceResponse)
		require.Zero(t, r.Topics[0].Partitions[0].ErrorCode)
	}
	size := map[int32]int64{0: int64(len(v)), 3: 2 * int64(len(v))}
	on := map[int32][]int32{}
	for _, m := range k.ask(metadataOf(12, "t")).(*kmsg.MetadataResponse).Topics[0].Partitions {
		for _, id := range m.Replicas {
			on[id] = append(on[id], m.Partition)
		}
	}
	for version := int16(1); version <= 5; version++ {
		for _, self := range []int32{0, 1, 5, 6} {
			c.set(func() { c.self = self })
			r := k.ask(inVersion(kmsg.NewPtrDescribeLogDirsRequest(), version)).(*kmsg.DescribeLogDirsResponse)
			require.Zero(t, r.ErrorCode)
			require.Len(t, r.Dirs, 1)
			dir := r.Dirs[0]
			require.Equal(t, []any{int16(0), "s3://bucket/main", int64(-1), int64(-1)}, []any{dir.ErrorCode, dir.Dir, dir.TotalBytes, dir.UsableBytes})
			var got []int32
			for _, p := range dir.Topics[0].Partitions {
				got = append(got, p.Partition)
				require.Equal(t, size[p.Partition], p.Size, "partition %d", p.Partition)
				require.Zero(t, p.OffsetLag)
				require.False(t, p.IsFuture)
			}
			require.Equal(t, on[self], got)
		}
	}
	ask := func(topics ...kmsg.DescribeLogDirsRequestTopic) kmsg.DescribeLogDirsResponseDir {
		req := inVersion(kmsg.NewPtrDescribeLogDirsRequest(), 4)
		req.Topics = topics
		return k.ask(req).(*kmsg.DescribeLogDirsResponse).Dirs[0]
	}
	c.set(func() { c.brokers = c.brokers[:1]; c.self = 0 })
	some := ask(kmsg.DescribeLogDirsRequestTopic{Topic: "t", Partitions: []int32{3, 0, 3, 40, -1}}, kmsg.DescribeLogDirsRequestTopic{Topic: "nope", Partitions: []int32{0}},
		kmsg.DescribeLogDirsRequestTopic{Topic: "t", Partitions: []int32{0, 2}}, kmsg.DescribeLogDirsRequestTopic{Topic: "u"})
	require.Len(t, some.Topics, 1)
	require.Len(t, some.Topics[0].Partitions, 3)
	require.Empty(t, ask(kmsg.DescribeLogDirsRequestTopic{Topic: "u"}).Topics, "no partition was asked for")
	require.Empty(t, ask([]kmsg.DescribeLogDirsRequestTopic{}...).Topics, "no topic is not all topics")
	c.set(func() { c.lagging = append(c.lagging, func() { c.topic("late", 1) }) })
	require.Len(t, ask(kmsg.DescribeLogDirsRequestTopic{Topic: "late", Partitions: []int32{0}}).Topics, 1)
	c.set(func() { c.barrierErr = ErrMetadataUnavailable })
	require.Equal(t, kerr.RequestTimedOut.Code, ask().ErrorCode)
}

// Semantics line 85: a partition's producers with their last sequence; what is not known of transactions is -1.
func TestDescribeProducers(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 2)
	k := c.dial()
	var ids []int64
	for seq := range int32(3) {
		id := k.ask(inVersion(kmsg.NewPtrInitProducerIDRequest(), 4)).(*kmsg.InitProducerIDResponse).ProducerID
		ids = append(ids, id)
		for s := range seq + 1 {
			var w batch.Builder
			w.Reset(batch.BuildOptions{ProducerID: id, BaseSequence: s})
			require.NoError(t, w.Append(batch.Record{Value: []byte("v")}))
			b, err := w.Build(nil)
			require.NoError(t, err)
			r := k.ask(produceTo(9, -1, "t", [16]byte{}, map[int32][]byte{1: b})).(*kmsg.ProduceResponse)
			require.Zero(t, r.Topics[0].Partitions[0].ErrorCode)
		}
	}
	req := kmsg.NewPtrDescribeProducersRequest()
	req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "t", Partitions: []int32{0, 1, 2, -1}}, {Topic: "nope", Partitions: []int32{0}}, {Topic: "a b", Partitions: []int32{0}}}
	r := k.ask(req).(*kmsg.DescribeProducersResponse)
	var codes []int16
	for _, topic := range r.Topics {
		for _, p := range topic.Partitions {
			codes = append(codes, p.ErrorCode)
		}
	}
	require.Equal(t, []int16{0, 0, 3, 3, 3, 17}, codes)
	require.Empty(t, r.Topics[0].Partitions[0].ActiveProducers)
	active := r.Topics[0].Partitions[1].ActiveProducers
	require.Len(t, active, 3)
	for i, p := range active {
		require.Equal(t, []any{ids[i], int32(0), int32(i), int32(-1), int64(-1)}, []any{p.ProducerID, p.ProducerEpoch, p.LastSequence, p.CoordinatorEpoch, p.CurrentTxnStartOffset})
		require.Positive(t, p.LastTimestamp)
	}
	c.set(func() { c.barrierErr = ErrMetadataUnavailable })
	require.Equal(t, kerr.RequestTimedOut.Code, k.ask(req).(*kmsg.DescribeProducersResponse).Topics[0].Partitions[1].ErrorCode)
}
