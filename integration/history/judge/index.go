package judge

import (
	"slices"

	h "wadi/integration/history"
)

// index is a history, sorted by what it is about. Facts are in the order of N everywhere.
type index struct {
	facts   []h.Fact
	sends   []*send
	byValue map[string]*send
	txns    map[int64]*txn
	numbers []int64 // of txns, ascending
	reads   []*h.Fact
	readers map[string]*reader
	names   []string // of readers, in the order of their first read
	places  map[string][]place
	drains  []*h.Fact // Drained
	visible map[string]bool
}

// send is one value's way.
type send struct {
	attempt *h.Fact
	acks    []*h.Fact
	fail    *h.Fact
	txn     *txn // nil outside of transactions
}

// refused reports whether the value may never appear.
func (s *send) refused() bool {
	return len(s.acks) == 0 && s.fail != nil && s.fail.Outcome == h.Refused
}

// txn is one transaction's way.
type txn struct {
	number  int64
	begin   *h.Fact
	sends   []*send
	offsets []*h.Fact // CommitAttempt
	asked   *h.Fact   // the first EndAttempt that commits
	end     *h.Fact   // the first EndAttempt
	reply   *h.Fact   // to the commit: OK or Refused
	gone    *h.Fact   // the reply to an abort
}

// aborted reports whether nothing of the transaction may ever be visible: nobody asked for its commit, or who did was
// told that it was aborted.
func (t *txn) aborted() bool {
	return t.asked == nil || t.reply != nil && t.reply.Outcome == h.Refused
}

// committed reports whether the commit was acknowledged.
func (t *txn) committed() bool { return t.reply != nil && t.reply.Outcome == h.OK }

// reader is who reads under one name.
type reader struct {
	name string
	logs map[h.Log][]*h.Fact // reads and seeks
	all  []*h.Fact           // seeks of everything
}

// place is where a value was seen, by the first fact that says so.
type place struct {
	log    h.Log
	offset int64
	by     *h.Fact
}

func newIndex(facts []h.Fact) *index {
	x := &index{
		facts: facts, byValue: map[string]*send{}, txns: map[int64]*txn{}, readers: map[string]*reader{},
		places: map[string][]place{}, visible: map[string]bool{},
	}
	for i := range facts {
		x.add(&facts[i])
	}
	for n := range x.txns {
		x.numbers = append(x.numbers, n)
	}
	slices.Sort(x.numbers)
	return x
}

func (x *index) add(f *h.Fact) {
	switch f.Kind {
	case h.Attempt:
		s := &send{attempt: f}
		if f.Txn != 0 {
			s.txn = x.txn(f.Txn)
			s.txn.sends = append(s.txn.sends, s)
		}
		x.sends = append(x.sends, s)
		x.byValue[f.Value] = s
	case h.Ack:
		if s := x.byValue[f.Value]; s != nil {
			s.acks = append(s.acks, f)
		}
		x.at(f)
	case h.Fail:
		if s := x.byValue[f.Value]; s != nil {
			s.fail = f
		}
	case h.Begin:
		x.txn(f.Txn).begin = f
	case h.EndAttempt:
		t := x.txn(f.Txn)
		if t.end == nil {
			t.end = f
		}
		if f.Commit && t.asked == nil {
			t.asked = f
		}
	case h.EndReply:
		switch t := x.txn(f.Txn); {
		case f.Outcome == h.Unknown:
		case f.Commit:
			t.reply = f
		default:
			t.gone = f
		}
	case h.CommitAttempt:
		if f.Txn != 0 {
			t := x.txn(f.Txn)
			t.offsets = append(t.offsets, f)
		}
	case h.Read:
		x.reads = append(x.reads, f)
		r := x.reader(f.Who)
		r.logs[f.Log()] = append(r.logs[f.Log()], f)
		x.at(f)
		if f.Committed {
			x.visible[f.Value] = true
		}
	case h.Seek:
		r := x.reader(f.Who)
		if f.Topic != "" {
			r.logs[f.Log()] = append(r.logs[f.Log()], f)
		} else {
			r.all = append(r.all, f)
		}
	case h.Drained:
		x.drains = append(x.drains, f)
	}
}

// at notes a place, once.
func (x *index) at(f *h.Fact) {
	for _, p := range x.places[f.Value] {
		if p.log == f.Log() && p.offset == f.Offset {
			return
		}
	}
	x.places[f.Value] = append(x.places[f.Value], place{f.Log(), f.Offset, f})
}

func (x *index) txn(n int64) *txn {
	t := x.txns[n]
	if t == nil {
		t = &txn{number: n}
		x.txns[n] = t
	}
	return t
}

func (x *index) reader(name string) *reader {
	r := x.readers[name]
	if r == nil {
		r = &reader{name: name, logs: map[h.Log][]*h.Fact{}}
		x.readers[name] = r
		x.names = append(x.names, name)
	}
	return r
}

// stays reports whether a value is in the log for good once it is acknowledged, for readers of this isolation.
func (s *send) stays(committed bool) bool {
	return len(s.acks) > 0 && (s.txn == nil || !committed || s.txn.committed())
}

// brief is a value short enough for a message.
func brief(v string) string {
	if len(v) > 48 {
		return v[:48] + "..."
	}
	return v
}

// logs of a reader, in a fixed order.
func (r *reader) sorted() []h.Log {
	list := make([]h.Log, 0, len(r.logs))
	for l := range r.logs {
		list = append(list, l)
	}
	slices.SortFunc(list, compareLogs)
	return list
}

func compareLogs(a, b h.Log) int {
	switch {
	case a.Topic < b.Topic || a.Topic == b.Topic && a.Partition < b.Partition:
		return -1
	case a == b:
		return 0
	}
	return 1
}
