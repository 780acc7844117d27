package main

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/internal/datadir"
	"wadi/metadata/kv"
	"wadi/objstore"
)

// storingAgent is an agent that stores what tells one start from another and serves nobody.
type storingAgent struct {
	*fakeAgent
	parts agentParts
	found chan bool // whether an earlier start had stored it
}

func (s *storingAgent) Run(ctx context.Context) error {
	found, err := s.store(ctx)
	if err != nil {
		return err
	}
	s.found <- found
	close(s.ready)
	<-ctx.Done()
	return nil
}

func (s *storingAgent) store(ctx context.Context) (bool, error) {
	const key = "dev/here"
	was, err := s.parts.KV.Range(ctx, kv.RangeRequest{Key: key})
	if err != nil {
		return false, err
	}
	if _, err := s.parts.KV.Txn(ctx, kv.Txn{Then: []kv.Op{kv.Put(key, []byte("x"), 0)}}); err != nil {
		return false, err
	}
	return len(was.KVs) > 0, s.parts.Store.Put(ctx, key, objstore.NewBody([]byte("x")))
}

// dev from start to signal, twice on one directory: quiet, ready, drained with exit code 0, and everything still there.
func TestDevRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for _, wantFound := range []bool{false, true} {
		agents := make(chan *storingAgent, 1)
		var out, errs syncBuffer
		a := &app{stdio: stdio{in: strings.NewReader(""), out: &out, err: &errs}}
		a.newAgent = func(p agentParts) (agentProcess, error) {
			s := &storingAgent{fakeAgent: newFakeAgent(), parts: p, found: make(chan bool, 1)}
			agents <- s
			return s, nil
		}
		ctx, signal := context.WithCancel(t.Context())
		defer signal()
		ended := make(chan int, 1)
		go func() {
			ended <- a.run(ctx, []string{"dev", "--data-dir", dir, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"})
		}()
		var agent *storingAgent
		select {
		case agent = <-agents:
		case code := <-ended:
			t.Fatalf("exit %d: %s", code, errs.String())
		}
		require.Equal(t, wantFound, <-agent.found)
		require.Eventually(t, func() bool { return strings.HasSuffix(out.String(), "--from-beginning\n") }, time.Minute, 5*time.Millisecond)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		require.Len(t, lines, 4)
		require.Equal(t, "ready "+agent.parts.Endpoints[0].Advertised.Address(), lines[0])

		answer, err := http.Get("http://" + agent.parts.Config.HTTP + "/metrics")
		require.NoError(t, err)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Contains(t, string(body), `wadi_object_requests_total{code="ok",op="put"} 1`)

		_, err = datadir.Open(dir)
		require.ErrorIs(t, err, datadir.ErrLocked)
		signal()
		require.Equal(t, exitOK, <-ended, errs.String())
		require.Empty(t, errs.String(), "etcd speaks")
	}
	d, err := datadir.Open(dir)
	require.NoError(t, err)
	require.NoError(t, d.Close())
	require.FileExists(t, d.Sub("objects/dev/here"))
}

// A signal while etcd starts ends the process as well as any other.
func TestDevSignalDuringStart(t *testing.T) {
	ctx, signal := context.WithCancel(t.Context())
	signal()
	var out, errs syncBuffer
	a := &app{stdio: stdio{in: strings.NewReader(""), out: &out, err: &errs}}
	a.newAgent = func(agentParts) (agentProcess, error) { return newFakeAgent(), nil }
	code := a.run(ctx, []string{"dev", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--http", ""})
	require.Equal(t, exitOK, code, errs.String())
	require.Empty(t, out.String())
}
