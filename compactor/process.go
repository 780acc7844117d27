package compactor

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"wadi/internal/config"
	"wadi/internal/layout"
	"wadi/internal/metrics"
	"wadi/metadata/kv"
	"wadi/metadata/member"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/steady"
)

// ProcessOptions of a Process. Who made KV and Store closes them after Run has returned.
type ProcessOptions struct {
	Config  config.Config // listeners and roles mean nothing
	KV      kv.KV
	Store   objstore.Store // makes one attempt per call
	Log     *slog.Logger
	Metrics *metrics.Set
	// Steady says how calls of Store are repeated, hedged and limited. What happens is observed in Metrics.
	Steady steady.Config
}

// drainTimeout bounds how long a drain waits.
const drainTimeout = 10 * time.Second

// Process is a process of its own that serves no clients: a member of the cluster with a Compactor. It takes part in
// checkpoints, as every member does. See NewProcess and Run.
type Process struct {
	o      ProcessOptions
	keys   layout.Etcd
	ready  chan struct{}
	member atomic.Pointer[member.Member] // nil before the cluster is found
	reason atomic.Pointer[string]
}

// NewProcess makes a Process; it starts nothing.
func NewProcess(o ProcessOptions) *Process {
	o.Steady.Observe = o.Metrics.Steady()
	o.Store = steady.New(o.Store, o.Steady)
	p := &Process{o: o, keys: layout.NewEtcd(o.Config.Cluster), ready: make(chan struct{})}
	p.because("starting")
	return p
}

func (p *Process) because(reason string) { p.reason.Store(&reason) }

// Ready is closed when the process has a session and a current State for the first time.
func (p *Process) Ready() <-chan struct{} { return p.ready }

// Health tells whether the process can work, and why not, or with what restriction.
func (p *Process) Health() (ready bool, reason string) {
	m := p.member.Load()
	if m == nil {
		return false, *p.reason.Load()
	}
	if ready, reason := m.Health(); !ready || reason != "" {
		return ready, reason
	}
	return true, *p.reason.Load()
}

// Debug holds the handlers of the operations endpoint beyond the common ones: none.
func (p *Process) Debug() map[string]http.Handler { return nil }

// Run works until ctx ends, then gives up its jobs and its session. It returns nil after that, and the reason when the
// process must not go on.
func (p *Process) Run(ctx context.Context) error {
	c := p.o.Config
	id, err := member.Find(ctx, p.o.KV, p.keys, p.o.Store, c.Cluster, p.o.Log, p.because)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	m := member.New(member.Options{
		Identity: id, TTL: c.SessionTTL, KV: p.o.KV, Keys: p.keys, Store: p.o.Store, Metrics: p.o.Metrics, Log: p.o.Log,
		Checkpoint: member.Limits(c.Recover),
		Info: &pb.SessionInfo{
			Zone: c.Zone, Http: c.HTTP, Roles: []string{string(config.Compactor)},
			MinFeatureLevel: state.MinFeatureLevel, MaxFeatureLevel: state.MaxFeatureLevel,
		},
	})
	return p.serve(ctx, m, New(For(m, c.Compactor)))
}

// serve runs everything and, when ctx ends, takes it down from the outside in: the work, the session, the view.
func (p *Process) serve(ctx context.Context, m *member.Member, c *Compactor) error {
	base, fail := context.WithCancelCause(context.WithoutCancel(ctx))
	defer fail(nil)
	viewCtx, stopView := context.WithCancel(base)
	defer stopView()
	sessionCtx, stopSession := context.WithCancel(base)
	defer stopSession()
	workCtx, stopWork := context.WithCancel(base)
	defer stopWork()
	var g errgroup.Group
	run := func(ctx context.Context) func(func(context.Context) error) {
		return func(f func(context.Context) error) {
			g.Go(func() error {
				err := f(ctx)
				if err != nil {
					fail(err)
				}
				return err
			})
		}
	}
	m.Observe(run(viewCtx))
	m.Act(run(sessionCtx))
	worked := make(chan struct{})
	run(workCtx)(func(ctx context.Context) error {
		defer close(worked)
		if !m.Await(ctx, p.because) {
			return nil
		}
		p.member.Store(m)
		p.because("")
		close(p.ready)
		return c.Run(ctx)
	})
	select {
	case <-ctx.Done():
		p.drain(base, m, stopWork, worked)
	case <-base.Done():
	}
	stopWork()
	stopSession()
	stopView()
	return g.Wait()
}

// drain ends the work and leaves the cluster, within drainTimeout.
func (p *Process) drain(ctx context.Context, m *member.Member, stopWork func(), worked <-chan struct{}) {
	p.because("draining")
	ctx, done := context.WithTimeout(ctx, drainTimeout)
	defer done()
	if err := m.Session.Drain(ctx); err != nil {
		p.o.Log.Warn("registration not marked as draining", "error", err)
	}
	stopWork()
	select {
	case <-worked:
	case <-ctx.Done():
	}
	leave, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	m.Session.Leave(leave)
}
