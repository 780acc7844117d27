package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"wadi/internal/busy"
)

// TestAgentsShareTopics runs what needs a healthy cluster on one.
func TestAgentsShareTopics(t *testing.T) {
	t.Parallel()
	c := Start(t, Options{TTL: time.Minute}) // a busy machine ends no session
	raw := make([]*Raw, len(c.Agents))
	for i, a := range c.Agents {
		raw[i] = NewRaw(t, a)
	}
	t.Run("create, produce and fetch at once through three agents", func(t *testing.T) { createProduceFetch(t, raw) })
	t.Run("concurrent creation gives one id", func(t *testing.T) { concurrentCreation(t, raw) })
	t.Run("one producer over all agents", func(t *testing.T) { spreadProducer(t, c, raw) })
	t.Run("a retry elsewhere gets the original offset", func(t *testing.T) { retryElsewhere(t, raw) })
	t.Run("delete and create again", func(t *testing.T) { recreate(t, raw) })
	t.Run("delete and create again under load", func(t *testing.T) { recreateUnderLoad(t, c, raw) })
}

// createProduceFetch: what one agent has acknowledged is there at the next, without a wait or a retry in between.
func createProduceFetch(t *testing.T, raw []*Raw) {
	ctx := within(t, 2*patience)
	for i := range 30 {
		a, b, c := raw[i%3], raw[(i+1)%3], raw[(i+2)%3]
		topic, err := a.Create(ctx, fmt.Sprintf("at-once-%d", i), 2)
		if err != nil {
			t.Fatal(err)
		}
		offset, err := b.Produce(ctx, topic, 1, oneBatch(t, -1, -1, -1, "v"), patience)
		if err != nil || offset != 0 {
			t.Fatalf("produce after creation: offset %d, %v", offset, err)
		}
		fp, err := c.Fetch(ctx, topic, 1, 0, patience)
		if err != nil || fp.Err != nil || len(fp.Records) != 1 || string(fp.Records[0].Value) != "v" {
			t.Fatalf("fetch after produce: %+v, %v", fp, err)
		}
		if end, err := c.Latest(ctx, topic, 1); err != nil || end != 1 {
			t.Fatalf("end %d, %v", end, err)
		}
	}
}

// concurrentCreation: Regression R12, Semantics line 10.
func concurrentCreation(t *testing.T, raw []*Raw) {
	ctx := within(t, 2*patience)
	for i := range 20 {
		name := fmt.Sprintf("contended-%d", i)
		var wg sync.WaitGroup
		topics, errs := make([]Topic, len(raw)), make([]error, len(raw))
		for j, r := range raw {
			wg.Go(func() { topics[j], errs[j] = r.Create(ctx, name, 3) })
		}
		wg.Wait()
		made := 0
		for j := range raw {
			switch {
			case errs[j] == nil:
				made++
			case !errors.Is(errs[j], kerr.TopicAlreadyExists):
				t.Errorf("%s: %v", name, errs[j])
			}
		}
		if made != 1 {
			t.Errorf("%s was created %d times", name, made)
		}
		var id [16]byte
		for j, r := range raw {
			m, err := r.Metadata(ctx, name)
			if err != nil || len(m.Topics) != 1 || m.Topics[0].ErrorCode != 0 || len(m.Topics[0].Partitions) != 3 {
				t.Fatalf("metadata of %s: %+v, %v", name, m, err)
			}
			if j == 0 {
				id = m.Topics[0].TopicID
			}
			if got := m.Topics[0].TopicID; got != id || got == [16]byte{} {
				t.Errorf("%s: ids %x and %x", name, id, got)
			}
		}
		for j := range raw {
			if errs[j] == nil && topics[j].ID != id {
				t.Errorf("%s was created with id %x and has %x", name, topics[j].ID, id)
			}
		}
	}
}

// recreate: Regression R11, Semantics lines 12, 91 as far as they concern what agents serve.
func recreate(t *testing.T, raw []*Raw) {
	ctx := within(t, 2*patience)
	var before Topic
	pid, epoch, err := raw[0].ProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for life := range 6 {
		a, b, c := raw[life%3], raw[(life+1)%3], raw[(life+2)%3]
		topic, err := a.Create(ctx, "again", 1)
		if err != nil {
			t.Fatal(err)
		}
		if topic.ID == before.ID || topic.ID == [16]byte{} {
			t.Fatalf("life %d: id %x again", life, topic.ID)
		}
		if life > 0 {
			// Semantics line 30: the old id takes nothing and gives nothing, and says so.
			if _, err := b.Produce(ctx, before, 0, oneBatch(t, pid, epoch, 3, "stray"), patience); !errors.Is(err, kerr.UnknownTopicID) {
				t.Errorf("produce to the deleted id: %v", err)
			}
			if fp, err := c.Fetch(ctx, before, 0, 0, 0); err != nil || !errors.Is(fp.Err, kerr.UnknownTopicID) {
				t.Errorf("fetch of the deleted id: %v, %v", fp.Err, err)
			}
		}
		for i, r := range raw {
			if end, err := r.Latest(ctx, topic, 0); err != nil || end != 0 {
				t.Errorf("life %d: agent %d says the new topic ends at %d, %v", life, i, end, err)
			}
		}
		for i := range int32(3) {
			// The producer starts over: the topic of before has left no sequence behind.
			value := fmt.Sprintf("life %d, %d", life, i)
			offset, err := raw[(life+int(i))%3].Produce(ctx, topic, 0, oneBatch(t, pid, epoch, i, value), patience)
			if err != nil || offset != int64(i) {
				t.Fatalf("life %d: offset %d for sequence %d, %v", life, offset, i, err)
			}
		}
		for _, r := range raw {
			for next := int64(0); next < 3; {
				fp, err := r.Fetch(ctx, topic, 0, next, patience)
				if err != nil || fp.Err != nil || len(fp.Records) == 0 {
					t.Fatalf("life %d: %+v, %v", life, fp, err)
				}
				for _, rec := range fp.Records {
					if want := fmt.Sprintf("life %d, %d", life, next); string(rec.Value) != want || rec.Offset != next {
						t.Errorf("offset %d holds %q, want %q at %d", rec.Offset, rec.Value, want, next)
					}
					next++
				}
			}
		}
		if err := c.Delete(ctx, "again"); err != nil {
			t.Fatal(err)
		}
		before = topic
	}
}

// recreateUnderLoad: F23. A producer and a consumer that know topics by their names alone, as clients before Kafka 2.8
// did, go on over the lives of one; newer ones see that the id is another and stop (recreate has them). What was
// acknowledged in an earlier life is not in a later one.
func recreateUnderLoad(t *testing.T, c *Cluster, raw []*Raw) {
	const name = "lives"
	ctx, stop := context.WithCancel(t.Context())
	client, err := kgo.NewClient(
		kgo.SeedBrokers(c.Addresses()...), kgo.DefaultProduceTopic(name), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(-1), kgo.WithLogger(logOf(t, "producer")),
		kgo.MaxVersions(kversion.V2_7_0()), kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var mu sync.Mutex
	acked, made, since, count := map[string]bool{}, 0, 0, 0 // count: of those made since a life began
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			mu.Lock()
			n := made
			made++
			mu.Unlock()
			r := &kgo.Record{Value: fmt.Appendf(nil, "record-%d", n)}
			client.TryProduce(ctx, r, func(r *kgo.Record, err error) {
				// Records may fail when the topic goes away under them; what is acknowledged counts.
				if err == nil {
					mu.Lock()
					acked[string(r.Value)] = true
					if n >= since {
						count++
					}
					mu.Unlock()
				}
			})
			time.Sleep(2 * time.Millisecond)
		}
	})
	running.Go(func() {
		for ctx.Err() == nil {
			client.PollFetches(ctx) // reads whatever life it meets; how it gets along is checked by its going on
		}
	})
	defer running.Wait()
	defer stop()
	// An acknowledgement may be heard of when the life that it belongs to is over.
	begin := func() {
		mu.Lock()
		defer mu.Unlock()
		since, count = made, 0
	}
	came := func() int {
		mu.Lock()
		defer mu.Unlock()
		return count
	}
	before := map[string]bool{}
	for life := range rounds(3, 20) {
		topic, err := raw[life%3].Create(within(t, patience), name, 1)
		if err != nil {
			t.Fatal(err)
		}
		begin()
		for began, waited := time.Now(), busy.Since(); came() < 50; time.Sleep(5 * time.Millisecond) {
			if time.Since(began) > stuck+waited() {
				t.Fatalf("life %d: %d records in %v", life, came(), time.Since(began))
			}
		}
		for _, r := range raw {
			end, err := r.Latest(within(t, patience), topic, 0)
			if err != nil || end < 50 {
				t.Fatalf("life %d ends at %d, %v", life, end, err)
			}
			for next := int64(0); next < end; {
				fp, err := r.Fetch(within(t, patience), topic, 0, next, patience)
				if err != nil || fp.Err != nil || len(fp.Records) == 0 {
					t.Fatalf("life %d at %d: %v, %v", life, next, err, fp.Err)
				}
				for _, rec := range fp.Records {
					if rec.Offset != next || before[string(rec.Value)] {
						t.Fatalf("life %d: offset %d, where %d comes next, holds %s; acknowledged in an earlier life: %v",
							life, rec.Offset, next, rec.Value, before[string(rec.Value)])
					}
					next++
				}
			}
		}
		if err := raw[(life+1)%3].Delete(within(t, patience), name); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		before = maps.Clone(acked)
		mu.Unlock()
	}
}
