package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/internal/batch"
)

// The markers that agents make are held against those of a real broker: byte for byte, but for their times and the epoch
// of the coordinator that wrote them (Semantics line 45). The marker bears the epoch that the producer has behind the
// transaction.
func markers(t *testing.T, b *Broker) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Address), kgo.TransactionalID("id"), kgo.AllowAutoTopicCreation(),
		kgo.DefaultProduceTopic("markers"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		id, epoch, err := client.ProducerID(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(ctx, kgo.StringRecord("a"), kgo.StringRecord("b")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(ctx, end); err != nil {
			t.Fatal(err)
		}
		offset := int64(3*i + 2)
		got := at(ctx, t, client, offset)
		if len(got) != batch.MarkerBytes {
			t.Fatalf("%d bytes at offset %d: %x", len(got), offset, got)
		}
		const coordinatorEpoch = batch.MarkerBytes - 5
		made := batch.Marker{Base: offset, ProducerID: id, Epoch: epoch + 1, Ms: got.MaxTimestamp(), Commit: bool(end)}.AppendTo(nil)
		if binary.BigEndian.PutUint32(got[coordinatorEpoch:], 0); got.CRC() == got.ComputeCRC() && !bytes.Equal(got, made) {
			t.Errorf("Kafka wrote\n%x, made is\n%x", []byte(got), made)
		}
		binary.BigEndian.PutUint32(got[17:], batch.Batch(made).CRC()) // where its coordinator's epoch was another
		if !bytes.Equal(got, made) {
			t.Errorf("Kafka wrote\n%x, made is\n%x", []byte(got), made)
		}
	}
}

// at waits for what lies at an offset: the broker answers before it has written its markers.
func at(ctx context.Context, t *testing.T, client *kgo.Client, offset int64) batch.Batch {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 10_000, 1, 1<<20, -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = "markers"
	part := kmsg.NewFetchRequestTopicPartition()
	part.FetchOffset, part.PartitionMaxBytes, part.CurrentLeaderEpoch = offset, 1<<20, -1
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	seeds := client.SeedBrokers()
	resp, err := seeds[0].Request(ctx, pinned{req})
	if err != nil {
		t.Fatal(err)
	}
	p := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		t.Fatalf("fetch at %d: error %d", offset, p.ErrorCode)
	}
	return p.RecordBatches
}

// pinned is a request in the last version that names topics.
type pinned struct{ *kmsg.FetchRequest }

// MaxVersion implements kmsg.Request.
func (pinned) MaxVersion() int16 { return 12 }
