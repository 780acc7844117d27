package dev

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/integration/binary"
	"wadi/internal/busy"
)

// `dev` is ready within 3 s of the start of the binary, on a new directory and on one that was killed. The fastest of a
// few starts counts, without what the machine kept everybody waiting for: a busy machine proves nothing.
func TestReadySoon(t *testing.T) {
	const limit = 3 * time.Second
	dir := filepath.Join(t.TempDir(), "data")
	took := func(dir string) time.Duration {
		waited := busy.Since()
		s := start(t, dir, binary.FreePort(t))
		defer s.Kill()
		return max(0, s.Started-waited())
	}
	fresh, again := time.Hour, time.Hour
	for range 10 {
		fresh = min(fresh, took(filepath.Join(t.TempDir(), "data")))
		again = min(again, took(dir))
		if max(fresh, again) <= limit {
			break
		}
	}
	require.LessOrEqual(t, fresh, limit)
	require.LessOrEqual(t, again, limit)
	t.Logf("ready after %v", fresh)
}

// What is in the way is said in one sentence that names it and what to do, with the exit code of docs/cli.md; nothing is
// printed as if it were a result. Regression R17: two processes on one directory. Regression R7: nothing is replaced by
// memory without a word.
func TestOneSentence(t *testing.T) {
	used := start(t, filepath.Join(t.TempDir(), "data"), binary.FreePort(t))
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	free := fmt.Sprintf("127.0.0.1:%d", binary.FreePort(t))
	for _, c := range []struct {
		name string
		env  []string
		args []string
		code int
		want string
	}{
		{"port in use", nil, []string{"--listen", used.address, "--data-dir", filepath.Join(t.TempDir(), "d")}, 1,
			used.address + " is already in use: stop what listens there or set --listen to another"},
		{"operations port in use", nil,
			[]string{"--listen", free, "--data-dir", filepath.Join(t.TempDir(), "d"), "--http", used.address}, 1,
			used.address + " is already in use: stop what listens there or set --http to another"},
		{"locked directory", nil, []string{"--listen", free, "--data-dir", used.dir}, 1,
			used.dir + " is in use by another process: stop it or choose another directory with --data-dir"},
		{"directory is a file", nil, []string{"--listen", free, "--data-dir", file}, 1, file},
		{"no such service", []string{"AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x", "AWS_REGION=x"},
			[]string{"--listen", free, "--data-dir", filepath.Join(t.TempDir(), "d"), "--store", "s3://bucket/p?endpoint=http://127.0.0.1:1"},
			1, "cannot be opened"},
		{"bad variable", []string{"WADI_FLUSH_BYTES=many"}, []string{"--listen", free, "--data-dir", filepath.Join(t.TempDir(), "d")}, 2,
			"WADI_FLUSH_BYTES"},
		{"unknown variable", []string{"WADI_FLUSH_BITES=1MiB"}, []string{"--listen", free, "--data-dir", filepath.Join(t.TempDir(), "d")}, 2,
			"WADI_FLUSH_BYTES"}, // what was meant
		{"bad address", nil, []string{"--listen", "nowhere", "--data-dir", filepath.Join(t.TempDir(), "d")}, 2, "--listen"},
		{"bad store", nil, []string{"--listen", free, "--store", "ftp://x", "--data-dir", filepath.Join(t.TempDir(), "d")}, 2, "ftp"},
		{"bad number", nil, []string{"--listen", free, "--agents", "0", "--data-dir", filepath.Join(t.TempDir(), "d")}, 2, "--agents 0"},
		{"unknown flag", nil, []string{"--lisen", free}, 2, "--lisen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"dev"}, c.args...)
			if !strings.Contains(strings.Join(args, " "), "--http") {
				args = append(args, "--http", "")
			}
			code, out, errs := runToEnd(t, c.env, args...)
			require.Equal(t, c.code, code, errs)
			require.Empty(t, out)
			said := lines(errs)
			require.True(t, strings.HasPrefix(said[0], "wadi: "), errs)
			require.Contains(t, said[0], c.want)
			if c.code == 1 {
				require.Len(t, said, 1, errs)
			} else {
				require.Len(t, said, 2, errs)
				require.Equal(t, "Run 'wadi dev --help' for the usage.", said[1])
			}
		})
	}
	require.NoError(t, used.Stop(), "the one that had port and directory was not disturbed")
}

// Regression R7, and liveness L4: an agent whose etcd does not answer neither serves nor gives up; it says why.
func TestNoEtcdNoService(t *testing.T) {
	at, ops := binary.FreePort(t), binary.FreePort(t)
	p := binary.Start(t, binary.Spec{
		Name: "wadi agent", Path: binary.Path(t), Dir: t.TempDir(),
		Args: []string{
			"agent", "--etcd.endpoints", "http://127.0.0.1:1", "--store", "file://" + t.TempDir(),
			"--listeners", fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", at), "--http", fmt.Sprintf("127.0.0.1:%d", ops),
		},
	})
	ask := func(path string) (int, string) {
		answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", ops, path))
		if err != nil {
			return 0, err.Error()
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, string(body)
	}
	require.Eventually(t, func() bool {
		code, body := ask("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "etcd")
	}, patience, 50*time.Millisecond, "the last output: %s", p.Output())
	code, _ := ask("/healthz")
	require.Equal(t, http.StatusOK, code)
	require.NotContains(t, p.Output(), "\nready ")
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", at)); err == nil { // bound, for the port is taken; not served
		_, err = c.Write([]byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff}) // ApiVersions
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Second)))
		n, err := c.Read(make([]byte, 1))
		require.Error(t, err, "%d bytes of an answer", n)
		require.NoError(t, c.Close())
	}
	require.NoError(t, p.Stop())
}
