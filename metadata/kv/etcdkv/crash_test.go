package etcdkv_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/metadata/kv"
	"wadi/metadata/kv/etcdkv"
)

const crashDir = "ETCDKV_TEST_CRASH_DIR"

// TestCrashChild is the process that TestKilledWriterLosesNothing kills: it writes and tells until its stdin ends.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		t.Skip("started by TestKilledWriterLosesNothing")
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1) // the parent is gone
	}()
	k, err := etcdkv.Embed(t.Context(), dir, etcdkv.EmbedOptions{})
	require.NoError(t, err)
	for i := 0; ; i++ {
		_, err := k.Txn(t.Context(), kv.Txn{Then: []kv.Op{kv.Put(fmt.Sprintf("k%06d", i), nil, 0)}})
		require.NoError(t, err)
		fmt.Printf("wrote %d\n", i)
	}
}

func TestKilledWriterLosesNothing(t *testing.T) {
	dir := t.TempDir()
	written := 0
	for range 2 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrashChild$")
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		defer stdin.Close()
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(stdout)
		written = 0
		for n := 0; lines.Scan(); {
			if _, err := fmt.Sscanf(lines.Text(), "wrote %d", &n); err == nil {
				written = n + 1
			}
			if written >= 100 {
				break
			}
		}
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		require.GreaterOrEqual(t, written, 100)
	}
	k := embedded(t, dir)
	r, err := k.Range(t.Context(), kv.RangeRequest{Key: "k", End: "l", CountOnly: true})
	require.NoError(t, err)
	require.GreaterOrEqual(t, r.Count, int64(written))
}

// An embedded etcd is nobody else's: the process listens no more than before.
func TestEmbedListensNowhere(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	before := listening(t)
	embedded(t, t.TempDir())
	require.Equal(t, before, listening(t))
}

// listening counts this process's listening sockets: TCP state 0A, and unix sockets flagged as accepting.
func listening(t *testing.T) (n int) {
	t.Helper()
	mine := map[string]bool{}
	fds, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, fd := range fds {
		if link, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(link, "socket:[") {
			mine[strings.Trim(link, "socket:[]")] = true
		}
	}
	for _, table := range []struct {
		path          string
		state, marker int
		listens       string
	}{
		{"/proc/self/net/tcp", 3, 9, "0A"}, {"/proc/self/net/tcp6", 3, 9, "0A"}, {"/proc/self/net/unix", 3, 6, "00010000"},
	} {
		b, err := os.ReadFile(table.path)
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) > table.marker && f[table.state] == table.listens && mine[f[table.marker]] {
				n++
			}
		}
	}
	return n
}
