package ingest

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"wadi/agent/api"
	"wadi/internal/layout"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore"
)

// View is the live State.
type View interface {
	Read(func(*state.State))
}

// Proposer appends commands to the journal, in the order of the calls.
type Proposer interface {
	Propose(p *session.Proposal)
}

// Options of an Ingest.
type Options struct {
	Config
	View     View
	Proposer Proposer
	Store    objstore.Store // repeats what fails; an objstore.EitherPutter also hedges
	Log      *slog.Logger
	// OnFlush is told how long a flush took from closing to its commit, by path ("inline", "object"); nil = nobody.
	OnFlush func(path string, took time.Duration)
	// OnStored is given every flush object that was stored, before it is committed; body must not be changed or kept
	// after the call. nil = nobody.
	OnStored func(key string, body objstore.Body)
	// OnSettled tells what became of such an object: its number in State, or 0 when no run lies in it.
	OnSettled func(key string, number uint64)
}

// Ingest implements api.Ingest on object store and journal. It is the view's observer.
type Ingest struct {
	o       Options
	started time.Time
	ctx     context.Context // ends when Run does
	cancel  context.CancelFunc

	mu struct {
		sync.Mutex
		core     *Core
		effects  []effect // decided, not yet carried out
		spare    []effect // their other array
		carrying bool     // somebody carries effects out
		timer    *time.Timer
		armed    time.Duration   // what the timer is set to; forever = not set
		session  context.Context // of the session's uploads
		giveUp   context.CancelFunc
		objects  layout.Objects
		cluster  string
		ended    bool
		wg       sync.WaitGroup // uploads
	}
}

// New starts nothing; see Run.
func New(o Options) *Ingest {
	g := &Ingest{o: o, started: time.Now()}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.mu.session, g.mu.giveUp = context.WithCancel(g.ctx)
	g.mu.core = NewCore(o.Config, (*shell)(g), producers{o.View})
	g.mu.armed = forever
	return g
}

// Run flushes until ctx ends. What was not proposed by then is refused, and so is what comes later; what was proposed is
// answered when its proposal ends, which may be after Run has returned.
func (g *Ingest) Run(ctx context.Context) error {
	g.mu.Lock()
	g.mu.timer = time.AfterFunc(time.Hour, g.tick)
	g.mu.Unlock()
	g.step(func(c *Core, now time.Duration) { c.Tick(now) })
	<-ctx.Done()
	g.cancel()
	g.mu.Lock()
	g.mu.timer.Stop()
	g.mu.ended = true
	g.mu.Unlock()
	g.step(func(c *Core, now time.Duration) { c.End(now) })
	g.mu.wg.Wait() // no Add follows: the core starts no upload after End
	return nil
}

// Opened tells that State has the session open, Lost that it is over.
func (g *Ingest) Opened(id layout.Session, objects layout.Objects, clusterID string) {
	g.step(func(c *Core, now time.Duration) {
		if id != c.session {
			g.mu.giveUp() // uploads of the session before: nobody will propose them
			g.mu.session, g.mu.giveUp = context.WithCancel(g.ctx)
		}
		g.mu.objects, g.mu.cluster = objects, clusterID
		c.Opened(now, id)
	})
}

// Lost tells that the session is over.
func (g *Ingest) Lost(id layout.Session) {
	g.step(func(c *Core, now time.Duration) {
		if id == c.session {
			g.mu.giveUp()
		}
		c.Lost(now, id)
	})
}

// Stage tells the stage of etcd's quota (DESIGN section 3.2): with noInline everything takes the way of objects; with
// noProduce batches wait a few seconds for room, then are refused with api.ErrMemory.
func (g *Ingest) Stage(noInline, noProduce bool) {
	g.step(func(c *Core, now time.Duration) { c.Stage(now, noInline, noProduce) })
}

// Silent tells whether etcd has said nothing for as long as a session lives. While that lasts nothing is taken: a batch
// is refused with api.ErrNotProposed, or answered with api.ErrOutcomeUnknown when it was on its way before.
func (g *Ingest) Silent(silent bool) {
	g.step(func(c *Core, now time.Duration) { c.Silent(now, silent) })
}

// Idle reports whether everything that came in was answered and nothing is on its way.
func (g *Ingest) Idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.core.Idle() && !g.mu.carrying && len(g.mu.effects) == 0
}

// Applied implements view.Observer.
func (g *Ingest) Applied(e journal.Entry, body *pb.Entry, res *state.Results) {
	if !concerns(body) {
		return
	}
	var outstanding int64
	g.o.View.Read(func(s *state.State) { outstanding = s.InlineOutstanding() })
	g.step(func(c *Core, now time.Duration) {
		if len(body.Inline) > 0 {
			c.Shares(e.Session)
		}
		c.Applied(now, body, res, outstanding)
	})
}

// Replaced implements view.Observer.
func (g *Ingest) Replaced(s *state.State) {
	outstanding := s.InlineOutstanding()
	g.step(func(c *Core, now time.Duration) {
		c.Seen(now, 0, outstanding)
		c.Resynced(now)
	})
}

func (g *Ingest) now() time.Duration { return time.Since(g.started) }

func (g *Ingest) tick() {
	g.step(func(c *Core, now time.Duration) {
		g.mu.armed = forever
		c.Tick(now)
	})
}

// step lets the core take an event, sets the timer, and sees to it that effects are carried out.
func (g *Ingest) step(f func(*Core, time.Duration)) {
	g.mu.Lock()
	now := g.now()
	f(g.mu.core, now)
	g.armLocked(now)
	if g.mu.carrying || len(g.mu.effects) == 0 {
		g.mu.Unlock()
		return
	}
	g.mu.carrying = true
	g.mu.Unlock()
	g.carry()
}

// armLocked sets the timer when it would come too late. One that comes too early only sets itself again, which is
// cheaper than to move it with every request.
func (g *Ingest) armLocked(now time.Duration) {
	at, ok := g.mu.core.NextWake()
	if !ok || g.mu.timer == nil || g.mu.ended || at >= g.mu.armed {
		return
	}
	g.mu.armed = at
	g.mu.timer.Reset(max(at-now, 0))
}

var _ api.Ingest = (*Ingest)(nil)
