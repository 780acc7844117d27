package cluster

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"wadi/integration/binary"
	"wadi/internal/batch"
)

var soak = flag.Bool("soak", false, "more rounds of every fault")

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	binary.Cleanup()
	os.Exit(code)
}

// rounds is how often a fault is tried.
func rounds(normal, soaked int) int {
	if *soak {
		return soaked
	}
	return normal
}

// stuck is the longest time for which a client may wait while a fault passes.
const stuck = 10 * time.Second

// patience bounds what is not measured.
const patience = 3 * time.Minute

// newTopic creates a topic through the first agent.
func newTopic(t *testing.T, c *Cluster, name string, partitions int32) Topic {
	t.Helper()
	topic, err := NewRaw(t, c.Agents[0]).Make(within(t, patience), name, partitions)
	if err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	return topic
}

// ledByAll creates a topic of which every agent leads a partition, so that a fault of any one is felt.
func ledByAll(t *testing.T, c *Cluster, name string, partitions int32) Topic {
	t.Helper()
	raw := NewRaw(t, c.Agents[0])
	for try := range 50 {
		topic := newTopic(t, c, fmt.Sprintf("%s-%d", name, try), partitions)
		m, err := raw.Metadata(within(t, patience), topic.Name)
		if err != nil {
			t.Fatal(err)
		}
		leaders := map[int32]bool{}
		for _, p := range m.Topics[0].Partitions {
			leaders[p.Leader] = true
		}
		if len(leaders) == len(c.Agents) {
			return topic
		}
	}
	t.Fatal("no topic of 50 is led by all agents")
	return Topic{}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// oneBatch is a batch of records with the given values.
func oneBatch(t *testing.T, pid int64, epoch int16, sequence int32, values ...string) []byte {
	t.Helper()
	var b batch.Builder
	b.Reset(batch.BuildOptions{ProducerID: pid, ProducerEpoch: epoch, BaseSequence: sequence})
	now := time.Now().UnixMilli()
	for _, v := range values {
		if err := b.Append(batch.Record{Timestamp: now, Value: []byte(v)}); err != nil {
			t.Fatal(err)
		}
	}
	out, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
