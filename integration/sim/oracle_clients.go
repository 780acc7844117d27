package sim

import (
	"wadi/metadata/journal"
	"wadi/metadata/state"
)

// meant compares what became of a transaction with what its client meant: committed is only what it asked to commit, and
// then all of it is, behind what it read (I6, I7, I9).
func (o *txnsOracle) meant(e journal.Entry, l *ledger, x *opened, how direction) {
	w, t := o.w, x.owner
	if how == committed {
		w.stats.Committed++
	} else {
		w.stats.Aborted++
	}
	if t == nil {
		return
	}
	if t.fate == undecided {
		t.fate = how
	}
	switch {
	case l.t.exposed:
	case t.fate != how:
		w.violated("position %d: transaction %d of %s is %s after it was %s", e.Position, t.n, l.t.name, how, t.fate)
	case how == aborted:
	case t.asked != committed:
		w.violated("position %d: transaction %d of %s is committed, its client asked for %s", e.Position, t.n, l.t.name, t.asked)
	default:
		in := map[*attempt]bool{}
		for _, at := range x.batches {
			in[at] = true
		}
		for _, b := range t.batches {
			if b.logged == nil || !in[b.logged] {
				w.violated("position %d: transaction %d of %s is committed without batch %d of log %d", e.Position, t.n, l.t.name, b.n, b.stream.log)
			}
			if s := b.source; s != nil && s.in != nil && s.in.fate != committed {
				w.violated("position %d: transaction %d of %s is committed before what it read, which is %s", e.Position, t.n, l.t.name, s.in.fate)
			}
		}
		if t.offsets != nil && !x.holds(t.offsets) {
			w.violated("position %d: transaction %d of %s is committed without its offsets %v", e.Position, t.n, l.t.name, t.offsets.at)
		}
	}
}

// granted checks an answer to InitProducer when its client takes it: the epoch is its own and no one else's.
func (o *txnsOracle) granted(p *process, g grant) {
	if l := o.ids[p.t.name]; l == nil || !o.given[g] || o.byID[g.id] != l {
		o.w.violated("%s is told that it has %d/%d, the journal has %v", p.t.name, g.id, g.epoch, l)
	}
}

// answered checks an answer to EndTxn when its client takes it.
func (o *txnsOracle) answered(t *transaction, r state.Result) {
	name := t.of.t.name
	if t.of.t.exposed {
		return
	}
	l := o.ids[name]
	switch {
	case r.Code == state.OK && t.fate != t.asked && (len(t.batches) > 0 && t.asked == committed || t.fate != undecided):
		o.w.violated("%s is told that transaction %d is %s, it is %s", name, t.n, t.asked, t.fate)
	case r.Code == state.InvalidTxnState && t.fate == t.asked && l.ended == t.by:
		o.w.violated("%s asks again for what became of transaction %d, and is told that there was none", name, t.n)
	}
}

// refused checks why a batch was refused.
func (o *txnsOracle) refused(at *attempt, code state.Code) {
	t, l := at.batch.txn, o.byID[at.by.id]
	name := t.of.t.name
	switch {
	case t.of.t.exposed:
	case l == nil || l.grant != at.by:
	case code == state.InvalidTxnState && t.fate == undecided && t.asked == undecided && t.added[at.batch.stream.log]:
		o.w.violated("%s: attempt %d is refused, log %d was added to its transaction", name, at.id, at.batch.stream.log)
	case code != state.InvalidTxnState:
		o.w.violated("%s: attempt %d is refused with %s, its epoch is the newest", name, at.id, code)
	}
}
