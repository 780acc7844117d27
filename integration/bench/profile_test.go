package bench

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkS3Profile is records of 1,000 bytes over 16 partitions from 4 producers on a store that takes as long as S3
// does: 100 MB/s (DESIGN section 7: produce p50 at most 180 ms, p99 at most 400 ms) and 10 MB/s.
func BenchmarkS3Profile(b *testing.B) {
	for _, mb := range []int{10, 100} {
		b.Run(fmt.Sprintf("%dMBs", mb), func(b *testing.B) {
			for b.Loop() {
				profile(b, onS3Profile(b, 1), mb, 15*time.Second)
			}
		})
	}
}

func profile(b *testing.B, t target, megabytes int, length time.Duration) {
	const (
		producers = 4
		size      = 1000
		sampled   = 16 // every 16th record is timed: the clock itself costs something
		topic     = "profile"
	)
	ctx, cancel := context.WithTimeout(context.Background(), length+time.Minute)
	defer cancel()
	createTopic(b, t, topic, 16)
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var wg sync.WaitGroup
	began := time.Now()
	for range producers {
		c := client(b, t, kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(5*time.Millisecond),
			kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(1<<20),
			kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.MaxProduceRequestsInflightPerBroker(64),
			kgo.DisableIdempotentWrite())
		wg.Go(func() {
			value := make([]byte, size)
			due, sent, next := 0.0, 0, time.Now()
			for time.Since(began) < length {
				for due += float64(megabytes) * 1e6 / producers / size / 1000; float64(sent) < due; sent++ {
					at := time.Now()
					sample := sent%sampled == 0
					c.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
						if !sample && err == nil {
							return
						}
						mu.Lock()
						defer mu.Unlock()
						if err != nil {
							failed = err
						}
						took = append(took, time.Since(at))
					})
				}
				next = next.Add(time.Millisecond)
				time.Sleep(time.Until(next))
			}
			if err := c.Flush(ctx); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	if failed != nil {
		b.Fatal(failed)
	}
	percentiles(b, "produce", took)
	b.ReportMetric(float64(len(took))*sampled*size/time.Since(began).Seconds()/1e6, "MB/s")
}
