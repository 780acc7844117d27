package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wadi/agent/ingest"
	"wadi/internal/layout"
	"wadi/metadata/bootstrap"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
)

func isFatal(err error) bool {
	return errors.Is(err, bootstrap.ErrMismatch) || errors.Is(err, journal.ErrRolledBack)
}

// sessStep lets the session core take an event and carries its effects out, as session.Session does.
func (a *agent) sessStep(f func(c *session.Core)) {
	f(a.sess)
	effects := a.sessFx
	a.sessFx = nil
	for _, e := range effects {
		e()
	}
}

type sessionEffects agent

func (x *sessionEffects) a() *agent { return (*agent)(x) }

func (x *sessionEffects) call(f func()) {
	x.sessFx = append(x.sessFx, func() { x.a().spawn(f) })
}

func (x *sessionEffects) Look() {
	a := x.a()
	x.call(func() {
		found, err := session.Look(background, etcdClient{a}, a.w.keys)
		a.sessStep(func(c *session.Core) { c.Looked(a.instant(), found, err) })
	})
}

func (x *sessionEffects) Grant(d time.Duration) {
	a := x.a()
	x.call(func() {
		lease, err := etcdClient{a}.Grant(background, int64((d+time.Second-1)/time.Second))
		a.sessStep(func(c *session.Core) { c.Granted(a.instant(), layout.Session(lease), err) })
	})
}

func (x *sessionEffects) Register(id layout.Session, stale []layout.Session) {
	a := x.a()
	stale = append([]layout.Session(nil), stale...)
	x.call(func() {
		a.w.owners[id] = a.id
		r, err := session.Register(background, etcdClient{a}, a.w.keys, id, &pb.SessionInfo{Place: a.place()}, stale)
		a.sessStep(func(c *session.Core) { c.Registered(a.instant(), id, r, err) })
	})
}

func (x *sessionEffects) Append(e journal.Append) {
	a := x.a()
	x.call(func() {
		a.ambushed(0.1)
		a.overtaken()
		position, err := a.journal.Append(background, e)
		a.w.note("append agent=%d session=%s seq=%d position=%d err=%v", a.id, e.Session, e.Seq, position, err)
		a.sessStep(func(c *session.Core) { c.Appended(a.instant(), e.Session, e.Seq, position, err) })
	})
}

func (x *sessionEffects) KeepAlive(id layout.Session) {
	a, sent := x.a(), x.a().mono()
	x.call(func() {
		_, err := etcdClient{a}.KeepAlive(background, int64(id))
		a.sessStep(func(c *session.Core) { c.KeptAlive(a.instant(), id, sent, err) })
	})
}

func (x *sessionEffects) Done(p *session.Proposal, o session.Outcome) {
	if p.Done != nil {
		x.sessFx = append(x.sessFx, func() { p.Done(o) })
	}
}

func (x *sessionEffects) Opened(id layout.Session, node int32) {
	a := x.a()
	a.w.note("agent=%d session=%s open as node %d", a.id, id, node)
	a.w.stats.Sessions++
	x.sessFx = append(x.sessFx, func() {
		a.opened = true
		a.ingStep(func(c *ingest.Core) { c.Opened(a.mono(), id) })
	})
}

func (x *sessionEffects) Lost(id layout.Session, err error) {
	a := x.a()
	a.w.note("agent=%d session=%s lost: %v", a.id, id, err)
	x.sessFx = append(x.sessFx, func() { a.ingStep(func(c *ingest.Core) { c.Lost(a.mono(), id) }) })
}

// proposer lets a coroutine propose and wait.
type proposer struct{ a *agent }

func (p proposer) Current() (layout.Session, int32, bool) { return p.a.sess.Session() }

func (p proposer) Do(_ context.Context, cmd *pb.Command, take func(session.Outcome)) error {
	a, w := p.a, p.a.w
	err, gone := fmt.Errorf("%w: no answer in time", session.ErrUnknown), false
	w.await(func(done func()) {
		a.after(2*ttl, done)
		a.sessStep(func(c *session.Core) {
			c.Propose(a.instant(), &session.Proposal{Command: cmd, Control: true, Done: func(o session.Outcome) {
				if gone {
					return
				}
				if err = o.Err; err == nil {
					take(o)
				}
				gone = true
				a.after(0, done) // the caller goes on later: the outcome comes in the middle of an apply
			}})
		})
	})
	gone = true
	return err
}
