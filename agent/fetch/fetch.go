package fetch

import (
	"context"
	"errors"
	"fmt"
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
}

// Options of a Log.
type Options struct {
	View       View
	Store      objstore.Store
	Archives   Archives
	Objects    func() layout.Objects // keys of the cluster's incarnation
	CacheBytes int64
	Log        *slog.Logger
	// OnMissing is told of an object that State names and the store does not have; nil = nobody.
	OnMissing func(key string)
}

const (
	barrierTimeout = 5 * time.Second
	readTimeout    = 30 * time.Second
	maxRunsPerPart = 1024
)

// Log implements api.Log.
type Log struct {
	o         Options
	src       *source
	unsettled sync.Map // key -> content of flush objects whose commit is on its way; as many as ingest has in flight
}

// New makes a Log; it owns no goroutine beyond those of fetches under way.
func New(o Options) *Log {
	return &Log{o: o, src: &source{
		view: o.View, store: o.Store, archives: o.Archives, cache: newCache(o.CacheBytes), gets: make(chan struct{}, maxGets),
	}}
}

// Stored keeps a copy of a flush object that this agent just stored, for its readers. Settled tells its number, or 0
// when nothing refers to it.
func (l *Log) Stored(key string, body objstore.Body) {
	data := make([]byte, 0, body.Size())
	for _, c := range body.Chunks {
		data = append(data, c...)
	}
	l.unsettled.Store(key, data)
}

// Settled follows every Stored, once.
func (l *Log) Settled(key string, number uint64) {
	if data, ok := l.unsettled.LoadAndDelete(key); ok && number != 0 {
		l.src.cache.insert(blockKey{Object: number}, &block{data: data.([]byte)})
	}
}

// Fetch implements api.Log.
func (l *Log) Fetch(ctx context.Context, call *api.FetchCall) {
	f := &fetch{log: l, ctx: ctx, call: call, deadline: time.Now().Add(call.MaxWait)}
	f.plans = make([]plan, len(call.Parts))
	f.refs = make([]view.PartitionRef, len(call.Parts))
	for i, p := range call.Parts {
		f.refs[i] = view.PartitionRef{Topic: p.Topic, Partition: p.Partition}
	}
	if f.plan() && f.allCached() {
		f.answer()
		return
	}
	f.mu.busy = true
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
	refs     []view.PartitionRef

	mu struct {
		sync.Mutex
		busy   bool // a goroutine runs attempt
		again  bool // woken meanwhile
		done   bool
		cancel func() // of the subscription
		timer  *time.Timer
		stop   []func() bool // of the contexts' hooks
	}
}

// plan is what one look at State gave for a part.
type plan struct {
	places []place
	bytes  int64
	retry  error // an error that counts only when it is still there after a barrier
	err    error
}

// plan looks at State once, for all parts. It reports whether the request can be answered now.
func (f *fetch) plan() bool {
	keys := f.log.o.Objects()
	total, ready := int64(0), false
	left := int64(f.call.MaxBytes)
	f.log.o.View.Read(func(s *state.State) {
		for i := range f.call.Parts {
			p := f.planPart(s, keys, i, left)
			left -= p.bytes
			total += p.bytes
			ready = ready || p.err != nil || p.retry != nil
		}
	})
	return ready || total >= int64(f.call.MinBytes)
}

func (f *fetch) planPart(s *state.State, keys layout.Objects, i int, left int64) *plan {
	part, p := &f.call.Parts[i], &f.plans[i]
	*p = plan{places: p.places[:0]}
	part.HighWatermark, part.LastStable, part.LogStart = -1, -1, -1
	t := s.TopicByNumber(part.Topic)
	var x *state.Partition
	if t != nil {
		x = t.Partition(part.Partition)
	}
	if x == nil {
		p.retry = api.ErrUnknownTopic
		return p
	}
	part.HighWatermark, part.LastStable, part.LogStart = x.Next, x.LSO(), x.LogStart
	end := x.Next
	if f.call.ReadCommitted {
		end = x.LSO()
	}
	switch {
	case part.Offset < x.LogStart || part.Offset > x.Next:
		p.retry = api.ErrOffsetOutOfRange
	case part.Offset >= end:
		if h, _ := f.log.o.View.Health(); h != view.Current && h != view.Behind {
			p.err = api.ErrViewBehind // nothing new, as far as this agent can tell, but it cannot tell
		}
	default:
		limit := max(min(int64(part.MaxBytes), left), 1)
		for _, r := range x.RunsFrom(part.Offset, maxRunsPerPart, limit, nil) {
			p.places = append(p.places, resolve(s, keys, r))
			p.bytes += int64(r.Length)
		}
	}
	return p
}

func (f *fetch) allCached() bool {
	for i := range f.plans {
		if f.plans[i].retry != nil {
			return false
		}
		for _, p := range f.plans[i].places {
			if x, err := f.log.src.cached(p); x == nil || err != nil {
				return false
			}
		}
	}
	return true
}

// attempt looks at State, and answers or goes to sleep. It runs on a goroutine of its own.
func (f *fetch) attempt() {
	for {
		subscribed := f.subscribe() // before looking, so that nothing is missed
		if f.ready() || !subscribed {
			f.answer()
			return
		}
		f.mu.Lock()
		if !f.mu.again {
			f.mu.busy = false
			f.mu.Unlock()
			return
		}
		f.mu.again = false
		f.mu.Unlock()
	}
}

// ready plans, and confirms by a barrier what would be an error: another agent may know better.
func (f *fetch) ready() bool {
	ready := f.plan()
	if f.confirm() {
		ready = f.plan()
		for i := range f.plans {
			if p := &f.plans[i]; p.retry != nil {
				p.err = p.retry
			}
		}
	}
	return ready || !time.Now().Before(f.deadline) || f.ctx.Err() != nil || f.call.Drain.Err() != nil
}

// confirm passes a barrier when a plan asks for it. When there is none to be had, that is the error.
func (f *fetch) confirm() bool {
	asks := false
	for i := range f.plans {
		asks = asks || f.plans[i].retry != nil
	}
	if !asks {
		return false
	}
	ctx, cancel := context.WithTimeout(f.ctx, barrierTimeout)
	defer cancel()
	if err := f.log.o.View.Barrier(ctx); err != nil {
		for i := range f.plans {
			if p := &f.plans[i]; p.retry != nil {
				p.err, p.retry = fmt.Errorf("%w: %w", api.ErrViewBehind, err), nil
			}
		}
		return false
	}
	return true
}

// subscribe registers for wake-ups, once. It reports false when there is nothing to wait for any more.
func (f *fetch) subscribe() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.cancel != nil {
		return true
	}
	wait := time.Until(f.deadline)
	if wait <= 0 {
		return false
	}
	f.mu.cancel = f.log.o.View.Subscribe(f.refs, f.wake)
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

// answer reads what the plans name and calls Done.
func (f *fetch) answer() {
	f.mu.Lock()
	f.mu.done = true
	if f.mu.cancel != nil {
		f.mu.cancel()
		f.mu.timer.Stop()
		for _, stop := range f.mu.stop {
			stop()
		}
	}
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(f.ctx, readTimeout)
	defer cancel()
	left, first := f.call.MaxBytes, true
	for i := range f.call.Parts {
		part, p := &f.call.Parts[i], &f.plans[i]
		if p.err != nil {
			part.Err = p.err
			continue
		}
		n, err := f.log.read(ctx, part, p.places, left, first)
		if errors.Is(err, objstore.ErrNotFound) {
			n, err = f.readAgain(ctx, i, left, first)
		}
		if err != nil && n == 0 {
			part.Err = readError(err)
		}
		left -= n
		first = first && n == 0
	}
	f.call.Done()
}

// readAgain looks once more for an object that was missing: a merge may have replaced it.
func (f *fetch) readAgain(ctx context.Context, i, left int, first bool) (int, error) {
	if err := f.log.o.View.Barrier(ctx); err != nil {
		return 0, fmt.Errorf("%w: %w", api.ErrViewBehind, err)
	}
	keys := f.log.o.Objects()
	f.log.o.View.Read(func(s *state.State) { f.planPart(s, keys, i, int64(left)) })
	p := &f.plans[i]
	if p.retry != nil {
		return 0, p.retry
	}
	n, err := f.log.read(ctx, &f.call.Parts[i], p.places, left, first)
	if errors.Is(err, objstore.ErrNotFound) {
		f.log.missing(p.places, err)
		err = fmt.Errorf("%w: %w", api.ErrObjectMissing, err)
	}
	return n, err
}

func (l *Log) missing(places []place, err error) {
	l.o.Log.Error("object that the metadata names is missing", "error", err)
	if l.o.OnMissing != nil && len(places) > 0 {
		l.o.OnMissing(places[0].key)
	}
}

// read fills a part's Records from its runs: whole batches up to the limits, but at least one for the first part of a
// request that has any (KIP-74). It returns the bytes.
func (l *Log) read(ctx context.Context, part *api.FetchPart, places []place, left int, first bool) (int, error) {
	limit, n := min(left, part.MaxBytes), 0
	part.Records = part.Records[:0]
	for _, p := range places {
		if n >= limit && !(first && n == 0) {
			break
		}
		x, err := l.src.load(ctx, p)
		if err != nil {
			return n, fmt.Errorf("read offset %d: %w", p.run.Base, err)
		}
		chunk := x.from(part.Offset, limit-n, first && n == 0)
		if len(chunk) == 0 {
			break
		}
		part.Records = append(part.Records, chunk)
		n += len(chunk)
		if last := &x.data[len(x.data)-1]; last != &chunk[len(chunk)-1] {
			break // the run was cut by the limit: what follows does not come next
		}
	}
	return n, nil
}

// readError names a failure in the terms of the protocol edge.
func readError(err error) error {
	switch {
	case errors.Is(err, api.ErrObjectMissing), errors.Is(err, api.ErrViewBehind), errors.Is(err, api.ErrUnknownTopic),
		errors.Is(err, api.ErrOffsetOutOfRange):
		return err
	default:
		return fmt.Errorf("%w: %w", api.ErrStoreUnavailable, err)
	}
}

var _ api.Log = (*Log)(nil)
