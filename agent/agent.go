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
	// Checkpoint says when a checkpoint is due and what it keeps; the zero value means checkpoint.DefaultLimits.
	Checkpoint checkpoint.Limits
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
	job      *checkpoint.Job
	handlers *api.API
	server   *server.Server
}

// New makes an agent; it starts nothing.
func New(o Options) (*Agent, error) {
	if err := layout.ValidClusterName(o.Config.Cluster); err != nil {
		return nil, err
	}
	if o.Checkpoint == (checkpoint.Limits{}) {
		o.Checkpoint = checkpoint.DefaultLimits()
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
	switch h, err := p.view.Health(); h {
	case view.Loading, view.Behind:
		return false, h.String()
	case view.Stopped:
		return false, err.Error()
	case view.CutOff:
		return true, h.String()
	}
	if _, _, open := p.session.Current(); !open {
		return false, "no session"
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
	id, err := a.bootstrap(ctx)
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

// bootstrap finds the cluster's identity, again and again while etcd or the store do not answer.
func (a *Agent) bootstrap(ctx context.Context) (bootstrap.Identity, error) {
	a.because("waiting for etcd and the object store") // a first attempt, with what the store repeats, may take seconds
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 3*time.Second) {
		try, cancel := context.WithTimeout(ctx, 10*time.Second)
		id, err := bootstrap.Run(try, a.o.KV, a.keys, a.o.Store, a.o.Config.Cluster)
		if err == nil {
			err = checkpoint.CheckRoots(try, a.o.KV, a.keys, a.o.Store, layout.NewObjects(id.Cluster, id.Incarnation))
		}
		cancel()
		if err == nil {
			return id, nil
		}
		if ctx.Err() != nil || errors.Is(err, bootstrap.ErrMismatch) || errors.Is(err, journal.ErrRolledBack) {
			return id, err
		}
		a.because("waiting for etcd and the object store: " + err.Error())
		a.o.Log.Warn("cannot start yet", "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return id, ctx.Err()
		}
	}
}

func (a *Agent) assemble(id bootstrap.Identity) (*parts, error) {
	c, m := a.o.Config, a.o.Metrics
	p := &parts{identity: id, objects: layout.NewObjects(id.Cluster, id.Incarnation)}
	jrnl := journal.New(a.o.KV, a.keys)
	p.archives = checkpoint.NewReader(a.o.Store, p.objects, checkpoint.ReadsAhead)
	p.session = session.New(session.Options{
		Config: session.Config{
			TTL:             c.SessionTTL,
			Init:            &pb.InitCluster{ClusterId: id.ClusterID, Incarnation: id.Incarnation, FeatureLevel: state.MaxFeatureLevel},
			MinFeatureLevel: state.MinFeatureLevel, MaxFeatureLevel: state.MaxFeatureLevel, Address: a.address(),
		},
		KV: a.o.KV, Keys: a.keys, Journal: jrnl, Info: a.info(), Log: a.o.Log,
		// The key is put once; an etcd without it was wiped, which the view finds out only some time later.
		Require: []kv.Compare{{Key: a.keys.Bootstrap(), Target: kv.Version, Want: 1}},
		OnAppend: func(took time.Duration, err error) {
			m.JournalAppendSeconds.Observe(took.Seconds())
			if err == nil {
				m.JournalAppends.Inc()
			}
		},
		OnOpened: func(s layout.Session, _ int32) { p.ingest.Opened(s, p.objects, id.ClusterID) },
		OnLost:   func(s layout.Session) { p.ingest.Lost(s) },
	})
	p.members = session.NewMembers(a.o.KV, a.keys, a.o.Log, nil)
	p.job = checkpoint.NewJob(checkpoint.JobOptions{
		KV: a.o.KV, Keys: a.keys, Store: a.o.Store, Objects: p.objects, Cluster: id.Cluster, Journal: jrnl,
		Session: p.session, Log: a.o.Log, TTL: c.SessionTTL, Limits: a.o.Checkpoint,
	})
	p.view = view.NewView(view.Config{
		Limits: view.LimitsFor(c.SessionTTL), Journal: jrnl, Checkpoints: p.archives,
		Observers: []view.Observer{p.session, ingestObserver{p}, groupObserver{p}, p.job},
		OnApply:   func(d time.Duration) { m.ApplySeconds.Observe(d.Seconds()) },
	})
	p.job.Follow(p.view)
	p.log = fetch.New(fetch.Options{
		View: p.view, Store: a.o.Store, Archives: p.archives, Objects: func() layout.Objects { return p.objects },
		CacheBytes: int64(c.Memory.Cache), Log: a.o.Log, MaxLag: c.SessionTTL,
	})
	p.ingest = ingest.New(ingest.Options{
		Config: ingestConfig(c), View: p.view, Proposer: p.session, Store: a.o.Store, Log: a.o.Log,
		OnFlush:  func(path string, d time.Duration) { m.FlushSeconds.WithLabelValues(path).Observe(d.Seconds()) },
		OnStored: p.log.Stored, OnSettled: p.log.Settled,
	})
	brokers := &members{p: p, endpoints: a.o.Endpoints}
	routing, held := &routing{p: p, members: brokers}, tenure.New(p.session)
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
	p.keeper = txn.NewKeeper(keeperOptions(a.o, p, keeperRouting{routing}, held))
	p.handlers = api.New(api.Deps{
		View: apiView{p.view}, Members: brokers, Proposer: api.SessionProposer{Session: p.session},
		Ingest: p.ingest, Log: p.log, Groups: p.groups, Txns: p.txns,
		Config: api.Config{
			DefaultPartitions: int32(c.Kafka.NumPartitions), AutoCreate: c.Kafka.AutoCreateTopics,
			OffsetMetadataMax: c.Kafka.Groups.OffsetMetadataMaxBytes,
			MaxTxnTimeoutMs:   int32(c.Kafka.Txns.MaxTimeoutMs),
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
		Http: a.o.Config.HTTP,
	}
	for _, r := range a.o.Config.Roles {
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
	run(viewCtx, p.view.Run)
	run(viewCtx, p.members.Run)
	run(viewCtx, func(ctx context.Context) error { return a.measure(ctx, p) })
	run(ingestCtx, p.ingest.Run)
	run(ingestCtx, func(ctx context.Context) error { return watchLease(ctx, p, a.o.Config.SessionTTL) })
	run(viewCtx, func(ctx context.Context) error {
		return followQuota(ctx, a.o.KV, quotaPoll, a.o.Log, func(s stage) { p.ingest.Stage(s.noInline, s.noProduce) })
	})
	run(sessionCtx, p.session.Run)
	run(sessionCtx, p.job.Run)
	run(sessionCtx, p.expirer.Run)
	run(sessionCtx, p.keeper.Run)
	run(sessionCtx, func(ctx context.Context) error { return closeSessions(ctx, p, a.o.Config.SessionTTL, a.o.Log) })
	run(sessionCtx, func(ctx context.Context) error {
		return sweep.Run(ctx, sweep.Options{
			Config: sweep.Defaults(a.o.Config.SessionTTL), Look: func() sweep.Look { return lookForSweep(p) },
			Session: p.session, Log: a.o.Log,
		})
	})

	serving, stopServing := context.WithCancel(base)
	defer stopServing()
	run(serving, p.groups.Run) // ends with the server's accepting: what waits for other members goes to another agent
	run(serving, p.txns.Run)
	var outer errgroup.Group
	outer.Go(func() error {
		if !a.waitReady(serving, p) {
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
		stopServing()
		err = <-outerDone
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

// listedPoll is how often a start looks whether it is listed. The membership watch takes about a millisecond.
const listedPoll = 5 * time.Millisecond

// waitReady waits until the view is current, the session open, and this agent on its own list of brokers: the first
// client to ask must find a leader.
func (a *Agent) waitReady(ctx context.Context, p *parts) bool {
	a.because("loading the metadata")
	select {
	case <-p.view.Ready():
	case <-ctx.Done():
		return false
	}
	for {
		changed := p.session.Changed()
		id, _, open := p.session.Current()
		if _, listed := p.members.All()[id]; open && listed {
			return true
		}
		reason := "opening a session"
		if open {
			reason = "waiting to be listed as a broker"
		}
		a.because(reason)
		select {
		case <-changed:
		case <-time.After(listedPoll): // the list has no signal of its own
		case <-ctx.Done():
			return false
		}
	}
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

// measure keeps the gauges current.
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
		a.o.Metrics.ViewLagSeconds.Set(p.view.Lag().Seconds())
		a.o.Metrics.TransactionOldest.Set(p.keeper.Oldest().Seconds())
		var size map[string]int64
		p.view.Read(func(s *state.State) {
			size = s.Size()
			a.o.Metrics.StateUnswept.Set(float64(s.Unswept()))
			a.o.Metrics.Transactions.Set(float64(s.OpenTxnCount()))
		})
		for class, n := range size {
			a.o.Metrics.StateBytes.WithLabelValues(class).Set(float64(n))
		}
	}
}

// Debug holds the handlers of the operations endpoint beyond the common ones, by path.
func (a *Agent) Debug() map[string]http.Handler {
	return map[string]http.Handler{"/debug/locate": http.HandlerFunc(a.locate)}
}
