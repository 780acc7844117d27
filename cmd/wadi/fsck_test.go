package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/internal/datadir"
	"wadi/internal/layout"
	"wadi/metadata/fsck"
)

// fsckRun runs the command.
func fsckRun(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e syncBuffer
	a := &app{stdio: stdio{in: strings.NewReader(""), out: &o, err: &e}}
	code = a.run(t.Context(), append([]string{"fsck"}, args...))
	return code, o.String(), e.String()
}

// devData is a dev directory with records in it, and nobody using it.
func devData(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	var out, errs syncBuffer
	a := &app{stdio: stdio{in: strings.NewReader(""), out: &out, err: &errs, environ: []string{"WADI_INLINE_MAX_BYTES=0", "WADI_SESSION_TTL=1m"}}}
	a.newAgent = newAgent
	ctx, signal := context.WithCancel(t.Context())
	defer signal()
	ended := make(chan int, 1)
	go func() {
		ended <- a.run(ctx, []string{"dev", "--data-dir", dir, "--listen", "127.0.0.1:0", "--http", ""})
	}()
	require.Eventually(t, func() bool { return strings.HasSuffix(out.String(), "--from-beginning\n") }, time.Minute,
		5*time.Millisecond, errs.String())
	address := strings.TrimPrefix(strings.Split(out.String(), "\n")[0], "ready ")
	p := &app{stdio: stdio{in: strings.NewReader("one\ntwo\n"), out: &syncBuffer{}, err: &errs}}
	require.Equal(t, exitOK, p.run(t.Context(), []string{"produce", "--bootstrap-server", address, "--topic", "t"}), errs.String())
	signal()
	require.Equal(t, exitOK, <-ended, errs.String())
	return dir
}

func TestFsckDataDir(t *testing.T) {
	dir := devData(t)
	code, out, errs := fsckRun(t, "--data-dir", dir)
	require.Equal(t, exitOK, code, out+errs)
	require.Contains(t, out, "1 topics, 1 partitions, 2 records")
	require.True(t, strings.HasSuffix(out, "clean: 0 findings, 0 leftovers\n"), out)
	require.Empty(t, errs)

	var segment string
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, "objects"), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".seg") {
			segment = path
		}
		return err
	}))
	data, err := os.ReadFile(segment)
	require.NoError(t, err)
	data[50] ^= 1
	require.NoError(t, os.Chmod(segment, 0o644))
	require.NoError(t, os.WriteFile(segment, data, 0o644))

	code, out, errs = fsckRun(t, "--data-dir", dir)
	require.Equal(t, exitFailed, code, out)
	require.Contains(t, out, "FINDING lost-records t-0: offsets 0 to 1")
	require.Contains(t, errs, "the check has findings")
	code, out, _ = fsckRun(t, "--data-dir", dir, "--output", "json")
	require.Equal(t, exitFailed, code)
	var report fsck.Report
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Equal(t, int64(2), report.Counts.Records)
	require.Len(t, report.Findings, 2)
}

// A repair deletes what a forgotten session left behind more than a day ago, and says so; a dry run says so alone.
func TestFsckRepair(t *testing.T) {
	dir := devData(t)
	key := layout.NewObjects("dev", 1).Merged(12345, 1)
	orphan := filepath.Join(dir, "objects", filepath.FromSlash(key))
	require.NoError(t, os.MkdirAll(filepath.Dir(orphan), 0o755))
	require.NoError(t, os.WriteFile(orphan, []byte("x"), 0o644))
	old := time.Now().Add(-25 * time.Hour)
	require.NoError(t, os.Chtimes(orphan, old, old))

	upload := layout.NewObjects("dev", 1).Checkpoint(layout.Base, 1<<40, sessionIn(t, dir), 0)
	leftover := filepath.Join(dir, "objects", filepath.FromSlash(upload))
	require.NoError(t, os.MkdirAll(filepath.Dir(leftover), 0o755))
	require.NoError(t, os.WriteFile(leftover, []byte("xy"), 0o644))

	code, out, errs := fsckRun(t, "--data-dir", dir)
	require.Equal(t, exitFailed, code, errs)
	require.Contains(t, out, "FINDING unknown-session "+key)
	require.Regexp(t, `(?m)^leftover checkpoint-leftover: 1 object, 2 B, the oldest \d+s old$`, out)
	require.NotContains(t, out, upload)
	_, out, _ = fsckRun(t, "--data-dir", dir, "--verbose")
	require.Contains(t, out, "leftover checkpoint-leftover "+upload+": 2 bytes, ")
	code, out, errs = fsckRun(t, "--data-dir", dir, "--repair", "--dry-run")
	require.Equal(t, exitFailed, code, errs)
	require.Contains(t, out, "would delete unknown-session "+key)
	require.FileExists(t, orphan)
	code, out, errs = fsckRun(t, "--data-dir", dir, "--repair")
	require.Equal(t, exitOK, code, out+errs)
	require.Contains(t, out, "\ndeleted unknown-session "+key)
	require.Contains(t, out, "clean: 0 findings")
	require.NoFileExists(t, orphan)
}

// sessionIn is a session that wrote objects in a data directory.
func sessionIn(t *testing.T, dir string) layout.Session {
	t.Helper()
	var session layout.Session
	root := filepath.Join(dir, "objects")
	require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if key, bad := filepath.Rel(root, path); bad == nil {
			if name, bad := layout.NewObjects("dev", 1).ParseFlush(filepath.ToSlash(key)); bad == nil {
				session = name.Session
			}
		}
		return err
	}))
	require.NotZero(t, session)
	return session
}

func TestFsckSaysWhatIsInTheWay(t *testing.T) {
	used := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(used, "etcd"), 0o755))
	lock, err := datadir.Open(used)
	require.NoError(t, err)
	defer lock.Close()
	code, _, errs := fsckRun(t, "--data-dir", used)
	require.Equal(t, exitFailed, code)
	require.Equal(t, "wadi: data directory "+used+" is in use by another process: stop the 'wadi dev' that runs there first\n", errs)

	none := filepath.Join(t.TempDir(), "none")
	code, _, errs = fsckRun(t, "--data-dir", none)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, none+" is not a data directory of 'wadi dev'")
	require.NoDirExists(t, none)

	code, _, errs = fsckRun(t)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "store (default): must be set")

	if testing.Short() {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // taken, and nothing that speaks etcd's protocol
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var o, e syncBuffer
	a := &app{stdio: stdio{in: strings.NewReader(""), out: &o, err: &e}}
	code = a.run(ctx, []string{"fsck", "--cluster", "c", "--etcd.endpoints", "http://" + l.Addr().String(), "--store", "file://" + t.TempDir()})
	require.Equal(t, exitFailed, code)
	require.Contains(t, e.String(), "cluster c cannot be checked")
}
