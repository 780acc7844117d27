package ingest

import (
	"errors"
	"math"
	"time"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// Effects carries out what the core decides, in the order in which it does. An implementation must not call back into
// the core from within.
type Effects interface {
	// Upload stores the flush as an object of its session and answers with Core.Uploaded, also when the session is lost
	// meanwhile and the upload is given up.
	Upload(f *Flush)
	// Propose appends the flush's command and answers with Core.Committed. inline is nil for objects. Commands must
	// reach the journal in the order of the calls.
	Propose(f *Flush, cmd *pb.Command, inline [][]byte)
	// Drop tells that the flush will not be proposed; its object may be stored, and its upload has ended.
	Drop(f *Flush)
	// Answer tells that every item of the request has a result. The items' bytes may still be in use.
	Answer(r *Request)
	// Release tells that no byte of the request's items is in use any more. It comes after Answer.
	Release(r *Request)
}

// Producers tells what sequence a partition expects next of a producer id: the newest State's view of it (TurnIn).
type Producers interface {
	Turn(p Partition, pid int64, epoch int16) Turn
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
	// ErrFull: as many bytes as may wait are waiting. The batch was refused.
	ErrFull = errors.New("too much is waiting to be flushed")
	// ErrStalled: the journal has had no room for produced data for a while (DESIGN section 3.2). The batch will not land.
	ErrStalled = errors.New("the journal has no room for produced data")
	// ErrEnded: this agent is shutting down. The batch will not land.
	ErrEnded = errors.New("shutting down")
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
	entryTarget = 64 << 10
	largestLine = 128 << 10            // bounds InlineMaxBytes: entries may not pass 256 KiB
	quickFlush  = 2 * time.Millisecond // when no upload is in flight
	quietFlush  = time.Millisecond     // when no connection sends any more
	maxHold     = time.Second
	maxStall    = 3 * time.Second // how long produced data waits for room in the journal
	maxUploads  = 64              // object flushes that are uploading or not resolved
	maxHeld     = 100_000         // batches; beyond it no queue is opened
	maxQueue    = 1000            // batches that one connection may have held of one partition
	forever     = time.Duration(math.MaxInt64)
)

// Core plans the way of batches to the journal.
type Core struct {
	cfg  Config
	out  Effects
	prod Producers
	now  time.Duration

	session layout.Session // 0 = none open
	nextN   uint64
	ended   bool

	parts     map[Partition]*partState // those with something pending
	idleParts []*partState             // to be used again
	inline    buffer
	object    buffer
	ready     []*Flush // sealed object flushes that wait for their upload, in order
	flushes   []*Flush // object flushes that are uploading or unresolved, in order
	inAir     *Flush   // the inline flush that is being committed
	uploads   int      // flushes that are uploading
	abandoned int      // uploads of lost sessions that have not ended
	bytes     int64    // of all items that are in use

	lastArrival time.Duration
	puts        bucket
	budget      inlineBudget
	full        bool // as many inline bytes as may be are outstanding
	noInline    bool // the stage of etcd's quota
	noProduce   bool
	mute        bool // the journal does not answer

	expected  map[producerKey]*expectation
	idleExp   []*expectation // to be used again
	held      heldBatches
	deadlines deadlineHeap
}

// NewCore makes a core without a session: what comes is buffered until there is one.
func NewCore(cfg Config, out Effects, prod Producers) *Core {
	cfg.InlineMaxBytes = min(cfg.InlineMaxBytes, largestLine)
	return &Core{
		cfg: cfg, out: out, prod: prod, parts: map[Partition]*partState{},
		inline: buffer{lane: inlineLane}, object: buffer{lane: objectLane},
		expected: map[producerKey]*expectation{}, held: newHeldBatches(),
		puts: newBucket(cfg.PutsPerSecond), budget: newInlineBudget(cfg.InlineBudget),
	}
}

// Opened starts a session: flush objects are named by it from number 1 on.
func (c *Core) Opened(now time.Duration, id layout.Session) {
	c.now = now
	if c.session == id || c.ended {
		return
	}
	c.Lost(now, c.session)
	c.session, c.nextN = id, 1
	c.plan()
}

// Lost ends the session: what was not proposed yet is answered as such, at once, although uploads may still read its
// bytes. What was proposed is answered by its Committed.
func (c *Core) Lost(now time.Duration, id layout.Session) {
	c.now = now
	if id != c.session || id == 0 {
		return
	}
	c.session = 0
	kept := c.flushes[:0]
	for _, f := range c.flushes {
		switch f.state {
		case uploading:
			f.state = abandoned
			c.uploads--
			c.abandoned++
			for _, it := range f.items {
				c.settle(it, Result{Err: ErrNoSession, Base: -1})
			}
		case uploaded:
			c.fail(f, ErrNoSession)
		default:
			kept = append(kept, f)
		}
	}
	clear(c.flushes[len(kept):])
	c.flushes = kept
	c.refuse(ErrNoSession)
}

// refuse ends everything that has not got as far as an upload.
func (c *Core) refuse(err error) {
	flushes := append(c.ready, c.seal(&c.inline), c.seal(&c.object))
	c.ready = nil
	for _, f := range flushes {
		c.resolveAll(f, nil, err)
	}
	c.refuseHeld(err)
}

// Produce takes a request in the order of arrival on its connection.
func (c *Core) Produce(now time.Duration, r *Request) {
	c.now, c.lastArrival = now, now
	r.open, r.used = len(r.Items), len(r.Items)
	for i := range r.Items {
		r.bytes += len(r.Items[i].Data)
	}
	c.deadlines.add(r)
	for i := range r.Items {
		it := &r.Items[i]
		it.read(r)
		switch {
		case c.ended:
			c.refuseItem(it, ErrEnded)
		case c.mute:
			c.refuseItem(it, ErrNoSession)
		case c.bytes+int64(len(it.Data)) > c.cfg.MaxBuffered || c.held.full(it):
			c.refuseItem(it, ErrFull)
		default:
			c.bytes += int64(len(it.Data))
			if !c.hold(it) {
				c.admit(it)
				c.releaseHeld(it.Partition)
			}
		}
	}
	c.overflow()
	c.plan()
}

// Shares counts an agent among those that share the inline budget: it appended inline bytes.
func (c *Core) Shares(by layout.Session) { c.budget.shares(by) }

// Seen tells of an entry that was applied: how many inline bytes it carried, and how many no archive holds after it.
func (c *Core) Seen(now time.Duration, inlineBytes int, outstanding int64) {
	c.now = now
	c.budget.seen(now, inlineBytes)
	c.full = outstanding >= c.cfg.MaxOutstanding
}

// Stage follows the stages of etcd's quota: noInline keeps data out of the journal; with noProduce nothing is flushed,
// and what has waited for maxStall is refused.
func (c *Core) Stage(now time.Duration, noInline, noProduce bool) {
	c.now = now
	c.noInline, c.noProduce = noInline, noProduce
	c.overflow()
	c.plan()
}

// Silent tells whether etcd has said nothing for as long as the session's lease lives. Then no client waits here: what
// has not got as far as an upload is refused, what may land is answered as unknown although its bytes stay on their way,
// and what comes is refused until etcd answers again. Other agents may well reach it, and they know what has landed.
func (c *Core) Silent(now time.Duration, silent bool) {
	c.now = now
	if c.mute == silent || c.ended {
		return
	}
	c.mute = silent
	if !silent {
		return
	}
	c.refuse(ErrNoSession)
	for _, f := range append([]*Flush{c.inAir}, c.flushes...) {
		if f == nil {
			continue
		}
		for _, it := range f.items {
			c.result(it, Result{Err: ErrUnknown, Base: -1, Time: -1, LogStart: -1})
		}
	}
}

// Advanced tells that somebody's batches moved a partition: held batches may have their turn.
func (c *Core) Advanced(now time.Duration, p Partition) {
	c.now = now
	if c.releaseHeld(p) {
		c.overflow()
		c.plan()
	}
}

// Resynced tells that State was replaced by a newer one: any partition may have moved.
func (c *Core) Resynced(now time.Duration) {
	c.now = now
	for _, p := range c.held.partitions() {
		c.releaseHeld(p)
	}
	c.overflow()
	c.plan()
}

// Tick lets time pass.
func (c *Core) Tick(now time.Duration) {
	c.now = now
	for len(c.deadlines) > 0 && c.deadlines[0].Deadline <= now {
		r := c.deadlines[0]
		for i := range r.Items {
			c.result(&r.Items[i], Result{Err: ErrTimeout, Base: -1, Time: -1, LogStart: -1})
		}
	}
	c.releaseOverdue()
	if now >= c.stallEnds() {
		c.refuse(ErrStalled)
	}
	c.overflow()
	c.plan()
}

// NextWake is when Tick must be called at the latest; ok is false when nothing waits for time.
func (c *Core) NextWake() (at time.Duration, ok bool) {
	at = min(c.objectDue(), c.held.nextDue(), c.stallEnds())
	if len(c.deadlines) > 0 {
		at = min(at, c.deadlines[0].Deadline)
	}
	return at, at != forever
}

// End ends the session for good and refuses what has not been proposed, and everything that comes from now on.
func (c *Core) End(now time.Duration) {
	c.now, c.ended = now, true
	c.Lost(now, c.session)
	c.refuse(ErrEnded)
}

// Idle reports whether nothing is buffered, held, uploading or unresolved.
func (c *Core) Idle() bool {
	return c.bytes == 0 && c.inAir == nil && len(c.flushes) == 0 && c.abandoned == 0
}

func addSequence(seq, n int32) int32 { return state.AddSequence(seq, n) }
