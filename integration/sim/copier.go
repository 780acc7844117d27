package sim

import (
	"errors"
	"fmt"
	"time"

	"wadi/agent/group"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// offsetsToSend are the positions that belong to a transaction: how far its records were copied from.
type offsetsToSend struct {
	sent  string // counts commits of members
	slots []slot
	at    []int64
	added bool // version 1: the coordinator of the transaction knows of the group
	acked bool
}

// startCopiers makes a group whose members copy the feed into orders, each batch once: they read what is committed,
// write in transactions, and their positions move with them (KIP-447).
func (w *World) startCopiers() {
	g := &consumers{w: w, name: "copiers", modern: w.chance(0.5), topics: []string{"feed"}, planned: map[int32]int{}}
	w.groups = append(w.groups, g)
	for n := range 2 + w.rng.IntN(2) {
		m := &member{
			consumers: g, n: n, rebalance: w.between(2*time.Second, 4*time.Second), slow: w.chance(0.3),
			session: w.between(2500*time.Millisecond, 5*time.Second),
		}
		m.teller = &teller{
			w: w, name: fmt.Sprintf("copier-%d", n), v2: w.chance(0.6), timeout: w.between(2*time.Second, 6*time.Second),
			pause: w.between(10*time.Millisecond, 100*time.Millisecond), copies: m,
		}
		w.tellers = append(w.tellers, m.teller)
		g.members = append(g.members, m)
		w.after(w.between(0, 1500*time.Millisecond), m.start)
		m.planFates()
	}
}

// copyOn begins a transaction when there is something to copy.
func (p *process) copyOn() {
	m, w := p.t.copies, p.w
	if m.reading || !m.inGroup || len(m.owned) == 0 {
		return
	}
	var ready []slot
	for _, s := range m.owned {
		if x := m.positions[s]; x != nil && x.fetched {
			ready = append(ready, s)
		}
	}
	if len(ready) == 0 {
		return
	}
	s := ready[w.rng.IntN(len(ready))]
	log, _ := w.logOf(s.topic, s.partition)
	x, a := m.positions[s], w.anyAgent()
	m.reading = true
	m.call(a, memberTimeout, func(reply func(func())) {
		if !a.caughtUp {
			reply(func() { m.reading = false })
			return
		}
		a.spawn(func() {
			var list []logged
			next, err := a.readCommitted(log, x.at, w.chance(0.5), 1+w.rng.IntN(6), func(l logged) { list = append(list, l) })
			reply(func() {
				m.reading = false
				if err == nil && next > x.at && m.positions[s] == x && x.fetched && p.alive && p.txn == nil {
					p.copy(s, list, next)
				}
			})
		})
	}, func() { m.reading = false })
}

// copy makes a transaction of what was read.
func (p *process) copy(s slot, list []logged, next int64) {
	t := p.newTransaction()
	t.abort = t.abort && p.w.now < p.w.opts.Active
	for _, x := range list {
		t.todo = append(t.todo, output{log: int32(p.w.rng.IntN(partitions)), records: int32(x.last - x.base + 1), source: x.attempt})
	}
	p.w.sent++
	t.offsets = &offsetsToSend{sent: fmt.Sprintf("%06d", p.w.sent), slots: []slot{s}, at: []int64{next}}
	p.w.oracle.txns.sends[t.offsets.sent] = t
	p.t.copies.positions[s].at = next
	p.w.note("copier=%s copies %v of %d to %d", p.t.name, s, len(list), next)
}

// doom lets a transaction be aborted whose member gives up what it copies from: whoever gets that starts from the position
// before, unless the new one is already on its way.
func (m *member) doom() {
	if p := m.worker(); p != nil && p.txn != nil && p.txn.asked == undecided {
		p.txn.abort = true
		p.txn.asked = aborted
	}
}

// worker is the member's producer.
func (m *member) worker() *process {
	if m.teller == nil {
		return nil
	}
	return m.teller.newest()
}

// again starts the application anew after its producer was shut out.
func (m *member) again(why string) {
	m.end("loses its producer: " + why)
	m.w.after(m.w.between(0, time.Second), m.start)
}

// copied takes the end of a transaction: positions are durable, or are asked for again.
func (m *member) copied(t *transaction, how direction) {
	for i, s := range t.offsets.slots {
		x := m.positions[s]
		switch {
		case x == nil:
		case how == committed && x.fetched:
			x.durable = max(x.durable, t.offsets.at[i])
		default:
			x.fetched = false
		}
	}
}

// sendOffsets is AddOffsetsToTxn, with version 1, then TxnOffsetCommit.
func (p *process) sendOffsets() {
	t, m := p.txn, p.t.copies
	o := t.offsets
	if !p.t.v2 && !o.added {
		k := &pb.AddToTxn{ProducerId: p.pid, ProducerEpoch: int32(p.epoch), Groups: []string{m.name}}
		p.ask(t, &pb.Command{Kind: &pb.Command_AddToTxn{AddToTxn: k}}, func(r state.Result) {
			if o.added = r.Code == state.OK; !o.added {
				p.shut(r.Code)
			}
		})
		return
	}
	a := m.coordinator
	if a == nil {
		return
	}
	k := &pb.CommitOffsets{Group: m.name, Member: m.id, InstanceId: m.instance, Generation: m.generation}
	if m.modern {
		k.Generation = m.epoch
	}
	for i, s := range o.slots {
		k.Topics, k.Partitions = append(k.Topics, s.topic), append(k.Partitions, s.partition)
		k.Offsets, k.Metadata = append(k.Offsets, o.at[i]), append(k.Metadata, o.sent)
	}
	c := &pb.CommitTxnOffsets{ProducerId: p.pid, ProducerEpoch: int32(p.epoch), Implicit: p.t.v2, Offsets: k}
	p.busy = true
	p.send(request{name: "offsets", to: a, txn: t, lost: func() { p.busy, m.coordinator = false, nil }, serve: func(waits func() bool, reply func(func())) {
		a.commitInTxn(c, waits, func(r state.Result, err error) {
			p.w.note("agent=%d answers offsets of teller=%s process=%d: %s err=%v", a.id, p.t.name, p.n, r.Code, err)
			reply(func() {
				p.busy = false
				switch {
				case errors.Is(err, group.ErrNotCoordinator):
					m.coordinator = nil
				case err != nil || r.Code == state.Conflict:
				case r.Code == state.OK:
					p.w.oracle.txns.kept(t)
					o.acked = true
				case r.Code == state.ProducerFenced, r.Code == state.InvalidTxnState:
					p.shut(r.Code)
				default: // the group has gone on without it
					p.w.stats.Fenced++
					if t.asked == undecided {
						t.abort, t.asked = true, aborted
					}
				}
			})
		})
	}})
}

// commitInTxn is TxnOffsetCommit at the coordinator of the group.
func (a *agent) commitInTxn(c *pb.CommitTxnOffsets, waits func() bool, answer func(state.Result, error)) {
	check := func() bool { return a.coordinates(c.Offsets.Group) }
	if !check() {
		answer(state.Result{}, group.ErrNotCoordinator)
		return
	}
	a.transact(check, waits, &pb.Command{
		Base: a.view.State().Position(), Kind: &pb.Command_CommitTxnOffsets{CommitTxnOffsets: c},
	}, answer)
}

// uncopied says what the members have not copied yet, "" = nothing.
func (w *World) uncopied() string {
	g := w.copiers()
	if len(g.live()) == 0 {
		return ""
	}
	for log := int32(partitions); log < firstTable; log++ {
		at := w.place(log)
		s := slot{at.Topic, uint32(at.Index)}
		list := w.oracle.groups.group(g.name).offsets[s]
		if end := w.oracle.end(log); end > 0 && (len(list) == 0 || list[len(list)-1].offset < end) {
			return fmt.Sprintf("log %d is not copied up to its end %d: %v", log, end, list[max(0, len(list)-1):])
		}
	}
	return ""
}

func (w *World) copiers() *consumers { return w.groups[len(w.groups)-1] }
