package streams

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"wadi/integration/binary"
	"wadi/integration/cluster"
)

func TestMain(m *testing.M) {
	code := m.Run()
	binary.Cleanup()
	os.Exit(code)
}

const (
	partitions = 4
	// enough counts come out between two kills that transactions of several tasks were committed in between.
	enough = 300
)

// TestWordCount: the counts are exact, whoever is killed while records flow.
func TestWordCount(t *testing.T) {
	binary.Need(t, installed())
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	servers, agents := brokers(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(servers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	admin := kadm.NewClient(cl)
	run := fmt.Sprintf("%08x", rand.Uint32())
	in, out, application := "lines-"+run, "counts-"+run, "words-"+run
	made, err := admin.CreateTopics(ctx, partitions, 1, nil, in, out)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		t.Fatal(err)
	}

	counts := follow(ctx, t, servers, out, partitions)
	app := start(t, servers, application, in, out)
	writer := write(ctx, t, servers, in)
	counts.grows(ctx, t, "the application counts", enough)
	// At once back, before anyone has missed it: an agent is another node then, at the same address.
	for _, a := range agents {
		a.Kill()
		a.Start()
		counts.grows(ctx, t, "after a restart of agent "+a.Name, enough)
	}
	for _, a := range agents {
		a.Kill()
		counts.grows(ctx, t, "without agent "+a.Name, enough)
		t.Logf("agent %s serves again after %.1f s", a.Name, a.Start().Seconds())
		counts.grows(ctx, t, "with agent "+a.Name, enough)
	}
	app.Kill()
	if agents != nil {
		compacted(ctx, t, servers, application+"-counts-changelog")
	}
	app = start(t, servers, application, in, out)
	counts.grows(ctx, t, "another instance, from the changelog", enough)

	written, total := writer.finish(t), 0
	for _, n := range written {
		total += n
	}
	counts.reaches(ctx, t, "everything counted", total)
	if err := app.Stop(); err != nil {
		t.Errorf("the application did not end in order: %v", err)
	}
	counts.judge(t, written)
	changelog(ctx, t, servers, application+"-counts-changelog", written)
	purged(ctx, t, admin, application+"-words-repartition")
}

// brokers are three agents, or whatever WADI_BOOTSTRAP names.
func brokers(t *testing.T) ([]string, []*cluster.Agent) {
	t.Helper()
	if bootstrap := os.Getenv("WADI_BOOTSTRAP"); bootstrap != "" {
		return []string{bootstrap}, nil
	}
	c := cluster.Start(t, cluster.Options{Settings: "compactor.interval: 500ms\n"})
	return c.Addresses(), c.Agents
}

// project is the Maven project, which `task install` compiles.
func project() string { return filepath.Join(binary.Root(), "integration/streams/java") }

func installed() error {
	if _, err := exec.LookPath("java"); err != nil {
		return fmt.Errorf("no Java (go tool task install): %w", err)
	}
	if _, err := os.Stat(filepath.Join(project(), "target", "classes")); err != nil {
		return fmt.Errorf("Kafka Streams is not installed (go tool task install): %w", err)
	}
	return nil
}

// start runs an instance of the application that has nothing on disk.
func start(t *testing.T, servers []string, application, in, out string) *binary.Process {
	t.Helper()
	java, err := exec.LookPath("java")
	if err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(project(), "target")
	p := binary.Start(t, binary.Spec{
		Name: "word count", Path: java, Ready: "state RUNNING", Within: 5 * time.Minute,
		Args: []string{"-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
			"-cp", filepath.Join(target, "classes") + string(os.PathListSeparator) + filepath.Join(target, "lib", "*"),
			"wadi.streams.WordCount", strings.Join(servers, ","), application, in, out, t.TempDir()},
	})
	t.Logf("the application runs after %.1f s", p.Started.Seconds())
	return p
}

// changelog: what a new instance would restore are the counts.
func changelog(ctx context.Context, t *testing.T, servers []string, topic string, written map[string]int) {
	t.Helper()
	last, _, err := lastValues(ctx, servers, topic)
	if err != nil {
		t.Fatal(err)
	}
	if len(last) != len(written) {
		t.Errorf("%d words in the changelog, %d written", len(last), len(written))
	}
	for word, n := range written {
		if last[word] != n {
			t.Errorf("the changelog has %d for %q, want %d", last[word], word, n)
		}
	}
}

// compacted waits until of a topic's records no more than some are left: what the application restores its counts from then
// has the last one of each word, at the offset that it always had.
func compacted(ctx context.Context, t *testing.T, servers []string, topic string) {
	t.Helper()
	began := time.Now()
	for {
		last, read, err := lastValues(ctx, servers, topic)
		if err != nil {
			t.Fatal(err)
		}
		if left := len(last) + partitions; read <= left {
			t.Logf("the changelog holds %d records of %d words after %.1f s", read, len(last), time.Since(began).Seconds())
			return
		}
		if time.Since(began) > stuck {
			t.Fatalf("the changelog still has %d records of %d words", read, len(last))
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// lastValues reads a topic at read_committed up to its last stable offsets, and says how many records that were; a value is
// a count of 8 bytes.
func lastValues(ctx context.Context, servers []string, topic string) (last map[string]int, read int, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(servers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return nil, 0, err
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, 0, err
	}
	from, left := map[int32]kgo.Offset{}, 0
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > 0 {
			from[end.Partition] = kgo.NewOffset().At(0)
			left++
		}
	})
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	last = map[string]int{}
	var failed error
	for left > 0 && failed == nil {
		fetches := cl.PollFetches(ctx)
		failed = fetches.Err()
		fetches.EachRecord(func(r *kgo.Record) {
			if end, _ := ends.Lookup(r.Topic, r.Partition); r.Offset == end.Offset-1 {
				left-- // a marker: every transaction of the application has ended
			}
			if r.Attrs.IsControl() {
				return
			}
			count, err := strconv.ParseInt(fmt.Sprintf("%x", r.Value), 16, 64)
			if err != nil || len(r.Value) != 8 {
				failed = errors.Join(failed, fmt.Errorf("%q is no count", r.Value))
			}
			last[string(r.Key)] = int(count)
			read++
		})
	}
	return last, read, failed
}

// purged: what the application has read of its repartition topic it has deleted.
func purged(ctx context.Context, t *testing.T, admin *kadm.Client, topic string) {
	t.Helper()
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	moved := 0
	starts.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			moved++
		}
	})
	if moved == 0 {
		t.Errorf("nothing of %s was deleted: %v", topic, starts)
	}
}
