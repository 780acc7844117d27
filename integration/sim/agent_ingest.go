package sim

import (
	"errors"
	"time"

	"wadi/agent/ingest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/objstore"
	"wadi/objstore/segment"
)

// ingStep lets the ingest core take an event, carries its effects out and plans its next tick.
func (a *agent) ingStep(f func(c *ingest.Core)) {
	f(a.ing)
	effects := a.ingFx
	a.ingFx = nil
	for _, e := range effects {
		e()
	}
	at, ok := a.ing.NextWake()
	if !ok {
		return
	}
	due := max(at+a.started, a.w.now)
	if a.ingWake != 0 && a.ingWake <= due && a.ingWake > a.w.now {
		return
	}
	a.ingWake = due
	a.after(due-a.w.now, func() {
		if a.ingWake == due {
			a.ingWake = 0
		}
		a.ingStep(func(c *ingest.Core) { c.Tick(a.mono()) })
	})
}

type ingestProducers agent

func (x *ingestProducers) Turn(p ingest.Partition, pid int64, epoch int16) ingest.Turn {
	return ingest.TurnIn(x.view.State(), p, pid, epoch)
}

// ingestEffects carries out what the ingest core decides.
type ingestEffects agent

func (x *ingestEffects) a() *agent { return (*agent)(x) }

func (x *ingestEffects) do(f func()) { x.ingFx = append(x.ingFx, f) }

func (x *ingestEffects) Upload(f *ingest.Flush) {
	a := x.a()
	x.do(func() {
		a.spawn(func() {
			body, offsets, err := segment.Build(segment.Meta{Kind: segment.Flush, ClusterID: clusterID}, f.Sections())
			key := a.objects.Flush(f.Session, f.N)
			for attempt := 1; err == nil; attempt++ {
				err = bucketClient{a}.Put(background, key, body)
				if err == nil || attempt == 4 || errors.Is(err, objstore.ErrExists) {
					break
				}
				a.w.sleep(50 * time.Millisecond << attempt)
				err = nil
			}
			if errors.Is(err, objstore.ErrExists) {
				a.w.violated("agent %d writes other bytes to %s", a.id, key)
			}
			size := uint64(body.Size())
			a.ingStep(func(c *ingest.Core) { c.Uploaded(a.mono(), f, size, offsets, false, err) })
		})
	})
}

func (x *ingestEffects) Propose(f *ingest.Flush, cmd *pb.Command, inline [][]byte) {
	a := x.a()
	x.do(func() {
		a.sessStep(func(c *session.Core) {
			c.Propose(a.instant(), &session.Proposal{Command: cmd, Inline: inline, Session: f.Session, Done: func(o session.Outcome) {
				verdicts, err := f.Judged(o, a.view.State())
				a.ingStep(func(c *ingest.Core) { c.Committed(a.mono(), f, verdicts, err) })
			}})
		})
	})
}

func (x *ingestEffects) Drop(*ingest.Flush) {}

func (x *ingestEffects) Answer(r *ingest.Request) {
	a := x.a()
	x.do(func() { a.answer(r) })
}

func (x *ingestEffects) Release(r *ingest.Request) {
	a := x.a()
	x.do(func() {
		c := a.rpcs[r]
		if c == nil || c.released {
			a.w.violated("agent %d releases a request twice", a.id)
			return
		}
		c.released = true
		for i := range r.Items { // whoever reads them still gets garbage
			clear(r.Items[i].Data)
		}
		a.forget(r, c)
	})
}

// answer takes ingest's results to the client.
func (a *agent) answer(r *ingest.Request) {
	c := a.rpcs[r]
	if c == nil || c.answered {
		a.w.violated("agent %d answers a request twice", a.id)
		return
	}
	c.answered = true
	for i, at := range c.attempts {
		a.w.oracle.answered(at, r.Items[i].Result)
	}
	a.forget(r, c)
	if c.conn == nil {
		return
	}
	results := make([]ingest.Result, len(r.Items))
	for i := range r.Items {
		results[i] = r.Items[i].Result
	}
	c.conn.reply(c, results)
}

func (a *agent) forget(r *ingest.Request, c *rpc) {
	if c.answered && c.released {
		delete(a.rpcs, r)
	}
}

// produce takes a request of a connection. An agent that is not ready, or does not know the topic, refuses it.
func (a *agent) produce(c *rpc) {
	w := a.w
	known := a.ing != nil && a.caughtUp && a.opened
	if known {
		s := a.view.State()
		known = s.TopicByNumber(w.orders) != nil && s.TopicByNumber(w.feed) != nil && s.TopicByNumber(w.table) != nil
	}
	if !known {
		results := make([]ingest.Result, len(c.attempts))
		for i, at := range c.attempts {
			results[i] = ingest.Result{Err: ingest.ErrNoSession, Base: -1}
			w.oracle.answered(at, results[i])
		}
		c.conn.reply(c, results)
		return
	}
	r := &ingest.Request{Conn: c.conn.id, Items: make([]ingest.Item, len(c.attempts))}
	if p := c.conn.p.of; p != nil {
		r.JoinsTxn = p.t.v2
	}
	r.Deadline = a.mono() + c.timeout
	for i, at := range c.attempts {
		place := w.place(at.batch.stream.log)
		r.Items[i] = ingest.Item{
			Partition: place, TopicID: a.view.State().TopicByNumber(place.Topic).ID, Data: append([]byte(nil), at.data...),
		}
		if at.data.ProducerID() >= 0 {
			r.Items[i].Turn = ingest.TurnIn(a.view.State(), r.Items[i].Partition, at.data.ProducerID(), at.data.ProducerEpoch())
		}
	}
	a.rpcs[r] = c
	a.ingStep(func(core *ingest.Core) { core.Produce(a.mono(), r) })
}
