package txn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"wadi/agent/tenure"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// ErrNotCoordinator: another agent coordinates the transactional id, or this one is going away. Nothing was proposed.
var ErrNotCoordinator = errors.New("another agent coordinates the transactional id")

// Session is this agent's place in the journal.
type Session interface {
	tenure.Session
	Propose(p *session.Proposal)
}

// Routing says which transactional ids are this agent's.
type Routing interface {
	// Rank is this agent's place among those that may coordinate the id: 0 = it does, 1 = it is the first to stand in,
	// and so on; -1 = it is not to propose anything.
	Rank(id string) int
	// Many says which of thousands of ids this agent coordinates, for who sends nobody away: all by the agents of this
	// moment.
	Many() func(id string) bool
}

// Options of a Coordinator.
type Options struct {
	View    View
	Session Session
	Routing Routing
	Tenure  *tenure.Tenure // shared with other coordinators of the agent
	// OnEnd is told how a transaction ended that this agent ended for a client: "commit", "abort"; nil = nobody.
	OnEnd func(how string)
}

// Coordinator proposes the commands of the transactional ids that this agent coordinates.
type Coordinator struct {
	o Options

	mu struct {
		sync.Mutex
		stopped bool
		lost    chan struct{} // closed when the lease may be over
	}
}

// New starts nothing; see Run.
func New(o Options) *Coordinator {
	c := &Coordinator{o: o}
	c.mu.lost = make(chan struct{})
	return c
}

// answers reports whether this agent may answer for transactional ids at all.
func (c *Coordinator) answers() bool {
	c.mu.Lock()
	stopped := c.mu.stopped
	c.mu.Unlock()
	return !stopped && c.o.Tenure.Holds()
}

// Check is nil when this agent answers for a transactional id now.
func (c *Coordinator) Check(id string) error {
	if !c.answers() || c.o.Routing.Rank(id) != 0 {
		return ErrNotCoordinator
	}
	return nil
}

// Mine says which of many transactional ids this agent answers for, by the agents of this moment.
func (c *Coordinator) Mine() func(id string) bool {
	if !c.answers() {
		return func(string) bool { return false }
	}
	return c.o.Routing.Many()
}

// maxConflicts bounds how often a command is judged again. Each time another agent acted for the same transactional id
// in the milliseconds between, which two coordinators do for as long as they learn that there are two.
const maxConflicts = 10

// Ask is what a client asks for.
type Ask struct {
	// Check says whether this agent may answer for it. It is asked before each proposal.
	Check func() error
	// Command carries as its base the position of State when the request had arrived. It is not changed from now on.
	Command *pb.Command
	// Once asks for no second judgement: the command means what was there at its base, and nothing else.
	Once bool
}

// Do proposes a command and waits for State's verdict. A command that met a change made after its base did nothing, and
// is judged again behind that change as long as ctx lives, since its client waits for it. The verdict is Conflict when that
// has been done often enough, and when the client cannot mean what is there by now. An error is that of Check, or wraps one of package session's; session.ErrUnknown when ctx
// ended, or the lease may be over, before the outcome was known.
func (c *Coordinator) Do(ctx context.Context, a Ask) (state.Result, error) {
	command := a.Command
	for try := 0; ; try++ {
		r, err := c.once(ctx, a.Check, command)
		if err != nil || r.Code != state.Conflict || a.Once || try == maxConflicts || ctx.Err() != nil {
			if err == nil && r.Code == state.OK {
				c.ended(command.GetEndTxn())
			}
			return r, err
		}
		base, late := int64(0), false
		c.o.View.Read(func(s *state.State) { base, late = s.Position(), overtaken(s, a.Command) })
		if late {
			return r, nil
		}
		command = &pb.Command{Base: base, Kind: command.Kind}
	}
}

// overtaken reports whether the transaction that is open began after a request had arrived that nothing but its time
// tells from one of that transaction: clients that keep their epoch (before KIP-890) begin the next transaction when
// they have been told of the end of the one before, so this is a repetition that lay somewhere. It must not end what it
// does not know, nor put its positions there (KAFKA-17754).
func overtaken(s *state.State, c *pb.Command) bool {
	var producer int64
	switch end, offsets := c.GetEndTxn(), c.GetCommitTxnOffsets(); {
	case end != nil && !end.Bump:
		producer = end.ProducerId
	case offsets != nil && !offsets.Implicit:
		producer = offsets.ProducerId
	default:
		return false
	}
	t := s.TxnByProducer(producer)
	return t != nil && t.Began > c.Base
}

// once proposes in the session that Check judged, or not at all: what a frozen process read before it lost its session
// must not be proposed in the next one.
func (c *Coordinator) once(ctx context.Context, check func() error, command *pb.Command) (state.Result, error) {
	tenant, _, _ := c.o.Session.Current()
	c.mu.Lock()
	lost := c.mu.lost
	c.mu.Unlock()
	if err := check(); err != nil {
		return state.Result{}, err
	}
	type answer struct {
		result state.Result
		err    error
	}
	done := make(chan answer, 1)
	c.o.Session.Propose(&session.Proposal{Command: command, Control: true, Session: tenant, Done: func(o session.Outcome) {
		a := answer{err: o.Err}
		if o.Err == nil {
			a.result = state.Result{Code: o.Result.Code, ID: o.Result.ID, Epoch: o.Result.Epoch}
		}
		done <- a
	}})
	select {
	case a := <-done:
		return a.result, a.err
	case <-lost:
		return state.Result{}, fmt.Errorf("%w: the lease may be over", session.ErrUnknown)
	case <-ctx.Done():
		return state.Result{}, fmt.Errorf("%w: %w", session.ErrUnknown, ctx.Err())
	}
}

func (c *Coordinator) ended(k *pb.EndTxn) {
	switch {
	case k == nil || c.o.OnEnd == nil:
	case k.Commit:
		c.o.OnEnd("commit")
	default:
		c.o.OnEnd("abort")
	}
}

// watchEvery is how often Run looks whether the lease may be over.
const watchEvery = 100 * time.Millisecond

// Run answers what waits for etcd once the lease may be over, so that its clients go to the next coordinator and ask
// again there. When ctx ends it refuses whatever comes, as the agent goes away.
func (c *Coordinator) Run(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	held := true
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			c.mu.Lock()
			c.mu.stopped = true
			c.mu.Unlock()
			return nil
		}
		holds := c.o.Tenure.Holds()
		if held && !holds {
			c.mu.Lock()
			close(c.mu.lost)
			c.mu.lost = make(chan struct{})
			c.mu.Unlock()
		}
		held = holds
	}
}
