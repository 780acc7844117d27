package dev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"wadi/integration/binary"
)

func TestMain(m *testing.M) {
	code := m.Run()
	binary.Cleanup()
	os.Exit(code)
}

// server is a running `wadi dev`.
type server struct {
	*binary.Process
	address string
	dir     string
}

// start runs `wadi dev` on a data directory and a port, without an operations endpoint.
func start(t *testing.T, dir string, port int, env ...string) server {
	t.Helper()
	return startWatched(t, dir, port, "", env...)
}

// startWatched runs it with an operations endpoint.
func startWatched(t *testing.T, dir string, port int, operations string, env ...string) server {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	p := binary.Start(t, binary.Spec{
		Name: "wadi dev", Path: binary.Path(t), Ready: "ready", Dir: t.TempDir(), Env: env,
		Args: []string{"dev", "--listen", address, "--data-dir", dir, "--http", operations},
	})
	return server{p, address, dir}
}

func client(t *testing.T, address string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(address), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
	}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// patience bounds what is not measured.
const patience = 4 * time.Minute

// readAll reads partition 0 of topic t from offset 0 to its end and checks that no offset is left out.
func readAll(t *testing.T, address string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := client(t, address)
	ends, err := kadm.NewClient(c).ListEndOffsets(ctx, "t")
	require.NoError(t, err)
	require.NoError(t, ends.Error())
	end, _ := ends.Lookup("t", 0)
	c.AddConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().At(0)}})
	var values []string
	for int64(len(values)) < end.Offset {
		fetches := c.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			require.Equal(t, int64(len(values)), r.Offset)
			values = append(values, string(r.Value))
		})
	}
	return values
}

// runToEnd runs the binary, which is expected to end soon, and returns its exit code and what it said.
func runToEnd(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary.Path(t), args...)
	cmd.Env, cmd.Dir = append(binary.Environ(), env...), t.TempDir()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	require.NoError(t, ctx.Err(), "still running: %s%s", &out, &errs)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// lines are those of a text, without the last newline.
func lines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }
