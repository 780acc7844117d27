package dev

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"wadi/integration/binary"
	"wadi/integration/cluster"
)

// The agents of `wadi dev` share the compactor's work: what they flushed is merged without anybody asking, and every record
// stays where it is.
func TestDevMerges(t *testing.T) {
	port, http := binary.FreePort(t), binary.FreePort(t)
	p := binary.Start(t, binary.Spec{
		Name: "wadi dev", Path: binary.Path(t), Ready: "ready", Dir: t.TempDir(),
		Env: []string{
			"WADI_COMPACTOR_INTERVAL=300ms", "WADI_INLINE_MAX_BYTES=0", "WADI_FLUSH_INTERVAL=2ms", binary.LongSession,
		},
		Args: []string{
			"dev", "--listen", fmt.Sprintf("127.0.0.1:%d", port), "--http", fmt.Sprintf("127.0.0.1:%d", http),
			"--data-dir", filepath.Join(t.TempDir(), "data"),
		},
	})
	address, operations := fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", http)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c := client(t, address, kgo.ProducerLinger(0))
	const records = 130
	for i := range records {
		require.NoError(t, c.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint(i))).FirstErr())
	}
	metric := func(prefix string) float64 { return cluster.Metric(operations, prefix) }
	for metric(`wadi_compactor_changes_total{outcome="applied",task="merge"}`) == 0 || metric("wadi_unmerged_objects ") >= 96 {
		require.NoError(t, ctx.Err(), "not merged: %v objects wait", metric("wadi_unmerged_objects "))
		time.Sleep(50 * time.Millisecond)
	}
	require.Equal(t, 16.0, metric("wadi_compactor_shards "))
	require.NoError(t, cluster.Failures(metric("wadi_compactor_failures_total"), p.Output()))
	require.Positive(t, metric(`wadi_compactor_written_bytes_total{task="merge"}`))
	require.Positive(t, metric("wadi_compactor_runs_replaced_total"))
	values := readAll(t, address)
	require.Len(t, values, records)
	for i, v := range values {
		require.Equal(t, fmt.Sprint(i), v)
	}
	require.NoError(t, p.Stop())
}
