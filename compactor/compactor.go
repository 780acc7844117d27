package compactor

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"wadi/compactor/job"
	"wadi/internal/config"
	"wadi/internal/layout"
	"wadi/internal/metrics"
	"wadi/internal/wallclock"
	"wadi/metadata/kv"
	"wadi/metadata/member"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/metadata/view"
	"wadi/objstore"
)

// Options of a Compactor. Whoever made the parts runs them, longer than the compactor.
type Options struct {
	Interval time.Duration // between a task's looks for work
	Memory   int64         // of all tasks' buffers, in bytes
	Grace    time.Duration // of what nothing needs any more
	TTL      time.Duration // of the session

	View     View
	Session  Session
	Members  Members
	KV       kv.KV
	Keys     layout.Etcd
	Store    objstore.Store // repeats what can be repeated
	Archives job.Archives
	Objects  layout.Objects
	Metrics  *metrics.Set
	Log      *slog.Logger
}

// For are the Options of a compactor on a membership.
func For(m *member.Member, c config.Compaction) Options {
	return Options{
		Interval: c.Interval, Memory: int64(c.Memory), Grace: c.Grace, TTL: m.TTL,
		View: m.View, Session: m.Session, Members: m.Members, KV: m.KV, Keys: m.Keys, Store: m.Store, Archives: m.Archives,
		Objects: m.Objects, Metrics: m.Metrics, Log: m.Log,
	}
}

// View is the live State; view.View is one.
type View interface {
	Read(func(*state.State))
	Freeze() *state.State
	Inline(position int64) []byte
	Barrier(ctx context.Context) error
	Health() (view.Health, error)
}

// Session is this process' session; session.Session is one.
type Session interface {
	job.Proposer
	// Change changes what the registration says.
	Change(ctx context.Context, change func(*pb.SessionInfo)) error
	// Alive reports whether the lease cannot have expired yet.
	Alive() bool
}

// Members are the registrations of all processes; session.Members is one.
type Members interface {
	All() map[layout.Session]session.Member
}

// Compactor is one process' part of the work. See New and Run.
type Compactor struct {
	o     Options
	env   *job.Env
	tasks []task
	meter *meter
	clock *wallclock.Clock

	began    time.Time
	fitness  Fitness
	enlisted time.Time // when the registration was changed last

	configs  configs
	snapshot *state.State // of the pass before, as long as nothing has changed since

	mu struct {
		sync.Mutex
		session layout.Session // that held is of
		held    Jobs
	}
}

// task is one of the tasks with the jobs of which one must be held for it to work.
type task struct {
	job.Task
	needs Jobs
}

// New makes a Compactor; it starts nothing.
func New(o Options) *Compactor { return with(o, tasks) }

// with makes a Compactor of these tasks.
func with(o Options, tasks func(*job.Env, Options) []task) *Compactor {
	c := &Compactor{o: o, meter: &meter{set: o.Metrics}, began: time.Now()}
	store := meteredStore{o.Store, c.meter, c.called}
	c.clock = wallclock.New(store.Date)
	c.env = &job.Env{
		Session: meteredSession{o.Session, c.meter}, Store: store, Archives: o.Archives,
		Inline: o.View.Inline, Objects: o.Objects, Barrier: o.View.Barrier, Read: o.View.Read, Log: o.Log,
	}
	c.tasks = tasks(c.env, o)
	return c
}

// Run works until ctx ends, then gives up the jobs that it has. A pass under way is cut short.
func (c *Compactor) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.hold(ctx) })
	g.Go(func() error { return c.work(ctx) })
	return g.Wait()
}

// called hears of every call of the store.
func (c *Compactor) called(err error) { c.fitness.Called(time.Since(c.began), err) }

// Held are the jobs that this process has at this moment.
func (c *Compactor) Held() Jobs {
	own, _, open := c.o.Session.Current()
	if !open || !c.o.Session.Alive() {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.session != own {
		return 0
	}
	return c.mu.held
}
