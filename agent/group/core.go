package group

import (
	"container/heap"
	"maps"
	"slices"
	"sort"
	"time"

	kip848 "wadi/agent/group/consumer"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// Effects carries out what the core decides. An implementation must not call back into the core from within.
type Effects interface {
	// Propose appends the command to the journal and answers with Core.Decided.
	Propose(group string, ticket uint64, c *pb.UpdateGroup)
	// Load reads the group from State, behind a barrier, and answers with Core.Loaded.
	Load(group string, ticket uint64)
	// Reply runs f, which answers a request, after those that came before it.
	Reply(f func())
}

// Config of a core: Kafka's broker configs of groups.
type Config struct {
	InitialDelay time.Duration // group.initial.rebalance.delay.ms
	MinSession   time.Duration // group.min.session.timeout.ms
	MaxSession   time.Duration // group.max.session.timeout.ms
	MaxSize      int           // group.max.size
	NewID        func() string // makes what nobody ever made: the random part of member ids

	MaxConsumers int                                 // group.consumer.max.size
	Consumers    func(group string) ConsumerSettings // of the consumer protocol
	Topics       kip848.Topics
}

const (
	// newcomerTimeout is how long a member may wait in its first join. Its client may be gone: nobody hears of a
	// connection that ends while a join is parked, so a group that cannot finish a rebalance would gather the dead.
	newcomerTimeout = 5 * time.Minute
	// maxGroupBytes bounds what the members say of themselves, and what the leader assigns, so that a generation fits
	// one journal entry of 256 KiB.
	maxGroupBytes = 160 << 10
	// maxInbox bounds what waits behind a proposal. A member has few requests on their way at a time.
	maxInbox = 16 << 10
	// maxPending bounds the ids given out and not used (KIP-394): a client that never comes back must not fill memory.
	maxPending = 10_000
)

// Core holds the groups that this agent coordinates. All times are of one monotonic clock.
type Core struct {
	cfg    Config
	out    Effects
	now    time.Duration
	groups map[string]*group
	due    dueHeap
	ticket uint64

	topicsRound uint64 // counts changes of topics
}

// queuedRequest is a request that waits: run takes it up, drop answers it with an error.
type queuedRequest struct {
	run  func(g *group)
	drop func(err error)
}

// NewCore holds no groups.
func NewCore(cfg Config, out Effects) *Core {
	return &Core{cfg: cfg, out: out, groups: map[string]*group{}}
}

// with lets a request act on its group: at once, or behind what is under way.
func (c *Core) with(now time.Duration, name string, q queuedRequest) {
	c.now = now
	g := c.groups[name]
	if g == nil {
		g = newGroup(name)
		c.groups[name] = g
		c.ticket++
		g.ticket, g.loading = c.ticket, true
		c.out.Load(name, g.ticket)
	}
	if g.ticket != 0 {
		if len(g.inbox) >= maxInbox {
			q.drop(ErrLoading)
			return
		}
		g.inbox = append(g.inbox, q)
		return
	}
	q.run(g)
	c.settle(g)
}

// settle forgets a group that is not worth keeping.
func (c *Core) settle(g *group) {
	if g.idle() && c.groups[g.name] == g {
		delete(c.groups, g.name)
	}
}

// Adopt loads a group that has members in State, so that their session timeouts run here from now on.
func (c *Core) Adopt(now time.Duration, name string) {
	if c.groups[name] == nil {
		c.with(now, name, queuedRequest{run: func(*group) {}, drop: func(error) {}})
	}
}

// Snapshot is a group as State has it.
type Snapshot struct {
	Version                        int64
	Type                           state.GroupType
	State                          state.GroupState
	ProtocolType, Protocol, Leader string
	Generation                     int32
	AssignmentEpoch                int32           // consumer protocol; of a classic group: it was of that, and is to rebalance
	MetadataHash                   uint64          // consumer protocol
	Members                        []*state.Member // shared, read-only
}

// Loaded takes the answer to Load. s is nil when there is no such group. An error is what waiting requests get.
func (c *Core) Loaded(now time.Duration, name string, ticket uint64, s *Snapshot, err error) {
	c.now = now
	g := c.groups[name]
	if g == nil || g.ticket != ticket {
		return
	}
	if err != nil {
		c.drop(g, err)
		return
	}
	g.ticket, g.loading = 0, false
	if s != nil {
		c.restore(g, s)
	}
	c.resume(g)
}

// Outcome of a proposal. Err is nil when it was applied, whatever Code says.
type Outcome struct {
	Err      error
	Position int64
	Code     state.Code
}

// Decided takes the answer to Propose.
func (c *Core) Decided(now time.Duration, name string, ticket uint64, o Outcome) {
	c.now = now
	g := c.groups[name]
	if g == nil || g.ticket != ticket {
		return
	}
	then, replies := g.then, g.replies
	g.ticket, g.then, g.replies = 0, nil, nil
	switch {
	case o.Err == nil && o.Code == state.OK:
		g.version = o.Position
	case o.Err == nil && o.Code == state.TooMany:
		g.replies = replies
		c.drop(g, ErrMaxSize)
		return
	default:
		// Somebody else changed the group, or nobody knows what became of the change: what is in memory is of no use.
		g.replies = replies
		c.drop(g, ErrNotCoordinator)
		return
	}
	for _, f := range replies {
		c.out.Reply(func() { f(nil) })
	}
	then()
	c.resume(g)
}

// resume takes up what waited for a load or a proposal.
func (c *Core) resume(g *group) {
	for g.ticket == 0 && c.groups[g.name] == g {
		if g.late {
			g.late = false
			c.expire(g)
			continue
		}
		if len(g.inbox) == 0 {
			break
		}
		q := g.inbox[0]
		if g.inbox = g.inbox[1:]; len(g.inbox) == 0 {
			g.inbox = nil
		}
		q.run(g)
	}
	c.settle(g)
}

// propose puts a change of the group on its way; then goes on once State has it.
func (c *Core) propose(g *group, u *pb.UpdateGroup, then func()) {
	c.ticket++
	g.ticket, g.then = c.ticket, then
	u.Group, u.Version = g.name, g.version
	sort.Slice(u.Members, func(i, j int) bool { return u.Members[i].Id < u.Members[j].Id })
	sort.Strings(u.Removed)
	c.out.Propose(g.name, g.ticket, u)
}

// drop forgets a group and answers all that waits for it.
func (c *Core) drop(g *group, err error) {
	delete(c.groups, g.name)
	g.ticket = 0
	for _, m := range g.order {
		c.endJoin(g, m, Joined{Err: err, Member: m.id})
		c.endSync(m, Synced{Err: err})
	}
	for _, f := range g.replies {
		c.out.Reply(func() { f(err) })
	}
	for _, q := range g.inbox {
		q.drop(err)
	}
	g.inbox, g.replies, g.then = nil, nil, nil
}

// Changed tells that a command made another version of the group the present one; version 0 = it is deleted. Unless
// this core proposed it, somebody else coordinates or administers the group.
//
// What waits for a load is refused then: its client may have given it up, gone to that other coordinator and come further
// since. A heartbeat with which it joined would say that it owns nothing of what it has got there, and a static member's
// join would be taken for its successor's. A client that still waits comes again, as with Kafka, which refuses whatever
// comes during a load.
func (c *Core) Changed(now time.Duration, name string, version int64) {
	c.now = now
	g := c.groups[name]
	switch {
	case g == nil:
	case g.loading:
		waiting := g.inbox
		g.inbox = nil
		for _, q := range waiting {
			q.drop(ErrLoading)
		}
	case g.ticket == 0 && g.version != version:
		c.drop(g, ErrNotCoordinator)
	}
}

// Names are the groups in memory, sorted.
func (c *Core) Names() []string {
	return slices.Sorted(maps.Keys(c.groups))
}

// Lose drops groups: others coordinate them now.
func (c *Core) Lose(now time.Duration, names []string) {
	c.now = now
	for _, name := range names {
		if g := c.groups[name]; g != nil {
			c.drop(g, ErrNotCoordinator)
		}
	}
}

func (c *Core) endJoin(g *group, m *member, j Joined) {
	if m.join == nil {
		return
	}
	req := m.join
	m.join = nil
	g.joined--
	if j.Err != nil {
		j.Generation = -1
	}
	c.out.Reply(func() { req.Done(j) })
}

func (c *Core) endSync(m *member, s Synced) {
	if m.sync == nil {
		return
	}
	req := m.sync
	m.sync = nil
	c.out.Reply(func() { req.Done(s) })
}

// Tick lets time pass.
func (c *Core) Tick(now time.Duration) {
	c.now = now
	for len(c.due) > 0 && c.due[0].at <= now {
		d := heap.Pop(&c.due).(due)
		g := c.groups[d.group]
		if g == nil || g.wake != d.at {
			continue
		}
		g.wake = never
		if g.ticket != 0 {
			g.late = true
			continue
		}
		c.expire(g)
		c.settle(g)
	}
}

// Next is when a Tick is due, or never.
func (c *Core) Next() time.Duration {
	if len(c.due) == 0 {
		return never
	}
	return c.due[0].at
}

// wakeBy makes sure that the group is looked at by a time. A deadline that moves back, as those of members do with every
// heartbeat, leaves the old time in the heap: the group is looked at in vain then, once per session timeout.
func (c *Core) wakeBy(g *group, at time.Duration) {
	if at < g.wake {
		g.wake = at
		heap.Push(&c.due, due{at: at, group: g.name})
	}
}

type due struct {
	at    time.Duration
	group string
}

type dueHeap []due

func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].group < h[j].group
}
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)   { *h = append(*h, x.(due)) }
func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
