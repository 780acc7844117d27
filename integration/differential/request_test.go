package differential

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Requests in the forms that many cases need. Cases change the fields that they are about.

// part is a batch for a partition.
type part struct {
	partition int32
	records   []byte
}

func produce(acks int16, t topic, parts ...part) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 60_000
	if len(parts) > 0 {
		req.Topics = append(req.Topics, produceTopic(t, parts...))
	}
	return req
}

func produceTopic(t topic, parts ...part) kmsg.ProduceRequestTopic {
	in := kmsg.NewProduceRequestTopic()
	in.Topic, in.TopicID = t.name, t.id
	for _, p := range parts {
		one := kmsg.NewProduceRequestTopicPartition()
		one.Partition, one.Records = p.partition, p.records
		in.Partitions = append(in.Partitions, one)
	}
	return in
}

// place is a partition to read, and where from.
type place struct {
	partition int32
	offset    int64
}

// fetch asks without waiting and outside of any session.
func fetch(t topic, places ...place) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = -1, 0, 0, 50<<20
	req.SessionEpoch = -1
	req.Topics = append(req.Topics, fetchTopic(t, places...))
	return req
}

func fetchTopic(t topic, places ...place) kmsg.FetchRequestTopic {
	in := kmsg.NewFetchRequestTopic()
	in.Topic, in.TopicID = t.name, t.id
	for _, p := range places {
		one := kmsg.NewFetchRequestTopicPartition()
		one.Partition, one.FetchOffset, one.PartitionMaxBytes = p.partition, p.offset, 1<<20
		one.CurrentLeaderEpoch, one.LogStartOffset, one.LastFetchedEpoch = -1, -1, -1
		in.Partitions = append(in.Partitions, one)
	}
	return in
}

// listOffsets asks for a timestamp in partitions 0 to n-1.
func listOffsets(topic string, timestamp int64, n int32) *kmsg.ListOffsetsRequest {
	var partitions []int32
	for i := range n {
		partitions = append(partitions, i)
	}
	return listOffsetsOf(topic, timestamp, partitions...)
}

func listOffsetsOf(topic string, timestamp int64, partitions ...int32) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.TimeoutMillis = -1, 60_000
	in := kmsg.NewListOffsetsRequestTopic()
	in.Topic = topic
	for _, p := range partitions {
		one := kmsg.NewListOffsetsRequestTopicPartition()
		one.Partition, one.Timestamp, one.CurrentLeaderEpoch = p, timestamp, -1
		in.Partitions = append(in.Partitions, one)
	}
	req.Topics = append(req.Topics, in)
	return req
}

func createTopics(name string, partitions int32, configs ...string) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 60_000
	req.Topics = append(req.Topics, createTopic(name, partitions, configs...))
	return req
}

func createTopic(name string, partitions int32, configs ...string) kmsg.CreateTopicsRequestTopic {
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = name, partitions, 1
	for i := 0; i < len(configs); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = configs[i], kmsg.StringPtr(configs[i+1])
		in.Configs = append(in.Configs, c)
	}
	return in
}

func metadata(names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, name := range names {
		in := kmsg.NewMetadataRequestTopic()
		in.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, in)
	}
	return req
}
