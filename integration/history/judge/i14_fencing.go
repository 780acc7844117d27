package judge

import h "wadi/integration/history"

// fencing: I14. Once an instance of a transactional id has its producer id, nothing that an earlier instance does from
// then on is acknowledged or becomes visible; and no two instances, nor two transactions of a client of transaction
// version 2, work under one epoch.
func fencing(x *index, r *Result) {
	type instance struct{ id, who string }
	since := map[instance]*h.Fact{} // the first reply to an instance
	taken := map[string][]*h.Fact{} // replies for a transactional id
	asked := map[int64]*h.Fact{}
	type epoch struct {
		producer int64
		epoch    int16
	}
	under := map[epoch]*h.Fact{}
	for i := range x.facts {
		f := &x.facts[i]
		switch {
		case f.Kind == h.InitAttempt:
			asked[f.N] = f
		case f.Kind == h.InitReply && f.Outcome == h.OK:
			r.judged("I14", 1)
			if k := (instance{f.Name, f.Who}); since[k] == nil {
				since[k] = f
			}
			taken[f.Name] = append(taken[f.Name], f)
			k := epoch{f.Producer, f.Epoch}
			if old := under[k]; old != nil && old.Who != f.Who {
				r.violation("I14", []int64{old.N, f.N}, "%s and %s both got producer id %d with epoch %d", old.Who, f.Who, f.Producer, f.Epoch)
			}
			under[k] = f
		case f.Kind == h.Begin && f.Producer > 0:
			k := epoch{f.Producer, f.Epoch}
			switch old := under[k]; {
			case old == nil:
			case old.Who != f.Who:
				r.violation("I14", []int64{old.N, f.N}, "%s and %s both work under producer id %d, epoch %d", old.Who, f.Who, f.Producer, f.Epoch)
			case old.Kind == h.Begin && f.Generation == 2 && x.ended(old.Txn):
				r.violation("I14", []int64{old.N, f.N}, "transactions %d and %d of %s both ran under producer id %d, epoch %d",
					old.Txn, f.Txn, f.Who, f.Producer, f.Epoch)
			}
			under[k] = f
		}
	}
	for _, n := range x.numbers {
		t := x.txns[n]
		if t.begin == nil || since[instance{t.begin.Name, t.begin.Who}] == nil {
			continue
		}
		own := since[instance{t.begin.Name, t.begin.Who}]
		for _, next := range taken[t.begin.Name] {
			// Of two that asked at once nobody knows which is the later one.
			if next.Who == t.begin.Who || asked[next.Ref] == nil || asked[next.Ref].N < own.N {
				continue
			}
			x.fenced(t, next, r)
			break
		}
	}
}

// ended reports whether a transaction that wrote something was ended and this was acknowledged.
func (x *index) ended(n int64) bool {
	t := x.txn(n)
	if t.reply == nil && t.gone == nil {
		return false
	}
	for _, s := range t.sends {
		if len(s.acks) > 0 {
			return true
		}
	}
	return false
}

// fenced looks at what a transaction did after its producer was replaced.
func (x *index) fenced(t *txn, next *h.Fact, r *Result) {
	wrote := false
	for _, s := range t.sends {
		wrote = wrote || len(s.acks) > 0
		if s.attempt.N < next.N {
			continue
		}
		r.judged("I14", 1)
		if len(s.acks) > 0 || x.visible[s.attempt.Value] {
			r.violation("I14", []int64{next.N, s.attempt.N}, "%s was sent by %s after %s had taken its transactional id over, and was taken",
				brief(s.attempt.Value), t.begin.Who, next.Who)
		}
	}
	if t.asked == nil || t.asked.N < next.N || !wrote {
		return
	}
	r.judged("I14", 1)
	if t.committed() {
		r.violation("I14", []int64{next.N, t.asked.N, t.reply.N}, "transaction %d of %s was committed after %s had taken its transactional id over",
			t.number, t.begin.Who, next.Who)
	}
	for _, s := range t.sends {
		if x.visible[s.attempt.Value] {
			r.violation("I14", []int64{next.N, s.attempt.N, t.asked.N}, "%s of %s is visible, and its commit was asked for after %s had taken its transactional id over",
				brief(s.attempt.Value), t.begin.Who, next.Who)
		}
	}
}
