package clients

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"wadi/integration/binary"
)

// recordsPerTopic makes several batches and requests, with keys on all partitions.
const recordsPerTopic = 300

// topic is one workload of the matrix: who wrote what, and where it was stored.
type topic struct {
	name    string
	written []Written
	when    span
}

// TestEveryClientReadsWhatEveryClientWrote writes with each client and codec, keyed and unkeyed, to topics of three
// partitions, and reads each topic with each client.
func TestEveryClientReadsWhatEveryClientWrote(t *testing.T) {
	eachBroker(t, func(t *testing.T, b broker) {
		ctx := b.context(t, patience)
		var topics []topic
		for _, c := range clients {
			t.Run("write/"+c.Name(), func(t *testing.T) {
				binary.Need(t, c.Check())
				for _, codec := range codecs {
					topics = append(topics, write(ctx, t, b, c, codec, true))
				}
				topics = append(topics, write(ctx, t, b, c, "none", false))
			})
		}
		for _, c := range clients {
			t.Run("read/"+c.Name(), func(t *testing.T) {
				binary.Need(t, c.Check())
				readAll(ctx, t, b, c, topics)
			})
		}
		if b.segments != nil {
			keys, err := b.segments()
			if err != nil || len(keys) == 0 {
				t.Errorf("%d segments in the bucket, %v: the records lie somewhere else", len(keys), err)
			}
		}
	})
}

// write has one client write one workload to a topic of its own.
func write(ctx context.Context, t *testing.T, b broker, c Writer, codec string, keyed bool) topic {
	t.Helper()
	name := fmt.Sprintf("%s-%s-%s-%08x", c.Name(), codec, map[bool]string{true: "keyed", false: "unkeyed"}[keyed], rand.Uint32())
	if err := createTopic(ctx, b.bootstrap, name, 3); err != nil {
		t.Fatal(err)
	}
	records := workload(recordsPerTopic, keyed)
	if c, limited := c.(chooser); limited {
		records = c.sayable(records)
	}
	begin := time.Now()
	written, err := c.Write(ctx, b.bootstrap, name, codec, records)
	if err != nil {
		t.Fatalf("write %s: %v", name, err)
	}
	return topic{name: name, written: written, when: span{begin, time.Now()}}
}

func readAll(ctx context.Context, t *testing.T, b broker, c Client, topics []topic) {
	t.Helper()
	var names []string
	for _, top := range topics {
		names = append(names, top.name)
	}
	read, err := c.Read(ctx, b.bootstrap, names)
	if err != nil {
		t.Fatal(err)
	}
	byTopic := map[string][]Read{}
	for _, r := range read {
		byTopic[r.Topic] = append(byTopic[r.Topic], r)
	}
	for _, top := range topics {
		t.Run(top.name[:strings.LastIndex(top.name, "-")], func(t *testing.T) {
			written := top.written
			if s, lossy := c.(shower); lossy {
				written = s.shows(written)
			}
			compare(t, written, byTopic[top.name], top.when)
		})
	}
}

// TestKcatCreatesTopicAndSendsFile: the first produce to an unknown topic creates it (num.partitions 1), and a file of
// all byte values comes back as it was.
func TestKcatCreatesTopicAndSendsFile(t *testing.T) {
	binary.Need(t, kcat{}.Check())
	eachBroker(t, func(t *testing.T, b broker) {
		ctx := b.context(t, patience)
		value := make([]byte, 100_000)
		for i := range value {
			value[i] = byte(i)
		}
		name := fmt.Sprintf("file-%08x", rand.Uint32())
		begin := time.Now()
		written, err := kcat{}.writeFile(ctx, t.TempDir(), b.bootstrap, name, "bytes", value)
		if err != nil {
			t.Fatal(err)
		}
		read, err := kcat{}.Read(ctx, b.bootstrap, []string{name})
		if err != nil {
			t.Fatal(err)
		}
		compare(t, []Written{written}, read, span{begin, time.Now()})
	})
}

// TestDevSurvivesKill: what was acknowledged is there after SIGKILL and a start on the same directory, and the log goes
// on where it ended.
func TestDevSurvivesKill(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dir, port := t.TempDir(), binary.FreePort(t)
	b := startDev(t, dir, port)
	const name = "survivor"
	if err := createTopic(ctx, b.bootstrap, name, 3); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	first, err := franz{}.Write(ctx, b.bootstrap, name, "zstd", workload(recordsPerTopic, true))
	if err != nil {
		t.Fatal(err)
	}
	b.process.Kill()

	b = startDev(t, dir, port)
	second, err := franz{}.Write(ctx, b.bootstrap, name, "none", workload(recordsPerTopic, true))
	if err != nil {
		t.Fatal(err)
	}
	read, err := franz{}.Read(ctx, b.bootstrap, []string{name})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, append(first, second...), read, span{begin, time.Now()})
}
