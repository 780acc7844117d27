package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// Journal is where entries go.
type Journal interface {
	Append(ctx context.Context, a journal.Append) (int64, error)
}

// Options of a Session.
type Options struct {
	Config
	KV      kv.KV
	Keys    layout.Etcd
	Journal Journal
	Info    *pb.SessionInfo // the registration's value
	Log     *slog.Logger
	// Require is what must hold in etcd for a registration: it keeps a session away from an etcd that was replaced by
	// an empty one.
	Require []kv.Compare
	// OnAppend is told how long each Append took and how it ended; nil = nobody.
	OnAppend func(time.Duration, error)
	// OnOpened is told that State has a session, OnLost that it is over. They must not block; nil = nobody.
	OnOpened func(id layout.Session, node int32)
	OnLost   func(id layout.Session)
}

// Session keeps an agent registered and appends its commands. It is the view's observer for their results. All methods
// may be called concurrently.
type Session struct {
	o       Options
	started time.Time

	mu struct {
		sync.Mutex
		core    *Core
		effects []func() // decided, to be carried out after the lock is released
		ctx     context.Context
		wg      sync.WaitGroup
		changed chan struct{} // closed and replaced when the session opens or is lost
		info    *pb.SessionInfo
	}
}

// New starts nothing; see Run.
func New(o Options) *Session {
	s := &Session{o: o, started: time.Now()}
	s.mu.core = NewCore(o.Config, (*shell)(s))
	s.mu.changed = make(chan struct{})
	s.mu.info = o.Info
	return s
}

// Run keeps a session until ctx ends, then answers what waits with an error, deletes the key with the lease, and
// returns. A lost session is replaced.
func (s *Session) Run(ctx context.Context) error {
	s.mu.Lock()
	s.mu.ctx = ctx
	s.mu.Unlock()
	s.step(func(c *Core, now Instant) { c.Start(now) })
	tick := time.NewTicker(max(s.o.TTL/100, 5*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.step(func(c *Core, now Instant) { c.Tick(now) })
			continue
		case <-ctx.Done():
		}
		break
	}
	var lease layout.Session
	s.step(func(c *Core, now Instant) {
		lease, _, _ = c.Session()
		c.End(now)
	})
	s.mu.wg.Wait()
	if lease == 0 {
		return nil
	}
	revoke, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.TTL)
	defer cancel()
	if err := s.o.KV.Revoke(revoke, int64(lease)); err != nil && !errors.Is(err, kv.ErrLeaseNotFound) {
		// The lease expires by itself.
		s.o.Log.Warn("session not deleted at shutdown", "session", lease, "error", err)
	}
	return nil
}

// Propose queues a command; p.Done tells its fate, exactly once, and may be called before Propose returns.
func (s *Session) Propose(p *Proposal) {
	s.step(func(c *Core, now Instant) { c.Propose(now, p) })
}

// Do proposes a control command and waits for its outcome, as Await does.
func (s *Session) Do(ctx context.Context, cmd *pb.Command, take func(Outcome)) error {
	return Await(ctx, s, &Proposal{Command: cmd, Control: true}, take)
}

// Await proposes p and waits for its outcome. take is called with the result while it is valid; it is not called on
// error. When ctx ends first the command may still be applied: the error wraps ErrUnknown. Await sets p.Done.
func Await(ctx context.Context, to interface{ Propose(*Proposal) }, p *Proposal, take func(Outcome)) error {
	done := make(chan error, 1)
	var mu sync.Mutex
	gone := false
	p.Done = func(o Outcome) {
		mu.Lock()
		defer mu.Unlock()
		if !gone && o.Err == nil {
			take(o)
		}
		done <- o.Err
	}
	to.Propose(p)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		mu.Lock()
		gone = true
		mu.Unlock()
		return fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}

// Current is the present session; isOpen tells that State has it.
func (s *Session) Current() (id layout.Session, node int32, isOpen bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.core.Session()
}

// Alive reports whether the lease cannot have expired yet, judged by this machine's monotonic clock.
func (s *Session) Alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().Mono < s.mu.core.AliveUntil()
}

// Changed is closed at the next change of Current.
func (s *Session) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.changed
}

// Idle reports whether nothing that was proposed waits for an answer.
func (s *Session) Idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.core.Idle()
}

// Drain marks the registration as draining: same lease, same create revision.
func (s *Session) Drain(ctx context.Context) error {
	if err := s.Change(ctx, func(info *pb.SessionInfo) { info.Draining = true }); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	return nil
}

// Change changes what the registration says, now and in sessions to come: same lease, same create revision. After an error
// the others may see it or not, until it is changed again or another session is made.
func (s *Session) Change(ctx context.Context, change func(*pb.SessionInfo)) error {
	s.mu.Lock()
	info := proto.Clone(s.mu.info).(*pb.SessionInfo)
	change(info)
	s.mu.info = info
	s.mu.Unlock()
	for {
		if err := s.show(ctx, info); err != nil {
			return err
		}
		s.mu.Lock()
		newest := s.mu.info
		s.mu.Unlock()
		if newest == info {
			return nil
		}
		info = newest // changed meanwhile, and what is newer may have been put before this
	}
}

// show puts a registration in the place of the one that the present session has.
func (s *Session) show(ctx context.Context, info *pb.SessionInfo) error {
	value, err := proto.Marshal(info)
	if err != nil {
		return fmt.Errorf("change registration: %w", err)
	}
	s.mu.Lock()
	id, _, _ := s.mu.core.Session()
	rev := s.mu.core.revision
	s.mu.Unlock()
	if id == 0 {
		return nil
	}
	key := s.o.Keys.SessionKey(id)
	res, err := s.o.KV.Txn(ctx, kv.Txn{
		If:   []kv.Compare{{Key: key, Target: kv.CreateRevision, Want: rev}},
		Then: []kv.Op{kv.Put(key, value, int64(id))},
	})
	if err != nil {
		return fmt.Errorf("change registration: %w", err)
	}
	if !res.Succeeded {
		return fmt.Errorf("change registration: %w: it was lost or is being registered", journal.ErrSessionLost)
	}
	return nil
}

// Leave closes the session in State, as the last thing that an agent does in it when it has drained: its node id is free
// for the next process at the same address, and no other agent has to find out that it is gone. When that does not come
// about before ctx ends, another one does.
func (s *Session) Leave(ctx context.Context) {
	id, _, open := s.Current()
	if !open {
		return
	}
	done := make(chan struct{})
	s.Propose(&Proposal{
		Command: &pb.Command{Kind: &pb.Command_CloseSession{CloseSession: &pb.CloseSession{Session: int64(id)}}},
		Control: true, Session: id, Done: func(Outcome) { close(done) },
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Applied implements view.Observer.
func (s *Session) Applied(e journal.Entry, body *pb.Entry, res *state.Results) {
	for i := range res.Commands {
		c := body.Commands[i].GetCloseSession()
		if c != nil && res.Commands[i].Code == state.OK && c.Session != int64(e.Session) { // else it leaves
			s.step(func(core *Core, now Instant) { core.Closed(now, layout.Session(c.Session)) })
		}
		if o := body.Commands[i].GetOpenSession(); o != nil && res.Commands[i].Code == state.OK {
			s.step(func(core *Core, now Instant) { core.Listed(now, o.ListedAt, o.Listed) })
		}
	}
	if id, _, _ := s.Current(); id != e.Session {
		return
	}
	sum := journal.Checksum(e.Value)
	s.step(func(c *Core, now Instant) { c.Applied(now, e.Session, e.Seq, sum, res) })
}

// Replaced implements view.Observer.
func (s *Session) Replaced(st *state.State) {
	s.step(func(c *Core, now Instant) {
		id, _, _ := c.Session() // of the core that takes the answer: it may have got another one a moment ago
		v, known := st.Session(id)
		c.Replaced(now, v.LastSeq, v.NodeID, known, v.Closed != 0)
	})
}

func (s *Session) now() Instant {
	t := time.Now()
	return Instant{Mono: t.Sub(s.started), Wall: t.UnixMilli()}
}

// step lets the core take an event and carries its effects out when the lock is free again, so that a Done may propose.
func (s *Session) step(f func(*Core, Instant)) {
	s.mu.Lock()
	f(s.mu.core, s.now())
	effects := s.mu.effects
	s.mu.effects = nil
	s.mu.Unlock()
	for _, e := range effects {
		e()
	}
}

// shell carries effects out for the Session it is; its methods are called under the lock.
type shell Session

func (x *shell) s() *Session { return (*Session)(x) }

// call runs f in its own goroutine with a deadline of the session's TTL.
func (x *shell) call(f func(ctx context.Context)) {
	s, parent := x.s(), x.mu.ctx
	s.mu.wg.Add(1)
	x.mu.effects = append(x.mu.effects, func() {
		go func() {
			defer s.mu.wg.Done()
			ctx, cancel := context.WithTimeout(parent, s.o.TTL)
			defer cancel()
			f(ctx)
		}()
	})
}

func (x *shell) Look() {
	s := x.s()
	x.call(func(ctx context.Context) {
		found, err := Look(ctx, s.o.KV, s.o.Keys)
		for _, f := range found {
			if f.Address == s.o.Address && (f.Place == "" || f.Place != s.o.Place) {
				s.o.Log.Warn("another session is at this agent's address: its process ended a moment ago without giving it up, "+
					"or another agent has the same advertised.listeners", "address", f.Address, "session", f.Session.String())
			}
		}
		s.step(func(c *Core, now Instant) { c.Looked(now, found, err) })
	})
}

func (x *shell) Grant(ttl time.Duration) {
	s := x.s()
	x.call(func(ctx context.Context) {
		lease, err := s.o.KV.Grant(ctx, int64((ttl+time.Second-1)/time.Second))
		s.step(func(c *Core, now Instant) { c.Granted(now, layout.Session(lease), err) })
	})
}

func (x *shell) Register(id layout.Session, stale []layout.Session) {
	s := x.s()
	stale = append([]layout.Session(nil), stale...)
	info := x.mu.info
	x.call(func(ctx context.Context) {
		r, err := Register(ctx, s.o.KV, s.o.Keys, id, info, stale, s.o.Require...)
		s.step(func(c *Core, now Instant) { c.Registered(now, id, r, err) })
	})
}

func (x *shell) Append(a journal.Append) {
	s := x.s()
	x.call(func(ctx context.Context) {
		begin := time.Now()
		position, err := s.o.Journal.Append(ctx, a)
		if s.o.OnAppend != nil {
			s.o.OnAppend(time.Since(begin), err)
		}
		s.step(func(c *Core, now Instant) { c.Appended(now, a.Session, a.Seq, position, err) })
	})
}

func (x *shell) KeepAlive(id layout.Session) {
	s, sent := x.s(), x.s().now().Mono
	x.call(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, max(s.o.TTL/3, 100*time.Millisecond))
		defer cancel()
		_, err := s.o.KV.KeepAlive(ctx, int64(id))
		s.step(func(c *Core, now Instant) { c.KeptAlive(now, id, sent, err) })
	})
}

func (x *shell) Done(p *Proposal, o Outcome) {
	if p.Done != nil {
		x.mu.effects = append(x.mu.effects, func() { p.Done(o) })
	}
}

func (x *shell) Opened(id layout.Session, node int32) {
	x.o.Log.Info("session opened", "session", id.String(), "node", node)
	x.notify()
	if f := x.o.OnOpened; f != nil {
		x.mu.effects = append(x.mu.effects, func() { f(id, node) })
	}
}

func (x *shell) Lost(id layout.Session, err error) {
	x.o.Log.Warn("session lost", "session", id.String(), "error", err)
	x.notify()
	if f := x.o.OnLost; f != nil {
		x.mu.effects = append(x.mu.effects, func() { f(id) })
	}
}

func (x *shell) notify() {
	close(x.mu.changed)
	x.mu.changed = make(chan struct{})
}
