package member

import (
	"context"
	"log/slog"
	"time"

	"wadi/internal/config"
	"wadi/internal/layout"
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
)

// Options of a Member. Who made KV and Store closes them when everything has ended.
type Options struct {
	Identity bootstrap.Identity // from Find
	TTL      time.Duration
	KV       kv.KV
	Keys     layout.Etcd
	Store    objstore.Store // repeats what can be repeated
	Info     *pb.SessionInfo
	Address  string // host:port where clients reach the process, "" = none do
	Place    string // where the process is alone, "" = unknown; Info says the same
	// Checkpoint says when a checkpoint is due and what it keeps.
	Checkpoint checkpoint.Limits
	Metrics    *metrics.Set
	Log        *slog.Logger

	// OnOpened is told that State has a session, OnLost that it is over. They must not block; nil = nobody.
	OnOpened func(id layout.Session, node int32)
	OnLost   func(id layout.Session)
	// Observers hear of every applied entry after the session has.
	Observers []view.Observer
}

// Member is one process' membership. Its parts are there from New on, and do nothing before they run.
type Member struct {
	Identity bootstrap.Identity
	Objects  layout.Objects
	Keys     layout.Etcd
	KV       kv.KV
	Store    objstore.Store
	Archives *checkpoint.Reader
	Session  *session.Session
	Members  *session.Members
	View     *view.View
	Job      *checkpoint.Job // its part in checkpoints
	TTL      time.Duration
	Metrics  *metrics.Set
	Log      *slog.Logger
}

// Limits are those of checkpoints by the process' configuration.
func Limits(c config.Recover) checkpoint.Limits {
	l := checkpoint.DefaultLimits()
	l.KeepRoots, l.KeepHourly = c.Roots, c.Hourly
	return l
}

// New makes a Member; it starts nothing.
func New(o Options) *Member {
	m := &Member{
		Identity: o.Identity, Objects: layout.NewObjects(o.Identity.Cluster, o.Identity.Incarnation), Keys: o.Keys, KV: o.KV,
		Store: o.Store, TTL: o.TTL, Metrics: o.Metrics, Log: o.Log,
	}
	jrnl := journal.New(o.KV, o.Keys)
	m.Archives = checkpoint.NewReader(o.Store, m.Objects, checkpoint.ReadsAhead)
	m.Session = session.New(session.Options{
		Config: session.Config{
			TTL: o.TTL,
			Init: &pb.InitCluster{
				ClusterId: o.Identity.ClusterID, Incarnation: o.Identity.Incarnation, FeatureLevel: state.MaxFeatureLevel,
			},
			MinFeatureLevel: state.MinFeatureLevel, MaxFeatureLevel: state.MaxFeatureLevel, Address: o.Address,
			Place: o.Place,
		},
		KV: o.KV, Keys: o.Keys, Journal: jrnl, Info: o.Info, Log: o.Log,
		// The key is put once; an etcd without it was wiped, which the view finds out only some time later.
		Require: []kv.Compare{{Key: o.Keys.Bootstrap(), Target: kv.Version, Want: 1}},
		OnAppend: func(took time.Duration, err error) {
			o.Metrics.JournalAppendSeconds.Observe(took.Seconds())
			if err == nil {
				o.Metrics.JournalAppends.Inc()
			}
		},
		OnOpened: o.OnOpened, OnLost: o.OnLost,
	})
	m.Members = session.NewMembers(o.KV, o.Keys, o.Log, nil)
	m.Job = checkpoint.NewJob(checkpoint.JobOptions{
		KV: o.KV, Keys: o.Keys, Store: o.Store, Objects: m.Objects, Cluster: o.Identity.Cluster, Journal: jrnl,
		Session: m.Session, Log: o.Log, TTL: o.TTL, Limits: o.Checkpoint,
	})
	m.View = view.NewView(view.Config{
		Limits: view.LimitsFor(o.TTL), Journal: jrnl, Checkpoints: m.Archives,
		Observers: append(append([]view.Observer{m.Session}, o.Observers...), m.Job),
		OnApply:   func(d time.Duration) { o.Metrics.ApplySeconds.Observe(d.Seconds()) },
	})
	m.Job.Follow(m.View)
	return m
}

// Observe runs what follows the cluster without acting in it: the view, the list of members, their metrics. It outlives
// the session.
func (m *Member) Observe(run func(func(context.Context) error)) {
	run(m.View.Run)
	run(m.Members.Run)
	run(m.measure)
}

// Act runs the session and what needs one whatever the process does.
func (m *Member) Act(run func(func(context.Context) error)) {
	run(m.Session.Run)
	run(m.Job.Run)
}

// listedPoll is how often a start looks whether it is listed. The membership watch takes about a millisecond.
const listedPoll = 5 * time.Millisecond

// Await waits until the view is current, the session open, and this process on its own list of members; because is told
// what it waits for. It is false when ctx ended first.
func (m *Member) Await(ctx context.Context, because func(string)) bool {
	because("loading the metadata")
	select {
	case <-m.View.Ready():
	case <-ctx.Done():
		return false
	}
	for {
		changed := m.Session.Changed()
		id, _, open := m.Session.Current()
		if _, listed := m.Members.All()[id]; open && listed {
			return true
		}
		reason := "opening a session"
		if open {
			reason = "waiting to be listed"
		}
		because(reason)
		select {
		case <-changed:
		case <-time.After(listedPoll): // the list has no signal of its own
		case <-ctx.Done():
			return false
		}
	}
}

// Health tells whether the process can do its work, and why not, or with what restriction.
func (m *Member) Health() (ready bool, reason string) {
	switch h, err := m.View.Health(); h {
	case view.Loading, view.Behind:
		return false, h.String()
	case view.Stopped:
		return false, err.Error()
	case view.CutOff:
		return true, h.String()
	}
	if _, _, open := m.Session.Current(); !open {
		return false, "no session"
	}
	return true, ""
}

// measure keeps the gauges current that say how the cluster stands.
func (m *Member) measure(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		m.Metrics.ViewLagSeconds.Set(m.View.Lag().Seconds())
		m.Metrics.Compactors.Set(float64(m.Compactors()))
		var size map[string]int64
		m.View.Read(func(s *state.State) {
			size = s.Size()
			unmerged, unmergedBytes := s.Unmerged()
			garbage, garbageBytes := s.Garbage()
			m.Metrics.Unmerged.Set(float64(unmerged))
			m.Metrics.UnmergedBytes.Set(float64(unmergedBytes))
			m.Metrics.Garbage.Set(float64(garbage))
			m.Metrics.GarbageBytes.Set(float64(garbageBytes))
			m.Metrics.StateUnswept.Set(float64(s.Unswept()))
			m.Metrics.Transactions.Set(float64(s.OpenTxnCount()))
		})
		for class, n := range size {
			m.Metrics.StateBytes.WithLabelValues(class).Set(float64(n))
		}
	}
}
