package sim

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"wadi/agent/api"
	"wadi/agent/group"
	"wadi/agent/ingest"
	"wadi/agent/sweep"
	"wadi/agent/txn"
	"wadi/compactor/job"
	"wadi/internal/layout"
	"wadi/metadata/bootstrap"
	"wadi/metadata/checkpoint"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/metadata/view"
)

// agent is one agent process after the other: the cores, wired as package agent wires them.
type agent struct {
	w      *World
	id     int
	life   int  // counts its processes
	up     bool // there is a process
	paused bool // SIGSTOP: what comes waits in backlog
	cut    bool // from etcd
	skew   int64

	backlog []func()
	procs   []*proc
	started time.Duration

	objects  layout.Objects
	journal  *journal.Journal
	sess     *session.Core
	sessFx   []func()
	view     *view.Core
	watch    *watch
	inline   map[int64][]byte
	barriers map[uint64]func(error)
	barrier  uint64
	ing      *ingest.Core
	ingFx    []func()
	ingWake  time.Duration // when a tick is planned; 0 = none is
	job      *checkpoint.Core
	jobFx    []func()
	jobOf    layout.Session
	steps    *checkpoint.Steps
	archives *checkpoint.Reader
	sweeper  *sweep.Core

	tasks     []job.Task // of its compactor
	clockless bool

	live    []registration // registrations, as far as the agent knows
	liveAt  int64          // revision of etcd at which they were listed
	listing bool

	groups     *group.Core
	groupFx    []func()
	groupWake  time.Duration // when a tick is planned; 0 = none is
	commits    []*commit     // on their way
	janitor    *txn.Janitor
	waylaid    bool          // its next append is slow, and others take its place meanwhile
	adopted    time.Duration // when it looked for groups that are its own, and for which list of agents
	adoptedFor []api.Broker

	caughtUp bool
	opened   bool // a session was open once
	rpcs     map[*ingest.Request]*rpc
	missing  map[layout.Session]time.Duration
}

var discard = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))

func newAgent(w *World, id int) *agent { return &agent{w: w, id: id} }

func (a *agent) mono() time.Duration { return a.w.now - a.started }

func (a *agent) instant() session.Instant {
	return session.Instant{Mono: a.mono(), Wall: a.w.wall().UnixMilli() + a.skew}
}

// deliver runs f in the agent's process: not when that has died, and not before it goes on when it is paused.
func (a *agent) deliver(f func()) {
	switch {
	case !a.up:
	case a.paused:
		a.backlog = append(a.backlog, f)
	default:
		f()
	}
}

// after plans f in the process of now.
func (a *agent) after(d time.Duration, f func()) {
	life := a.life
	a.w.after(d, func() {
		if life == a.life {
			a.deliver(f)
		}
	})
}

func (a *agent) crash() {
	a.w.note("agent=%d crashes", a.id)
	a.w.stats.Crashes++
	a.endProcs()
	a.up, a.paused, a.backlog = false, false, nil
	a.life++
	if a.watch != nil {
		a.watch.ended = true
	}
	a.watch = nil
	a.dropConnections()
}

func (a *agent) resume() {
	if !a.paused {
		return
	}
	a.paused = false
	a.w.note("agent=%d resumes", a.id)
	backlog := a.backlog
	a.backlog = nil
	life := a.life
	for _, f := range backlog {
		if life == a.life {
			f()
		}
	}
}

func (a *agent) heal() {
	if a.cut {
		a.cut = false
		a.w.note("agent=%d reaches etcd again", a.id)
	}
}

// place is where one process of the agent after the other is alone. Of the first agent's nobody knows whether they are dead.
func (a *agent) place() string {
	if a.id == 0 {
		return ""
	}
	return fmt.Sprintf("place-%d", a.id)
}

// start is a new process.
func (a *agent) start() {
	if a.up {
		return
	}
	w := a.w
	a.up, a.started, a.skew = true, w.now-time.Second, w.rng.Int64N(2000)-1000
	a.caughtUp, a.opened = false, false
	a.sess, a.view, a.ing, a.job, a.groups = nil, nil, nil, nil, nil
	a.sessFx, a.ingFx, a.jobFx, a.ingWake, a.jobOf = nil, nil, nil, 0, 0
	a.groupFx, a.groupWake, a.commits, a.adopted, a.adoptedFor = nil, 0, nil, 0, nil
	a.live, a.liveAt, a.listing = nil, 0, false
	a.inline, a.barriers = map[int64][]byte{}, map[uint64]func(error){}
	a.rpcs, a.missing = map[*ingest.Request]*rpc{}, map[layout.Session]time.Duration{}
	a.journal = journal.New(etcdClient{a}, w.keys)
	w.note("agent=%d starts", a.id)
	a.spawn(func() {
		for {
			id, err := bootstrap.Run(background, etcdClient{a}, w.keys, bucketClient{a}, clusterName)
			if err == nil {
				err = checkpoint.CheckRoots(background, etcdClient{a}, w.keys, bucketClient{a},
					layout.NewObjects(id.Cluster, id.Incarnation))
			}
			if err == nil {
				a.assemble(id)
				return
			}
			if isFatal(err) {
				w.violated("agent %d refuses to start: %v", a.id, err)
				return
			}
			w.sleep(200 * time.Millisecond)
		}
	})
}

func (a *agent) assemble(id bootstrap.Identity) {
	a.objects = layout.NewObjects(id.Cluster, id.Incarnation)
	a.archives = checkpoint.NewReader(bucketClient{a}, a.objects, 1)
	a.sess = session.NewCore(session.Config{
		TTL:             ttl,
		Init:            &pb.InitCluster{ClusterId: id.ClusterID, Incarnation: id.Incarnation, FeatureLevel: state.MaxFeatureLevel},
		MinFeatureLevel: state.MinFeatureLevel, MaxFeatureLevel: state.MaxFeatureLevel,
		Address: fmt.Sprintf("agent-%d:9092", a.id), Place: a.place(),
	}, (*sessionEffects)(a))
	a.view = view.NewCore(view.LimitsFor(ttl), (*viewEffects)(a), noLock{})
	a.ing = ingest.NewCore(ingest.Config{
		FlushBytes: 64 << 10, FlushInterval: 100 * time.Millisecond, PutsPerSecond: 20, InlineMaxBytes: 4 << 10,
		InlineBudget: 64 << 10, MaxOutstanding: 128 << 10, MaxBuffered: 1 << 20,
	}, (*ingestEffects)(a), (*ingestProducers)(a))
	a.job = checkpoint.NewCore(checkpoint.Limits{
		JournalBytes: 64 << 10, Interval: 1500 * time.Millisecond, BaseBytes: 24 << 10, KeepRoots: 3,
		Retry: 300 * time.Millisecond, TrimPause: 20 * time.Millisecond,
	}, (*jobEffects)(a))
	a.steps = checkpoint.NewSteps(checkpoint.JobOptions{
		KV: etcdClient{a}, Keys: a.w.keys, Store: bucketClient{a}, Objects: a.objects, Cluster: clusterName,
		Journal: a.journal, Session: proposer{a}, Log: discard, TTL: ttl,
	})
	a.steps.Follow(jobView{a})
	a.startGroups()
	a.startCompactor()
	a.waylaid = false
	a.janitor = txn.NewJanitor(txn.DefaultJanitor(ttl, janitorEvery))
	a.tick(janitorEvery, a.endOverdue)
	a.view.Start(a.mono())
	a.sessStep(func(c *session.Core) { c.Start(a.instant()) })
	a.tick(25*time.Millisecond, func() { a.sessStep(func(c *session.Core) { c.Tick(a.instant()) }) })
	a.tick(80*time.Millisecond, func() { a.view.Tick(a.mono()); a.lookAtHealth() })
	a.tick(40*time.Millisecond, a.tickJob)
	a.tick(ttl/5, a.closeSessions)
	a.sweeper = sweep.NewCore(sweep.Defaults(ttl))
	a.tick(250*time.Millisecond, a.sweepUp)
	a.tick(ttl/20, func() {
		a.ingStep(func(c *ingest.Core) { c.Silent(a.mono(), a.mono() >= a.sess.AliveUntil()) })
	})
	a.tick(time.Second, a.sweepProcs)
}

// tick calls f again and again in this process.
func (a *agent) tick(every time.Duration, f func()) {
	a.after(every, func() {
		f()
		a.tick(every, f)
	})
}

type noLock struct{}

func (noLock) Lock()   {}
func (noLock) Unlock() {}

// closeSessions proposes the end of sessions whose key is gone for a while, as the agent's janitor does.
func (a *agent) closeSessions() {
	own, _, open := a.sess.Session()
	if !open {
		return
	}
	var list []layout.Session
	a.view.State().EachSession(func(id layout.Session, v state.Session) {
		if v.Closed == 0 && id != own {
			list = append(list, id)
		}
	})
	for _, id := range list {
		if at, ok := a.missing[id]; ok && a.w.now < at {
			continue
		}
		a.missing[id] = a.w.now + ttl/2 + a.w.between(0, ttl)
		a.spawn(func() {
			res, err := etcdClient{a}.Range(background, kv.RangeRequest{Key: a.w.keys.SessionKey(id)})
			if err != nil || len(res.KVs) > 0 {
				return
			}
			_ = proposer{a}.Do(background, &pb.Command{Kind: &pb.Command_CloseSession{
				CloseSession: &pb.CloseSession{Session: int64(id)},
			}}, func(session.Outcome) {}) // tried again when it is still open
		})
	}
}
