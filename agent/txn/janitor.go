package txn

import (
	"cmp"
	"slices"
	"time"
)

// JanitorConfig of a Janitor.
type JanitorConfig struct {
	// Margin is added to the timeout of a transaction whose beginning this agent did not see: what the clocks of two
	// agents may differ by, and for how long the one that coordinated it may have been gone.
	Margin time.Duration
	// Patience is how long the agents before this one in the order of an id have, each, before this one ends what is
	// overdue.
	Patience time.Duration
	// Gap is how far two looks may lie apart if what begins between them is to count from the second.
	Gap time.Duration
	// Retry is how long a transaction is left alone when ending it was refused, or nobody knows what came of it.
	Retry time.Duration
	// Limit bounds what is ended after one look.
	Limit int
}

// DefaultJanitor is for a session that lives ttl and looks that lie `every` apart.
func DefaultJanitor(ttl, every time.Duration) JanitorConfig {
	return JanitorConfig{Margin: ttl, Patience: 2*ttl + every, Gap: 2 * every, Retry: ttl, Limit: 200}
}

// Open is an open transaction as State shows it.
type Open struct {
	Number     uint64 // of the transactional id
	ID         string
	ProducerID int64
	Epoch      int16
	Began      int64         // position
	BeganAt    time.Time     // by the clock of the agent that proposed it
	Timeout    time.Duration // of the transaction
	Base       int64         // position at which it was seen
	Rank       int           // of this agent for the id; see Routing
}

// Janitor decides which open transactions this agent ends because they are overdue. It has no clock: now is any time that
// only grows, and the time of day is told. A look is Look, See for each open transaction, and Due.
type Janitor struct {
	cfg    JanitorConfig
	looked bool
	last   time.Duration // of the look before
	look   look
	open   map[uint64]*watched // by number
}

// look is the one that is going on.
type look struct {
	now    time.Duration
	wall   time.Time // zero = nobody can tell
	gap    bool      // whatever is new may have begun long ago
	round  uint64
	oldest time.Duration
	due    []Open
}

// watched is a transaction that was open at the last look, or the one before.
type watched struct {
	began   int64 // another transaction of the id has another one
	since   time.Duration
	found   bool // its beginning was not seen
	overdue bool
	from    time.Duration // overdue since
	next    time.Duration // left alone before
	pending bool
	round   uint64
}

// NewJanitor makes a Janitor that has seen nothing.
func NewJanitor(cfg JanitorConfig) *Janitor {
	return &Janitor{cfg: cfg, open: map[uint64]*watched{}}
}

// Look begins a look. wall is the time of day, zero when nobody can tell.
func (j *Janitor) Look(now time.Duration, wall time.Time) {
	j.look = look{
		now: now, wall: wall, gap: !j.looked || now-j.last > j.cfg.Gap, round: j.look.round + 1, due: j.look.due[:0],
	}
	j.looked, j.last = true, now
}

// See takes an open transaction. It may come twice in a look, and be missed by one now and then.
func (j *Janitor) See(o Open) {
	l := &j.look
	w := j.open[o.Number]
	if w == nil || w.began != o.Began {
		w = &watched{began: o.Began, since: l.now, found: l.gap, next: l.now}
		j.open[o.Number] = w
	}
	if w.round == l.round {
		return
	}
	w.round = l.round
	l.oldest = max(l.oldest, w.age(l, o))
	if !w.overdue && w.isOverdue(l, o, j.cfg.Margin) {
		w.overdue, w.from = true, l.now
	}
	if w.overdue && !w.pending && l.now >= w.next && o.Rank >= 0 && l.now-w.from >= time.Duration(o.Rank)*j.cfg.Patience {
		l.due = append(l.due, o)
	}
}

// isOverdue goes by the monotonic clock of this agent. For what it found open the time of day counts as well, or else
// each restart would give the transaction its whole time again.
func (w *watched) isOverdue(l *look, o Open, margin time.Duration) bool {
	if l.now-w.since >= o.Timeout {
		return true
	}
	return w.found && !l.wall.IsZero() && l.wall.Sub(o.BeganAt) >= o.Timeout+margin
}

// age is for how long a transaction has been open, as far as this agent knows.
func (w *watched) age(l *look, o Open) time.Duration {
	age := l.now - w.since
	if w.found && !l.wall.IsZero() {
		age = max(age, l.wall.Sub(o.BeganAt))
	}
	return age
}

// Due ends the look and returns what this agent is to end now, the longest overdue first, and whether there is more.
// Done must follow once for each.
func (j *Janitor) Due() (due []Open, more bool) {
	l := &j.look
	for n, w := range j.open {
		if w.round+1 < l.round && !w.pending { // missed twice: it has ended
			delete(j.open, n)
		}
	}
	slices.SortFunc(l.due, func(a, b Open) int {
		return cmp.Or(cmp.Compare(j.open[a.Number].from, j.open[b.Number].from), cmp.Compare(a.Began, b.Began), cmp.Compare(a.Number, b.Number))
	})
	more = len(l.due) > j.cfg.Limit
	due = l.due[:min(len(l.due), j.cfg.Limit)]
	for _, o := range due {
		j.open[o.Number].pending = true
	}
	return due, more
}

// Done tells what came of ending a transaction. It is not tried again at once: if it is still open, somebody else was
// quicker, or nobody knows.
func (j *Janitor) Done(now time.Duration, o Open) {
	if w := j.open[o.Number]; w != nil && w.began == o.Began {
		w.pending, w.next = false, now+j.cfg.Retry
	}
}

// WantsWall reports whether the time of day would tell more: something is open whose beginning was not seen.
func (j *Janitor) WantsWall() bool {
	for _, w := range j.open {
		if w.found && !w.overdue {
			return true
		}
	}
	return !j.looked
}

// Oldest is for how long the oldest of the transactions that the last look saw has been open, as far as this agent knows.
func (j *Janitor) Oldest() time.Duration { return j.look.oldest }
