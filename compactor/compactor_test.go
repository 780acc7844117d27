package compactor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"wadi/compactor/job"
	"wadi/internal/config"
	"wadi/internal/layout"
	"wadi/internal/metrics"
	"wadi/metadata/checkpoint"
	"wadi/metadata/kv/faultkv"
	"wadi/metadata/kv/memkv"
	"wadi/metadata/member"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/mem"
)

// stub is a task of a test.
type stub struct {
	name string
	mu   sync.Mutex
	seen []time.Time
	pass func(ctx context.Context, in *job.View) (bool, error)
}

func (s *stub) Name() string { return s.name }

func (s *stub) Pass(ctx context.Context, in *job.View) (bool, error) {
	s.mu.Lock()
	s.seen = append(s.seen, time.Now())
	s.mu.Unlock()
	if s.pass == nil {
		return false, nil
	}
	return s.pass(ctx, in)
}

func (s *stub) passes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// running is a process of a test: a member with a compactor.
type running struct {
	*Compactor
	m     *member.Member
	kv    *faultkv.KV
	dates *dates
	stats *prometheus.Registry
	stop  context.CancelFunc
	done  chan error
}

// figure is a counter or a gauge, by its name and the values of its labels.
func (r *running) figure(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	families, err := r.stats.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if slices.Equal(values, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// dates counts how often a store is asked for its clock.
type dates struct {
	objstore.Store
	n   atomic.Int64
	cut atomic.Bool // there is no way to it
}

func (d *dates) Date(ctx context.Context) (time.Time, error) {
	d.n.Add(1)
	if d.cut.Load() {
		return time.Time{}, errors.New("no route")
	}
	return d.Store.Date(ctx)
}

func launch(t *testing.T, m *memkv.KV, store objstore.Store, tasks func(*job.Env, Options) []task) *running {
	ctx, stop := context.WithCancel(t.Context())
	r := &running{
		kv: faultkv.New(m.Client()), dates: &dates{Store: store}, stats: prometheus.NewRegistry(), stop: stop, done: make(chan error, 1),
	}
	set, err := metrics.New(r.stats)
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	keys := layout.NewEtcd("demo")
	id, err := member.Find(ctx, r.kv, keys, r.dates, "demo", log, func(string) {})
	require.NoError(t, err)
	r.m = member.New(member.Options{
		Identity: id, TTL: testTTL, KV: r.kv, Keys: keys, Store: r.dates, Metrics: set, Log: log, Checkpoint: checkpoint.DefaultLimits(),
		Info: &pb.SessionInfo{Roles: []string{string(config.Compactor)}},
	})
	r.Compactor = with(For(r.m, config.Compaction{Interval: 10 * time.Second}), tasks)
	var g errgroup.Group
	run := func(f func(context.Context) error) { g.Go(func() error { return f(ctx) }) }
	r.m.Observe(run)
	r.m.Act(run)
	run(r.Run)
	go func() { r.done <- g.Wait() }()
	return r
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T, m *memkv.KV, store objstore.Store)) {
	synctest.Test(t, func(t *testing.T) {
		m := memkv.New(memkv.Config{})
		f(t, m, mem.New())
		require.NoError(t, m.Close())
	})
}

func stopAll(t *testing.T, all ...*running) {
	t.Helper()
	for _, r := range all {
		r.stop()
		require.NoError(t, <-r.done)
	}
}

const everyJob = Jobs(1)<<(job.Shards+1) - 1

// held are the jobs of all, which must not overlap.
func held(t *testing.T, all ...*running) (sum Jobs) {
	t.Helper()
	for _, r := range all {
		h := r.Held()
		require.Zero(t, sum&h, "two have the same jobs")
		sum |= h
	}
	return sum
}

// Three processes share everything; one that is cut off from etcd believes in nothing any more before its lease can end,
// and the others have its jobs as soon as it has.
func TestProcessesShare(t *testing.T) {
	bubble(t, func(t *testing.T, m *memkv.KV, store objstore.Store) {
		none := func(*job.Env, Options) []task { return []task{{&stub{name: "idle"}, allShards}} }
		var all []*running
		for range 3 {
			all = append(all, launch(t, m, store, none))
		}
		time.Sleep(5 * time.Second)
		require.Equal(t, everyJob, held(t, all...))
		for i, r := range all {
			require.NotZero(t, r.Held(), "process %d", i)
		}
		for _, op := range []faultkv.Op{faultkv.Txn, faultkv.Grant, faultkv.KeepAlive, faultkv.Range} {
			all[0].kv.Add(faultkv.Rule{Op: op, Times: -1, Action: faultkv.FailBefore})
		}
		began := time.Now()
		for held(t, all[1:]...) != everyJob {
			held(t, all...)
			time.Sleep(20 * time.Millisecond)
			require.Less(t, time.Since(began), testTTL+10*time.Second)
		}
		require.Zero(t, all[0].Held())
		all[0].kv.Clear()
		time.Sleep(20 * time.Second)
		require.Equal(t, everyJob, held(t, all...))
		require.NotZero(t, all[0].Held(), "who is back has a share again")
		// Who ends gives its jobs up at once.
		stopAll(t, all[0])
		time.Sleep(time.Second)
		require.Equal(t, everyJob, held(t, all[1:]...))
		stopAll(t, all[1:]...)
	})
}

// A process that cannot reach the store leaves the work to others that may, and comes back; the last one keeps it.
func TestUnfitProcess(t *testing.T) {
	bubble(t, func(t *testing.T, m *memkv.KV, store objstore.Store) {
		reading := func(e *job.Env, _ Options) []task {
			return []task{{&stub{name: "reads", pass: func(ctx context.Context, _ *job.View) (bool, error) {
				_, err := e.Store.Date(ctx)
				return false, err
			}}, allShards}}
		}
		one, two := launch(t, m, store, reading), launch(t, m, store, reading)
		time.Sleep(5 * time.Second)
		require.NotZero(t, one.Held())
		require.NotZero(t, two.Held())
		one.dates.cut.Store(true)
		began := time.Now()
		for two.Held() != everyJob {
			held(t, one, two)
			require.Less(t, time.Since(began), 6*time.Minute)
			time.Sleep(time.Second)
		}
		require.Zero(t, one.Held())
		one.dates.cut.Store(false)
		time.Sleep(restWhenUnfit + 10*time.Second)
		require.NotZero(t, one.Held(), "it has rested")
		require.Equal(t, everyJob, held(t, one, two))
		stopAll(t, two)
		one.dates.cut.Store(true)
		for range 600 {
			time.Sleep(time.Second)
			require.Equal(t, everyJob, one.Held(), "nobody else is there")
		}
		stopAll(t, one)
	})
}

// Tasks work in turns each interval, on what is theirs; one that fails, or panics, keeps nobody from working; one that has
// more to do goes on at once. The store is asked for its clock, seldom, and for nothing else.
func TestTasksOfAProcess(t *testing.T) {
	bubble(t, func(t *testing.T, m *memkv.KV, store objstore.Store) {
		atWork, failed := 0, errors.New("failed")
		work := func(more *int, err error) func(context.Context, *job.View) (bool, error) {
			return func(_ context.Context, in *job.View) (bool, error) {
				atWork++
				require.Equal(t, 1, atWork, "two tasks at a time")
				time.Sleep(200 * time.Millisecond)
				atWork--
				require.NoError(t, in.Clock)
				require.Less(t, time.Since(time.UnixMilli(in.Now)).Abs(), 2*time.Second)
				require.True(t, in.Mine(7, 1000))
				if more != nil && *more > 0 {
					*more--
					return true, nil
				}
				return false, err
			}
		}
		left := 5
		busy := &stub{name: "busy", pass: work(&left, nil)}
		bad := &stub{name: "bad", pass: work(nil, failed)}
		wild := &stub{name: "wild", pass: func(context.Context, *job.View) (bool, error) { panic("out of range") }}
		last := &stub{name: "last", pass: work(nil, nil)}
		r := launch(t, m, store, func(*job.Env, Options) []task {
			return []task{{busy, allShards}, {bad, allShards}, {wild, allShards}, {last, Jobs(0).with(gcJob)}}
		})
		time.Sleep(5 * time.Second)
		before := r.dates.n.Load()
		time.Sleep(2 * time.Minute)
		require.InDelta(t, 12+5, busy.passes(), 1)
		require.InDelta(t, 12, last.passes(), 1)
		require.Equal(t, 7, bad.passes(), "after 1, 2, 4, ... seconds")
		require.Equal(t, 7, wild.passes())
		require.LessOrEqual(t, r.dates.n.Load()-before, int64(1))
		require.Equal(t, 7.0, r.figure(t, "wadi_compactor_failures_total", "bad"))
		require.Equal(t, 7.0, r.figure(t, "wadi_compactor_failures_total", "wild"))
		require.Zero(t, r.figure(t, "wadi_compactor_failures_total", "last"))
		require.Equal(t, 16.0, r.figure(t, "wadi_compactor_shards"))
		stopAll(t, r)
	})
}

// What a task does to the store and to State is counted as its own, and a session that is lost ends nothing but its jobs.
func TestMeter(t *testing.T) {
	bubble(t, func(t *testing.T, m *memkv.KV, store objstore.Store) {
		var env *job.Env
		var done atomic.Bool
		s := &stub{name: "writer", pass: func(ctx context.Context, in *job.View) (bool, error) {
			if done.Swap(true) {
				return false, nil
			}
			name, err := env.Name()
			require.NoError(t, err)
			key := env.Objects.Merged(name.Session, name.N)
			require.NoError(t, env.Store.Put(ctx, key, objstore.NewBody(make([]byte, 1000))))
			_, err = env.Store.Get(ctx, key, 0, 10)
			require.NoError(t, err)
			// Nobody takes it: there is no such topic.
			return false, env.Introduce(ctx, name, replaceNothing(name.N), func(session.Outcome) {})
		}}
		r := launch(t, m, store, func(e *job.Env, _ Options) []task { env = e; return []task{{s, allShards}} })
		time.Sleep(30 * time.Second)
		require.True(t, done.Load())
		require.Equal(t, 1000.0, r.figure(t, "wadi_compactor_written_bytes_total", "writer"))
		require.Equal(t, 10.0, r.figure(t, "wadi_compactor_read_bytes_total", "writer"))
		require.Equal(t, 1.0, r.figure(t, "wadi_compactor_changes_total", "refused", "writer"))
		require.Zero(t, r.figure(t, "wadi_compactor_changes_total", "applied", "writer"))
		r.m.View.Read(func(st *state.State) {
			n, bytes := st.Garbage()
			require.Equal(t, "1 1000", fmt.Sprint(n, bytes))
		})
		require.Equal(t, 1.0, r.figure(t, "wadi_garbage_objects"))
		stopAll(t, r)
	})
}

func replaceNothing(n uint64) *pb.Command {
	return &pb.Command{Kind: &pb.Command_ReplaceRuns{ReplaceRuns: &pb.ReplaceRuns{
		N: n, Size: 1000, Topics: []uint64{99}, Partitions: []uint32{0}, Versions: []uint64{1}, Bases: []int64{0}, Lasts: []int64{9},
		Runs: []uint32{1}, RunCounts: []uint64{10}, MaxTimestamps: []int64{1}, Offsets: []uint64{0}, Lengths: []uint32{1000},
	}}}
}
