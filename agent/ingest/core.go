package ingest

import (
	"container/heap"
	"errors"
	"math"
	"time"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// Effects carries out what the core decides. An implementation must not call back into the core from within.
type Effects interface {
	// Upload stores the flush as an object of its session and answers with Core.Uploaded.
	Upload(f *Flush)
	// Propose appends the flush's command and answers with Core.Committed. inline is nil for objects.
	Propose(f *Flush, cmd *pb.Command, inline [][]byte)
	// Drop tells that the flush will not be proposed; its object may be stored.
	Drop(f *Flush)
	// Answer tells that every item of the request has a result. The items' bytes may still be in use.
	Answer(r *Request)
	// Release tells that no byte of the request's items is in use any more. It comes after Answer or before.
	Release(r *Request)
}

// Producers tells what sequence a partition expects next of a producer id: the newest State's view of it. Without state
// known is false; fresh tells that an id without state must start at sequence 0.
type Producers interface {
	Next(p Partition, pid int64, epoch int16) (seq int32, known, fresh bool)
}

var (
	// ErrNoSession: there is no session, or it was lost before the batch was proposed. It will not land.
	ErrNoSession = errors.New("no session")
	// ErrUpload: the object could not be stored. The batch was not proposed and will not land.
	ErrUpload = errors.New("upload failed")
	// ErrUnknown: the batch was proposed and may land.
	ErrUnknown = errors.New("outcome unknown")
	// ErrTimeout: the client's timeout is over; the batch may still land.
	ErrTimeout = errors.New("request timed out")
	// ErrFull: as many flushes as may wait are waiting. The batch was refused.
	ErrFull = errors.New("too much is waiting to be flushed")
)

// Config of a core. Times are durations, sizes bytes.
type Config struct {
	FlushBytes     int
	FlushInterval  time.Duration
	PutsPerSecond  int // small flushes beyond it wait for FlushInterval; 0 = no limit
	InlineMaxBytes int // a flush of at most this size goes inline; 0 = none does
	InlineBudget   int // bytes per second of the whole cluster
	MaxOutstanding int64
	MaxBuffered    int64 // bytes; more is refused (the server's budget stops earlier)
}

const (
	entryTarget  = 64 << 10
	quickFlush   = 2 * time.Millisecond // when no upload is in flight
	quietFlush   = time.Millisecond     // when no connection sends any more
	maxHold      = time.Second
	maxUploads   = 64
	forever      = time.Duration(math.MaxInt64)
	maxHeldItems = 100_000
)

// Core plans the way of batches to the journal.
type Core struct {
	cfg  Config
	out  Effects
	prod Producers
	now  time.Duration

	session layout.Session // 0 = none open
	nextN   uint64

	inline  buffer
	object  buffer
	flushes []*Flush // closed object flushes that are not resolved, in order
	inAir   *Flush   // the inline flush that is being committed
	pending map[Partition]*pendingCounts
	bytes   int64

	lastArrival time.Duration
	puts        bucket
	budget      inlineBudget
	inlineOff   bool // the quota stage or the outstanding bytes forbid it

	expected  map[producerKey]*expectation
	held      map[connPartition]*heldQueue
	heldCount int
	deadlines deadlineHeap
}

type pendingCounts struct{ inline, object int }

// NewCore makes a core without a session: what comes is buffered until there is one.
func NewCore(cfg Config, out Effects, prod Producers) *Core {
	return &Core{
		cfg: cfg, out: out, prod: prod, pending: map[Partition]*pendingCounts{},
		expected: map[producerKey]*expectation{}, held: map[connPartition]*heldQueue{},
		puts: newBucket(cfg.PutsPerSecond), budget: newInlineBudget(cfg.InlineBudget),
	}
}

// Opened starts a session: flush objects are named by it from number 1 on.
func (c *Core) Opened(now time.Duration, id layout.Session) {
	c.now = now
	if c.session == id {
		return
	}
	c.Lost(now, c.session)
	c.session, c.nextN = id, 1
	c.plan()
}

// Lost ends the session: what was not proposed yet is answered as such. What was is answered by its Done.
func (c *Core) Lost(now time.Duration, id layout.Session) {
	c.now = now
	if id != c.session || id == 0 {
		return
	}
	c.session = 0
	for _, f := range c.flushes {
		if f.state == uploading || f.state == uploaded {
			f.err = ErrNoSession
			if f.state == uploaded {
				f.state = failed
			}
		}
	}
	c.advance()
	c.refuseBuffered()
}

func (c *Core) refuseBuffered() {
	for _, b := range []*buffer{&c.inline, &c.object} {
		items := b.items
		*b = buffer{}
		for _, it := range items {
			c.resolve(it, Result{Err: ErrNoSession, Base: -1})
		}
	}
	c.failHeld(ErrNoSession)
}

// Produce takes a request in the order of arrival on its connection.
func (c *Core) Produce(now time.Duration, r *Request) {
	c.now, c.lastArrival = now, now
	r.open, r.buffered, r.index = len(r.Items), len(r.Items), -1
	heap.Push(&c.deadlines, r)
	for i := range r.Items {
		it := &r.Items[i]
		it.request = r
		it.pid, it.epoch, it.seq = it.Data.ProducerID(), it.Data.ProducerEpoch(), it.Data.BaseSequence()
		it.records, it.maxTime = it.Data.NumRecords(), it.Data.MaxTimestamp()
		if it.pid < 0 {
			it.pid, it.epoch, it.seq = -1, -1, -1
		}
		if c.bytes+int64(len(it.Data)) > c.cfg.MaxBuffered || c.heldCount >= maxHeldItems {
			it.lane = nowhere
			c.finishItem(it, Result{Err: ErrFull, Base: -1})
			continue
		}
		c.bytes += int64(len(it.Data))
		if !c.hold(r.Conn, it) {
			c.admit(it)
			c.releaseHeld(it.Partition)
		}
	}
	c.plan()
}

// admit puts an item into a lane's buffer.
func (c *Core) admit(it *Item) {
	c.expect(it)
	p := c.pending[it.Partition]
	if p == nil {
		p = &pendingCounts{}
		c.pending[it.Partition] = p
	}
	inline := p.object == 0 && c.inlineAllowed(len(it.Data))
	if !inline && c.inline.parts[it.Partition] > 0 {
		c.convert() // earlier batches of the partition sit in the inline buffer: they go along
	}
	if inline {
		it.lane = inlineLane
		p.inline++
		c.inline.add(c.now, it)
		return
	}
	it.lane = objectLane
	p.object++
	c.object.add(c.now, it)
}

func (c *Core) inlineAllowed(size int) bool {
	return !c.inlineOff && size <= c.cfg.InlineMaxBytes && c.budget.allows(c.now)
}

// convert moves the inline buffer over to the object lane. Nothing of its partitions is pending there.
func (c *Core) convert() {
	items := c.inline.items
	c.inline = buffer{}
	for _, it := range items {
		p := c.pending[it.Partition]
		p.inline--
		p.object++
		it.lane = objectLane
		c.object.add(c.now, it)
	}
}

// plan closes what is due.
func (c *Core) plan() {
	if c.session == 0 {
		return
	}
	if c.inline.bytes > c.cfg.InlineMaxBytes || c.inline.entryBytes() > entryTarget {
		c.convert()
	}
	if len(c.inline.items) > 0 && c.inAir == nil {
		c.closeInline()
	}
	for len(c.object.items) > 0 && c.now >= c.objectDue() {
		c.closeObject()
	}
}

func (c *Core) closeInline() {
	f := newFlush(&c.inline)
	c.inline = buffer{}
	f.state = proposed
	c.budget.spend(c.now, f.bytes)
	c.inAir = f
	c.out.Propose(f, f.command(), f.inlineChunks())
}

// objectDue is when the object buffer closes if nothing more comes.
func (c *Core) objectDue() time.Duration {
	b := &c.object
	if len(b.items) == 0 || c.session == 0 || len(c.flushes) >= maxUploads {
		return forever
	}
	if b.bytes >= c.cfg.FlushBytes || b.entryBytes() >= entryTarget {
		return 0
	}
	latest := b.opened + c.cfg.FlushInterval
	due := c.lastArrival + quietFlush
	if !c.uploadInFlight() {
		due = min(due, b.opened+quickFlush)
	}
	return min(max(due, c.puts.next(c.now)), latest)
}

func (c *Core) uploadInFlight() bool {
	for _, f := range c.flushes {
		if f.state == uploading {
			return true
		}
	}
	return false
}

func (c *Core) closeObject() {
	c.puts.take(c.now)
	b := c.object.split(c.cfg.FlushBytes, entryTarget)
	f := newFlush(&b)
	f.Session, f.N = c.session, c.nextN
	c.nextN++
	c.flushes = append(c.flushes, f)
	c.out.Upload(f)
}

// Uploaded takes an upload's outcome: size and section offsets of the object, and whether the hedge won.
//
// The name is free for the next flush only in another session: a failed upload's number is never used again.
func (c *Core) Uploaded(now time.Duration, f *Flush, size uint64, offsets []uint64, hedge bool, err error) {
	c.now = now
	f.state, f.size, f.offsets, f.hedge = uploaded, size, offsets, hedge
	if f.err == nil && err != nil {
		f.err = errors.Join(ErrUpload, err)
	}
	if f.err != nil {
		f.state = failed
	}
	c.advance()
	c.plan()
}

// advance proposes the uploaded flushes at the front, in order, and drops the failed ones. A flush waits for an inline
// commit in flight: it may hold later batches of the same partitions.
func (c *Core) advance() {
	n := 0
	for _, f := range c.flushes {
		switch f.state {
		case failed:
			for _, it := range f.items {
				c.resolve(it, Result{Err: f.err, Base: -1})
			}
			c.out.Drop(f)
			f.items = nil
			continue
		case uploaded:
			if c.inAir == nil && !c.uploadingBefore(n) {
				f.state = proposed
				c.out.Propose(f, f.command(), nil)
			}
		}
		c.flushes[n] = f
		n++
	}
	clear(c.flushes[n:])
	c.flushes = c.flushes[:n]
}

// uploadingBefore reports whether one of the first n flushes is not proposed yet.
func (c *Core) uploadingBefore(n int) bool {
	for _, f := range c.flushes[:n] {
		if f.state != proposed {
			return true
		}
	}
	return false
}

// Committed takes the outcome of a flush's command: State's verdict on each batch in section order, with the log start
// of its partition, or err.
func (c *Core) Committed(now time.Duration, f *Flush, verdicts []Result, err error) {
	c.now = now
	if f == c.inAir {
		c.inAir = nil
	} else {
		for i, x := range c.flushes {
			if x == f {
				c.flushes = append(c.flushes[:i], c.flushes[i+1:]...)
				break
			}
		}
	}
	for i, it := range f.items {
		r := Result{Err: err, Base: -1}
		if err == nil {
			r = verdicts[i]
		}
		c.resolve(it, r)
	}
	f.items = nil
	c.advance()
	c.plan()
}

// resolve ends an item that was admitted or held.
func (c *Core) resolve(it *Item, r Result) {
	if p := c.pending[it.Partition]; p != nil && it.lane != nowhere {
		if it.lane == inlineLane {
			p.inline--
		} else {
			p.object--
		}
		if p.inline == 0 && p.object == 0 {
			delete(c.pending, it.Partition)
		}
		c.unexpect(it)
	}
	c.bytes -= int64(len(it.Data))
	c.finishItem(it, r)
}

func (c *Core) finishItem(it *Item, r Result) {
	req := it.request
	if !it.done {
		it.done = true
		it.Result = r
		req.open--
	}
	c.answer(req)
	if req.buffered--; req.buffered == 0 {
		c.out.Release(req)
	}
}

func (c *Core) answer(r *Request) {
	if r.open > 0 || r.answered {
		return
	}
	r.answered = true
	if r.index >= 0 {
		heap.Remove(&c.deadlines, r.index)
	}
	c.out.Answer(r)
}

// Seen tells of an entry that was applied: how many inline bytes it carried, and what State says is outstanding.
func (c *Core) Seen(now time.Duration, inlineBytes int, outstanding int64) {
	c.now = now
	c.budget.seen(now, inlineBytes)
	c.inlineOff = outstanding >= c.cfg.MaxOutstanding
}

// Advanced tells that another agent's batches moved a partition: held batches may have their turn.
func (c *Core) Advanced(now time.Duration, p Partition) {
	c.now = now
	if c.releaseHeld(p) {
		c.plan()
	}
}

// Tick lets time pass.
func (c *Core) Tick(now time.Duration) {
	c.now = now
	for len(c.deadlines) > 0 && c.deadlines[0].Deadline <= now {
		r := c.deadlines[0]
		for i := range r.Items {
			if it := &r.Items[i]; !it.done {
				it.done = true
				it.Result = Result{Err: ErrTimeout, Base: -1}
				r.open--
			}
		}
		c.answer(r)
	}
	c.releaseOverdue()
	c.plan()
}

// NextWake is when Tick must be called at the latest; ok is false when nothing waits for time.
func (c *Core) NextWake() (at time.Duration, ok bool) {
	at = min(c.objectDue(), c.nextHeld())
	if len(c.deadlines) > 0 {
		at = min(at, c.deadlines[0].Deadline)
	}
	return at, at != forever
}

// End ends the session and refuses what has not been proposed.
func (c *Core) End(now time.Duration) {
	c.Lost(now, c.session)
	c.refuseBuffered()
}

// Idle reports whether nothing is buffered, held, uploading or unresolved.
func (c *Core) Idle() bool { return c.bytes == 0 && c.inAir == nil && len(c.flushes) == 0 }

func addSequence(seq, n int32) int32 { return state.AddSequence(seq, n) }
