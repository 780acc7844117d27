package sim

import (
	"errors"
	"slices"
	"time"

	"wadi/agent/group"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// step does what the process does next, unless it waits for an answer.
func (p *process) step() {
	w := p.w
	switch {
	case p.busy || !w.ready():
	case p.txn == nil && w.now >= w.opts.Active && p.t.copies == nil:
		p.end("retires")
	case p.coordinator == nil:
		p.find()
	case p.pid < 0 || p.resume:
		p.init()
	case w.now < p.rest:
	case p.txn == nil && p.t.copies != nil:
		p.copyOn()
	case p.txn == nil:
		p.begin()
	default:
		p.work()
	}
}

// begin makes up a transaction.
func (p *process) begin() {
	t, w := p.newTransaction(), p.w
	for range 1 + w.rng.IntN(5) {
		t.todo = append(t.todo, output{log: int32(w.rng.IntN(logs)), records: int32(1 + w.rng.IntN(3))})
	}
	p.work()
}

func (p *process) newTransaction() *transaction {
	p.begun++
	p.w.stats.Begun++
	p.txn = &transaction{of: p, n: p.begun, by: grant{p.pid, p.epoch}, added: map[int32]bool{}, abort: p.w.chance(0.25)}
	p.w.note("teller=%s process=%d begins %d under %d/%d abort=%t", p.t.name, p.n, p.begun, p.pid, p.epoch, p.txn.abort)
	return p.txn
}

// work goes on with the transaction: partitions are added before they are written to (version 1), a commit waits until
// everything is acknowledged, an abort does not always.
func (p *process) work() {
	t, w := p.txn, p.w
	switch {
	case t.asked != undecided:
		p.finish()
	case t.abort && w.chance(0.2):
		t.asked = aborted
		p.finish()
	case len(t.todo) > 0:
		next := t.todo[0]
		s := p.streams[next.log]
		switch {
		case !p.t.v2 && !t.added[next.log]:
			p.add(next.log)
			return
		case len(s.unacked) >= 5: // what State remembers
			return
		}
		t.todo = t.todo[1:]
		b := s.add(next.records)
		b.txn, b.source = t, next.source
		t.batches = append(t.batches, b)
		p.pump()
		p.rest = w.now + time.Duration(w.rng.ExpFloat64()*float64(p.t.pause))
	case t.offsets != nil && !t.offsets.acked:
		p.sendOffsets()
	case p.waits() && !(t.abort && w.chance(0.1)):
	case t.abort:
		t.asked = aborted
		p.finish()
	default:
		t.asked = committed
		p.finish()
	}
}

// waits tells that something is not acknowledged.
func (p *process) waits() bool { return p.producer.busy() }

// find asks any agent for the coordinator.
func (p *process) find() {
	a := p.w.anyAgent()
	p.busy = true
	p.call(request{name: "find", to: a, serve: func(_ func() bool, reply func(func())) {
		found := a.coordinatorOfTxn(p.t.name)
		reply(func() { p.busy, p.coordinator = false, found })
	}})
}

// lost is what a client does that got no answer, or is sent elsewhere: it asks for the coordinator again.
func (p *process) lost() { p.busy, p.coordinator = false, nil }

// init asks for an epoch: for the first one it fences whoever had the id, for the next ones it says which it had.
func (p *process) init() {
	k := &pb.InitProducer{TransactionalId: p.t.name, TimeoutMs: int32(p.t.timeout / time.Millisecond)}
	if p.resume {
		k.Resume, k.ProducerId, k.ProducerEpoch = true, p.pid, int32(p.epoch)
	}
	p.ask(nil, &pb.Command{Kind: &pb.Command_InitProducer{InitProducer: k}}, func(r state.Result) {
		switch r.Code {
		case state.OK:
			p.w.oracle.txns.granted(p, grant{r.ID, r.Epoch})
			p.goOn(grant{r.ID, r.Epoch})
			p.resume = false
		default:
			p.shut(r.Code)
		}
	})
}

// goOn starts an epoch: sequences begin at 0.
func (p *process) goOn(g grant) {
	p.pid, p.epoch = g.id, g.epoch
	p.drop()
	for _, s := range p.streams {
		s.nextSeq = 0
	}
}

// drop forgets what was not acknowledged.
func (p *process) drop() {
	for _, s := range p.streams {
		for _, b := range s.unacked {
			b.dropped = true
		}
		s.unacked, s.failed = nil, false
	}
}

// add is AddPartitionsToTxn: of one log, or of all that are to come.
func (p *process) add(log int32) {
	t := p.txn
	list := []int32{log}
	if p.w.chance(0.4) {
		for _, x := range t.todo {
			list = append(list, x.log)
		}
		slices.Sort(list)
		list = slices.Compact(list)
	}
	k := &pb.AddToTxn{ProducerId: p.pid, ProducerEpoch: int32(p.epoch)}
	for _, log := range list {
		at := p.w.place(log)
		k.Topics, k.Partitions = append(k.Topics, at.Topic), append(k.Partitions, uint32(at.Index))
	}
	p.ask(t, &pb.Command{Kind: &pb.Command_AddToTxn{AddToTxn: k}}, func(r state.Result) {
		if r.Code != state.OK {
			p.shut(r.Code)
			return
		}
		for _, log := range list {
			t.added[log] = true
		}
	})
}

// finish is EndTxn, again and again until there is an answer.
func (p *process) finish() {
	t, w := p.txn, p.w
	if len(t.batches) == 0 && len(t.added) == 0 && t.offsets == nil { // nothing to tell the coordinator of
		p.over(t, aborted)
		return
	}
	k := &pb.EndTxn{ProducerId: p.pid, ProducerEpoch: int32(p.epoch), Commit: t.asked == committed, Bump: p.t.v2}
	p.ask(t, &pb.Command{Kind: &pb.Command_EndTxn{EndTxn: k}}, func(r state.Result) {
		w.oracle.txns.answered(t, r)
		switch {
		case r.Code == state.OK:
			p.over(t, t.asked)
			if p.t.v2 {
				p.goOn(grant{r.ID, r.Epoch})
			}
		case r.Code == state.InvalidTxnState:
			// It was ended otherwise: an abort that nothing had come before, or what version 1 is exposed to.
			p.over(t, aborted)
			p.resume = true
		default:
			p.shut(r.Code)
		}
	})
}

// over is the end of a transaction for its client. What was on its way in one that was aborted may still come: nothing
// but another epoch keeps it out, which version 1 has to ask for.
func (p *process) over(t *transaction, how direction) {
	if t != p.txn {
		return
	}
	p.txn = nil
	if t.offsets != nil {
		p.t.copies.copied(t, how)
	}
	if p.waits() {
		p.resume = !p.t.v2
		p.drop()
	}
	p.rest = p.w.now + time.Duration(p.w.rng.ExpFloat64()*float64(p.t.pause))
}

// refused takes State's refusal of a batch.
func (p *process) refused(at *attempt, code state.Code) {
	t := at.batch.txn
	if t != p.txn || t.asked == aborted {
		return
	}
	p.w.oracle.txns.refused(at, code)
	if p.t.v2 && code == state.InvalidProducerEpoch && t.asked == undecided && p.w.chance(0.7) {
		t.abort, t.asked = true, aborted // perhaps it was only overdue: whoever aborts it then gets the next epoch
		return
	}
	p.shut(code)
}

// shut takes a refusal after which the process cannot go on: another one has its id, or its transaction was overdue.
func (p *process) shut(code state.Code) {
	switch code {
	case state.ProducerFenced, state.InvalidProducerEpoch:
		p.fenced(code.String())
	case state.InvalidTxnState:
		if m := p.t.copies; m != nil {
			m.again(code.String())
			return
		}
		p.end("gives up: " + code.String())
		p.w.after(p.w.between(0, time.Second), p.t.startIfNone)
	default:
		p.w.violated("%s of %s is refused: %s", p.t.name, "process", code)
	}
}

// ask sends a command through the coordinator until there is a verdict.
func (p *process) ask(t *transaction, command *pb.Command, verdict func(state.Result)) {
	a := p.coordinator
	p.busy = true
	p.send(request{name: commandName(command), to: a, txn: t, serve: func(waits func() bool, reply func(func())) {
		if !a.answersFor(p.t.name) {
			reply(p.lost)
			return
		}
		c := &pb.Command{Base: a.view.State().Position(), Kind: command.Kind}
		a.transact(func() bool { return a.answersFor(p.t.name) }, waits, c, func(r state.Result, err error) {
			p.w.note("agent=%d answers %s of teller=%s process=%d: %s %d/%d err=%v", a.id, commandName(c), p.t.name, p.n, r.Code, r.ID, r.Epoch, err)
			if c.GetEndTxn() != nil && err == nil && r.Code == state.OK {
				p.repeats()
			}
			reply(func() {
				switch {
				case errors.Is(err, group.ErrNotCoordinator):
					p.lost()
				case err != nil || r.Code == state.Conflict:
					p.busy = false
				default:
					p.busy = false
					verdict(r)
				}
			})
		})
	}})
}

func commandName(c *pb.Command) string {
	switch k := c.Kind.(type) {
	case *pb.Command_InitProducer:
		return "init"
	case *pb.Command_AddToTxn:
		return "add"
	case *pb.Command_CommitTxnOffsets:
		return "offsets"
	case *pb.Command_EndTxn:
		if k.EndTxn.Commit {
			return "commit"
		}
		return "abort"
	}
	return "?"
}
