package group

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"wadi/agent/tenure"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// View is the live State.
type View interface {
	Read(func(*state.State))
	// Barrier waits until everything that was in the journal when it was called is applied.
	Barrier(ctx context.Context) error
}

// Session is this agent's place in the journal.
type Session interface {
	tenure.Session
	Propose(p *session.Proposal)
}

// Routing says which groups are this agent's.
type Routing interface {
	// Mine reports whether this agent coordinates the group, by the agents that it knows of.
	Mine(group string) bool
	// Many is Mine for who asks for thousands of groups and sends nobody away: all by the agents of this moment.
	Many() func(group string) bool
	// Epoch is another number whenever the list of agents has changed.
	Epoch() uint64
}

// Options of a Coordinator.
type Options struct {
	Config
	View    View
	Session Session
	Routing Routing
	Log     *slog.Logger
	// Tenure, shared with other coordinators of the agent, says when it may answer; nil = one of its own.
	Tenure *tenure.Tenure
	// OnChange is told what became of a change that was proposed: "applied", "refused" (another agent changed the group
	// first) or "unknown"; nil = nobody.
	OnChange func(outcome string)
}

// Coordinator implements the requests of groups on journal and State. It is the view's observer, behind the
// session.
type Coordinator struct {
	o       Options
	started time.Time
	ctx     context.Context // ends when Run does: loads go with it
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	wake    chan struct{} // the loop must look at the clock again
	commits commits       // on their way to State

	mu struct {
		sync.Mutex
		core    *Core
		effects []func() // decided, to be carried out after the lock is released
		stopped bool
	}
}

// New starts nothing; see Run.
func New(o Options) *Coordinator {
	if o.Tenure == nil {
		o.Tenure = tenure.New(o.Session)
	}
	c := &Coordinator{o: o, started: time.Now(), wake: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.mu.core = NewCore(o.Config, (*shell)(c))
	return c
}

const (
	// housekeeping is how often the coordinator looks whether its groups are still its own.
	housekeeping = 100 * time.Millisecond
	// adoptEvery is how often it looks for groups that became its own without its noticing.
	adoptEvery = 10 * time.Second
	// loadTimeout bounds a load. Who waits for it asks again.
	loadTimeout = 5 * time.Second
)

// Run keeps the clock until ctx ends; then every request that waits is answered and whatever comes is refused, as the
// agent goes away.
func (c *Coordinator) Run(ctx context.Context) error {
	defer c.stop()
	timer := time.NewTimer(housekeeping)
	defer timer.Stop()
	var looked, adopted time.Time
	epoch := uint64(0)
	for {
		next := housekeeping
		c.step(func(core *Core, now time.Duration) {
			core.Tick(now)
			next = min(next, max(core.Next()-now, 0))
		})
		if time.Since(looked) >= housekeeping {
			looked = time.Now()
			c.keep()
			if e := c.o.Routing.Epoch(); e != epoch || time.Since(adopted) >= adoptEvery {
				if c.adopt(ctx) {
					epoch, adopted = e, looked
				}
			}
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-c.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *Coordinator) stop() {
	c.step(func(core *Core, now time.Duration) {
		c.mu.stopped = true
		core.Lose(now, core.Names())
	})
	c.cancel()
	c.wg.Wait()
}

// answers reports whether this agent may answer for groups at all.
func (c *Coordinator) answers() bool {
	c.mu.Lock()
	stopped := c.mu.stopped
	c.mu.Unlock()
	return !stopped && c.o.Tenure.Holds()
}

// keep gives up the groups that are not this agent's any more.
func (c *Coordinator) keep() {
	var lost []string
	c.mu.Lock()
	names := c.mu.core.Names()
	c.mu.Unlock()
	alive := c.answers()
	if !alive {
		c.commits.refuse()
	}
	mine := c.o.Routing.Many()
	for _, name := range names {
		if !alive || !mine(name) {
			lost = append(lost, name)
		}
	}
	if len(lost) > 0 {
		c.step(func(core *Core, now time.Duration) { core.Lose(now, lost) })
	}
}

// Check is nil when this agent answers for a group now.
func (c *Coordinator) Check(group string) error {
	if !c.answers() || !c.o.Routing.Mine(group) {
		return ErrNotCoordinator
	}
	return nil
}

// Mine says which of many groups this agent answers for, by the agents of this moment.
func (c *Coordinator) Mine() func(group string) bool {
	if !c.answers() {
		return func(string) bool { return false }
	}
	return c.o.Routing.Many()
}

// adoptStep is how many groups are looked at while State is held.
const adoptStep = 1000

// adopt takes over the groups with members that this agent coordinates and does not hold. False when it cannot now.
func (c *Coordinator) adopt(ctx context.Context) bool {
	if !c.answers() {
		return false
	}
	for next, first := uint64(0), true; first || next != 0; first = false {
		var found []string
		c.o.View.Read(func(s *state.State) {
			next = s.SomeGroups(next, adoptStep, func(g *state.Group) {
				if len(g.Members()) > 0 {
					found = append(found, g.Name)
				}
			})
		})
		mine := c.o.Routing.Many()
		for _, name := range found {
			if mine(name) {
				c.step(func(core *Core, now time.Duration) { core.Adopt(now, name) })
			}
		}
		if ctx.Err() != nil {
			return false
		}
	}
	return true
}

// Join answers when the generation is State. It does not block.
func (c *Coordinator) Join(req *Join) {
	if err := c.Check(req.Group); err != nil && req.Group != "" {
		req.Done(Joined{Err: err, Member: req.Member, Generation: -1})
		return
	}
	c.step(func(core *Core, now time.Duration) { core.Join(now, req) })
}

// Sync answers when the leader's assignment is State. It does not block.
func (c *Coordinator) Sync(req *Sync) {
	if err := c.Check(req.Group); err != nil && req.Group != "" {
		req.Done(Synced{Err: err})
		return
	}
	c.step(func(core *Core, now time.Duration) { core.Sync(now, req) })
}

// Heartbeat does not block.
func (c *Coordinator) Heartbeat(req *Heartbeat) {
	if err := c.Check(req.Group); err != nil && req.Group != "" {
		req.Done(err)
		return
	}
	c.step(func(core *Core, now time.Duration) { core.Heartbeat(now, req) })
}

// NewMemberID makes an id that no other member has.
func (c *Coordinator) NewMemberID() string { return c.o.NewID() }

// ConsumerHeartbeat answers when what it tells is State. It does not block.
func (c *Coordinator) ConsumerHeartbeat(req *ConsumerHeartbeat) {
	if err := c.Check(req.Group); err != nil {
		req.Done(ConsumerAnswer{Err: err})
		return
	}
	c.step(func(core *Core, now time.Duration) { core.ConsumerHeartbeat(now, req) })
}

// Leave does not block.
func (c *Coordinator) Leave(req *Leave) {
	if err := c.Check(req.Group); err != nil && req.Group != "" {
		req.Done(err, nil)
		return
	}
	c.step(func(core *Core, now time.Duration) { core.Leave(now, req) })
}

// Commit is an OffsetCommit request. Base is the position at which it arrived.
type Commit struct {
	Base    int64
	Command *pb.CommitOffsets // owned by the coordinator from now on
	Done    func(error)       // called exactly once
}

// Commit answers when the positions are State. It does not block. Commits of one caller are proposed in the order in
// which it makes them.
func (c *Coordinator) Commit(req *Commit) {
	k := req.Command
	tenant, _, _ := c.o.Session.Current() // the one that Check judges, or the commit is not proposed
	err := c.Check(k.Group)
	if err == nil {
		c.step(func(core *Core, now time.Duration) {
			err = core.Committing(now, k.Group, k.Member, k.InstanceId, k.Generation)
		})
	}
	if err != nil {
		req.Done(err)
		return
	}
	c.commits.add(req)
	c.o.Session.Propose(&session.Proposal{
		Command: &pb.Command{Base: req.Base, Kind: &pb.Command_CommitOffsets{CommitOffsets: k}}, Control: true, Session: tenant,
		Done: func(o session.Outcome) {
			switch {
			case !c.commits.take(req): // answered when the lease may have been over
			case o.Err != nil:
				req.Done(o.Err)
			default:
				req.Done(Verdict(o.Result.Code))
			}
		},
	})
}

// Verdict is State's judgement of a group's command as an error of this package. A refused command did nothing.
func Verdict(code state.Code) error {
	switch code {
	case state.OK:
		return nil
	case state.UnknownGroup:
		return ErrUnknownGroup
	case state.UnknownMember:
		return ErrUnknownMember
	case state.IllegalGeneration:
		return ErrIllegalGeneration
	case state.FencedInstance:
		return ErrFencedInstance
	case state.RebalanceInProgress:
		return ErrRebalanceInProgress
	case state.StaleMemberEpoch:
		return ErrStaleEpoch
	case state.NotEmpty:
		return ErrNotEmpty
	default:
		return fmt.Errorf("%w: %s", ErrNotCoordinator, code) // Conflict: another session changed it since
	}
}

// Describe tells of a group, nil when there is none. The caller has seen to a barrier.
func (c *Coordinator) Describe(name string) *Description {
	s := c.snapshot(name)
	if s != nil && s.Type != state.ClassicGroup {
		return nil
	}
	var d Description
	held := false
	c.step(func(core *Core, _ time.Duration) { d, held = core.Describe(name) })
	switch {
	case held:
		return &d
	case s == nil:
		return nil
	}
	d = describe(s)
	return &d
}

// State is the name of a group's state, given the one that State has. It must not be called while State is read.
func (c *Coordinator) State(name string, s state.GroupState) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held := c.mu.core.groups[name]; held != nil && !held.foreign() && held.version != 0 {
		return phaseNames[held.phase]
	}
	return stateName(s)
}

func stateName(s state.GroupState) string {
	switch s {
	case state.GroupEmpty:
		return phaseNames[empty]
	case state.GroupCompleting:
		return phaseNames[completing]
	default:
		return phaseNames[stable]
	}
}

func (c *Coordinator) snapshot(name string) (s *Snapshot) {
	c.o.View.Read(func(st *state.State) {
		if g := st.Group(name); g != nil {
			s = &Snapshot{
				Version: g.Version, Type: g.Type, State: g.State, ProtocolType: g.ProtocolType, Protocol: g.Protocol,
				Leader: g.Leader, Generation: g.Generation, Members: g.Members(),
				AssignmentEpoch: g.AssignmentEpoch, MetadataHash: g.MetadataHash,
			}
		}
	})
	return s
}

// Applied implements view.Observer.
func (c *Coordinator) Applied(e journal.Entry, body *pb.Entry, res *state.Results) {
	for i := range res.Commands {
		name, version := "", e.Position
		switch k := body.Commands[i].GetKind().(type) {
		case *pb.Command_CreateTopic, *pb.Command_DeleteTopic, *pb.Command_CreatePartitions:
			c.step(func(core *Core, _ time.Duration) { core.TopicsChanged() })
			continue
		case *pb.Command_UpdateGroup:
			name = k.UpdateGroup.Group
		case *pb.Command_DeleteGroup:
			name, version = k.DeleteGroup.Group, 0
		case *pb.Command_ExpireOffsets:
			if res.Commands[i].ID == 0 {
				continue
			}
			name, version = k.ExpireOffsets.Group, 0
		default:
			continue
		}
		if res.Commands[i].Code == state.OK {
			c.step(func(core *Core, now time.Duration) { core.Changed(now, name, version) })
		}
	}
}

// Replaced implements view.Observer: what happened in between is not known, so nothing that is held can be trusted.
func (c *Coordinator) Replaced(*state.State) {
	c.step(func(core *Core, now time.Duration) {
		core.TopicsChanged()
		core.Lose(now, core.Names())
	})
}

func (c *Coordinator) now() time.Duration { return time.Since(c.started) }

// step lets the core take an event and carries its effects out when the lock is free again.
func (c *Coordinator) step(f func(*Core, time.Duration)) {
	c.mu.Lock()
	before := c.mu.core.Next()
	f(c.mu.core, c.now())
	sooner := c.mu.core.Next() < before
	effects := c.mu.effects
	c.mu.effects = nil
	c.mu.Unlock()
	for _, e := range effects {
		e()
	}
	if sooner {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// shell carries effects out for the Coordinator it is; its methods are called under the lock.
type shell Coordinator

func (x *shell) Reply(f func()) { x.mu.effects = append(x.mu.effects, f) }

func (x *shell) Propose(name string, ticket uint64, u *pb.UpdateGroup) {
	c := (*Coordinator)(x)
	x.mu.effects = append(x.mu.effects, func() {
		c.o.Session.Propose(&session.Proposal{
			Command: &pb.Command{Kind: &pb.Command_UpdateGroup{UpdateGroup: u}}, Control: true,
			Done: func(o session.Outcome) {
				out := Outcome{Err: o.Err, Position: o.Position}
				if o.Err == nil {
					out.Code = o.Result.Code
				}
				if out.Err != nil || out.Code != state.OK {
					c.o.Log.Info("group not changed", "group", name, "verdict", out.Code.String(), "error", out.Err)
				}
				c.changed(out)
				c.step(func(core *Core, now time.Duration) { core.Decided(now, name, ticket, out) })
			},
		})
	})
}

func (c *Coordinator) changed(o Outcome) {
	if c.o.OnChange == nil {
		return
	}
	switch {
	case o.Err != nil:
		c.o.OnChange("unknown")
	case o.Code != state.OK:
		c.o.OnChange("refused")
	default:
		c.o.OnChange("applied")
	}
}

// Held is how many groups are in memory: those with members, or with somebody at the door.
func (c *Coordinator) Held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.mu.core.groups)
}

func (x *shell) Load(name string, ticket uint64) {
	c := (*Coordinator)(x)
	x.mu.effects = append(x.mu.effects, func() {
		c.mu.Lock()
		stopped := c.mu.stopped
		if !stopped {
			c.wg.Add(1)
		}
		c.mu.Unlock()
		if stopped {
			c.step(func(core *Core, now time.Duration) { core.Loaded(now, name, ticket, nil, ErrNotCoordinator) })
			return
		}
		go func() {
			defer c.wg.Done()
			ctx, cancel := context.WithTimeout(c.ctx, loadTimeout)
			defer cancel()
			err := c.o.View.Barrier(ctx)
			if err != nil {
				err = fmt.Errorf("%w: %w", ErrLoading, err)
			}
			c.step(func(core *Core, now time.Duration) {
				var s *Snapshot
				if err == nil {
					s = c.snapshot(name)
				}
				core.Loaded(now, name, ticket, s, err)
			})
		}()
	})
}
