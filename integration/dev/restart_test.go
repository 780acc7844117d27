package dev

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/binary"
	"wadi/integration/child"
	"wadi/integration/etcd"
)

// nodes are the brokers that an address tells of, as "id@port".
func nodes(t *testing.T, address string) (list []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client(t, address))
	require.NoError(t, err)
	for _, b := range m.Brokers {
		list = append(list, fmt.Sprintf("%d@%d", b.NodeID, b.Port))
	}
	return list
}

// come waits until an address tells of these nodes: an agent learns of others in its own time.
func come(t *testing.T, address string, want []string, what string) {
	t.Helper()
	var got []string
	for limit := time.Now().Add(patience); !slices.Equal(want, got); time.Sleep(20 * time.Millisecond) {
		if got = nodes(t, address); time.Now().After(limit) {
			require.Equal(t, want, got, what)
		}
	}
}

// flow is a KafkaJS producer and a KafkaJS consumer at work.
type flow struct {
	t          *testing.T
	lines      chan string
	stdin      io.Closer
	sent, read []int
}

func startFlow(t *testing.T, address, topic string) *flow {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		binary.Need(t, fmt.Errorf("no Node.js (go tool task install): %w", err))
	}
	programs := filepath.Join(binary.Root(), "integration", "clients", "js")
	if _, err := os.Stat(filepath.Join(programs, "node_modules", "kafkajs")); err != nil {
		binary.Need(t, fmt.Errorf("KafkaJS is not installed (go tool task install): %w", err))
	}
	cmd := exec.Command(node, filepath.Join(programs, "flow.js"), address, topic)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	said := &bytes.Buffer{}
	cmd.Stderr = said
	require.NoError(t, child.Start(cmd))
	f := &flow{t: t, lines: make(chan string, 100), stdin: in}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(f.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case f.lines <- s.Text():
			case <-t.Context().Done():
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("KafkaJS said:\n%s", said)
		}
	})
	return f
}

// until follows what the clients do until done says so.
func (f *flow) until(what string, done func() bool) {
	f.t.Helper()
	for limit := time.After(2 * patience); !done(); {
		select {
		case line, ok := <-f.lines:
			require.True(f.t, ok, "KafkaJS ended before %s", what)
			f.take(line)
		case <-limit:
			f.t.Fatalf("not in time: %s; %d sent, %d read", what, len(f.sent), len(f.read))
		}
	}
}

func (f *flow) take(line string) {
	var said struct{ Sent, Read *int }
	require.NoError(f.t, json.Unmarshal([]byte(line), &said))
	if said.Sent != nil {
		f.sent = append(f.sent, *said.Sent)
	}
	if said.Read != nil {
		f.read = append(f.read, *said.Read)
	}
}

// goesOn waits until both of them have done more after what has just happened, and returns how long that took.
func (f *flow) goesOn() time.Duration {
	f.t.Helper()
	for len(f.lines) > 0 {
		f.take(<-f.lines)
	}
	begin, sent := time.Now(), f.sent[len(f.sent)-1]
	f.until("they go on", func() bool {
		return f.sent[len(f.sent)-1] > sent+5 && f.read[len(f.read)-1] > sent+5
	})
	return time.Since(begin)
}

// end stops the producer and checks that each number was stored once, in order; a consumer may read one again.
func (f *flow) end() {
	f.t.Helper()
	require.NoError(f.t, f.stdin.Close())
	for line := range f.lines {
		f.take(line)
	}
	for i, n := range f.sent {
		require.Equal(f.t, i, n)
	}
	next := 0
	for _, n := range f.read {
		require.LessOrEqual(f.t, n, next, "left out")
		next = max(next, n+1)
	}
}

// Who kills `dev` and starts it again has the same nodes at the same addresses as soon as it is ready, no others, and
// clients that go on by themselves. KafkaJS keeps its connections by node id, and looks at the metadata anew after minutes.
func TestKilledComesBack(t *testing.T) {
	dir, port := filepath.Join(t.TempDir(), "data"), binary.FreePort(t)
	s := start(t, dir, port)
	require.Equal(t, []string{fmt.Sprintf("0@%d", port)}, nodes(t, s.address))
	require.NoError(t, client(t, s.address).ProduceSync(t.Context(), &kgo.Record{Topic: "flow", Value: []byte("0")}).FirstErr())
	f := startFlow(t, s.address, "flow")
	f.until("the clients are at work", func() bool { return len(f.sent) > 5 && len(f.read) > 5 })
	for range 2 {
		s.Kill()
		s = start(t, dir, port)
		require.Equal(t, []string{fmt.Sprintf("0@%d", port)}, nodes(t, s.address))
		t.Logf("KafkaJS goes on %v after the ready line", f.goesOn())
	}
	f.end()
	require.NoError(t, s.Stop())
}

// The same with several agents in the process.
func TestAllKilledComeBack(t *testing.T) {
	dir, port := filepath.Join(t.TempDir(), "data"), binary.FreePorts(t, 3)
	run := func() *binary.Process {
		return binary.Start(t, binary.Spec{
			Name: "wadi dev", Path: binary.Path(t), Ready: "ready", Dir: t.TempDir(),
			Args: []string{"dev", "--listen", fmt.Sprintf("127.0.0.1:%d", port), "--data-dir", dir, "--http", "", "--agents", "3"},
		})
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	p := run()
	want := nodes(t, address)
	require.Len(t, want, 3)
	p.Kill()
	p = run()
	require.Equal(t, want, nodes(t, address))
	require.NoError(t, p.Stop())
}

// An agent that is killed and restarted in place, as by systemd or within its pod, is the same node at once, although its
// lease lasts for a minute: it holds what only one process at a time can hold there. Another agent that was given the same
// advertised address takes nothing from it, whichever of them is restarted; it says what is wrong.
func TestAgentComesBackToItsPlace(t *testing.T) {
	metadata, store := etcd.Start(t, etcd.Options{}), "file://"+t.TempDir()
	port, otherPort := binary.FreePort(t), binary.FreePort(t)
	run := func(name string, at int) *binary.Process {
		return binary.Start(t, binary.Spec{
			Name: name, Path: binary.Path(t), Ready: "ready", Dir: t.TempDir(),
			Args: []string{
				"agent", "--etcd.endpoints", metadata.Endpoint(), "--store", store, "--session.ttl", "1m", "--http", "",
				"--listeners", fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", at),
				"--advertised.listeners", fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", port),
			},
		})
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	a := run("an agent", port)
	c := client(t, address, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	produce := func(value string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		require.NoError(t, c.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr())
		require.Equal(t, value, string(c.PollFetches(ctx).Records()[0].Value))
	}
	produce("before")
	only := []string{fmt.Sprintf("0@%d", port)}
	require.Equal(t, only, nodes(t, address))
	a.Kill()
	a = run("the agent again", port)
	require.Equal(t, only, nodes(t, address))
	produce("after")

	b := run("an agent with that address", otherPort)
	require.Contains(t, b.Output(), "another session is at this agent's address")
	require.Contains(t, b.Output(), "another process on this machine is at this place")
	both := []string{fmt.Sprintf("0@%d", port), fmt.Sprintf("1@%d", port)}
	come(t, address, both, "the other one")
	b.Kill()
	b = run("that agent again", otherPort)
	come(t, address, append(both, fmt.Sprintf("2@%d", port)), "one more, as what was there may live")
	require.NotContains(t, a.Output(), "session lost")
	require.NoError(t, b.Stop())
	require.NoError(t, a.Stop())
}
