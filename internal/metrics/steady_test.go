package metrics

import (
	"context"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
	"wadi/objstore/steady"
)

// Every request is counted, also those that a steady store adds, and what it adds has counters of its own.
func TestSteadyCounts(t *testing.T) {
	reg := prometheus.NewRegistry()
	set, err := New(reg)
	require.NoError(t, err)
	f := fault.New(mem.New())
	f.Script(fault.Fault{Op: fault.Put, Key: "again", Do: fault.FailBefore(nil)})
	f.Script(fault.Fault{Op: fault.Put, Key: "first", Do: fault.HangBefore()})
	f.Script(fault.Fault{Op: fault.Delete, Times: 3, Do: fault.FailBefore(nil)})
	cfg := steady.ForS3()
	cfg.Pause, cfg.Hedge.Initial, cfg.RetryBurst, cfg.RetryShare = 1, 1, 2, 0.01
	cfg.Observe = set.Steady()
	s := steady.New(Store(f, set), cfg)
	ctx := context.Background()
	require.NoError(t, s.Put(ctx, "again", objstore.NewBody(nil)))
	key, err := s.PutEither(ctx, "first", "second", objstore.NewBody(nil))
	require.NoError(t, err)
	require.Equal(t, "second", key)
	require.ErrorIs(t, s.Delete(ctx, []string{"again"}), steady.ErrBudget)
	require.Equal(t, strings.TrimSpace(`
wadi_object_bytes_total{op="get"} 0
wadi_object_bytes_total{op="put"} 0
wadi_object_hedges_total{op="put"} 1
wadi_object_hedges_won_total{op="put"} 1
wadi_object_limit{op="get"} 128
wadi_object_limit{op="put"} 128
wadi_object_requests_total{code="canceled",op="put"} 1
wadi_object_requests_total{code="error",op="delete"} 2
wadi_object_requests_total{code="error",op="put"} 1
wadi_object_requests_total{code="ok",op="put"} 2
wadi_object_retries_refused_total{op="put"} 1
wadi_object_retries_total{op="put"} 2
`), series(reg, "wadi_object_"))
}
