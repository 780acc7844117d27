package view

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"wadi/metadata/journal"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// Effects carries out what the core decides. The core calls it synchronously, from the one goroutine that steps it; an
// implementation must not call back into the core and must not block.
type Effects interface {
	// Load reads the journal behind `after`, the afterHead-th entry, and what lies before it when a checkpoint is newer
	// than that. It answers with Core.Loaded or Core.LoadFailed.
	Load(after, afterHead int64)
	// Watch ends the watch there was and starts one at revision from. Its batches carry gen.
	Watch(gen uint64, from int64)
	// ReadHead reads the head linearizably and answers with Core.HeadRead.
	ReadHead()
	// Applying announces an entry before readers can see what it did.
	Applying(e journal.Entry, body *pb.Entry)
	// Applied reports an entry that was just applied. All arguments are valid during the call only, except body.
	Applied(e journal.Entry, body *pb.Entry, res *state.Results)
	// Replaced reports that State was replaced by a newer one: the results of the entries between were never seen.
	Replaced()
	// BarrierDone ends a barrier.
	BarrierDone(id uint64, err error)
	// Stopped reports that the view refuses to go on.
	Stopped(err error)
}

// Loaded is what a load found. State is nil when the core's own was newer than the checkpoint.
type Loaded struct {
	Anchor  journal.Anchor
	State   *state.State
	Head    int64 // of State
	Entries []journal.Entry
}

// Health is how far a view can be trusted.
type Health int

const (
	Loading Health = iota // not caught up for the first time
	Current               // the last head it read is applied
	Behind                // a head it read is not applied within the limit: reads again
	CutOff                // etcd does not answer
	Stopped               // refuses to go on
)

func (h Health) String() string {
	return [...]string{"loading", "current", "behind", "metadata-unreachable", "stopped"}[h]
}

// Limits in force for a core. Behind is TTL/3; CutOff is after how long without an answer etcd counts as unreachable.
type Limits struct {
	Behind time.Duration
	CutOff time.Duration
	Pulse  time.Duration // a barrier of the core's own this often
}

// LimitsFor derives them from the session's time to live.
func LimitsFor(ttl time.Duration) Limits {
	return Limits{Behind: ttl / 3, CutOff: ttl, Pulse: time.Second}
}

// repair is what can be done about an etcd that was rolled back.
const repair = "restore the newest etcd data, or rebuild it with `wadi recover`"

// ErrUnreachable: etcd did not answer a barrier.
var ErrUnreachable = errors.New("metadata unreachable")

// Core decides what a view does: when to load, what to apply, when a barrier has passed. It is stepped by events, each
// with the time since some fixed start.
type Core struct {
	limits Limits
	out    Effects
	guard  sync.Locker // held while State changes

	st      *state.State
	head    int64 // Version of the head at st's position
	cluster uint64
	err     error

	loading  bool
	trouble  error         // of the last load, nil when it succeeded
	retryAt  time.Duration // of a load or watch that failed
	failures int
	watching bool
	watchGen uint64
	caughtUp bool // once

	reading   bool     // a head read is under way
	nextRead  []uint64 // barriers that wait for the next read to start
	inRead    []uint64
	readFloor floor    // what was applied when the read under way began
	targets   []target // heads read and not yet applied, oldest first
	lastReply time.Duration
	lastPulse time.Duration

	now time.Duration
}

// floor is what etcd cannot fall below unless it was rolled back.
type floor struct{ head, position int64 }

type target struct {
	position int64
	since    time.Duration
	rewatch  bool // the watch was started anew for it
	barriers []uint64
}

// NewCore starts with an empty state. guard protects State against readers in other goroutines.
func NewCore(limits Limits, out Effects, guard sync.Locker) *Core {
	return &Core{limits: limits, out: out, guard: guard, st: state.New()}
}

// State is the live state; reading it needs the guard, except in Effects.Applied.
func (c *Core) State() *state.State { return c.st }

// Head is the head's Version at State's position, and EtcdCluster the etcd cluster it was read from.
func (c *Core) Head() int64         { return c.head }
func (c *Core) EtcdCluster() uint64 { return c.cluster }

// Health judges the view at the last event's time. The error is why it stopped or, while it cannot load, what the last
// attempt failed with.
func (c *Core) Health() (Health, error) {
	switch {
	case c.err != nil:
		return Stopped, c.err
	case !c.caughtUp:
		return Loading, c.trouble
	case len(c.targets) > 0 && c.now-c.targets[0].since > c.limits.Behind:
		return Behind, c.trouble
	case c.now-c.lastReply > c.limits.CutOff:
		return CutOff, c.trouble
	}
	return Current, nil
}

// Start begins with the first load.
func (c *Core) Start(now time.Duration) {
	c.now, c.lastReply, c.lastPulse = now, now, now
	c.load()
}

func (c *Core) load() {
	c.loading, c.watching = true, false
	c.watchGen++ // batches of the watch there was are dropped
	c.out.Load(c.st.Position(), c.head)
}

// Loaded takes a load's outcome.
func (c *Core) Loaded(now time.Duration, l Loaded) {
	c.now = now
	if c.err != nil || !c.loading {
		return
	}
	c.loading = false
	if !c.sameEtcd(l.Anchor.Head, c.floor()) { // nothing was applied while loading
		return
	}
	if l.State != nil {
		if l.State.Position() < c.st.Position() || l.Head < c.head {
			c.stop(fmt.Errorf("checkpoint at position %d is older than what was applied (%d): %w; %s",
				l.State.Position(), c.st.Position(), journal.ErrRolledBack, repair))
			return
		}
		c.guard.Lock()
		c.st, c.head = l.State, l.Head
		c.guard.Unlock()
		c.out.Replaced()
	}
	for _, e := range l.Entries {
		if !c.apply(e, l.Anchor.Voids) {
			return
		}
	}
	c.failures, c.trouble = 0, nil
	c.watch(l.Anchor.Head.Revision + 1)
	c.lastReply = now
	c.passTargets()
	c.caughtUp = c.err == nil
	c.startRead()
}

// LoadFailed takes a load's error. Errors that no repetition heals stop the view.
func (c *Core) LoadFailed(now time.Duration, err error) {
	c.now = now
	if c.err != nil || !c.loading {
		return
	}
	c.loading, c.trouble = false, err
	switch {
	case errors.Is(err, journal.ErrRolledBack):
		c.stop(fmt.Errorf("%w; %s", err, repair))
	case permanent(err):
		c.stop(err)
	default:
		c.backOff()
	}
}

func permanent(err error) bool {
	return errors.Is(err, journal.ErrRolledBack) || errors.Is(err, state.ErrUndecodable) || errors.Is(err, state.ErrBase)
}

func (c *Core) backOff() {
	c.failures = min(c.failures+1, 6)
	c.retryAt = c.now + 50*time.Millisecond<<c.failures
}

func (c *Core) watch(from int64) {
	c.watching = true
	c.watchGen++
	c.out.Watch(c.watchGen, from)
}

// WatchBatch takes what the watch brought. Entries at or below the applied position are dropped; one that leaves a gap
// makes the core read the journal again before anything is answered.
func (c *Core) WatchBatch(now time.Duration, gen uint64, b journal.Batch) {
	c.now = now
	if c.err != nil || gen != c.watchGen || !c.watching {
		return
	}
	switch {
	case errors.Is(b.Err, kv.ErrFuture):
		c.stop(fmt.Errorf("%w: %d entries up to position %d were applied, etcd has not come that far: %w; %s",
			journal.ErrRolledBack, c.head, c.st.Position(), b.Err, repair))
		return
	case errors.Is(b.Err, kv.ErrCompacted) || errors.Is(b.Err, journal.ErrGap):
		c.load()
		return
	case b.Err != nil:
		c.watching = false
		c.backOff()
		return
	}
	for _, e := range b.Entries {
		if e.Position <= c.st.Position() {
			continue
		}
		if e.Head != c.head+1 {
			c.load()
			return
		}
		if !c.apply(e, nil) {
			return
		}
	}
	c.failures = 0
	c.passTargets()
}

func (c *Core) apply(e journal.Entry, voids map[int64]bool) bool {
	if e.Position <= c.st.Position() {
		return true
	}
	if voids[e.Position] {
		c.guard.Lock()
		c.st.Void(e.Position)
		c.guard.Unlock()
		c.head = e.Head
		return true
	}
	decoded, err := state.Decode(e.Position, e.Session, e.Seq, e.Value)
	if err != nil {
		c.stop(err)
		return false
	}
	c.out.Applying(e, decoded.Body)
	c.guard.Lock()
	res := c.st.Apply(decoded)
	c.head = e.Head
	c.guard.Unlock()
	c.out.Applied(e, decoded.Body, res)
	return true
}

// Barrier asks to be told, by BarrierDone, when everything appended before this call is applied.
func (c *Core) Barrier(now time.Duration, id uint64) {
	c.now = now
	if c.err != nil {
		c.out.BarrierDone(id, c.err)
		return
	}
	c.nextRead = append(c.nextRead, id)
	c.startRead()
}

// DropBarrier forgets a barrier whose caller went away; BarrierDone is not called for it.
func (c *Core) DropBarrier(id uint64) {
	drop := func(ids []uint64) []uint64 {
		for i, x := range ids {
			if x == id {
				return append(ids[:i], ids[i+1:]...)
			}
		}
		return ids
	}
	c.nextRead, c.inRead = drop(c.nextRead), drop(c.inRead)
	for i := range c.targets {
		c.targets[i].barriers = drop(c.targets[i].barriers)
	}
}

// startRead starts a head read for the barriers that came since the last one began: a read that was under way when a
// barrier was asked for proves nothing to it.
func (c *Core) startRead() {
	if c.reading || c.err != nil || len(c.nextRead) == 0 && c.now-c.lastPulse < c.limits.Pulse {
		return
	}
	c.reading, c.lastPulse = true, c.now
	c.inRead, c.nextRead = c.nextRead, nil
	c.readFloor = c.floor()
	c.out.ReadHead()
}

func (c *Core) floor() floor { return floor{head: c.head, position: c.st.Position()} }

// HeadRead takes the answer of a head read.
func (c *Core) HeadRead(now time.Duration, h journal.Head, err error) {
	c.now = now
	if c.err != nil {
		return
	}
	ids := c.inRead
	c.reading, c.inRead = false, nil
	if err != nil {
		for _, id := range ids {
			c.out.BarrierDone(id, fmt.Errorf("%w: %w", ErrUnreachable, err))
		}
		c.startRead()
		return
	}
	c.lastReply = now
	// The watch may have brought entries that were appended after this read and before its answer got here.
	if !c.sameEtcd(h, c.readFloor) {
		for _, id := range ids {
			c.out.BarrierDone(id, c.err)
		}
		return
	}
	if n := len(c.targets); n > 0 && c.targets[n-1].position == h.Position {
		c.targets[n-1].barriers = append(c.targets[n-1].barriers, ids...)
	} else {
		c.targets = append(c.targets, target{position: h.Position, since: now, barriers: ids})
	}
	c.passTargets()
	c.startRead()
}

// sameEtcd checks that a read of etcd shows nothing older than what was applied when it began.
func (c *Core) sameEtcd(h journal.Head, f floor) bool {
	switch {
	case c.cluster != 0 && h.EtcdCluster != c.cluster:
		c.stop(fmt.Errorf("etcd cluster id changed from %x to %x: %w; restore the etcd that the cluster belongs to, or "+
			"rebuild it with `wadi recover`", c.cluster, h.EtcdCluster, journal.ErrRolledBack))
	case h.Version < f.head || h.Revision < f.position:
		c.stop(fmt.Errorf("etcd counts %d entries at revision %d, but %d entries up to position %d were applied: %w; %s",
			h.Version, h.Revision, f.head, f.position, journal.ErrRolledBack, repair))
	default:
		c.cluster = h.EtcdCluster
		return true
	}
	return false
}

// passTargets ends the barriers whose head is applied.
func (c *Core) passTargets() {
	for len(c.targets) > 0 && (c.targets[0].position <= c.st.Position()) && !c.loading {
		t := c.targets[0]
		c.targets = c.targets[1:]
		for _, id := range t.barriers {
			c.out.BarrierDone(id, nil)
		}
	}
}

// Tick lets time pass: it repeats what failed, keeps the pulse, and reads again when the view is behind.
func (c *Core) Tick(now time.Duration) {
	c.now = now
	if c.err != nil {
		return
	}
	if !c.loading && !c.watching && now >= c.retryAt {
		if c.caughtUp {
			c.watch(c.st.Position() + 1)
		} else {
			c.load()
		}
	}
	if c.caughtUp {
		c.startRead()
	}
	if len(c.targets) == 0 || !c.watching {
		return
	}
	// The watch owes an entry. First a new watch from where it stands, then, as late again, a new listing.
	t := &c.targets[0]
	switch late := now - t.since; {
	case late > c.limits.Behind && !t.rewatch:
		t.rewatch = true
		c.watch(c.st.Position() + 1)
	case late > 2*c.limits.Behind:
		t.since = now - c.limits.Behind - 1 // stays behind, and waits once more before the next listing
		c.load()
	}
}

func (c *Core) stop(err error) {
	c.err = err
	for _, ids := range [][]uint64{c.nextRead, c.inRead} {
		for _, id := range ids {
			c.out.BarrierDone(id, err)
		}
	}
	for _, t := range c.targets {
		for _, id := range t.barriers {
			c.out.BarrierDone(id, err)
		}
	}
	c.nextRead, c.inRead, c.targets = nil, nil, nil
	c.out.Stopped(err)
}

// lag is how long the oldest head read has been waiting to be applied.
func (c *Core) lag() time.Duration {
	if len(c.targets) == 0 {
		return 0
	}
	return c.now - c.targets[0].since
}
