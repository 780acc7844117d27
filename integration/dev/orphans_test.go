package dev

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"wadi/integration/binary"
	"wadi/internal/layout"
)

// What an agent that was killed had uploaded, and never named, is deleted soon after its session is closed. Records stay,
// and so does what is of a session that nobody has heard of.
func TestOrphansOfAKilledAgentGo(t *testing.T) {
	dir, port := filepath.Join(t.TempDir(), "data"), binary.FreePort(t)
	env := []string{
		"WADI_COMPACTOR_INTERVAL=200ms", "WADI_GC_GRACE=1s", "WADI_INLINE_MAX_BYTES=0", "WADI_FLUSH_INTERVAL=2ms", "WADI_SESSION_TTL=2s",
	}
	p := start(t, dir, port, env...)
	c := client(t, p.address, kgo.ProducerLinger(0))
	const records = 20
	for i := range records {
		require.NoError(t, c.ProduceSync(t.Context(), kgo.StringRecord(fmt.Sprint(i))).FirstErr())
	}
	p.Kill()
	objects := layout.NewObjects("dev", 1)
	at := func(key string) string { return filepath.Join(dir, "objects", filepath.FromSlash(key)) }
	session := flushedBy(t, objects, filepath.Join(dir, "objects"))
	orphans := []string{
		objects.Flush(session, 4711), objects.FlushHedge(session, 1), objects.Merged(session, 4711), objects.Manifest(session, 4712),
	}
	foreign := objects.Flush(session+0x4711, 1)
	for _, key := range append(orphans, foreign) {
		require.NoError(t, os.MkdirAll(filepath.Dir(at(key)), 0o700))
		require.NoError(t, os.WriteFile(at(key), []byte("left behind"), 0o600))
	}
	p = start(t, dir, port, env...)
	for _, key := range orphans {
		require.Eventually(t, func() bool { _, err := os.Stat(at(key)); return os.IsNotExist(err) }, patience, 50*time.Millisecond, key)
	}
	require.FileExists(t, at(foreign))
	values := readAll(t, p.address)
	require.Len(t, values, records)
	for i, v := range values {
		require.Equal(t, fmt.Sprint(i), v)
	}
	require.NoError(t, p.Stop())
	require.NoError(t, os.Remove(at(foreign)))
	code, said, _ := runToEnd(t, nil, "fsck", "--data-dir", dir)
	require.Zero(t, code, said)
	require.Contains(t, said, "0 leftovers")
}

// flushedBy is the session of some flush object in a directory.
func flushedBy(t *testing.T, objects layout.Objects, dir string) (session layout.Session) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if rel, rerr := filepath.Rel(dir, path); err == nil && rerr == nil && !d.IsDir() {
			if name, perr := objects.ParseFlush(filepath.ToSlash(rel)); perr == nil {
				session = name.Session
			}
		}
		return err
	}))
	require.NotZero(t, session)
	return session
}
