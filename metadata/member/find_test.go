package member_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"wadi/internal/layout"
	"wadi/internal/metrics"
	"wadi/metadata/bootstrap"
	"wadi/metadata/checkpoint"
	"wadi/metadata/kv/faultkv"
	"wadi/metadata/kv/memkv"
	"wadi/metadata/member"
	pb "wadi/metadata/metadatapb"
	"wadi/objstore/mem"
)

var (
	keys  = layout.NewEtcd("demo")
	quiet = slog.New(slog.DiscardHandler)
)

// reasons collects what is waited for.
type reasons struct {
	mu  sync.Mutex
	all []string
}

func (r *reasons) because(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, why)
}

func (r *reasons) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[len(r.all)-1]
}

// As long as etcd does not answer a start waits and says so, and goes on when it does; it ends when it is told
// to. A bucket that belongs to another etcd is waited for by nobody.
func TestFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := memkv.New(memkv.Config{}), mem.New()
		defer m.Close()
		etcd, why := faultkv.New(m.Client()), &reasons{}
		away := etcd.Add(faultkv.Rule{Op: faultkv.Txn, Times: -1, Action: faultkv.FailBefore})
		ranges := etcd.Add(faultkv.Rule{Op: faultkv.Range, Times: -1, Action: faultkv.FailBefore})
		type found struct {
			id  bootstrap.Identity
			err error
		}
		done := make(chan found, 1)
		find := func(ctx context.Context) {
			id, err := member.Find(ctx, etcd, keys, store, "demo", quiet, why.because)
			done <- found{id, err}
		}
		ctx, cancel := context.WithCancel(t.Context())
		go find(ctx)
		time.Sleep(time.Minute)
		require.Empty(t, done)
		require.True(t, strings.HasPrefix(why.last(), "waiting for etcd and the object store: "), why.last())
		cancel()
		require.ErrorIs(t, (<-done).err, context.Canceled)

		go find(t.Context())
		time.Sleep(time.Minute)
		away.Remove()
		ranges.Remove()
		time.Sleep(4 * time.Second)
		first := <-done
		require.NoError(t, first.err)

		other := memkv.New(memkv.Config{})
		defer other.Close()
		_, err := member.Find(t.Context(), other.Client(), keys, store, "demo", quiet, why.because)
		require.ErrorIs(t, err, bootstrap.ErrMismatch)
	})
}

// A member is ready when it has a session, a current State and its place on the list; it says what it lacks before, and what
// is wrong later.
func TestMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store, why := memkv.New(memkv.Config{}), mem.New(), &reasons{}
		defer m.Close()
		etcd := faultkv.New(m.Client())
		id, err := member.Find(t.Context(), etcd, keys, store, "demo", quiet, why.because)
		require.NoError(t, err)
		set, err := metrics.New(prometheus.NewRegistry())
		require.NoError(t, err)
		p := member.New(member.Options{
			Identity: id, TTL: 5 * time.Second, KV: etcd, Keys: keys, Store: store, Metrics: set, Log: quiet,
			Info: &pb.SessionInfo{Roles: []string{"compactor"}}, Checkpoint: checkpoint.DefaultLimits(),
		})
		ready, reason := p.Health()
		require.False(t, ready)
		require.Equal(t, "loading", reason)
		ctx, cancel := context.WithCancel(t.Context())
		var g errgroup.Group
		run := func(f func(context.Context) error) { g.Go(func() error { return f(ctx) }) }
		p.Observe(run)
		p.Act(run)
		require.True(t, p.Await(ctx, why.because))
		ready, reason = p.Health()
		require.True(t, ready)
		require.Empty(t, reason)
		for _, op := range []faultkv.Op{faultkv.Txn, faultkv.Range, faultkv.KeepAlive, faultkv.Grant} {
			etcd.Add(faultkv.Rule{Op: op, Times: -1, Action: faultkv.FailBefore})
		}
		time.Sleep(30 * time.Second)
		ready, reason = p.Health()
		require.True(t, ready, "what it knows is good as far as it goes")
		require.Equal(t, "metadata-unreachable", reason)
		etcd.Clear()
		time.Sleep(10 * time.Second)
		ready, reason = p.Health()
		require.True(t, ready, reason)
		require.Empty(t, reason)
		ended, cancelled := context.WithCancel(t.Context())
		cancelled()
		lost := member.New(member.Options{
			Identity: id, TTL: 5 * time.Second, KV: etcd, Keys: keys, Store: store, Metrics: set, Log: quiet, Info: &pb.SessionInfo{},
			Checkpoint: checkpoint.DefaultLimits(),
		})
		require.False(t, lost.Await(ended, why.because))
		cancel()
		require.NoError(t, g.Wait())
	})
}
