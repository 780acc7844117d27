package sweep

import "time"

// Config of a Core.
type Config struct {
	Pause    time.Duration // between this agent's Sweeps
	Retry    time.Duration // after one whose outcome is not known to be good
	Patience time.Duration // how long nobody may sweep before the agent of the next rank does
}

// Defaults are for a session that lives ttl: a dead agent's rank is free after that.
func Defaults(ttl time.Duration) Config {
	return Config{Pause: 20 * time.Millisecond, Retry: time.Second, Patience: 2 * ttl}
}

// Look is what an agent sees at one moment.
type Look struct {
	Unswept   int   // State.Unswept
	LastSweep int64 // State.LastSweep
	Rank      int   // live agents with a lower node id; -1 = this agent is not to propose anything
}

// Core decides when this agent proposes a Sweep. It has no clock: now is any time that only grows.
type Core struct {
	cfg     Config
	waiting bool          // there was a backlog at the last look
	since   time.Duration // when it was first seen, or another agent was last seen to sweep
	seen    int64         // the newest Sweep known
	pending bool          // one of this agent is under way
	next    time.Duration // none before
}

// NewCore makes a Core that has seen nothing.
func NewCore(cfg Config) *Core { return &Core{cfg: cfg} }

// Tick reports whether to propose a Sweep now. After true, Done must follow, once.
func (c *Core) Tick(now time.Duration, l Look) bool {
	if l.Unswept == 0 {
		c.waiting = false
		return false
	}
	if !c.waiting || l.LastSweep > c.seen {
		c.waiting, c.since, c.seen = true, now, max(c.seen, l.LastSweep)
	}
	if c.pending || l.Rank < 0 || now < c.next || now-c.since < time.Duration(l.Rank)*c.cfg.Patience {
		return false
	}
	c.pending = true
	return true
}

// Done ends what Tick began. With ok the Sweep was applied at position; it does not count as another agent's.
func (c *Core) Done(now time.Duration, position int64, ok bool) {
	c.pending = false
	if !ok {
		c.next = now + c.cfg.Retry
		return
	}
	c.next = now + c.cfg.Pause
	c.seen = max(c.seen, position)
}
