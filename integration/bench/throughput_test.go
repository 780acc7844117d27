package bench

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkThroughput writes 2 GB of records of 1,000 bytes over 6 partitions with one idempotent franz-go producer,
// then reads them back with one consumer; Apache Kafka does the same beside it. The client runs on the same machine, so the agent's CPU time per GB says more
// than the rate.
func BenchmarkThroughput(b *testing.B) {
	for _, on := range []struct {
		name  string
		start func(*testing.B) target
	}{{"file", dev}, {"minio", onMinIO}, {"kafka", apacheKafka}} {
		b.Run(on.name, func(b *testing.B) {
			for b.Loop() {
				throughput(b, on.start(b), 2_000_000)
			}
		})
	}
}

func throughput(b *testing.B, t target, records int) {
	const (
		size  = 1000
		topic = "throughput"
	)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	createTopic(b, t, topic, 6)
	gb := float64(records) * size / 1e9
	before, began := read(b, t), time.Now()
	write(b, ctx, t, topic, records, size)
	rate(b, "in", gb, began, before, read(b, t))
	before, began = read(b, t), time.Now()
	c := client(b, t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for got := 0; got < records; {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			b.Fatal(err)
		}
		got += f.NumRecords()
	}
	rate(b, "out", gb, began, before, read(b, t))
}

func write(b *testing.B, ctx context.Context, t target, topic string, records, size int) {
	c := client(b, t, kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(200_000))
	value := make([]byte, size)
	if _, err := rand.Read(value); err != nil {
		b.Fatal(err)
	}
	failed := make(chan error, 1)
	for range records {
		c.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := c.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	select {
	case err := <-failed:
		b.Fatal(err)
	default:
	}
}

// rate reports what moved gb and what it cost the agent.
func rate(b *testing.B, name string, gb float64, began time.Time, before, after figures) {
	b.ReportMetric(gb*1000/time.Since(began).Seconds(), name+"-MB/s")
	b.ReportMetric((after["cpu"]-before["cpu"])/gb, name+"-cpu-s/GB")
	if len(after) == 1 {
		return // not an agent of Wadi's
	}
	b.ReportMetric(after.since(before, "wadi_object_requests_total", `op="put"`)/gb, name+"-PUT/GB")
	b.ReportMetric(after.since(before, "wadi_object_requests_total", `op="get"`)/gb, name+"-GET/GB")
	b.ReportMetric(after.since(before, "wadi_journal_appends_total", "")/gb, name+"-appends/GB")
}

func createTopic(b *testing.B, t target, topic string, partitions int32) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := kadm.NewClient(client(b, t)).CreateTopic(ctx, partitions, -1, nil, topic)
	if err == nil {
		err = r.Err
	}
	if err != nil {
		b.Fatal(err)
	}
}
