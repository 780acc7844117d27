package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"wadi/agent/api"
	"wadi/agent/fetch"
	"wadi/agent/group"
	"wadi/agent/ingest"
	"wadi/agent/server"
	"wadi/agent/sweep"
	"wadi/agent/tenure"
	"wadi/agent/txn"
	"wadi/internal/config"
	"wadi/internal/layout"
	"wadi/internal/listen"
	"wadi/internal/metrics"
	"wadi/metadata/bootstrap"
	"wadi/metadata/checkpoint"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	"wadi/metadata/member"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/metadata/view"
	"wadi/objstore"
	"wadi/objstore/steady"
)

// Options of an Agent. Who made KV and Store closes them after Run has returned.
type Options struct {
	Config    config.Config
	Endpoints []listen.Endpoint // bound sockets; the agent closes them
	KV        kv.KV
	Store     objstore.Store // makes one attempt per call
	Log       *slog.Logger
	Metrics   *metrics.Set
	// Checkpoint says when a checkpoint is due and what it keeps; the zero value means what Config says.
	Checkpoint checkpoint.Limits
	// Companion, unless nil, makes what works beside the agent in its process and its session, the compactor, out of what
	// the agent has anyway. It ends before the session does. Without one the agent does not register that role.
	Companion func(*member.Member) func(context.Context) error
	// Place is where this process is alone as long as it lives (see package place); "" = unknown. The sessions of those that
	// were there before are over when the agent's first one is made, also while their leases last.
	Place string
	// Steady says how calls of Store are repeated, hedged and limited; the zero value only repeats them. What happens is
	// observed in Metrics.
	Steady steady.Config
}

// drainTimeout bounds how long a drain waits for what was accepted.
const drainTimeout = 30 * time.Second

// leaveTimeout bounds how long an agent that has drained waits until its session is closed in State; others do it else.
const leaveTimeout = time.Second

// Agent is one agent. See New and Run.
type Agent struct {
	o       Options
	keys    layout.Etcd
	ready   chan struct{}
	running atomic.Pointer[parts] // nil before bootstrap
	reason  atomic.Pointer[string]
}

// parts are what exists once the cluster's identity is known.
type parts struct {
	identity bootstrap.Identity
	member   *member.Member // has the next five
	objects  layout.Objects
	view     *view.View
	session  *session.Session
	members  *session.Members
	ingest   *ingest.Ingest
	log      *fetch.Log
	groups   *group.Coordinator
	expirer  *group.Expirer
	txns     *txn.Coordinator
	keeper   *txn.Keeper
	archives *checkpoint.Reader
	handlers *api.API
	server   *server.Server
	// companion works beside the agent in its session; nil = nobody.
	companion func(context.Context) error
}

// New makes an agent; it starts nothing.
func New(o Options) (*Agent, error) {
	if err := layout.ValidClusterName(o.Config.Cluster); err != nil {
		return nil, err
	}
	if o.Checkpoint == (checkpoint.Limits{}) {
		o.Checkpoint = member.Limits(o.Config.Recover)
	}
	o.Steady.Observe = o.Metrics.Steady()
	o.Store = steady.New(o.Store, o.Steady)
	a := &Agent{o: o, keys: layout.NewEtcd(o.Config.Cluster), ready: make(chan struct{})}
	a.because("starting")
	return a, nil
}

func (a *Agent) because(reason string) { a.reason.Store(&reason) }

// Ready is closed when the agent serves for the first time.
func (a *Agent) Ready() <-chan struct{} { return a.ready }

// Health tells whether the agent serves, and why not, or with what restriction.
func (a *Agent) Health() (ready bool, reason string) {
	p := a.running.Load()
	if p == nil {
		return false, *a.reason.Load()
	}
	if ready, reason := p.member.Health(); !ready || reason != "" {
		return ready, reason
	}
	return true, *a.reason.Load()
}

// Run serves until ctx ends, then drains. It returns nil after a complete drain, and the reason when the agent must
// refuse to serve.
func (a *Agent) Run(ctx context.Context) error {
	defer func() {
		for _, e := range a.o.Endpoints {
			_ = e.Close() // closing twice reports an error that means nothing
		}
	}()
	id, err := member.Find(ctx, a.o.KV, a.keys, a.o.Store, a.o.Config.Cluster, a.o.Log, a.because)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	p, err := a.assemble(id)
	if err != nil {
		return err
	}
	return a.serve(ctx, p)
}

func (a *Agent) assemble(id bootstrap.Identity) (*parts, error) {
	c, m := a.o.Config, a.o.Metrics
	p := &parts{identity: id}
	p.member = member.New(member.Options{
		Identity: id, TTL: c.SessionTTL, KV: a.o.KV, Keys: a.keys, Store: a.o.Store, Info: a.info(), Address: a.address(), Place: a.o.Place,
		Checkpoint: a.o.Checkpoint, Metrics: m, Log: a.o.Log,
		OnOpened:  func(s layout.Session, _ int32) { p.ingest.Opened(s, p.objects, id.ClusterID) },
		OnLost:    func(s layout.Session) { p.ingest.Lost(s) },
		Observers: []view.Observer{ingestObserver{p}, groupObserver{p}},
	})
	p.objects, p.archives, p.view = p.member.Objects, p.member.Archives, p.member.View
	p.session, p.members = p.member.Session, p.member.Members
	if a.o.Companion != nil {
		p.companion = a.o.Companion(p.member)
	}
	p.log = fetch.New(fetch.Options{
		OnMissing: func(string) { m.ObjectsMissing.Inc() },
		View:      p.view, Store: a.o.Store, Archives: p.archives, Objects: func() layout.Objects { return p.objects },
		CacheBytes: int64(c.Memory.Cache), Log: a.o.Log, MaxLag: c.SessionTTL,
	})
	p.ingest = ingest.New(ingest.Options{
		Config: ingestConfig(c), View: p.view, Proposer: p.session, Store: a.o.Store, Log: a.o.Log,
		OnFlush:  func(path string, d time.Duration) { m.FlushSeconds.WithLabelValues(path).Observe(d.Seconds()) },
		OnStored: p.log.Stored, OnSettled: p.log.Settled,
	})
	brokers := &members{p: p, endpoints: a.o.Endpoints}
	routing, held := newRouting(p.session, brokers), tenure.New(p.session)
	p.groups = group.New(group.Options{
		Config: groupConfig(c, p.view), View: p.view, Session: p.session, Routing: groupRouting{routing}, Tenure: held, Log: a.o.Log,
		OnChange: func(outcome string) { m.GroupChanges.WithLabelValues(outcome).Inc() },
	})
	p.expirer = group.NewExpirer(group.ExpirerOptions{
		View: p.view, Routing: groupRouting{routing}, Do: p.session.Do, Date: a.o.Store.Date, Log: a.o.Log,
		Retention: time.Duration(c.Kafka.Groups.OffsetsRetentionMinutes) * time.Minute,
	})
	p.txns = txn.New(txn.Options{
		View: p.view, Session: p.session, Routing: txnRouting{routing}, Tenure: held,
		OnEnd: func(how string) { m.TransactionsEnded.WithLabelValues(how).Inc() },
	})
	p.keeper = txn.NewKeeper(keeperOptions(a.o, p, keeperRouting{txnRouting{routing}}, held))
	slow := &slowed{log: a.o.Log, limit: c.Compactor.Debt, compactors: p.member.Compactors}
	p.handlers = api.New(api.Deps{
		View: apiView{p.view}, Members: brokers, Proposer: api.SessionProposer{Session: p.session},
		Ingest: p.ingest, Log: p.log, Groups: p.groups, Txns: p.txns,
		OnThrottle: func(t api.Throttle) {
			m.ThrottledSeconds.Add(t.Wait.Seconds())
			slow.throttled(t)
		},
		Config: api.Config{
			DefaultPartitions: int32(c.Kafka.NumPartitions), AutoCreate: c.Kafka.AutoCreateTopics,
			OffsetMetadataMax: c.Kafka.Groups.OffsetMetadataMaxBytes,
			MaxTxnTimeoutMs:   int32(c.Kafka.Txns.MaxTimeoutMs),
			MergeDebt:         c.Compactor.Debt,
			LogDir:            logDir(c.Store, id.Cluster),
			Broker:            brokerConfigs(c, a.o.Endpoints),
		},
	})
	table, err := p.handlers.Table()
	if err != nil {
		return nil, fmt.Errorf("api table: %w", err)
	}
	p.server = server.New(server.Config{
		Log: a.o.Log, Produce: server.NewMemoryBudget(int64(c.Memory.Ingest)),
		Observe: server.Observe{
			Request:    func(name string, d time.Duration) { m.RequestSeconds.WithLabelValues(name).Observe(d.Seconds()) },
			Panic:      func(name string) { m.RequestPanics.WithLabelValues(name).Inc() },
			Connection: func(delta int) { m.Connections.Add(float64(delta)) },
			Refused:    func(why string) { m.ConnectionsRefused.WithLabelValues(why).Inc() },
		},
	}, table)
	return p, nil
}

// ingestObserver lets ingest, which is made after the view, hear of its entries.
type ingestObserver struct{ p *parts }

func (o ingestObserver) Applied(e journal.Entry, body *pb.Entry, res *state.Results) {
	o.p.ingest.Applied(e, body, res)
}
func (o ingestObserver) Replaced(s *state.State) { o.p.ingest.Replaced(s) }

// Inline data may be outstanding up to this many bytes; an archive takes it within half a minute.
const maxInlineOutstanding = 64 << 20

func ingestConfig(c config.Config) ingest.Config {
	return ingest.Config{
		FlushBytes: int(c.Flush.Bytes), FlushInterval: c.Flush.Interval, PutsPerSecond: c.Flush.PutsPerSecond,
		InlineMaxBytes: int(c.Inline.MaxBytes), InlineBudget: int(c.Inline.Budget),
		MaxOutstanding: maxInlineOutstanding, MaxBuffered: int64(c.Memory.Ingest),
	}
}

// address is where clients reach the agent, by its first listener.
func (a *Agent) address() string {
	if len(a.o.Endpoints) == 0 {
		return ""
	}
	return a.o.Endpoints[0].Advertised.Address()
}

func (a *Agent) info() *pb.SessionInfo {
	info := &pb.SessionInfo{
		Zone: a.o.Config.Zone, MinFeatureLevel: state.MinFeatureLevel, MaxFeatureLevel: state.MaxFeatureLevel,
		Http: a.o.Config.HTTP, Place: a.o.Place,
	}
	for _, r := range a.o.Config.Roles {
		if r == config.Compactor && a.o.Companion == nil {
			continue // others would leave it a share of the work that nobody does
		}
		info.Roles = append(info.Roles, string(r))
	}
	for _, e := range a.o.Endpoints {
		info.Endpoints = append(info.Endpoints, &pb.Endpoint{
			Listener: "PLAINTEXT", Host: e.Advertised.Host, Port: int32(e.Advertised.Port),
		})
	}
	return info
}

// serve runs everything and, when ctx ends, takes it down from the outside in: clients, buffers, session, view.
func (a *Agent) serve(ctx context.Context, p *parts) error {
	base, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	layer := func() (context.Context, context.CancelFunc) { return context.WithCancel(base) }
	viewCtx, stopView := layer()
	defer stopView()
	sessionCtx, stopSession := layer()
	defer stopSession()
	ingestCtx, stopIngest := layer()
	defer stopIngest()

	var inner errgroup.Group
	run := func(ctx context.Context, f func(context.Context) error) {
		inner.Go(func() error {
			err := f(ctx)
			if err != nil {
				stop(err)
			}
			return err
		})
	}
	p.member.Observe(func(f func(context.Context) error) { run(viewCtx, f) })
	run(viewCtx, func(ctx context.Context) error { return a.measure(ctx, p) })
	run(ingestCtx, p.ingest.Run)
	run(ingestCtx, func(ctx context.Context) error { return watchLease(ctx, p, a.o.Config.SessionTTL) })
	run(viewCtx, func(ctx context.Context) error {
		return followQuota(ctx, a.o.KV, quotaPoll, a.o.Log, func(s stage) { p.ingest.Stage(s.noInline, s.noProduce) })
	})
	p.member.Act(func(f func(context.Context) error) { run(sessionCtx, f) })
	run(sessionCtx, p.expirer.Run)
	run(sessionCtx, p.keeper.Run)
	run(sessionCtx, func(ctx context.Context) error { return closeSessions(ctx, p, a.o.Config.SessionTTL, a.o.Log) })
	run(sessionCtx, func(ctx context.Context) error {
		return sweep.Run(ctx, sweep.Options{
			Config: sweep.Defaults(a.o.Config.SessionTTL), Look: func() sweep.Look { return lookForSweep(p) },
			Session: p.session, Log: a.o.Log,
		})
	})

	companionCtx, stopCompanion := layer()
	defer stopCompanion()
	companionDone := make(chan struct{})
	run(companionCtx, func(ctx context.Context) error {
		defer close(companionDone)
		if p.companion == nil {
			return nil
		}
		return p.companion(ctx)
	})

	serving, stopServing := context.WithCancel(base)
	defer stopServing()
	run(serving, p.groups.Run) // ends with the server's accepting: what waits for other members goes to another agent
	run(serving, p.txns.Run)
	var outer errgroup.Group
	outer.Go(func() error {
		if !p.member.Await(serving, a.because) {
			return nil
		}
		a.running.Store(p)
		a.because("")
		close(a.ready)
		return p.server.Serve(serving, sockets(a.o.Endpoints)...)
	})
	outerDone := make(chan error, 1)
	go func() { outerDone <- outer.Wait() }()

	var err error
	select {
	case <-ctx.Done():
		a.because("draining")
		drain, cancel := context.WithTimeout(base, drainTimeout)
		defer cancel()
		if e := p.session.Drain(drain); e != nil {
			a.o.Log.Warn("registration not marked as draining", "error", e)
		}
		stopCompanion()
		stopServing()
		err = <-outerDone
		select {
		case <-companionDone:
		case <-drain.Done():
		}
		waitIdle(drain, p)
		leave, cancel := context.WithTimeout(drain, leaveTimeout)
		defer cancel()
		p.session.Leave(leave)
	case <-base.Done():
		err = context.Cause(base)
		stopServing()
		<-outerDone
	case err = <-outerDone:
	}
	stopServing()
	stopCompanion()
	stopIngest()
	stopSession()
	stopView()
	return errors.Join(err, ignoreCause(inner.Wait(), err))
}

// ignoreCause drops the error that was reported already.
func ignoreCause(err, reported error) error {
	if errors.Is(reported, err) {
		return nil
	}
	return err
}

// waitIdle waits until all that was accepted is durable and answered.
func waitIdle(ctx context.Context, p *parts) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !p.ingest.Idle() || !p.session.Idle() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func sockets(endpoints []listen.Endpoint) []net.Listener {
	var list []net.Listener
	for _, e := range endpoints {
		list = append(list, e.Sockets...)
	}
	return list
}

// measure keeps the gauges current that say what this agent has to do.
func (a *Agent) measure(ctx context.Context, p *parts) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	evictions := uint64(0)
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		sessions := p.handlers.FetchSessions()
		a.o.Metrics.FetchSessions.Set(float64(sessions.Sessions))
		a.o.Metrics.FetchSessionPartitions.Set(float64(sessions.Partitions))
		a.o.Metrics.FetchSessionEvictions.Add(float64(sessions.Evictions - evictions))
		evictions = sessions.Evictions
		a.o.Metrics.Groups.Set(float64(p.groups.Held()))
		a.o.Metrics.TransactionOldest.Set(p.keeper.Oldest().Seconds())
	}
}

// Debug holds the handlers of the operations endpoint beyond the common ones, by path.
func (a *Agent) Debug() map[string]http.Handler {
	return map[string]http.Handler{"/debug/locate": http.HandlerFunc(a.locate)}
}
