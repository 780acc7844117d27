package bench

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	quietWarm    = 100
	quietSamples = 500
)

// BenchmarkQuiet is one producer, 200 bytes, one at a time, 200 a second, linger 0, acks=all, with one consumer that
// waits for each record (DESIGN section 7: produce p50 at most 3 ms, end to end p50 at most 5 ms).
//
// Apache Kafka does the same beside it, with its defaults: it acknowledges before anything is synced to the disk.
func BenchmarkQuiet(b *testing.B) {
	for _, on := range []struct {
		name  string
		start func(*testing.B) target
	}{{"wadi", dev}, {"kafka", apacheKafka}} {
		b.Run(on.name, func(b *testing.B) {
			for b.Loop() {
				quiet(b, on.start(b))
			}
		})
	}
}

func quiet(b *testing.B, t target) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	const topic = "quiet"
	producer := client(b, t, kgo.ProducerLinger(0), kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation())
	send := func() {
		if err := producer.ProduceSync(ctx, &kgo.Record{Value: make([]byte, 200)}).FirstErr(); err != nil {
			b.Fatal(err)
		}
	}
	send()
	consumer := client(b, t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	poll := func() time.Time {
		f := consumer.PollFetches(ctx)
		if err := f.Err(); err != nil || f.NumRecords() != 1 {
			b.Fatal(f.NumRecords(), err)
		}
		return time.Now()
	}
	poll()
	var produced, seen []time.Duration
	for i := range quietWarm + quietSamples {
		arrived := make(chan time.Time, 1)
		go func() { arrived <- poll() }()
		began := time.Now()
		send()
		took := time.Since(began)
		end := <-arrived
		if i >= quietWarm {
			produced, seen = append(produced, took), append(seen, end.Sub(began))
		}
		time.Sleep(time.Until(began.Add(5 * time.Millisecond)))
	}
	percentiles(b, "produce", produced)
	percentiles(b, "e2e", seen)
}

func client(b *testing.B, t target, opts ...kgo.Opt) *kgo.Client {
	b.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(t.address)}, opts...)...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	return c
}

// percentiles reports the median and the 99th percentile of d in milliseconds.
func percentiles(b *testing.B, name string, d []time.Duration) {
	slices.Sort(d)
	at := func(p float64) float64 { return float64(d[int(p*float64(len(d)-1))].Microseconds()) / 1000 }
	b.ReportMetric(at(0.50), name+"-p50-ms")
	b.ReportMetric(at(0.99), name+"-p99-ms")
}
