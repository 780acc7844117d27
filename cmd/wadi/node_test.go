package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/internal/config"
	"wadi/internal/listen"
)

// fakeAgent is an agent that a test leads through its life.
type fakeAgent struct {
	ready   chan struct{}
	fail    chan error    // ends Run
	drained chan struct{} // lets Run return after its ctx has ended
}

func newFakeAgent() *fakeAgent {
	return &fakeAgent{ready: make(chan struct{}), fail: make(chan error, 1), drained: make(chan struct{})}
}

func (f *fakeAgent) Run(ctx context.Context) error {
	select {
	case err := <-f.fail:
		return err
	case <-ctx.Done():
	}
	<-f.drained
	return nil
}

func (f *fakeAgent) Ready() <-chan struct{} { return f.ready }

func (f *fakeAgent) Health() (bool, string) {
	select {
	case <-f.ready:
		return true, ""
	default:
		return false, "starting"
	}
}

func (f *fakeAgent) Debug() map[string]http.Handler { return nil }

// fakeNode is a node with real sockets and a fake agent.
func fakeNode(t *testing.T) (*node, *fakeAgent) {
	t.Helper()
	e, err := listen.Loopback(t.Context(), 0)
	require.NoError(t, err)
	n, err := newNode(t.Context(), config.Config{HTTP: "127.0.0.1:0"}, []listen.Endpoint{e}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(n.close)
	require.Equal(t, n.http.Addr().String(), n.config.HTTP)
	agent := newFakeAgent()
	n.agent = agent
	return n, agent
}

func get(t *testing.T, n *node, path string) string {
	t.Helper()
	answer, err := http.Get("http://" + n.http.Addr().String() + path)
	require.NoError(t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return string(body)
}

// ready is told once, when all agents are. A signal drains all; the operations endpoints answer until that is done.
func TestServe(t *testing.T) {
	n1, a1 := fakeNode(t)
	n2, a2 := fakeNode(t)
	ctx, signal := context.WithCancel(t.Context())
	defer signal()
	told := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, []*node{n1, n2}, func() error { close(told); return nil })
	}()
	close(a1.ready)
	require.Equal(t, "ready\n", get(t, n1, "/readyz"))
	require.Equal(t, "not ready: starting\n", get(t, n2, "/readyz"))
	require.Contains(t, get(t, n2, "/metrics"), "wadi_journal_appends_total 0")
	select {
	case <-told:
		t.Fatal("ready before the second agent")
	default:
	}
	close(a2.ready)
	<-told
	signal()
	close(a1.drained)
	require.Equal(t, "ok\n", get(t, n2, "/healthz"))
	select {
	case err := <-ended:
		t.Fatalf("ended before the drain: %v", err)
	default:
	}
	close(a2.drained)
	require.NoError(t, <-ended)
	_, err := http.Get("http://" + n2.http.Addr().String() + "/healthz")
	require.Error(t, err)
}

// One agent that fails takes the process down, after the other has drained.
func TestServeFailure(t *testing.T) {
	n1, a1 := fakeNode(t)
	n2, a2 := fakeNode(t)
	close(a1.drained)
	lost := errors.New("the state cannot be applied")
	a2.fail <- lost
	err := serve(t.Context(), []*node{n1, n2}, func() error {
		t.Error("told ready")
		return nil
	})
	require.ErrorIs(t, err, lost)
}

// A drain that hangs does not keep the process.
func TestServeBoundsTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent := newFakeAgent()
		n := &node{agent: agent}
		ctx, signal := context.WithCancel(t.Context())
		start := time.Now()
		time.AfterFunc(time.Second, signal)
		close(agent.ready)
		err := serve(ctx, []*node{n}, func() error { return nil })
		require.ErrorContains(t, err, "the drain did not end within 1m0s")
		require.Equal(t, time.Second+drainLimit, time.Since(start))
		close(agent.drained)
	})
}

func TestReadyLine(t *testing.T) {
	at := func(port uint16) *node {
		return &node{endpoints: []listen.Endpoint{{Advertised: config.Listener{Host: "localhost", Port: port}}}}
	}
	var out bytes.Buffer
	a := &app{stdio: stdio{out: &out}, output: outputText}
	require.NoError(t, a.printReady([]*node{at(9092)}))
	require.Equal(t, "ready localhost:9092\n"+
		"echo hello | kcat -P -b localhost:9092 -t greetings\n"+
		`python3 -c "from confluent_kafka import Producer as P; p = P({'bootstrap.servers': 'localhost:9092'}); p.produce('greetings', b'hello'); p.flush()"`+"\n"+
		"wadi consume --bootstrap-server localhost:9092 --topic greetings --from-beginning\n", out.String())

	out.Reset()
	a.output = outputJSON
	require.NoError(t, a.printReady([]*node{at(9092), at(9093), at(9094)}))
	var line readyLine
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, "localhost:9092,localhost:9093,localhost:9094", line.Address)
	require.True(t, line.Ready)
	require.Len(t, line.Commands, 3)
	require.Equal(t, 1, strings.Count(out.String(), "\n"))
}
