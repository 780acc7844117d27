package group

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// world is a State with a journal in front of it, virtual time, and the cores of some agents. Proposals wait until
// settle applies them, so that tests decide what happens in between.
type world struct {
	t       fataler
	s       *state.State
	now     time.Duration
	pos     int64
	cores   []*Core
	effects []*agentEffects
	journal []proposed
	loads   []func()
	writes  int
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

type proposed struct {
	agent  int
	group  string
	ticket uint64
	c      *pb.Command
}

type agentEffects struct {
	w     *world
	agent int
}

func (e *agentEffects) Propose(name string, ticket uint64, u *pb.UpdateGroup) {
	e.w.journal = append(e.w.journal, proposed{e.agent, name, ticket,
		&pb.Command{Kind: &pb.Command_UpdateGroup{UpdateGroup: u}}})
}

func (e *agentEffects) Load(name string, ticket uint64) {
	e.w.loads = append(e.w.loads, func() {
		e.w.cores[e.agent].Loaded(e.w.now, name, ticket, snapshotOf(e.w.s, name), nil)
	})
}

func (e *agentEffects) Reply(f func()) { f() }

func snapshotOf(s *state.State, name string) *Snapshot {
	g := s.Group(name)
	if g == nil {
		return nil
	}
	return &Snapshot{
		Version: g.Version, Type: g.Type, State: g.State, ProtocolType: g.ProtocolType, Protocol: g.Protocol, Leader: g.Leader,
		Generation: g.Generation, Members: g.Members(), AssignmentEpoch: g.AssignmentEpoch, MetadataHash: g.MetadataHash,
	}
}

func newWorld(t fataler, agents int, change ...func(*Config)) *world {
	w := &world{t: t, s: state.New(), now: time.Hour}
	cfg := Config{InitialDelay: 3 * time.Second, MinSession: 6 * time.Second, MaxSession: 30 * time.Minute, MaxSize: 100}
	ids := 0
	cfg.NewID = func() string { ids++; return strconv.Itoa(ids) }
	for _, f := range change {
		f(&cfg)
	}
	w.apply(0, &pb.Command{Kind: &pb.Command_InitCluster{InitCluster: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}}},
		&pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}})
	for i := range agents {
		if i > 0 {
			w.apply(i, &pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}})
		}
		e := &agentEffects{w, i}
		w.effects = append(w.effects, e)
		w.cores = append(w.cores, NewCore(cfg, e))
	}
	w.writes = 0
	return w
}

// apply puts commands into one entry of an agent's session.
func (w *world) apply(agent int, commands ...*pb.Command) []state.Result {
	w.t.Helper()
	w.pos++
	session := layout.Session(agent + 1)
	v, _ := w.s.Session(session)
	r := w.s.Apply(state.Entry{Position: w.pos, Session: session, Seq: v.LastSeq + 1, Body: &pb.Entry{
		AtMs: int64(w.now / time.Millisecond), Commands: commands,
	}})
	if r.Refused != state.OK || r.Repeat {
		w.t.Fatalf("an entry is refused: %v", r.Refused)
	}
	if err := w.s.Check(); err != nil {
		w.t.Fatalf("%v", err)
	}
	w.writes++
	return r.Commands
}

// one applies the oldest proposal.
func (w *world) one() {
	p := w.journal[0]
	w.journal = w.journal[1:]
	r := w.apply(p.agent, p.c)[0]
	w.cores[p.agent].Decided(w.now, p.group, p.ticket, Outcome{Position: w.pos, Code: r.Code})
	if r.Code == state.OK {
		for _, c := range w.cores {
			c.Changed(w.now, p.group, w.pos)
		}
	}
}

// settle lets loads and proposals through until nothing is under way.
func (w *world) settle() {
	for len(w.loads) > 0 || len(w.journal) > 0 {
		if len(w.loads) > 0 {
			f := w.loads[0]
			w.loads = w.loads[1:]
			f()
			continue
		}
		w.one()
	}
}

// pass lets time go by, deadline by deadline.
func (w *world) pass(d time.Duration) {
	for until := w.now + d; ; {
		next := until
		for _, c := range w.cores {
			next = min(next, max(c.Next(), w.now))
		}
		w.now = next
		for _, c := range w.cores {
			c.Tick(w.now)
		}
		w.settle()
		if w.now >= until {
			return
		}
	}
}

// classicMember is a member as its client sees it.
type classicMember struct {
	w            *world
	core         *Core
	id           string
	instance     string
	generation   int32
	metadata     string
	protocols    []string
	session      time.Duration
	rebalance    time.Duration
	oldClient    bool // of before KIP-394 and KIP-814
	joined       *Joined
	synced       *Synced
	joins, syncs int // answers
}

func (w *world) classic() *classicMember {
	return &classicMember{
		w: w, core: w.cores[0], protocols: []string{"range"}, session: 10 * time.Second, rebalance: 60 * time.Second,
		generation: -1,
	}
}

// join sends a JoinGroup; the answer is in joined once it has come.
func (m *classicMember) join() {
	m.joined = nil
	req := &Join{
		Group: "g", Member: m.id, Instance: m.instance, ClientID: "c", ClientHost: "/h", ProtocolType: "consumer",
		SessionTimeout: m.session, RebalanceTimeout: m.rebalance, NeedsKnownID: !m.oldClient, CanSkipAssignment: !m.oldClient,
		Done: func(j Joined) {
			m.joined = &j
			m.joins++
			if j.Err == nil || j.Err == ErrMemberIDRequired {
				m.id, m.generation = j.Member, j.Generation
			}
		},
	}
	for _, p := range m.protocols {
		req.Protocols = append(req.Protocols, Protocol{Name: p, Metadata: []byte(m.metadata)})
	}
	m.core.Join(m.w.now, req)
	m.w.settle()
}

// enter joins, with the detour that KIP-394 asks for.
func (m *classicMember) enter() {
	m.w.t.Helper()
	m.join()
	if m.joined != nil && m.joined.Err == ErrMemberIDRequired {
		m.join()
	}
}

// sync asks for the assignment; a leader gives everybody a text with the generation and the member's id.
func (m *classicMember) sync() {
	m.synced = nil
	req := &Sync{Group: "g", Member: m.id, Instance: m.instance, Generation: m.generation, Done: func(s Synced) { m.synced = &s; m.syncs++ }}
	if m.joined != nil && !m.joined.SkipAssignment {
		req.Assignments = map[string][]byte{}
		for _, x := range m.joined.Members {
			req.Assignments[x.ID] = []byte(fmt.Sprintf("%d %s", m.generation, x.ID))
		}
	}
	m.core.Sync(m.w.now, req)
	m.w.settle()
}

func (m *classicMember) heartbeat() (err error) {
	err = fmt.Errorf("no answer")
	m.core.Heartbeat(m.w.now, &Heartbeat{Group: "g", Member: m.id, Instance: m.instance, Generation: m.generation, Done: func(e error) { err = e }})
	m.w.settle()
	return err
}

func (w *world) leave(core *Core, leavers ...Leaver) (each []error, err error) {
	err = fmt.Errorf("no answer")
	core.Leave(w.now, &Leave{Group: "g", Members: leavers, Done: func(e error, list []error) { err, each = e, list }})
	w.settle()
	return each, err
}

// stabilise takes fresh members through a first generation.
func (w *world) stabilise(t *testing.T, members ...*classicMember) {
	t.Helper()
	for _, m := range members {
		m.enter()
	}
	w.pass(10 * time.Second)
	for _, m := range members {
		if m.joined == nil || m.joined.Err != nil {
			t.Fatalf("join: %+v", m.joined)
		}
	}
	w.syncAll(t, members...)
}

func (w *world) syncAll(t *testing.T, members ...*classicMember) {
	t.Helper()
	for _, m := range members {
		m.sync()
	}
	for _, m := range members {
		want := fmt.Sprintf("%d %s", m.generation, m.id)
		if m.synced == nil || m.synced.Err != nil || string(m.synced.Assignment) != want {
			t.Fatalf("sync: %+v, want %q", m.synced, want)
		}
	}
}
