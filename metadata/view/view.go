package view

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// Journal is what a view reads.
type Journal interface {
	Anchor(ctx context.Context) (journal.Anchor, error)
	Since(ctx context.Context, a journal.Anchor, after, afterHead int64) ([]journal.Entry, error)
	Watch(ctx context.Context, from int64) <-chan journal.Batch
	Head(ctx context.Context) (journal.Head, error)
}

// Checkpoints loads the state that a checkpoint's pointer names. It must return a state at exactly the pointer's
// position and with its digest.
type Checkpoints interface {
	Load(ctx context.Context, p *pb.Pointer) (*state.State, error)
}

// Observer hears of every applied entry, in order, on the view's goroutine. It must not block.
type Observer interface {
	// Applied is called after the entry is visible to readers. res is valid during the call only.
	Applied(e journal.Entry, body *pb.Entry, res *state.Results)
	// Replaced is called when State was replaced by a newer one and results between were never seen.
	Replaced(s *state.State)
}

// Config of a view.
type Config struct {
	Limits      Limits
	Journal     Journal
	Checkpoints Checkpoints
	Observers   []Observer
	// OnApply is told how long State was locked for an entry; nil = nobody.
	OnApply func(time.Duration)
}

// View is a live State that other goroutines can read. See NewView.
type View struct {
	cfg     Config
	started time.Time
	core    *Core
	mu      sync.RWMutex // guards core's State
	inline  inlineStore
	waiters waiters

	events   chan func()
	done     chan struct{} // closed when Run has ended
	barrier  atomic.Uint64
	barriers map[uint64]chan error // of the event loop
	loadCtx  context.Context
	group    *errgroup.Group
	unwatch  context.CancelFunc

	applyBegan time.Time // of the event loop

	health atomic.Pointer[healthReport]
	ready  chan struct{} // closed when the view is current for the first time
}

// loadLimit bounds one attempt to load: one that hangs, on a connection that is dead without a word, must end.
const loadLimit = 5 * time.Minute

type healthReport struct {
	health Health
	err    error
	lag    time.Duration
}

// ErrStopped: the view has ended.
var ErrStopped = errors.New("view stopped")

// NewView starts nothing; see Run.
func NewView(cfg Config) *View {
	v := &View{
		cfg: cfg, events: make(chan func(), 64), done: make(chan struct{}), barriers: map[uint64]chan error{},
		ready: make(chan struct{}),
	}
	v.inline.init()
	v.waiters.init()
	v.core = NewCore(cfg.Limits, (*effects)(v), &v.mu)
	v.health.Store(&healthReport{health: Loading})
	return v
}

// Run follows the journal until ctx ends (nil) or the view must refuse to go on (the reason).
func (v *View) Run(ctx context.Context) error {
	defer close(v.done)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v.started = time.Now()
	v.group, v.loadCtx = errgroup.WithContext(ctx)
	tick := time.NewTicker(max(v.cfg.Limits.Behind/8, 10*time.Millisecond))
	defer tick.Stop()
	v.core.Start(v.now())
	for {
		v.report()
		select {
		case f := <-v.events:
			f()
		case <-tick.C:
			v.core.Tick(v.now())
		case <-ctx.Done():
			for id := range v.barriers {
				(*effects)(v).BarrierDone(id, ErrStopped)
			}
			_ = v.group.Wait() // effects report through events, never by an error
			return nil
		}
		if h, err := v.core.Health(); h == Stopped {
			v.report()
			for id := range v.barriers {
				(*effects)(v).BarrierDone(id, err)
			}
			cancel()
			_ = v.group.Wait()
			return err
		}
	}
}

func (v *View) now() time.Duration { return time.Since(v.started) }

func (v *View) report() {
	h, err := v.core.Health()
	old := v.health.Load()
	lag := v.core.lag()
	if old.health != h || old.lag != lag || old.err != err {
		v.health.Store(&healthReport{health: h, err: err, lag: lag})
	}
	if h == Current {
		select {
		case <-v.ready:
		default:
			close(v.ready)
		}
	}
}

// Health tells how far the view can be trusted, and why it stopped or what keeps it from loading.
func (v *View) Health() (Health, error) {
	r := v.health.Load()
	return r.health, r.err
}

// Lag is how long the oldest head that was read has been waiting to be applied.
func (v *View) Lag() time.Duration { return v.health.Load().lag }

// Ready is closed when the view is current for the first time.
func (v *View) Ready() <-chan struct{} { return v.ready }

// Read calls f with the State. f must not keep anything of it nor block; copies only.
func (v *View) Read(f func(*state.State)) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	f(v.core.State())
}

// Freeze takes a snapshot of State. Called from an Observer's Applied, it is that of the entry.
func (v *View) Freeze() *state.State {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.core.State().Freeze()
}

// EtcdCluster is the id of the etcd cluster that the view follows. It may only be called from an Observer.
func (v *View) EtcdCluster() uint64 { return v.core.EtcdCluster() }

// Inline returns the inline bytes of the entry at a position while they are in memory, else nil: then an archive holds
// them. The caller must not change them.
func (v *View) Inline(position int64) []byte { return v.inline.get(position) }

// Barrier returns when everything appended to the journal before the call is applied. Callers share a read of the head.
// It fails when ctx ends, when etcd does not answer (ErrUnreachable) or when the view stopped.
func (v *View) Barrier(ctx context.Context) error {
	id := v.barrier.Add(1)
	answer := make(chan error, 1)
	if !v.post(ctx, func() {
		v.barriers[id] = answer
		v.core.Barrier(v.now(), id)
	}) {
		return v.postError(ctx)
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		v.post(context.Background(), func() {
			delete(v.barriers, id)
			v.core.DropBarrier(id)
		})
		return fmt.Errorf("barrier: %w", ctx.Err())
	case <-v.done:
		return v.postError(ctx)
	}
}

func (v *View) postError(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("barrier: %w", ctx.Err())
	}
	return ErrStopped
}

// post hands f to the event loop; false when ctx or the loop ended first.
func (v *View) post(ctx context.Context, f func()) bool {
	select {
	case v.events <- f:
		return true
	case <-ctx.Done():
		return false
	case <-v.done:
		return false
	}
}

// effects carries out what the core decides, for the View it is.
type effects View

func (x *effects) v() *View { return (*View)(x) }

func (x *effects) Load(after, afterHead int64) {
	v := x.v()
	v.group.Go(func() error {
		ctx, cancel := context.WithTimeout(v.loadCtx, loadLimit)
		defer cancel()
		l, err := v.load(ctx, after, afterHead)
		v.post(v.loadCtx, func() {
			if err != nil {
				v.core.LoadFailed(v.now(), err)
				return
			}
			v.core.Loaded(v.now(), l)
		})
		return nil
	})
}

// load reads the checkpoint when it is newer than the state there is, and the journal behind.
func (v *View) load(ctx context.Context, after, afterHead int64) (Loaded, error) {
	// Everybody who fell behind the trimmed part reloads now: spread them out.
	spread := func() error {
		select {
		case <-time.After(rand.N(500 * time.Millisecond)):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return Read(ctx, v.cfg.Journal, v.cfg.Checkpoints, after, afterHead, spread)
}

// Read is what Effects.Load asks for: the journal behind `after`, the afterHead-th entry, and the checkpoint when it is
// newer than that. It only makes calls; spread is called before a checkpoint is loaded in place of an older State.
func Read(
	ctx context.Context, j Journal, c Checkpoints, after, afterHead int64, spread func() error,
) (Loaded, error) {
	a, err := j.Anchor(ctx)
	if err != nil {
		return Loaded{}, err
	}
	l := Loaded{Anchor: a}
	if p := a.Pointer; p != nil && p.Position > after {
		if after > 0 {
			if err := spread(); err != nil {
				return Loaded{}, err
			}
		}
		if l.State, err = c.Load(ctx, p); err != nil {
			return Loaded{}, fmt.Errorf("load checkpoint %s: %w", p.Root, err)
		}
		after, afterHead, l.Head = p.Position, p.Head, p.Head
	}
	l.Entries, err = j.Since(ctx, a, after, afterHead)
	return l, err
}

func (x *effects) Watch(gen uint64, from int64) {
	v := x.v()
	if x.unwatch != nil {
		x.unwatch()
	}
	ctx, cancel := context.WithCancel(x.loadCtx)
	x.unwatch = cancel
	v.group.Go(func() error {
		for b := range v.cfg.Journal.Watch(ctx, from) {
			if !v.post(ctx, func() { v.core.WatchBatch(v.now(), gen, b) }) {
				return nil
			}
		}
		// Ended without a word: the core must hear of it unless it was the core that ended it.
		if ctx.Err() == nil {
			v.post(ctx, func() { v.core.WatchBatch(v.now(), gen, journal.Batch{Err: ErrUnreachable}) })
		}
		return nil
	})
}

func (x *effects) ReadHead() {
	v, ctx := x.v(), x.loadCtx
	v.group.Go(func() error {
		ctx, cancel := context.WithTimeout(ctx, v.cfg.Limits.CutOff)
		defer cancel()
		h, err := v.cfg.Journal.Head(ctx)
		v.post(v.loadCtx, func() { v.core.HeadRead(v.now(), h, err) })
		return nil
	})
}

func (x *effects) Applying(e journal.Entry, body *pb.Entry) {
	if len(body.Inline) > 0 {
		x.inline.keep(e.Position, body.Inline)
	}
	x.applyBegan = time.Now()
}

func (x *effects) Applied(e journal.Entry, body *pb.Entry, res *state.Results) {
	v := x.v()
	if v.cfg.OnApply != nil {
		v.cfg.OnApply(time.Since(x.applyBegan))
	}
	v.inline.archivedTo(v.core.State().ArchivedTo())
	// Before the observers: a write must be news to fetch sessions before its producer can hear that it is stored.
	v.waiters.notify(body, res)
	for _, o := range v.cfg.Observers {
		o.Applied(e, body, res)
	}
}

func (x *effects) Replaced() {
	v := x.v()
	v.waiters.notifyAll()
	for _, o := range v.cfg.Observers {
		o.Replaced(v.core.State())
	}
}

func (x *effects) BarrierDone(id uint64, err error) {
	if answer, ok := x.barriers[id]; ok {
		delete(x.barriers, id)
		answer <- err
	}
}

func (x *effects) Stopped(error) {} // Run sees it in Health
