package session

import (
	"errors"
	"fmt"
	"time"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// Effects carries out what the core decides. An implementation must not call back into the core from within.
type Effects interface {
	// Look lists the registrations there are and answers with Core.Looked.
	Look()
	// Grant asks for a lease and answers with Core.Granted.
	Grant(ttl time.Duration)
	// Register puts the session's key on its lease, deletes the keys of stale, and answers with Core.Registered.
	Register(session layout.Session, stale []layout.Session)
	// Append sends the entry once and answers with Core.Appended.
	Append(a journal.Append)
	// KeepAlive renews the lease once and answers with Core.KeptAlive.
	KeepAlive(session layout.Session)
	// Done ends a proposal: it calls p.Done(o) before anything else is asked of it.
	Done(p *Proposal, o Outcome)
	// Opened: State has the session as node.
	Opened(session layout.Session, node int32)
	// Lost: the session is over; another one is being made.
	Lost(session layout.Session, err error)
}

// Instant is an event's time: Mono since some fixed start, for timeouts; Wall in Unix milliseconds, for entries.
type Instant struct {
	Mono time.Duration
	Wall int64
}

// Config of a core.
type Config struct {
	TTL             time.Duration
	Init            *pb.InitCluster // proposed with every OpenSession; State takes the first and ignores the others
	MinFeatureLevel uint32
	MaxFeatureLevel uint32
	Address         string // host:port where clients reach the agent: State gives it the node id back that it had there
	// Place stands in the registration of a process that is alone there as long as it lives: whoever is there now knows that
	// others that say the same are dead. "" = nobody can know.
	Place string
}

type phase uint8

const (
	idle        phase = iota // waits for retryAt, then asks for a lease
	looking                  // asked who is registered; asked again until a definite answer
	granting                 // lease asked for
	registering              // key sent; sent again until a definite answer
	opening                  // OpenSession is on its way
	open
	ended
)

// flight is an entry from its first send until its result is known.
type flight struct {
	seq       uint64
	value     []byte
	checksum  uint32
	proposals []*Proposal // nil at the place of the core's own commands
	sends     int
	sending   bool // a send has not been answered
	position  int64
}

// Core sequences one agent's entries and keeps its session alive.
type Core struct {
	cfg Config
	out Effects
	now Instant

	phase    phase
	session  layout.Session
	revision int64 // create revision of the session's key
	listing  Registration
	node     int32
	tried    []layout.Session // session keys that this process, or a dead one before it, may have written, without the present one
	wrote    bool             // the present session's key may have been written
	retryAt  time.Duration
	failures int // in a row of one request
	attempts int // in a row to open a session

	lookSent     bool // the question who is registered has not been answered
	registerSent bool // a registration has not been answered
	keepingAlive bool
	keepAliveAt  time.Duration // when the next one is due
	keepAliveOld time.Duration // when the one under way counts as lost
	grantSent    time.Duration
	lastAlive    time.Duration // when the last acknowledged keep-alive, or the grant, was sent

	seq      uint64
	inFlight *flight
	waiting  []*flight // appended, not yet seen applied
	control  queue
	data     queue
}

// NewCore makes a core that does nothing before Start.
func NewCore(cfg Config, out Effects) *Core { return &Core{cfg: cfg, out: out, node: -1} }

// Session is the present session and whether State has it open.
func (c *Core) Session() (id layout.Session, node int32, isOpen bool) {
	return c.session, c.node, c.phase == open
}

// AliveUntil is the time until which the session's lease cannot have expired.
func (c *Core) AliveUntil() time.Duration { return c.lastAlive + c.cfg.TTL }

// Start asks for the first lease; a process that serves clients looks before that who was in its place.
func (c *Core) Start(now Instant) {
	c.now = now
	if c.cfg.Address != "" {
		c.look()
		return
	}
	c.grant()
}

func (c *Core) grant() {
	c.phase, c.grantSent = granting, c.now.Mono
	c.out.Grant(c.cfg.TTL)
}

// backOff waits before what has failed that many times in a row is done again: 50 ms to 1.6 s.
func (c *Core) backOff(failures *int) {
	*failures = min(*failures+1, 6)
	c.retryAt = c.now.Mono + 25*time.Millisecond<<*failures
}

func (c *Core) register() {
	c.registerSent = true
	c.out.Register(c.session, c.tried)
}

// Granted takes the answer to Grant. A lease whose answer was lost expires by itself.
func (c *Core) Granted(now Instant, session layout.Session, err error) {
	c.now = now
	if c.phase != granting {
		return
	}
	if err != nil {
		c.phase = idle
		c.backOff(&c.attempts)
		return
	}
	c.phase, c.session, c.lastAlive, c.failures, c.wrote = registering, session, c.grantSent, 0, false
	c.keepAliveAt = now.Mono + c.cfg.TTL/3
	c.register()
}

// Registered takes the answer to Register. An unknown outcome is tried again.
func (c *Core) Registered(now Instant, session layout.Session, r Registration, err error) {
	c.now = now
	if c.phase != registering || session != c.session {
		return
	}
	c.registerSent = false
	switch {
	case err == nil:
		c.phase, c.revision, c.listing, c.seq, c.failures, c.wrote = opening, r.Revision, r, 0, 0, true
		c.tried = nil // deleted in the same txn
		c.send(c.entry(nil))
	case errors.Is(err, ErrTaken) || kv.Definite(err):
		c.lose(err, false)
	default:
		c.wrote = true // perhaps
		c.backOff(&c.failures)
	}
}

var (
	// ErrTaken: the session's key exists and is not ours.
	ErrTaken = errors.New("session key is taken")
	// ErrNotOurs: this is not the etcd that the cluster was made in. Nothing was written.
	ErrNotOurs = errors.New("etcd does not hold the cluster")
)

// Propose queues a command. p.Done is called once its fate is known.
func (c *Core) Propose(now Instant, p *Proposal) {
	c.now = now
	size := p.size()
	switch {
	case c.phase == ended:
		c.out.Done(p, Outcome{Err: fmt.Errorf("%w: the session has ended", ErrNotProposed)})
		return
	case p.Session != 0 && p.Session != c.session:
		c.out.Done(p, Outcome{Err: fmt.Errorf("%w: session %s is over", ErrNotProposed, p.Session)})
		return
	case p.malformed() != nil:
		c.out.Done(p, Outcome{Err: fmt.Errorf("%w: %w", ErrNotProposed, p.malformed())})
		return
	case size > journal.Max:
		c.out.Done(p, Outcome{Err: fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, journal.Max)})
		return
	case len(c.control.list)+len(c.data.list) >= maxQueuedCommands || c.control.bytes+c.data.bytes+size > maxQueuedBytes:
		c.out.Done(p, Outcome{Err: ErrBusy})
		return
	}
	if p.Control {
		c.control.push(p, size)
	} else {
		c.data.push(p, size)
	}
	c.pump()
}

// pump sends the next entry when none is in flight. A view that does not come along holds it up.
func (c *Core) pump() {
	if c.phase != open || c.inFlight != nil || len(c.waiting) >= maxWaiting {
		return
	}
	list, used := c.control.take(nil, 0)
	if list, _ = c.data.take(list, used); len(list) > 0 {
		c.send(c.entry(list))
	}
}

// entry makes the next entry. The first one of a session carries OpenSession and nothing else.
func (c *Core) entry(list []*Proposal) *flight {
	if list == nil {
		at, listed := c.listing.list()
		list = []*Proposal{
			{Command: &pb.Command{Kind: &pb.Command_InitCluster{InitCluster: c.cfg.Init}}},
			{Command: &pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{
				MinFeatureLevel: c.cfg.MinFeatureLevel, MaxFeatureLevel: c.cfg.MaxFeatureLevel, NewNodeId: true,
				Address: c.cfg.Address, ListedAt: at, Listed: listed,
			}}}},
		}
	}
	value, err := encode(c.now.Wall, list)
	if err != nil {
		panic(fmt.Sprintf("session: a command of our own does not marshal: %v", err))
	}
	c.seq++
	return &flight{seq: c.seq, value: value, checksum: journal.Checksum(value), proposals: list}
}

func (c *Core) send(f *flight) {
	c.inFlight = f
	f.sends++
	f.sending = true
	c.out.Append(journal.Append{Session: c.session, Revision: c.revision, Seq: f.seq, Value: f.value})
}

// Appended takes the answer to Append.
func (c *Core) Appended(now Instant, session layout.Session, seq uint64, position int64, err error) {
	c.now = now
	f := c.inFlight
	if session != c.session || f == nil || f.seq != seq {
		return // the watch told already, or the session is another
	}
	f.sending = false
	switch {
	case err == nil:
		f.position, f.value = position, nil
		c.inFlight, c.failures = nil, 0
		c.waiting = append(c.waiting, f)
		c.pump()
	case errors.Is(err, journal.ErrSessionLost) || errors.Is(err, journal.ErrForeign):
		// The key was not there, and neither was the session's: with one send, nothing can be or come.
		c.lose(err, f.sends == 1 && errors.Is(err, journal.ErrSessionLost))
	case kv.Definite(err) && f.sends == 1:
		// Refused for good at its one and only send: the sequence is free again.
		c.inFlight = nil
		c.seq--
		if c.phase == opening {
			c.lose(err, false)
			return
		}
		c.finish(f, fmt.Errorf("%w: %w", ErrNotProposed, err))
		c.pump()
	default:
		c.backOff(&c.failures) // unknown: the identical txn goes again until a definite answer or the watch tells
	}
}

// Applied takes the results of one of this agent's entries.
func (c *Core) Applied(now Instant, session layout.Session, seq uint64, checksum uint32, res *state.Results) {
	c.now = now
	if session != c.session || res.Repeat {
		return
	}
	f := c.take(seq)
	if f == nil {
		return
	}
	switch {
	case f.checksum != checksum:
		c.finish(f, fmt.Errorf("%w: another process appends under session %s", ErrUnknown, session))
		c.lose(journal.ErrForeign, false)
		return
	case res.Refused != state.OK:
		c.finish(f, fmt.Errorf("%w: %s", ErrNotProposed, res.Refused))
		c.lose(fmt.Errorf("%w: %s", journal.ErrSessionLost, res.Refused), false)
		return
	case c.phase == opening:
		c.opened(res)
	default:
		for i, p := range f.proposals {
			c.out.Done(p, Outcome{Position: res.Position, Result: &res.Commands[i]})
		}
	}
	c.pump()
}

func (c *Core) opened(res *state.Results) {
	r := res.Commands[len(res.Commands)-1]
	if r.Code != state.OK {
		c.lose(fmt.Errorf("%w: open session: %s", journal.ErrSessionLost, r.Code), false)
		return
	}
	c.isOpen(int32(r.ID))
}

func (c *Core) isOpen(node int32) {
	c.phase, c.node, c.attempts = open, node, 0
	c.out.Opened(c.session, c.node)
}

// Closed tells that State has closed a session by a command of another one, which read that its key is gone.
func (c *Core) Closed(now Instant, session layout.Session) {
	c.now = now
	if session == c.session && (c.phase == opening || c.phase == open) {
		c.lose(fmt.Errorf("%w: closed by another session", journal.ErrSessionLost), false)
	}
}

// take removes the flight of a sequence from wherever it is.
func (c *Core) take(seq uint64) *flight {
	if f := c.inFlight; f != nil && f.seq == seq {
		c.inFlight, c.failures = nil, 0
		return f
	}
	for i, f := range c.waiting {
		if f.seq == seq {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			return f
		}
	}
	return nil
}

// Replaced tells that State jumped: results up to lastSeq of the session were never seen. known is false when State
// does not have the session.
func (c *Core) Replaced(now Instant, lastSeq uint64, node int32, known, closed bool) {
	c.now = now
	if c.phase != opening && c.phase != open {
		return
	}
	switch {
	case known && closed, !known && c.phase == open:
		c.lose(fmt.Errorf("%w: closed meanwhile", journal.ErrSessionLost), false)
		return
	case !known:
		return // its OpenSession may still come
	}
	var skipped []*flight
	for len(c.waiting) > 0 && c.waiting[0].seq <= lastSeq {
		skipped = append(skipped, c.waiting[0])
		c.waiting = c.waiting[1:]
	}
	if f := c.inFlight; f != nil && f.seq <= lastSeq {
		skipped = append(skipped, f)
		c.inFlight = nil
	}
	for _, f := range skipped {
		if c.phase == opening {
			c.isOpen(node)
			continue
		}
		c.finish(f, fmt.Errorf("%w: its result was skipped", ErrUnknown))
	}
	c.pump()
}

// KeptAlive takes the answer to KeepAlive; sent is when it was sent.
func (c *Core) KeptAlive(now Instant, session layout.Session, sent time.Duration, err error) {
	c.now = now
	if session != c.session {
		return
	}
	c.keepingAlive = false
	switch {
	case err == nil:
		c.lastAlive = sent
		c.keepAliveAt = sent + c.cfg.TTL/3
	case errors.Is(err, kv.ErrLeaseNotFound):
		c.lose(fmt.Errorf("%w: %w", journal.ErrSessionLost, err), false)
	default:
		c.keepAliveAt = now.Mono + c.cfg.TTL/20
	}
}

// Tick lets time pass: it renews the lease and repeats what failed.
func (c *Core) Tick(now Instant) {
	c.now = now
	alive := c.phase == registering || c.phase == opening || c.phase == open
	if alive && (!c.keepingAlive && now.Mono >= c.keepAliveAt || c.keepingAlive && now.Mono >= c.keepAliveOld) {
		c.keepingAlive, c.keepAliveOld = true, now.Mono+c.cfg.TTL
		c.out.KeepAlive(c.session)
	}
	if now.Mono < c.retryAt {
		return
	}
	switch {
	case c.phase == idle:
		c.grant()
	case c.phase == looking && !c.lookSent:
		c.look()
	case c.phase == registering && !c.registerSent:
		c.register()
	case c.inFlight != nil && !c.inFlight.sending:
		c.send(c.inFlight)
	}
}

// lose gives the session up and, after a pause, makes another one. What was sent is unknown, what was not was not
// proposed; neither is proposed again. notSent tells that the entry in flight was never appended and never will be.
func (c *Core) lose(err error, notSent bool) {
	if c.phase == ended {
		return
	}
	lost := c.session
	if c.wrote || c.registerSent {
		// Those that fall out had no keep-alive for longer than any lease lasts.
		c.tried = append(c.tried[max(0, len(c.tried)-maxTried+1):], lost)
	}
	waiting, last := c.waiting, c.inFlight
	c.phase, c.session, c.node = idle, 0, -1
	c.waiting, c.inFlight, c.keepingAlive, c.registerSent, c.wrote = nil, nil, false, false, false
	c.backOff(&c.attempts)
	for _, f := range waiting {
		c.finish(f, fmt.Errorf("%w: %w", ErrUnknown, err))
	}
	if last != nil {
		cause := ErrUnknown
		if notSent {
			cause = ErrNotProposed
		}
		c.finish(last, fmt.Errorf("%w: %w", cause, err))
	}
	c.dropQueues(fmt.Errorf("%w: %w", ErrNotProposed, err))
	c.out.Lost(lost, err)
}

// End stops the core: nothing is sent any more.
func (c *Core) End(now Instant) {
	c.now = now
	if c.phase == ended {
		return
	}
	flights := c.waiting
	if c.inFlight != nil {
		flights = append(flights, c.inFlight)
	}
	c.phase, c.waiting, c.inFlight = ended, nil, nil
	for _, f := range flights {
		c.finish(f, fmt.Errorf("%w: shutting down", ErrUnknown))
	}
	c.dropQueues(fmt.Errorf("%w: shutting down", ErrNotProposed))
}

// Idle reports whether nothing waits for an answer.
func (c *Core) Idle() bool {
	return c.inFlight == nil && len(c.waiting) == 0 && len(c.control.list) == 0 && len(c.data.list) == 0
}

func (c *Core) dropQueues(err error) {
	control, data := c.control.list, c.data.list
	c.control, c.data = queue{}, queue{}
	for _, list := range [][]queued{control, data} {
		for _, q := range list {
			c.out.Done(q.Proposal, Outcome{Err: err})
		}
	}
}

// finish ends a flight's proposals with an error. The core's own (OpenSession) have no Done.
func (c *Core) finish(f *flight, err error) {
	for _, p := range f.proposals {
		if p.Done != nil {
			c.out.Done(p, Outcome{Err: err})
		}
	}
}
