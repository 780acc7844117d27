package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
	configs, offsets, status = "connect-configs", "connect-offsets", "connect-status"
	lines                    = "lines"
)

// A worker that begins anew finds in the compacted topics which connectors there are and how far they got: each line goes
// through once, and a connector that was deleted stays so (Semantics line 87).
func TestWorkersLiveOnCompactedTopics(t *testing.T) {
	binary.Need(t, installed())
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	c := cluster.Start(t, cluster.Options{Agents: 2, TTL: time.Minute, Settings: "compactor.interval: 500ms\ngc.grace: 1s\n"})
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addresses()...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	_, err = admin.CreateTopic(ctx, 1, 1, nil, lines)
	require.NoError(t, err)
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	written := 0
	write := func(n int) {
		f, err := os.OpenFile(in, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		for range n {
			_, err = fmt.Fprintf(f, "line %d\n", written)
			require.NoError(t, err)
			written++
		}
		require.NoError(t, f.Close())
	}

	w := start(t, c.Addresses())
	write(1)
	w.put(ctx, t, "source", map[string]string{
		"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "tasks.max": "1", "file": in, "topic": lines,
	})
	w.put(ctx, t, "sink", map[string]string{
		"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max": "1", "file": out, "topics": lines,
	})
	w.put(ctx, t, "doomed", map[string]string{
		"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max": "1", "file": filepath.Join(dir, "other"), "topics": lines,
	})
	for range 10 { // positions are written many times
		write(10)
		arrived(ctx, t, out, written)
		time.Sleep(300 * time.Millisecond)
	}
	w.delete(ctx, t, "doomed")
	write(10)
	arrived(ctx, t, out, written)
	info, err := os.Stat(in)
	require.NoError(t, err)
	until(ctx, t, "the position is written", func() bool {
		list := topic(ctx, t, admin, client, offsets)
		return slices.Contains(list, fmt.Sprintf(`{"position":%d}`, info.Size()))
	})
	settled(ctx, t, admin, client, offsets)
	settled(ctx, t, admin, client, configs)

	w.Kill()
	c.Agents[0].Kill()
	write(20)
	c.Agents[0].Start()
	w = start(t, c.Addresses())
	arrived(ctx, t, out, written)
	require.Equal(t, []string{"sink", "source"}, w.connectors(ctx, t))
	require.Equal(t, want(written), topic(ctx, t, admin, client, lines), "what the source wrote")
	write(20)
	arrived(ctx, t, out, written)
}

// want is the lines that were written.
func want(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("line %d", i))
	}
	return list
}

// arrived waits until all lines are in the sink's file, in order; after a kill some may be there again.
func arrived(ctx context.Context, t *testing.T, file string, n int) {
	t.Helper()
	var got []string
	until(ctx, t, fmt.Sprintf("%d lines", n), func() bool {
		data, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		got = nil
		for line := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n") {
			if !slices.Contains(got, line) {
				got = append(got, line)
			}
		}
		return len(got) >= n
	})
	require.Equal(t, want(n), got)
}

// settled waits until a topic is compacted: of each key at most the last record and the one that ends the log are left, of
// several times as many that were written.
func settled(ctx context.Context, t *testing.T, admin *kadm.Client, client *kgo.Client, name string) {
	t.Helper()
	config, err := admin.DescribeTopicConfigs(ctx, name)
	require.NoError(t, err)
	for _, x := range config[0].Configs {
		if x.Key == "cleanup.policy" {
			require.Equal(t, "compact", *x.Value)
		}
	}
	until(ctx, t, name+" is compacted", func() bool {
		ends, err := admin.ListEndOffsets(ctx, name)
		require.NoError(t, err)
		written := int64(0)
		ends.Each(func(o kadm.ListedOffset) { written += o.Offset })
		left := int64(0)
		keys := map[string]bool{}
		for _, r := range read(ctx, t, admin, client, name) {
			keys[fmt.Sprint(r.Partition, string(r.Key))] = true
			left++
		}
		t.Logf("%s: %d written, %d left of %d keys", name, written, left, len(keys))
		return written > left && left <= int64(len(keys))+1
	})
}

// topic is the values of a topic's records.
func topic(ctx context.Context, t *testing.T, admin *kadm.Client, client *kgo.Client, name string) (list []string) {
	for _, r := range read(ctx, t, admin, client, name) {
		list = append(list, string(r.Value))
	}
	return list
}

// read reads all of a topic.
func read(ctx context.Context, t *testing.T, admin *kadm.Client, client *kgo.Client, name string) (list []*kgo.Record) {
	t.Helper()
	ends, err := admin.ListEndOffsets(ctx, name)
	require.NoError(t, err)
	from, left := map[int32]kgo.Offset{}, 0
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			from[o.Partition] = kgo.NewOffset().At(0)
			left++
		}
	})
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{name: from})
	defer client.PurgeTopicsFromClient(name)
	for left > 0 {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			if end, ok := ends.Lookup(name, r.Partition); ok && r.Topic == name {
				if r.Offset == end.Offset-1 {
					left-- // the last record stays, whatever is compacted
				}
				if r.Offset < end.Offset {
					list = append(list, r)
				}
			}
		})
	}
	return list
}

func until(ctx context.Context, t *testing.T, what string, holds func() bool) {
	t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not after %v", what, time.Since(begin))
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Logf("%s after %.1f s", what, time.Since(begin).Seconds())
}

// libraries is where `task install` lays Connect.
func libraries() string { return filepath.Join(binary.Root(), "integration/connect/java/target/lib") }

func installed() error {
	if _, err := exec.LookPath("java"); err != nil {
		return fmt.Errorf("no Java (go tool task install): %w", err)
	}
	if _, err := os.Stat(libraries()); err != nil {
		return fmt.Errorf("Kafka Connect is not installed (go tool task install): %w", err)
	}
	return nil
}

// worker is a worker of the one Connect cluster.
type worker struct {
	*binary.Process
	url string
}

func start(t *testing.T, servers []string) *worker {
	t.Helper()
	java, err := exec.LookPath("java")
	require.NoError(t, err)
	url := fmt.Sprintf("http://127.0.0.1:%d", binary.FreePort(t))
	text := "bootstrap.servers=" + strings.Join(servers, ",") + "\ngroup.id=connect\nlisteners=" + url + `
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
offset.flush.interval.ms=200
scheduled.rebalance.max.delay.ms=0
session.timeout.ms=6000
heartbeat.interval.ms=1000
consumer.session.timeout.ms=6000
consumer.auto.offset.reset=earliest
plugin.discovery=only_scan
`
	for _, kind := range []string{"config", "offset", "status"} {
		name := map[string]string{"config": configs, "offset": offsets, "status": status}[kind]
		text += fmt.Sprintf("%[1]s.storage.topic=%[2]s\n%[1]s.storage.replication.factor=1\n%[1]s.storage.segment.ms=100\n"+
			"%[1]s.storage.min.cleanable.dirty.ratio=0.01\n", kind, name)
	}
	text += "offset.storage.partitions=5\nstatus.storage.partitions=2\n"
	file := filepath.Join(t.TempDir(), "worker.properties")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	p := binary.Start(t, binary.Spec{
		Name: "Kafka Connect", Path: java, Ready: "Kafka Connect started", Within: 5 * time.Minute,
		Args: []string{"-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.logFile=System.out",
			"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.connect.runtime.Connect=info",
			"-cp", filepath.Join(libraries(), "*"), "org.apache.kafka.connect.cli.ConnectDistributed", file},
	})
	t.Cleanup(p.Kill) // Java exits with 143 after a SIGTERM, which would count as a failure
	t.Logf("the worker runs after %.1f s", p.Started.Seconds())
	return &worker{p, url}
}

// ask sends a request until the worker's cluster is done with what came before.
func (w *worker) ask(ctx context.Context, t *testing.T, method, path string, body any) (answer []byte) {
	t.Helper()
	text, err := json.Marshal(body)
	require.NoError(t, err)
	until(ctx, t, method+" "+path, func() bool {
		r, err := http.NewRequestWithContext(ctx, method, w.url+path, bytes.NewReader(text))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		answer, err = io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode == http.StatusConflict || resp.StatusCode >= 500 {
			return false
		}
		require.Less(t, resp.StatusCode, 300, "%s", answer)
		return true
	})
	return answer
}

func (w *worker) put(ctx context.Context, t *testing.T, name string, config map[string]string) {
	t.Helper()
	w.ask(ctx, t, http.MethodPut, "/connectors/"+name+"/config", config)
}

func (w *worker) delete(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	w.ask(ctx, t, http.MethodDelete, "/connectors/"+name, nil)
}

func (w *worker) connectors(ctx context.Context, t *testing.T) (names []string) {
	t.Helper()
	require.NoError(t, json.Unmarshal(w.ask(ctx, t, http.MethodGet, "/connectors", nil), &names))
	slices.Sort(names)
	return names
}
