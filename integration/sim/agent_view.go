package sim

import (
	"fmt"
	"time"

	"wadi/agent/ingest"
	"wadi/internal/layout"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/metadata/view"
)

// viewEffects carries out what the view's core decides.
type viewEffects agent

func (x *viewEffects) a() *agent { return (*agent)(x) }

func (x *viewEffects) Load(after, afterHead int64) {
	a := x.a()
	a.w.stats.Loads++
	a.spawn(func() {
		spread := func() error {
			a.w.sleep(a.w.between(0, 500*time.Millisecond))
			return nil
		}
		l, err := view.Read(background, a.journal, a.archives, after, afterHead, spread)
		a.w.note("load agent=%d after=%d checkpoint=%t entries=%d err=%v", a.id, after, l.State != nil, len(l.Entries), err)
		if err != nil {
			a.view.LoadFailed(a.mono(), err)
			return
		}
		if l.State != nil {
			a.w.oracle.checkState(fmt.Sprintf("checkpoint loaded by agent %d", a.id), l.State)
		}
		a.view.Loaded(a.mono(), l)
	})
}

func (x *viewEffects) Watch(gen uint64, from int64) { x.a().follow(gen, from) }

func (x *viewEffects) ReadHead() {
	a := x.a()
	a.spawn(func() {
		h, err := a.journal.Head(background)
		a.view.HeadRead(a.mono(), h, err)
	})
}

func (x *viewEffects) Applying(e journal.Entry, body *pb.Entry) {
	if len(body.Inline) > 0 {
		x.inline[e.Position] = body.Inline
	}
}

func (x *viewEffects) Applied(e journal.Entry, body *pb.Entry, res *state.Results) {
	a := x.a()
	a.w.oracle.checkState(fmt.Sprintf("agent %d", a.id), a.view.State())
	for i, r := range res.Commands {
		if c := body.Commands[i].GetCloseSession(); c != nil && r.Code == state.OK {
			a.sessStep(func(core *session.Core) { core.Closed(a.instant(), layout.Session(c.Session)) })
		}
		if o := body.Commands[i].GetOpenSession(); o != nil && r.Code == state.OK {
			a.sessStep(func(core *session.Core) { core.Listed(a.instant(), o.ListedAt, o.Listed) })
		}
	}
	if id, _, _ := a.sess.Session(); id == e.Session {
		sum := journal.Checksum(e.Value)
		a.sessStep(func(c *session.Core) { c.Applied(a.instant(), e.Session, e.Seq, sum, res) })
	}
	a.ingStep(func(c *ingest.Core) {
		if len(body.Inline) > 0 {
			c.Shares(e.Session)
		}
		c.Applied(a.mono(), body, res, a.view.State().InlineOutstanding())
	})
	a.groupsApplied(e, body, res)
	seen, digest := a.steps.Observe(e, body, res)
	if digest != nil {
		a.spawn(func() { _ = a.steps.PutDigest(background, digest) }) // shown or not: nothing waits for it yet
	}
	a.jobStep(func() { a.job.Seen(a.mono(), seen) })
}

func (x *viewEffects) Replaced() {
	a := x.a()
	id, _, _ := a.sess.Session()
	v, known := a.view.State().Session(id)
	a.sessStep(func(c *session.Core) { c.Replaced(a.instant(), v.LastSeq, v.NodeID, known, v.Closed != 0) })
	a.ingStep(func(c *ingest.Core) {
		c.Seen(a.mono(), 0, a.view.State().InlineOutstanding())
		c.Resynced(a.mono())
	})
	a.groupsReplaced()
}

func (x *viewEffects) BarrierDone(id uint64, err error) {
	if done, ok := x.barriers[id]; ok {
		delete(x.barriers, id)
		x.a().after(0, func() { done(err) })
	}
}

func (x *viewEffects) Stopped(err error) { x.w.violated("view of agent %d stopped: %v", x.id, err) }

// pass waits, in a coroutine, until everything appended before the call is applied.
func (a *agent) pass() error {
	var result error
	a.w.await(func(done func()) {
		a.barrier++
		id := a.barrier
		a.barriers[id] = func(err error) { result = err; done() }
		a.view.Barrier(a.mono(), id)
	})
	return result
}

// passWithin is pass for a caller that waits so long and no longer.
func (a *agent) passWithin(limit time.Duration) error {
	result := fmt.Errorf("%w: no answer in time", view.ErrUnreachable)
	a.w.await(func(done func()) {
		a.barrier++
		id := a.barrier
		a.barriers[id] = func(err error) { result = err; done() }
		a.after(limit, func() {
			if a.barriers[id] != nil {
				delete(a.barriers, id)
				a.view.DropBarrier(id)
				done()
			}
		})
		a.view.Barrier(a.mono(), id)
	})
	return result
}

func (a *agent) lookAtHealth() {
	if h, _ := a.view.Health(); h == view.Current {
		a.caughtUp = true
	}
	// Inline bytes that an archive holds may leave memory at any time.
	archived := a.view.State().ArchivedTo()
	for p := range a.inline {
		if p <= archived && p < a.view.State().Position()-40 {
			delete(a.inline, p) // the order does not matter: the same ones go
		}
	}
}
