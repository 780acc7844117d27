package delay_test

import (
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// visible is what a read_committed consumer gets of a partition: everything below the last stable offset, which must be
// its end unless a transaction is open there.
func (p *producer) visible(partition int32) []string {
	p.t.Helper()
	end := p.listed(partition, 1)
	if end == 0 {
		return nil
	}
	addr := p.agents[0].OptValue(kgo.SeedBrokers).([]string)
	consumer, err := kgo.NewClient(kgo.SeedBrokers(addr...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{p.topic.Name: {partition: kgo.NewOffset().At(0)}}))
	require.NoError(p.t, err)
	defer consumer.Close()
	var values []string
	for next := int64(0); next < end; {
		fetches := consumer.PollFetches(within(p.t))
		require.NoError(p.t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			if next = r.Offset + 1; !r.Attrs.IsControl() {
				values = append(values, string(r.Value))
			}
		})
	}
	return values
}

// listed is the end of a partition, as readers of the isolation level see it.
func (p *producer) listed(partition int32, isolation int8) int64 {
	p.t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, isolation
	topic, one := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	topic.Topic = p.topic.Name
	one.Partition, one.Timestamp, one.CurrentLeaderEpoch = partition, -1, -1
	topic.Partitions = append(topic.Partitions, one)
	req.Topics = append(req.Topics, topic)
	resp, err := p.ask(within(p.t), 0, req)
	require.NoError(p.t, err)
	got := resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	require.Zero(p.t, got.ErrorCode)
	return got.Offset
}

// positionNow is the group's position in partition 0, -1 for none.
func (p *producer) positionNow() int64 {
	p.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	g, topic := kmsg.NewOffsetFetchRequestGroup(), kmsg.NewOffsetFetchRequestGroupTopic()
	topic.Topic, topic.TopicID, topic.Partitions = p.topic.Name, p.topic.ID, []int32{0}
	g.Group = p.group
	g.Topics = append(g.Topics, topic)
	req.Groups = append(req.Groups, g)
	req.RequireStable = true
	resp, err := p.ask(within(p.t), p.groupCoordinator(), req)
	require.NoError(p.t, err)
	got := resp.(*kmsg.OffsetFetchResponse).Groups[0].Topics[0].Partitions[0]
	require.Zero(p.t, got.ErrorCode)
	return got.Offset
}

// status is the state of the transactional id in Kafka's words.
func (p *producer) status() string {
	p.t.Helper()
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{p.id}
	resp, err := p.ask(within(p.t), p.coordinator, req)
	require.NoError(p.t, err)
	got := resp.(*kmsg.DescribeTransactionsResponse).TransactionStates[0]
	require.Zero(p.t, got.ErrorCode)
	return got.State
}
