package cluster

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/history/plain"
)

// Raw sends requests to one agent, each once, whatever the metadata says about who leads what. It is safe for
// concurrent use; Produce requests of one Raw share a connection and keep their order.
type Raw struct {
	client *kgo.Client
	name   string
}

// NewRaw makes a client of the agent that lives until the test ends. It connects with the first request.
func NewRaw(t testing.TB, a *Agent) *Raw {
	t.Helper()
	c, err := kgo.NewClient(
		kgo.SeedBrokers(a.Address), kgo.RequestRetries(0), kgo.DialTimeout(10*time.Second),
		kgo.RequestTimeoutOverhead(time.Minute),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &Raw{client: c, name: a.Name}
}

// Do sends the request and returns the answer, of the same type as req.ResponseKind().
func (r *Raw) Do(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	resp, err := r.client.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("agent %s: %w", r.name, err)
	}
	return resp, nil
}

// Topic is a topic of one life: created again it has another id.
type Topic struct {
	Name       string
	ID         [16]byte
	Partitions int32
}

// Log names a partition of this life in a plain.
func (t Topic) Log(partition int32) plain.Partition {
	return plain.Partition{Topic: fmt.Sprintf("%s-%x", t.Name, t.ID[:4]), Index: partition}
}

// Create creates a topic. The error wraps a kerr.Error where the agent refused.
func (r *Raw) Create(ctx context.Context, name string, partitions int32) (Topic, error) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 60_000
	one := kmsg.NewCreateTopicsRequestTopic()
	one.Topic, one.NumPartitions, one.ReplicationFactor = name, partitions, -1
	req.Topics = append(req.Topics, one)
	resp, err := r.Do(ctx, req)
	if err != nil {
		return Topic{}, err
	}
	got := resp.(*kmsg.CreateTopicsResponse).Topics[0]
	return Topic{Name: name, ID: got.TopicID, Partitions: partitions}, kerr.ErrorForCode(got.ErrorCode)
}

// Make is Create by who does not care how often it takes: an agent whose session a busy machine has ended has another one
// soon, and a topic whose creation was not answered may be there.
func (r *Raw) Make(ctx context.Context, name string, partitions int32) (Topic, error) {
	for asked := false; ; asked = true {
		topic, err := r.Create(ctx, name, partitions)
		switch {
		case err == nil:
			return topic, nil
		case asked && errors.Is(err, kerr.TopicAlreadyExists):
			m, err := r.Metadata(ctx, name)
			if err == nil {
				err = kerr.ErrorForCode(m.Topics[0].ErrorCode)
			}
			if err == nil {
				topic.ID = m.Topics[0].TopicID
				return topic, nil
			}
		case !kerr.IsRetriable(err):
			return topic, err
		}
		if !pause(ctx) {
			return topic, err
		}
	}
}

// Delete deletes a topic by name.
func (r *Raw) Delete(ctx context.Context, name string) error {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 60_000
	req.TopicNames = []string{name}
	one := kmsg.NewDeleteTopicsRequestTopic()
	one.Topic = &name
	req.Topics = append(req.Topics, one)
	resp, err := r.Do(ctx, req)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode)
}

// Metadata asks what the agent knows about a topic.
func (r *Raw) Metadata(ctx context.Context, name string) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	one := kmsg.NewMetadataRequestTopic()
	one.Topic = &name
	req.Topics = append(req.Topics, one)
	resp, err := r.Do(ctx, req)
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.MetadataResponse), nil
}

// Produce sends one batch and waits for its base offset.
func (r *Raw) Produce(ctx context.Context, t Topic, partition int32, batch []byte, timeout time.Duration) (int64, error) {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, int32(timeout/time.Millisecond)
	topic, part := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	topic.Topic, topic.TopicID = t.Name, t.ID
	part.Partition, part.Records = partition, batch
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	resp, err := r.Do(ctx, req)
	if err != nil {
		return -1, err
	}
	got := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return got.BaseOffset, kerr.ErrorForCode(got.ErrorCode)
}

// Fetch asks for a partition from an offset on. Its error is the request's; the partition's is in the result.
func (r *Raw) Fetch(ctx context.Context, t Topic, partition int32, offset int64, wait time.Duration) (kgo.FetchPartition, error) {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = -1, int32(wait/time.Millisecond), 1, 8<<20
	req.SessionEpoch = -1
	topic, part := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	topic.Topic, topic.TopicID = t.Name, t.ID
	part.Partition, part.FetchOffset, part.PartitionMaxBytes = partition, offset, 4<<20
	part.CurrentLeaderEpoch, part.LogStartOffset = -1, -1
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	resp, err := r.Do(ctx, req)
	if err != nil {
		return kgo.FetchPartition{}, err
	}
	got := resp.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
		return kgo.FetchPartition{}, err
	}
	if len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 1 {
		return kgo.FetchPartition{}, errors.New("the answer does not list what was asked for")
	}
	fp, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: offset, Topic: t.Name, Partition: partition,
	}, &got.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	return fp, nil
}

// Latest asks for the end of a partition.
func (r *Raw) Latest(ctx context.Context, t Topic, partition int32) (int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	topic, part := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	topic.Topic = t.Name
	part.Partition, part.Timestamp, part.CurrentLeaderEpoch = partition, -1, -1
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	resp, err := r.Do(ctx, req)
	if err != nil {
		return -1, err
	}
	got := resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	return got.Offset, kerr.ErrorForCode(got.ErrorCode)
}

// ProducerID asks for a new idempotent producer.
func (r *Raw) ProducerID(ctx context.Context) (int64, int16, error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = 60_000, -1, -1
	resp, err := r.Do(ctx, req)
	if err != nil {
		return -1, -1, err
	}
	got := resp.(*kmsg.InitProducerIDResponse)
	return got.ProducerID, got.ProducerEpoch, kerr.ErrorForCode(got.ErrorCode)
}

// Recorded is a client's record in the form of a plain.
func Recorded(r *kgo.Record) plain.Record {
	out := plain.Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp.UnixMilli()}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, plain.Header{Key: h.Key, Value: h.Value})
	}
	return out
}
