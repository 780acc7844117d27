package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/binary"
)

// administrator is a client that can administer topics.
type administrator interface {
	Client
	// administer creates, describes, alters, grows and deletes the topic, and lists offsets of filled: the first ones,
	// the ends, and the first ones at or after a time in Unix milliseconds.
	administer(ctx context.Context, bootstrap, topic, filled string, at int64) ([]byte, error)
}

func (python) administer(ctx context.Context, bootstrap, topic, filled string, at int64) ([]byte, error) {
	return run(ctx, nil, venvPython(), "integration/clients/python/admin.py", bootstrap, topic, filled, strconv.FormatInt(at, 10))
}

func (c goClient) administer(ctx context.Context, bootstrap, topic, filled string, at int64) ([]byte, error) {
	return c.run(ctx, nil, "admin", bootstrap, topic, filled, strconv.FormatInt(at, 10))
}

func (kafkaJS) administer(ctx context.Context, bootstrap, topic, filled string, at int64) ([]byte, error) {
	return run(ctx, nil, "node", jsArgs("admin.js", bootstrap, topic, filled, strconv.FormatInt(at, 10))...)
}

// administrators: sarama speaks to a broker of its oldest default version, of one between, and of the newest it knows.
var administrators = []administrator{
	python{}, sarama, sarama.speaking("3.6.0"), sarama.speaking("4.3.1"), kafkaGo{goClient{name: "kafka-go"}}, kafkaJS{},
}

// TestAdministration: what each client's administrative calls make of a topic is what Kafka makes of it, and the
// offsets that they list are those of the records.
func TestAdministration(t *testing.T) {
	eachBroker(t, func(t *testing.T, b broker) {
		ctx := b.context(t, patience)
		b.waitFor(ctx, t, kmsg.IncrementalAlterConfigs, kmsg.AlterConfigs)
		filled := fmt.Sprintf("filled-%08x", rand.Uint32())
		if err := createTopic(ctx, b.bootstrap, filled, 3); err != nil {
			t.Fatal(err)
		}
		written, err := franz{}.Write(ctx, b.bootstrap, filled, "zstd", workload(recordsPerTopic, true))
		if err != nil {
			t.Fatal(err)
		}
		at := written[recordsPerTopic/2].Timestamp
		for _, c := range administrators {
			t.Run(c.Name(), func(t *testing.T) {
				binary.Need(t, c.Check())
				out, err := c.administer(ctx, b.bootstrap, fmt.Sprintf("admin-%s-%08x", c.Name(), rand.Uint32()), filled, at)
				if err != nil {
					t.Fatal(err)
				}
				compareAdministration(t, out, written, at)
			})
		}
	})
}

// compareAdministration holds what a program printed against what Kafka answers.
func compareAdministration(t *testing.T, out []byte, written []Written, at int64) {
	t.Helper()
	type offsets map[int32]int64
	type answers struct {
		Again, Unknown, Partitions, Grown int
		Retention, Altered                string
		Controller, Gone                  bool
	}
	var got struct {
		answers
		Brokers              int
		Earliest, Latest, At offsets
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	const topicAlreadyExists, unknownTopicOrPartition = 36, 3
	want := answers{
		Again: topicAlreadyExists, Unknown: unknownTopicOrPartition, Partitions: 3, Grown: 5,
		Retention: "3600000", Altered: "7200000", Controller: true, Gone: true,
	}
	if got.answers != want {
		t.Errorf("got  %+v\nwant %+v", got.answers, want)
	}
	if got.Brokers < 1 {
		t.Errorf("%d brokers", got.Brokers)
	}
	earliest, latest, since := offsets{0: 0, 1: 0, 2: 0}, offsets{0: 0, 1: 0, 2: 0}, offsets{}
	for _, w := range written {
		latest[w.Partition] = max(latest[w.Partition], w.Offset+1)
		if found, any := since[w.Partition]; w.Timestamp >= at && (!any || w.Offset < found) {
			since[w.Partition] = w.Offset
		}
	}
	for name, pair := range map[string][2]offsets{
		"earliest": {got.Earliest, earliest}, "latest": {got.Latest, latest}, "by time": {got.At, since},
	} {
		if !maps.Equal(pair[0], pair[1]) {
			t.Errorf("offsets %s are %v, want %v", name, pair[0], pair[1])
		}
	}
}
