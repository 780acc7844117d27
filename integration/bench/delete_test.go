package bench

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"wadi/integration/rawbatch"
)

const (
	deletedPartitions = 4000
	deletedRounds     = 250 // a run in every partition each
)

// BenchmarkDeleteTopic deletes a topic of a million runs while one producer elsewhere writes 200 bytes 200 times a second.
// It reports how that producer fares before, and from the deletion until State has dropped the last run.
func BenchmarkDeleteTopic(b *testing.B) {
	for b.Loop() {
		t := newPlace(b).agent(b, "roles: [broker]\n") // no merges: the runs stay
		fill(b, t, "deleted")
		before := read(b, t)["wadi_state_bytes{class=\"runs\"}"]
		apart := paced(b, t, func(d time.Duration) bool { return d > 15*time.Second })
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if _, err := kadm.NewClient(client(b, t)).DeleteTopics(ctx, "deleted"); err != nil {
			b.Fatal(err)
		}
		cancel()
		var swept time.Duration
		during := paced(b, t, func(d time.Duration) bool {
			if swept == 0 && d > time.Second && read(b, t)["wadi_state_unswept"] == 0 {
				swept = d
			}
			return swept > 0 && d > 15*time.Second || d > 5*time.Minute
		})
		b.ReportMetric(before/48/1e6, "million-runs")
		b.ReportMetric(swept.Seconds(), "swept-s")
		percentiles(b, "before", apart)
		percentiles(b, "during", during)
	}
}

// fill writes one record to every partition of a topic, again and again.
func fill(b *testing.B, t target, topic string) {
	b.Helper()
	createTopic(b, t, topic, deletedPartitions)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := client(b, t, kgo.MaxVersions(kversion.V3_0_0())) // topics by name
	batch := rawbatch.Of(time.Now().UnixMilli(), nil, rawbatch.Values("v")...)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Version = -1, 30_000, 9
	x := kmsg.NewProduceRequestTopic()
	x.Topic = topic
	for i := range int32(deletedPartitions) {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = i, batch
		x.Partitions = append(x.Partitions, p)
	}
	req.Topics = append(req.Topics, x)
	var seed *kgo.Broker
	for _, s := range c.SeedBrokers() {
		seed = s
	}
	for range deletedRounds {
		got, err := seed.Request(ctx, req)
		if err == nil {
			err = refused(got.(*kmsg.ProduceResponse))
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func refused(r *kmsg.ProduceResponse) error {
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("partition %d: %w", p.Partition, err)
			}
		}
	}
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != deletedPartitions {
		return errors.New("not every partition was answered")
	}
	return nil
}

// paced produces 200 bytes 200 times a second, one at a time, until done says so, which is asked every half second.
func paced(b *testing.B, t target, done func(time.Duration) bool) (took []time.Duration) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	c := client(b, t, kgo.ProducerLinger(0), kgo.DefaultProduceTopic("elsewhere"), kgo.AllowAutoTopicCreation())
	warm := quietWarm
	for began, asked := time.Now(), time.Now(); ; {
		at := time.Now()
		if err := c.ProduceSync(ctx, &kgo.Record{Value: make([]byte, 200)}).FirstErr(); err != nil {
			b.Fatal(err)
		}
		if warm--; warm < 0 {
			took = append(took, time.Since(at))
		}
		if time.Since(asked) > 500*time.Millisecond {
			if asked = time.Now(); done(time.Since(began)) {
				return took
			}
		}
		time.Sleep(time.Until(at.Add(5 * time.Millisecond)))
	}
}
