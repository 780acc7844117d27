package checkpoint

import (
	"errors"
	"time"

	pb "wadi/metadata/metadatapb"
)

// Limits say when a checkpoint is due and what it keeps.
type Limits struct {
	JournalBytes int64         // a checkpoint is due after this much of the journal
	Interval     time.Duration // or this long after the first entry that none holds
	BaseBytes    int64         // a new base is due when the archives since the last one pass this and half the base's size
	KeepRoots    int           // newest roots that are kept
	KeepHourly   time.Duration // besides, the first root of each hour is kept for that long
	Retry        time.Duration // pause after a step that failed
	TrimPause    time.Duration // between two trim requests
}

// DefaultLimits are those of DESIGN section 3.1, with the newest roots alone.
func DefaultLimits() Limits {
	return Limits{
		JournalBytes: 16 << 20, Interval: 30 * time.Second, BaseBytes: 32 << 20, KeepRoots: 3, Retry: 2 * time.Second,
		TrimPause: 20 * time.Millisecond,
	}
}

// Last is the checkpoint that the pointer names; the zero value is that of a cluster without any.
type Last struct {
	Pointer  *pb.Pointer // nil = none
	Revision int64       // of the pointer's key
	Root     *pb.Root    // nil = none
}

// Written is the checkpoint that Write stored.
type Written struct {
	Pointer *pb.Pointer
	Root    *pb.Root
}

// Effects carries out the steps. Each is answered by the method of Core that is named; an implementation must not call
// it from within.
type Effects interface {
	// Acquire takes the job, or finds that this session has it, and reads the checkpoint there is: Core.Acquired.
	// Not getting it is ErrHeld.
	Acquire()
	// Mark proposes a mark and, if base, keeps a snapshot of State at it: Core.Marked.
	Mark(base bool)
	// Write stores archives, the base if a snapshot was kept, and the root: Core.Wrote.
	Write(last Last)
	// Point moves the pointer from last to next if both pointer and job are unchanged: Core.Pointed.
	Point(last Last, next Written)
	// Record proposes Archived for the archives of the root that State lacks: Core.Recorded.
	Record(root *pb.Root)
	// Trim deletes some of the entries up to and including a position: Core.Trimmed.
	Trim(position int64)
	// Compact discards etcd's history below a revision: Core.Compacted.
	Compact(revision int64)
	// Clean deletes the objects of dropped roots that no kept one and no run needs; with sweep it looks at every
	// checkpoint object for what predecessors left behind: Core.Cleaned, which hears whether something has to wait until
	// its writer's session is closed.
	Clean(dropped []*pb.KeptRoot, next Written, sweep bool)
}

// ErrHeld: another session holds the job.
var ErrHeld = errors.New("checkpoint job is held by another session")

type phase uint8

const (
	without    phase = iota // not the holder
	acquiring               // asked for the job
	resting                 // holder, nothing due
	recording0              // proposing what the root lists and State lacks, before the first checkpoint as holder
	marking
	writing
	pointing
	recording
	trimming
	compacting
	cleaning
)

// Core decides which step of a checkpoint comes next. One step is under way at a time.
type Core struct {
	limits  Limits
	out     Effects
	now     time.Duration
	session bool

	phase    phase
	at       time.Duration // when the next attempt or trim request is due
	failures int           // in a row
	last     Last
	written  Written
	dropped  []*pb.KeptRoot
	sweep    bool // something may have been left behind

	begun   time.Duration // when the last checkpoint was begun, or the job taken
	garbage garbage

	all    account // since the newest mark that archives reach
	mark   int64   // position of the newest mark, while no archive reaches it
	behind account // since that mark
}

// account is what came since some mark.
type account struct {
	bytes int64
	dirty bool          // an entry that a checkpoint should hold
	since time.Duration // when the first of those came
}

func (a *account) add(now time.Duration, size int, dirty bool) {
	a.bytes += int64(size)
	if dirty && !a.dirty {
		a.dirty, a.since = true, now
	}
}

// Entry is an applied entry as far as checkpoints care.
type Entry struct {
	Position int64
	Size     int   // of its value
	Dirty    bool  // it carries anything but marks and archive records
	Mark     bool  // it is a mark, whoever proposed it
	Archived int64 // archives reach up to this position now, as far as the entry says; 0 = it says nothing
}

// NewCore makes a core without a session.
func NewCore(limits Limits, out Effects) *Core { return &Core{limits: limits, out: out} }

// Opened tells that the session is open, Lost that it is over and the job with it.
func (c *Core) Opened(now time.Duration) {
	c.now, c.session, c.at = now, true, now
}

func (c *Core) Lost(now time.Duration) {
	c.now, c.session, c.phase, c.failures = now, false, without, 0
}

// Seen tells of an applied entry. What is due follows from the entries alone, whoever makes the checkpoints and however
// they end, so that a new holder knows what its predecessor left undone.
func (c *Core) Seen(now time.Duration, e Entry) {
	c.now = now
	c.all.add(now, e.Size, e.Dirty)
	c.behind.add(now, e.Size, e.Dirty)
	if e.Mark {
		c.mark, c.behind = e.Position, account{}
	}
	if c.mark != 0 && e.Archived >= c.mark {
		c.all, c.mark = c.behind, 0
	}
}

func (c *Core) due() bool {
	if c.all.dirty && (c.all.bytes >= c.limits.JournalBytes || c.now-c.all.since >= c.limits.Interval) {
		return true
	}
	return c.now-c.begun >= c.limits.Interval && c.garbage.waits(c.limits, c.last.Pointer)
}

// Tick lets time pass.
func (c *Core) Tick(now time.Duration) {
	c.now = now
	if !c.session || now < c.at {
		return
	}
	switch c.phase {
	case without:
		c.phase = acquiring
		c.out.Acquire()
	case resting:
		if c.due() {
			c.phase, c.begun = marking, now
			c.out.Mark(c.baseDue())
		}
	case trimming:
		if c.at != 0 {
			c.at = 0
			c.out.Trim(c.written.Pointer.TrimPosition)
		}
	}
}

// baseDue reports whether the next checkpoint writes a base.
func (c *Core) baseDue() bool {
	if c.last.Root == nil {
		return true
	}
	archived, base := c.all.bytes, int64(0)
	for _, a := range c.last.Root.Archives {
		if a.To > c.last.Root.Base.Position {
			archived += int64(a.Object.Size)
		}
	}
	for _, p := range c.last.Root.Base.Parts {
		base += int64(p.Size)
	}
	return archived >= max(c.limits.BaseBytes, base/2)
}

// fail gives the checkpoint up for now. The job is asked for again first: what failed may be that it was lost. The pause
// grows with the failures in a row: every attempt adds a mark to the journal.
func (c *Core) fail(err error) {
	pause := c.limits.Retry
	if !errors.Is(err, ErrHeld) {
		pause = max(pause, min(pause<<min(c.failures, 10), c.limits.Interval))
		c.failures++
	}
	c.phase, c.at = without, c.now+pause
}

// Acquired takes the outcome of Acquire.
func (c *Core) Acquired(now time.Duration, last Last, err error) {
	c.now = now
	if c.phase != acquiring {
		return
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.last, c.sweep, c.begun = last, true, now
	if last.Root == nil {
		c.phase, c.at = resting, now
		return
	}
	c.phase = recording0
	c.out.Record(last.Root)
}

// Marked takes the outcome of Mark.
func (c *Core) Marked(now time.Duration, err error) {
	c.now = now
	if c.phase != marking {
		return
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.phase = writing
	c.out.Write(c.last)
}

// Wrote takes the outcome of Write.
func (c *Core) Wrote(now time.Duration, w Written, err error) {
	c.now = now
	if c.phase != writing {
		return
	}
	if err != nil {
		c.fail(err)
		return
	}
	if p := c.last.Pointer; p != nil && w.Pointer.Position <= p.Position {
		c.fail(errors.New("positions only grow"))
		return
	}
	c.dropped = c.keep(&w)
	c.written = w
	c.phase = pointing
	c.out.Point(c.last, w)
}

// keep fills in which roots the pointer keeps and returns those that it drops.
func (c *Core) keep(w *Written) (dropped []*pb.KeptRoot) {
	var kept []*pb.KeptRoot
	if c.last.Pointer != nil {
		kept = c.last.Pointer.Kept
		w.Pointer.TrimPosition = c.last.Pointer.Position
		w.Pointer.CompactRevision = c.last.Pointer.TrimPosition
	}
	w.Pointer.Kept, dropped = c.limits.keep(append(kept[:len(kept):len(kept)], &pb.KeptRoot{
		Position: w.Pointer.Position, Head: w.Pointer.Head, Key: w.Pointer.Root, AtMs: w.Root.AtMs,
	}), w.Root.AtMs)
	return dropped
}

// Pointed takes the outcome of Point: the pointer's new revision.
func (c *Core) Pointed(now time.Duration, revision int64, err error) {
	c.now = now
	if c.phase != pointing {
		return
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.last = Last{Pointer: c.written.Pointer, Revision: revision, Root: c.written.Root}
	c.phase = recording
	c.out.Record(c.written.Root)
}

// Recorded takes the outcome of Record.
func (c *Core) Recorded(now time.Duration, err error) {
	c.now = now
	first := c.phase == recording0
	if !first && c.phase != recording {
		return
	}
	if err != nil {
		c.fail(err)
		return
	}
	if first {
		// A predecessor may have died between its pointer and its trim.
		c.written, c.dropped = Written{Pointer: c.last.Pointer, Root: c.last.Root}, nil
	}
	c.phase, c.at = trimming, 0
	c.out.Trim(c.written.Pointer.TrimPosition)
}

// Trimmed takes the outcome of Trim; more tells that entries are left.
func (c *Core) Trimmed(now time.Duration, more bool, err error) {
	c.now = now
	if c.phase != trimming {
		return
	}
	switch {
	case err != nil:
		c.fail(err)
	case more:
		c.at = now + c.limits.TrimPause
	default:
		c.phase = compacting
		c.out.Compact(c.written.Pointer.CompactRevision)
	}
}

// Compacted takes the outcome of Compact.
func (c *Core) Compacted(now time.Duration, err error) {
	c.now = now
	if c.phase != compacting {
		return
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.phase = cleaning
	c.out.Clean(c.dropped, c.written, c.sweep)
}

// Cleaned takes the outcome of Clean. What it could not delete, or not yet, the next one looks for.
func (c *Core) Cleaned(now time.Duration, again bool, err error) {
	c.now = now
	if c.phase != cleaning {
		return
	}
	c.phase, c.at, c.dropped, c.failures = resting, now, nil, 0
	c.sweep = again || err != nil
	if err != nil {
		c.at = now + c.limits.Retry
	}
}

// Holder reports whether this agent holds the job.
func (c *Core) Holder() bool { return c.phase != without && c.phase != acquiring }
