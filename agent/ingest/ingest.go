package ingest

import (
	"context"
	"errors"
	"fmt"
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
	"wadi/objstore/segment"
)

// View is the live State.
type View interface {
	Read(func(*state.State))
}

// Proposer appends commands to the journal.
type Proposer interface {
	Propose(p *session.Proposal)
}

// Options of an Ingest.
type Options struct {
	Config
	View     View
	Proposer Proposer
	Store    objstore.Store
	Log      *slog.Logger
	// OnFlush is told how long a flush took from closing to its commit, by path ("inline", "object"); nil = nobody.
	OnFlush func(path string, took time.Duration)
	// OnStored is given every flush object that was stored, before it is committed; body must not be changed or kept
	// after the call. nil = nobody.
	OnStored func(key string, body objstore.Body)
	// OnSettled tells what became of such an object: its number in State, or 0 when no run lies in it.
	OnSettled func(key string, number uint64)
}

// uploadTimeout bounds all attempts at one upload; attempts bounds their number.
const (
	uploadTimeout  = 30 * time.Second
	uploadAttempts = 6
)

// Ingest implements api.Ingest on object store and journal. It is the view's observer.
type Ingest struct {
	o       Options
	started time.Time

	mu struct {
		sync.Mutex
		core    *Core
		effects []func()
		timer   *time.Timer
		armed   time.Duration // what the timer is set to; forever = not set
		session layout.Session
		objects layout.Objects
		cluster string
		ctx     context.Context
		ended   bool
		wg      sync.WaitGroup
		closed  map[*Flush]time.Duration // when a flush was closed
	}
}

// New starts nothing; see Run.
func New(o Options) *Ingest {
	g := &Ingest{o: o, started: time.Now()}
	g.mu.core = NewCore(o.Config, (*shell)(g), producers{o.View})
	g.mu.armed = forever
	g.mu.closed = map[*Flush]time.Duration{}
	return g
}

// Run flushes until ctx ends. What is not resolved then is answered when its proposal or upload ends, which both do
// when ctx ends.
func (g *Ingest) Run(ctx context.Context) error {
	g.mu.Lock()
	g.mu.ctx = ctx
	g.mu.timer = time.AfterFunc(time.Hour, func() { g.step(func(c *Core, now time.Duration) { c.Tick(now) }) })
	g.mu.Unlock()
	g.step(func(c *Core, now time.Duration) { c.Tick(now) })
	<-ctx.Done()
	g.step(func(c *Core, now time.Duration) { c.End(now) })
	g.mu.Lock()
	g.mu.timer.Stop()
	g.mu.ended = true
	g.mu.Unlock()
	g.mu.wg.Wait()
	return nil
}

// Opened tells that State has the session open, Lost that it is over.
func (g *Ingest) Opened(id layout.Session, objects layout.Objects, clusterID string) {
	g.mu.Lock()
	g.mu.session, g.mu.objects, g.mu.cluster = id, objects, clusterID
	g.mu.Unlock()
	g.step(func(c *Core, now time.Duration) { c.Opened(now, id) })
}

func (g *Ingest) Lost(id layout.Session) {
	g.step(func(c *Core, now time.Duration) { c.Lost(now, id) })
}

// Idle reports whether everything that came in was answered and nothing is on its way.
func (g *Ingest) Idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.core.Idle()
}

// Applied implements view.Observer.
func (g *Ingest) Applied(_ journal.Entry, body *pb.Entry, _ *state.Results) {
	if !appends(body) {
		return
	}
	var outstanding int64
	g.o.View.Read(func(s *state.State) { outstanding = s.InlineOutstanding() })
	g.step(func(c *Core, now time.Duration) { c.Applied(now, body, outstanding) })
}

// Replaced implements view.Observer.
func (g *Ingest) Replaced(*state.State) {
	g.step(func(c *Core, now time.Duration) { c.Tick(now) })
}

func (g *Ingest) now() time.Duration { return time.Since(g.started) }

// step lets the core take an event, sets the timer, and carries the effects out when the lock is free again.
func (g *Ingest) step(f func(*Core, time.Duration)) {
	g.mu.Lock()
	now := g.now()
	f(g.mu.core, now)
	effects := g.mu.effects
	g.mu.effects = nil
	if at, ok := g.mu.core.NextWake(); !ok {
		g.mu.armed = forever
	} else if g.mu.timer != nil && !g.mu.ended && (at != g.mu.armed || at <= now) {
		g.mu.armed = at
		g.mu.timer.Reset(max(at-now, 0))
	}
	g.mu.Unlock()
	for _, e := range effects {
		e()
	}
}

// producers asks the live State.
type producers struct{ view View }

func (p producers) Next(part Partition, pid int64, epoch int16) (seq int32, known, fresh bool) {
	p.view.Read(func(s *state.State) { seq, known, fresh = Expected(s, part, pid, epoch) })
	return seq, known, fresh
}

// shell carries effects out for the Ingest it is; its methods are called under the lock.
type shell Ingest

func (x *shell) Upload(f *Flush) {
	g, ctx, keys := (*Ingest)(x), x.mu.ctx, x.mu.objects
	f.key = keys.Flush(f.Session, f.N)
	meta := segment.Meta{Kind: segment.Flush, CreatedMs: time.Now().UnixMilli(), ClusterID: x.mu.cluster}
	x.mu.closed[f] = g.now()
	x.mu.wg.Add(1)
	x.mu.effects = append(x.mu.effects, func() {
		go func() {
			defer g.mu.wg.Done()
			size, offsets, err := g.upload(ctx, meta, f)
			g.step(func(c *Core, now time.Duration) { c.Uploaded(now, f, size, offsets, false, err) })
		}()
	})
}

// upload stores a flush, repeating what failed: the name and the bytes stay, so a repeat is harmless.
func (g *Ingest) upload(ctx context.Context, meta segment.Meta, f *Flush) (uint64, []uint64, error) {
	key := f.key
	body, offsets, err := segment.Build(meta, f.Sections())
	if err != nil {
		return 0, nil, fmt.Errorf("flush %s: %w", key, err)
	}
	ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		err = g.o.Store.Put(ctx, key, body)
		if err == nil {
			break
		}
		if attempt == uploadAttempts || ctx.Err() != nil || errors.Is(err, objstore.ErrExists) ||
			errors.Is(err, objstore.ErrDenied) {
			g.o.Log.Error("flush not stored", "key", key, "attempts", attempt, "error", err)
			return 0, nil, fmt.Errorf("flush %s: %w", key, err)
		}
		select {
		case <-time.After(50 * time.Millisecond << attempt):
		case <-ctx.Done():
		}
	}
	if g.o.OnStored != nil {
		g.o.OnStored(key, body)
	}
	return uint64(body.Size()), offsets, nil
}

func (x *shell) Propose(f *Flush, cmd *pb.Command, inline [][]byte) {
	g := (*Ingest)(x)
	if _, ok := x.mu.closed[f]; !ok {
		x.mu.closed[f] = g.now()
	}
	p := &session.Proposal{Command: cmd, Inline: inline, Session: f.Session, Done: func(o session.Outcome) { g.committed(f, o) }}
	x.mu.effects = append(x.mu.effects, func() { g.o.Proposer.Propose(p) })
}

// committed takes an outcome. It runs while the outcome's result is valid.
func (g *Ingest) committed(f *Flush, o session.Outcome) {
	var verdicts []Result
	var err error
	g.o.View.Read(func(s *state.State) { verdicts, err = f.Judged(o, s) })
	if f.N != 0 && g.o.OnSettled != nil {
		g.o.OnSettled(f.key, g.number(f, verdicts))
	}
	g.step(func(c *Core, now time.Duration) {
		path := "object"
		if f.N == 0 {
			path = "inline"
		}
		if g.o.OnFlush != nil && err == nil {
			g.o.OnFlush(path, now-g.mu.closed[f])
		}
		delete(g.mu.closed, f)
		c.Committed(now, f, verdicts, err)
	})
}

// number is the object number that State gave to a flush: that of the run of its first accepted batch.
func (g *Ingest) number(f *Flush, verdicts []Result) (number uint64) {
	g.o.View.Read(func(s *state.State) {
		for i, v := range verdicts {
			if v.Code != state.OK {
				continue
			}
			it := f.items[i]
			if t := s.TopicByNumber(it.Partition.Topic); t != nil {
				if runs := t.Partition(it.Partition.Index).RunsFrom(v.Base, 1, 1, nil); len(runs) == 1 {
					number = runs[0].Place
				}
			}
			return
		}
	})
	return number
}

func (x *shell) Drop(f *Flush) {
	delete(x.mu.closed, f)
	if settled, key := x.o.OnSettled, f.key; settled != nil {
		x.mu.effects = append(x.mu.effects, func() { settled(key, 0) })
	}
}

func (x *shell) Answer(r *Request) {
	x.mu.effects = append(x.mu.effects, r.answer)
}

func (x *shell) Release(r *Request) {
	x.mu.effects = append(x.mu.effects, r.release)
}

var _ api.Ingest = (*Ingest)(nil)
