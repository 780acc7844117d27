package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An agent serves clients: without that role it is a compactor, which needs no address for them.
func TestRolesOfProcesses(t *testing.T) {
	store := []string{"--store", "file://" + t.TempDir()}
	r := wadi(t.Context(), "", append([]string{"agent", "--roles", "compactor", "--listeners", "PLAINTEXT://127.0.0.1:0"}, store...)...)
	require.Equal(t, exitUsage, r.code)
	require.True(t, strings.HasPrefix(r.err, "wadi: roles must hold broker: 'wadi compactor' runs a process that serves no clients\n"), r.err)
	r = wadi(t.Context(), "", append([]string{"agent", "--print-config"}, store...)...)
	require.Equal(t, exitUsage, r.code, "a wildcard address alone")
	r = wadi(t.Context(), "", append([]string{"compactor", "--print-config"}, store...)...)
	require.Equal(t, exitOK, r.code, r.err)
}

// A compactor whose etcd does not answer waits for it, and ends well when it is asked to.
func TestCompactorWaitsForEtcd(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	var out, errs bytes.Buffer
	code := run(ctx, []string{
		"compactor", "--etcd.endpoints", "http://127.0.0.1:1", "--store", "file://" + t.TempDir(), "--http", "",
	}, stdio{in: strings.NewReader(""), out: &out, err: &errs})
	require.Equal(t, exitOK, code, errs.String())
	require.Empty(t, out.String(), "it was never ready")
}
