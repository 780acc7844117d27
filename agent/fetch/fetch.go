package fetch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"wadi/agent/api"
	"wadi/internal/layout"
	"wadi/metadata/state"
	"wadi/metadata/view"
	"wadi/objstore"
)

// View is the live State.
type View interface {
	Read(func(*state.State))
	Barrier(ctx context.Context) error
	Inline(position int64) []byte
	Subscribe(refs []view.PartitionRef, wake func()) (cancel func())
	Health() (view.Health, error)
	Lag() time.Duration
}

// Options of a Log.
type Options struct {
	View       View
	Store      objstore.Store
	Archives   Archives
	Objects    func() layout.Objects // keys of the cluster's incarnation
	CacheBytes int64
	Log        *slog.Logger
	// MaxLag is how far the view may be behind for "nothing new" to be believed; 0 = 5 s.
	MaxLag time.Duration
	// OnMissing is told of an object that State names and the store does not have; nil = nobody.
	OnMissing func(key string)
}

const (
	barrierTimeout = 5 * time.Second
	readTimeout    = 30 * time.Second
	defaultMaxLag  = 5 * time.Second
)

// Log implements api.Log.
type Log struct {
	o   Options
	src *source
}

// New makes a Log; it owns no goroutine beyond those of fetches under way.
func New(o Options) *Log {
	if o.MaxLag == 0 {
		o.MaxLag = defaultMaxLag
	}
	return &Log{o: o, src: newSource(o)}
}

// Stored keeps a copy of a flush object that this agent just stored, for its readers. Settled tells its number, or 0
// when nothing refers to it.
//
// It is a copy because the body's chunks are the producers' frames: they go back to the pool when the flush is committed,
// and each would pin its whole request for as long as the block is cached.
func (l *Log) Stored(key string, body objstore.Body) {
	if !l.src.unsettled.reserve(body.Size()) {
		return // readers fetch it from the store
	}
	l.src.unsettled.put(key, &block{data: body.Bytes(), trusted: true})
}

// Settled follows every Stored, once.
func (l *Log) Settled(key string, number uint64) {
	if b := l.src.unsettled.take(key); b != nil && number != 0 {
		l.src.cache.insert(blockKey{Object: number}, b)
	}
}

// Fetch implements api.Log. It answers in the caller's goroutine when everything is in memory, and needs none at all to
// wait.
func (l *Log) Fetch(ctx context.Context, call *api.FetchCall) {
	f := &fetch{log: l, ctx: ctx, call: call, deadline: time.Now().Add(call.MaxWait)}
	if call.Session == nil {
		f.plans = make([]plan, len(call.Parts))
	}
	ready, whole := f.look(true)
	ready = ready || call.MaxWait <= 0
	if whole && ready && f.allCached() {
		f.answer()
		return
	}
	f.mu.busy = true
	if whole && !ready && f.subscribe() && !f.moved() && f.rest() {
		return
	}
	go f.attempt()
}

// fetch is one request from its arrival to its answer. At most one goroutine works on it at a time (busy); while it
// waits there is none.
type fetch struct {
	log      *Log
	ctx      context.Context
	call     *api.FetchCall
	deadline time.Time
	plans    []plan
	places   []place     // of all plans, one behind the other
	position int64       // of State when the plans were made
	markers  []byte      // of this answer: the control batches that it holds
	runs     []state.Run // scratch
	overlaps []state.AbortedTxn
	wants    []want                        // of the last look: manifests that it needs
	folded   map[view.PartitionRef]*folded // what was brought of manifests; nil = nothing was needed so far
	touched  bool                          // since the plans were made, by the time the session's wake-ups began

	mu struct {
		sync.Mutex
		busy   bool // a goroutine works on it
		again  bool // woken meanwhile
		done   bool
		cancel func() // of the subscription
		timer  *time.Timer
		stop   []func() bool // of the contexts' hooks
	}
}

// attempt looks at State, and answers or goes to sleep. It runs on a goroutine of its own.
func (f *fetch) attempt() {
	for {
		subscribed := f.subscribe() // before looking, so that nothing is missed
		if f.ready() || !subscribed {
			f.answer()
			return
		}
		if f.rest() {
			return
		}
	}
}

// rest ends the work on the fetch until it is woken. It reports false when it was woken meanwhile.
func (f *fetch) rest() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.again {
		f.mu.again = false
		return false
	}
	f.mu.busy = false
	return true
}

// moved reports whether State is not the one of the plans any more, for a session: of the partitions that it follows.
func (f *fetch) moved() (moved bool) {
	if f.call.Session != nil {
		return f.touched
	}
	f.log.o.View.Read(func(s *state.State) { moved = s.Position() != f.position })
	return moved
}

// subscribe registers for wake-ups, once. It reports false when there is nothing to wait for any more.
func (f *fetch) subscribe() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.cancel != nil {
		return true
	}
	wait := time.Until(f.deadline)
	if wait <= 0 || f.ctx.Err() != nil || f.call.Drain.Err() != nil {
		return false
	}
	if s := f.call.Session; s != nil {
		f.touched = s.Wake(f.wake)
		f.mu.cancel = func() { s.Wake(nil) }
	} else {
		refs := make([]view.PartitionRef, len(f.call.Parts))
		for i, p := range f.call.Parts {
			refs[i] = view.PartitionRef{Topic: p.Topic, Partition: p.Partition}
		}
		f.mu.cancel = f.log.o.View.Subscribe(refs, f.wake)
	}
	f.mu.timer = time.AfterFunc(wait, f.wake)
	f.mu.stop = []func() bool{context.AfterFunc(f.ctx, f.wake), context.AfterFunc(f.call.Drain, f.wake)}
	return true
}

// wake is called by the view, the timer and the contexts. It never blocks.
func (f *fetch) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.mu.done:
	case f.mu.busy:
		f.mu.again = true
	default:
		f.mu.busy = true
		go f.attempt()
	}
}

// finish ends what could wake the fetch.
func (f *fetch) finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.done = true
	if f.mu.cancel != nil {
		f.mu.cancel()
		f.mu.timer.Stop()
		for _, stop := range f.mu.stop {
			stop()
		}
	}
}

var _ api.Log = (*Log)(nil)
