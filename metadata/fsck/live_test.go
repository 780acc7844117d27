package fsck_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/compactor"
	"wadi/internal/config"
	"wadi/internal/layout"
	"wadi/metadata/checkpoint"
	"wadi/metadata/fsck"
	"wadi/metadata/kv/memkv"
	"wadi/metadata/member"
	"wadi/objstore/mem"
)

// A check beside a cluster at work, in which everything is merged and collected as fast as it can be, finds nothing.
func TestLiveCluster(t *testing.T) {
	f := fixture{kv: memkv.New(memkv.Config{}), store: mem.New(), keys: layout.NewObjects(cluster, 1)}
	produce, stop := f.agent(t, func(l *checkpoint.Limits) { l.Interval = 100 * time.Millisecond }, func(c config.Config) func(*member.Member) func(context.Context) error {
		return func(m *member.Member) func(context.Context) error {
			return compactor.New(compactor.For(m, c.Compactor)).Run
		}
	}, config.Given{Key: "compactor.interval", Value: "100ms"}, config.Given{Key: "gc.grace", Value: "1s"})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	checks := make(chan *fsck.Report, 1000)
	ended := make(chan error, 1)
	go func() {
		var err error
		pace := time.NewTicker(20 * time.Millisecond) // leaves the machine to the others
		defer pace.Stop()
		for ; err == nil && ctx.Err() == nil; <-pace.C {
			var r *fsck.Report
			// Not ctx: a check that is under way shall end.
			if r, err = fsck.Run(t.Context(), fsck.Options{KV: f.kv.Client(), Store: f.store, Cluster: cluster}); err == nil {
				checks <- r
			}
		}
		close(checks)
		ended <- err
	}()
	n := 0
	for ; ctx.Err() == nil; n += 50 {
		produce(50)
	}
	collected := func() bool {
		u, err := fsck.Measure(t.Context(), fsck.Options{KV: f.kv.Client(), Store: f.store, Cluster: cluster})
		return err == nil && uint64(kind(t, u, "flush").Bytes) < u.Written["flush"]
	}
	require.Eventually(t, collected, time.Minute, 50*time.Millisecond)
	require.NoError(t, <-ended)
	stop()
	made := 0
	for r := range checks {
		made++
		require.True(t, r.Clean(), "%v", r.Findings)
	}
	t.Logf("%d checks, %d records", made, n)
	require.Greater(t, made, 3)
	f.clean(t, int64(n))
	require.NotEmpty(t, f.keysOf(t, "/merge/"))
}
