package clients

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franz is franz-go, in this process: idempotent, acks=all.
type franz struct{}

func (franz) Name() string { return "franz" }
func (franz) Check() error { return nil }

var franzCodecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func (franz) Write(ctx context.Context, bootstrap, topic, codec string, records []Record) ([]Written, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ProducerBatchCompression(franzCodecs[codec]),
		kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(5*time.Millisecond), kgo.AllowAutoTopicCreation())
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	var (
		written = make([]Written, len(records))
		failed  error
		mu      sync.Mutex
	)
	for i, r := range records {
		sent := &kgo.Record{Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.Timestamp)}
		for _, h := range r.Headers {
			sent.Headers = append(sent.Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
		}
		cl.Produce(ctx, sent, func(stored *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil && failed == nil {
				failed = fmt.Errorf("record %d: %w", i, err)
			}
			written[i] = Written{Record: r, Partition: stored.Partition, Offset: stored.Offset}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	return written, failed
}

func (franz) Read(ctx context.Context, bootstrap string, topics []string) ([]Read, error) {
	return franz{}.ReadAt(ctx, "read_uncommitted", bootstrap, topics)
}

// ReadAt counts on a last record to read before the end of each partition: no marker, and nothing that was aborted.
func (franz) ReadAt(ctx context.Context, isolation, bootstrap string, topics []string) ([]Read, error) {
	level := kgo.ReadUncommitted()
	if isolation == "read_committed" {
		level = kgo.ReadCommitted()
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.FetchIsolationLevel(level))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	list := kadm.NewClient(cl).ListEndOffsets
	if isolation == "read_committed" {
		list = kadm.NewClient(cl).ListCommittedOffsets
	}
	ends, err := list(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("end offsets: %w", err)
	}
	assignment := map[string]map[int32]kgo.Offset{}
	left := 0 // partitions that have more to read
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > 0 {
			if assignment[end.Topic] == nil {
				assignment[end.Topic] = map[int32]kgo.Offset{}
			}
			assignment[end.Topic][end.Partition] = kgo.NewOffset().At(0)
			left++
		}
	})
	cl.AddConsumePartitions(assignment)

	var read []Read
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			read = append(read, fromFranz(r))
			if end, _ := ends.Lookup(r.Topic, r.Partition); r.Offset == end.Offset-1 {
				left--
			}
		})
	}
	return read, nil
}

func fromFranz(r *kgo.Record) Read {
	got := Read{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		Record: Record{Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}}
	for _, h := range r.Headers {
		got.Headers = append(got.Headers, Header{Name: h.Key, Value: h.Value})
	}
	return got
}

// createTopic makes a topic and waits until the broker that is asked next knows it.
func createTopic(ctx context.Context, bootstrap, topic string, partitions int32) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return err
	}
	defer cl.Close()
	answer, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, nil, topic)
	if err == nil {
		err = answer.Err
	}
	if err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	return nil
}
