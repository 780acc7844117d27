package sim

import (
	"fmt"
	"slices"
	"time"

	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// txnsOracle keeps transactional ids as the journal has them, by its own reading of the commands: who has which epoch, what
// is open and where, and where the logs are stable. Of State's verdicts it believes only that something was refused.
type txnsOracle struct {
	w        *World
	ids      map[string]*ledger
	byID     map[int64]*ledger
	given    map[grant]bool
	sends    map[string]*transaction // by what its positions are marked with
	proposed time.Duration           // when the entry was made that is being read, by its agent's clock, which is off by a second at most
	stable   [logs]int64             // the last stable offsets of a moment ago
	told     [logs]int64             // and the highest that a reader was told behind a barrier
}

// grant is a producer id with an epoch.
type grant struct {
	id    int64
	epoch int16
}

// ledger is one transactional id.
type ledger struct {
	t *teller
	grant
	open  *opened
	ended grant // the producer under which the newest transaction was ended, and how
	how   direction
}

// opened is a transaction as the journal has it.
type opened struct {
	by      grant
	at      time.Duration
	added   map[int32]bool  // logs that belong to it
	first   map[int32]int64 // offset of the first record in each that has any
	batches []*attempt
	offsets []heldOffset
	owner   *transaction // whose it is, nil while nothing tells
	fate    direction
}

// Violations name transactions and ids in words, so that a run that fails has one trace as well.
func (l *ledger) String() string {
	if l == nil {
		return "nobody"
	}
	return fmt.Sprintf("%s %d/%d, open: %v, ended: %d/%d %s", l.t.name, l.id, l.epoch, l.open, l.ended.id, l.ended.epoch, l.how)
}

func (x *opened) String() string {
	if x == nil {
		return "none"
	}
	return fmt.Sprintf("of %d/%d since %v in %v: %s", x.by.id, x.by.epoch, x.at, x.first, x.fate)
}

func newTxnsOracle(w *World) *txnsOracle {
	return &txnsOracle{w: w, ids: map[string]*ledger{}, byID: map[int64]*ledger{}, given: map[grant]bool{}, sends: map[string]*transaction{}}
}

func (w *World) tellerNamed(name string) *teller {
	for _, t := range w.tellers {
		if t.name == name {
			return t
		}
	}
	return nil
}

// initialized follows an InitProducer that State took: it gives an epoch that nobody had, and aborts what was open.
func (o *txnsOracle) initialized(e journal.Entry, c *pb.InitProducer, r *state.Result) {
	w := o.w
	g := grant{r.ID, r.Epoch}
	w.note("txn init position=%d id=%s resume=%t %d/%d", e.Position, c.TransactionalId, c.Resume, g.id, g.epoch)
	l := o.ids[c.TransactionalId]
	if l == nil {
		l = &ledger{t: w.tellerNamed(c.TransactionalId)}
		o.ids[c.TransactionalId] = l
	} else if c.Resume && g == l.grant && l.open == nil && o.given[g] {
		return // asked again by the same producer
	}
	o.decide(e, l, aborted, g, r)
	l.ended, l.how = grant{}, undecided
	o.give(e, l, g)
}

// give makes an epoch the id's.
func (o *txnsOracle) give(e journal.Entry, l *ledger, g grant) {
	if o.given[g] || g.id == l.id && g.epoch <= l.epoch {
		o.w.violated("position %d: %s is given producer %d epoch %d after %d epoch %d", e.Position, l.t.name, g.id, g.epoch, l.id, l.epoch)
	}
	o.given[g] = true
	l.grant = g
	o.byID[g.id] = l
}

// begin is the open transaction of a producer that has its epoch; it opens one when none is.
func (o *txnsOracle) begin(e journal.Entry, g grant) *opened {
	l := o.byID[g.id]
	if l == nil || l.grant != g {
		o.w.violated("position %d: producer %d epoch %d may write to a transaction, the epoch belongs to %v", e.Position, g.id, g.epoch, l)
		return nil
	}
	if l.open == nil {
		l.open = &opened{by: g, at: o.proposed - time.Second, added: map[int32]bool{}, first: map[int32]int64{}}
	}
	return l.open
}

// added follows an AddToTxn that State took.
func (o *txnsOracle) added(e journal.Entry, c *pb.AddToTxn) {
	x := o.begin(e, grant{c.ProducerId, int16(c.ProducerEpoch)})
	if x == nil {
		return
	}
	for i, topic := range c.Topics {
		if log, ok := o.w.logOf(topic, c.Partitions[i]); ok {
			x.added[log] = true
		}
	}
}

// labelled checks that a command says of a batch what it is, and that one of a transaction was not taken as another.
func (o *txnsOracle) labelled(e journal.Entry, data []byte, labels []uint32, run int) {
	at := o.w.oracle.attemptOf(data)
	if at == nil {
		return
	}
	want, have := uint32(0), uint32(0)
	if p := at.batch.stream.p.of; p != nil {
		want = 1
		if p.t.v2 {
			want = 2
		}
	}
	if len(labels) > 0 {
		have = labels[run]
	}
	if want != have {
		o.w.violated("position %d: attempt %d is labelled %d, it is %d", e.Position, at.id, have, want)
	}
}

// joined takes in a batch that State accepted. It returns the transaction that it belongs to, nil when that is none.
func (o *txnsOracle) joined(e journal.Entry, at *attempt) *opened {
	w, b := o.w, at.batch
	p := b.stream.p.of
	if p == nil {
		return nil
	}
	l := o.byID[at.by.id]
	if !p.t.v2 && (l == nil || l.open == nil || !l.open.added[b.stream.log]) {
		w.violated("position %d: attempt %d is taken into a transaction that log %d does not belong to", e.Position, at.id, b.stream.log)
		return nil
	}
	x := o.begin(e, at.by)
	if x == nil {
		return nil
	}
	x.added[b.stream.log] = true
	if _, ok := x.first[b.stream.log]; !ok {
		x.first[b.stream.log] = at.base
	}
	x.batches = append(x.batches, at)
	at.in = x
	o.own(e, x, b.txn)
	return x
}

// own notes which of its client's transactions this is: it must be one alone, and not one that is over.
func (o *txnsOracle) own(e journal.Entry, x *opened, t *transaction) {
	if x.owner == nil {
		x.owner = t
	}
	switch {
	case t.of.t.exposed:
	case x.owner != t:
		o.w.violated("position %d: transactions %d and %d of %s run into one", e.Position, x.owner.n, t.n, t.of.t.name)
	case t.fate != undecided:
		o.w.violated("position %d: transaction %d of %s is %s, more of it comes", e.Position, t.n, t.of.t.name, t.fate)
	}
}

// ended follows an EndTxn that State took.
func (o *txnsOracle) ended(e journal.Entry, c *pb.EndTxn, r *state.Result) {
	w, asked := o.w, grant{c.ProducerId, int16(c.ProducerEpoch)}
	how := aborted
	if c.Commit {
		how = committed
	}
	now := grant{r.ID, r.Epoch}
	w.note("txn end position=%d %d/%d %s fence=%t: %d/%d", e.Position, asked.id, asked.epoch, how, c.Fence, now.id, now.epoch)
	l := o.byID[c.ProducerId]
	if l != nil && l.open == nil && l.ended == asked && l.how == how && !c.Fence && now == l.grant {
		return // a repetition of what is done
	}
	if l == nil || l.grant != asked || l.open == nil && (how == committed || !c.Bump) {
		w.violated("position %d: an EndTxn of %d/%d is taken, the id is %v", e.Position, asked.id, asked.epoch, l)
		return
	}
	if x := l.open; c.Fence && x != nil && w.now-x.at < l.t.timeout {
		w.violated("position %d: a transaction of %s is ended after %v, its timeout is %v", e.Position, l.t.name, w.now-x.at, l.t.timeout)
	}
	if c.Fence {
		w.stats.Overdue++
	}
	l.ended, l.how = asked, how
	o.decide(e, l, how, now, r)
	if c.Bump || c.Fence {
		o.give(e, l, now)
	} else if now != asked {
		w.violated("position %d: an EndTxn that keeps its epoch makes %d/%d of %d/%d", e.Position, now.id, now.epoch, asked.id, asked.epoch)
	}
}

// decide ends the open transaction: every log that has something of it gets one marker, right behind what is there, and
// nothing else does.
func (o *txnsOracle) decide(e journal.Entry, l *ledger, how direction, now grant, r *state.Result) {
	w, x := o.w, l.open
	l.open = nil
	if x == nil {
		if len(r.Touched) > 0 {
			w.violated("position %d: markers without a transaction: %v", e.Position, r.Touched)
		}
		return
	}
	marked := map[int32]bool{}
	for i, at := range r.Touched {
		log, ok := w.logOf(at.Topic, at.Partition)
		first, in := x.first[log]
		if base := w.oracle.end(log); !ok || !in || marked[log] || r.Batches[i].Base != base {
			w.violated("position %d: a marker at offset %d of %v, transaction %v", e.Position, r.Batches[i].Base, at, x)
			return
		}
		marked[log] = true
		epoch := x.by.epoch
		if now != x.by {
			epoch++
		}
		base := r.Batches[i].Base
		w.oracle.logs[log] = append(w.oracle.logs[log], logged{base: base, last: base, position: e.Position, txn: x, epoch: epoch, ms: epochMs + o.proposed.Milliseconds()})
		if how == aborted {
			o.listed(e, log, state.AbortedTxn{ProducerID: x.by.id, First: first, Last: base})
		}
	}
	if len(marked) != len(x.first) {
		w.violated("position %d: a transaction of %s ends in logs %v, it has records in %v", e.Position, l.t.name, marked, x.first)
	}
	x.fate = how
	o.meant(e, l, x, how)
	o.settle(e, x, how)
}

// listed checks that State lists an aborted transaction where it is.
func (o *txnsOracle) listed(e journal.Entry, log int32, want state.AbortedTxn) {
	list := o.w.partitionIn(o.w.oracle.st, log).Aborted(want.Last, want.Last, nil)
	if !slices.ContainsFunc(list, func(a state.AbortedTxn) bool {
		return a.ProducerID == want.ProducerID && a.First == want.First && a.Last == want.Last
	}) {
		o.w.violated("position %d: log %d does not list an aborted transaction: %v, %v", e.Position, log, want, list)
	}
}

// look compares where the logs are stable with what State says; they never go back.
func (o *txnsOracle) look() {
	w := o.w
	if !w.ready() {
		return
	}
	for log := range int32(logs) {
		p := w.partitionIn(w.oracle.st, log)
		if p == nil {
			continue
		}
		stable := max(o.lso(log), p.LogStart)
		if p.LSO() != stable || stable < o.stable[log] || p.LSO() > p.Next {
			w.violated("log %d is stable up to %d, State says %d; it was %d before", log, stable, p.LSO(), o.stable[log])
		}
		o.stable[log] = stable
	}
}

// lso is up to where a log is stable, wherever it starts.
func (o *txnsOracle) lso(log int32) int64 {
	stable := o.w.oracle.end(log)
	for _, l := range o.ids {
		if l.open != nil {
			if first, ok := l.open.first[log]; ok {
				stable = min(stable, first)
			}
		}
	}
	return stable
}
