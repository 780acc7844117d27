package ingest

import (
	"context"
	"fmt"
	"time"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/objstore/segment"
)

// effect is one thing that the core decided. Exactly one of the fields is set.
type effect struct {
	do      func()
	propose *session.Proposal
	answer  *Request
	release *Request
}

func (g *Ingest) run(e *effect) {
	switch {
	case e.propose != nil:
		g.o.Proposer.Propose(e.propose)
	case e.answer != nil:
		e.answer.answer()
	case e.release != nil:
		e.release.release()
	default:
		e.do()
	}
}

// carryRounds is how often one goroutine takes what others have added meanwhile. It may be a connection's reader or the
// view's: it must not be kept for ever.
const carryRounds = 4

// carry carries effects out, without the lock and in the order in which they were decided: of two flushes that the core
// proposes one after the other, the first must reach the journal first, whichever goroutines brought the events. So one
// goroutine at a time is at it (carrying), and the others leave theirs behind.
func (g *Ingest) carry() {
	for range carryRounds {
		g.mu.Lock()
		list := g.mu.effects
		if len(list) == 0 {
			g.mu.carrying = false
			g.mu.Unlock()
			return
		}
		g.mu.effects, g.mu.spare = g.mu.spare[:0], nil
		g.mu.Unlock()
		for i := range list {
			g.run(&list[i])
			list[i] = effect{}
		}
		g.mu.Lock()
		g.mu.spare = list[:0]
		g.mu.Unlock()
	}
	go g.carry()
}

// shell collects the core's effects for the Ingest it is. Its methods are called under the lock.
type shell Ingest

func (x *shell) add(e effect) { x.mu.effects = append(x.mu.effects, e) }

func (x *shell) Upload(f *Flush) {
	g := (*Ingest)(x)
	f.key, f.second = x.mu.objects.Flush(f.Session, f.N), x.mu.objects.FlushHedge(f.Session, f.N)
	f.closed = g.now()
	f.ctx, f.cancel = context.WithTimeout(x.mu.session, uploadTimeout)
	meta := segment.Meta{Kind: segment.Flush, CreatedMs: time.Now().UnixMilli(), ClusterID: x.mu.cluster}
	x.mu.wg.Add(1)
	x.add(effect{do: func() { go g.upload(meta, f) }})
}

func (x *shell) Propose(f *Flush, cmd *pb.Command, inline [][]byte) {
	g := (*Ingest)(x)
	if f.N == 0 {
		f.closed = g.now()
	}
	x.add(effect{propose: &session.Proposal{
		Command: cmd, Inline: inline, Session: f.Session, Done: func(o session.Outcome) { g.committed(f, o) },
	}})
}

func (x *shell) Drop(f *Flush) {
	if settled, key := x.o.OnSettled, f.key; settled != nil {
		x.add(effect{do: func() { settled(key, 0) }})
	}
}

func (x *shell) Answer(r *Request)  { x.add(effect{answer: r}) }
func (x *shell) Release(r *Request) { x.add(effect{release: r}) }

// String names a flush in logs.
func (f *Flush) String() string {
	return fmt.Sprintf("flush %d of session %s, %d bytes", f.N, f.Session, f.bytes)
}
