package semantics

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// All agents describe one cluster: the same brokers, controller and partitions as Metadata. Each lists in its log
// directory, which is the object store, the partitions that Metadata names it a replica of, with the bytes of their
// records; and each knows the producers of the others (Semantics line 85).
func TestDescriptionsAgree(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	nodes := []*node{c.start(t, nil), c.start(t, nil), c.start(t, nil), c.start(t, nil)}
	first := dial(t, nodes[0])
	to := create(first, "described", 16)
	pid := producerID(first)
	batch := idempotent(pid, 0, 0, "a", "b", "c")
	stored(first, to, batch, 0)

	known := &kmsg.MetadataResponse{}
	eventually(t, "the agents know of each other", func() bool {
		for _, n := range nodes {
			known = ask[*kmsg.MetadataResponse](dial(t, n), 12, metadataRequest(false, to.name))
			if len(known.Brokers) != len(nodes) {
				return false
			}
		}
		return true
	})
	replicas := map[int32]map[int32]int{} // by broker, how often each partition is listed
	for _, p := range known.Topics[0].Partitions {
		for _, id := range p.Replicas {
			if replicas[id] == nil {
				replicas[id] = map[int32]int{}
			}
			replicas[id][p.Partition]++
		}
	}
	listed := map[int32]map[int32]int{}
	for _, b := range known.Brokers {
		var n *node
		for _, at := range nodes {
			if at.addr == addressOf(b) {
				n = at
			}
		}
		require.NotNil(t, n, "broker %d has no agent", b.NodeID)
		k := dial(t, n)

		cluster := ask[*kmsg.DescribeClusterResponse](k, 2, kmsg.NewPtrDescribeClusterRequest())
		require.Equal(t, []any{*known.ClusterID, known.ControllerID, len(nodes)}, []any{cluster.ClusterID, cluster.ControllerID, len(cluster.Brokers)})

		parts := kmsg.NewPtrDescribeTopicPartitionsRequest()
		parts.ResponsePartitionLimit = 2000
		parts.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: to.name}}
		described := ask[*kmsg.DescribeTopicPartitionsResponse](k, 0, parts).Topics[0]
		require.Equal(t, to.id, described.TopicID)
		for i, p := range described.Partitions {
			m := known.Topics[0].Partitions[i]
			require.Equal(t, []any{m.Partition, m.Leader, m.Replicas, m.ISR}, []any{p.Partition, p.LeaderID, p.Replicas, p.ISR})
		}

		dirs := ask[*kmsg.DescribeLogDirsResponse](k, 4, kmsg.NewPtrDescribeLogDirsRequest()).Dirs
		require.Len(t, dirs, 1)
		require.Equal(t, "s3://bucket/prefix/semantics", dirs[0].Dir)
		listed[b.NodeID] = map[int32]int{}
		for _, in := range dirs[0].Topics {
			require.Equal(t, to.name, in.Topic)
			for _, p := range in.Partitions {
				listed[b.NodeID][p.Partition]++
				require.Equal(t, map[bool]int64{true: int64(len(batch))}[p.Partition == 0], p.Size, "partition %d", p.Partition)
			}
		}

		producers := kmsg.NewPtrDescribeProducersRequest()
		producers.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: to.name, Partitions: []int32{0, 1}}}
		active := ask[*kmsg.DescribeProducersResponse](k, 0, producers).Topics[0].Partitions
		require.Empty(t, active[1].ActiveProducers)
		require.Len(t, active[0].ActiveProducers, 1)
		p := active[0].ActiveProducers[0]
		require.Equal(t, []int64{pid, 0, 2, -1, -1}, []int64{p.ProducerID, int64(p.ProducerEpoch), int64(p.LastSequence), int64(p.CoordinatorEpoch), p.CurrentTxnStartOffset})
	}
	require.Equal(t, replicas, listed)
}

func addressOf(b kmsg.MetadataResponseBroker) string {
	return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
}
