package judge

import h "wadi/integration/history"

// oneOwner: I13. In one generation or epoch a partition has one owner; a member's generations do not go back; what is
// committed under a generation after a later one was seen is refused.
func oneOwner(x *index, r *Result) {
	type claim struct {
		group, topic string
		generation   int32
		partition    int32
	}
	type member struct{ group, id string }
	owner := map[claim]*h.Fact{}
	last := map[member]*h.Fact{}
	newest := map[string]*h.Fact{}
	attempts := map[int64]*h.Fact{}  // commits under a generation that was over
	successor := map[int64]*h.Fact{} // by the N of such an attempt
	for i := range x.facts {
		f := &x.facts[i]
		switch f.Kind {
		case h.Own:
			r.judged("I13", 1)
			for _, p := range f.Partitions {
				k := claim{f.Name, f.Topic, f.Generation, p}
				if old := owner[k]; old != nil && old.Member != f.Member {
					r.violation("I13", []int64{old.N, f.N}, "group %s, generation %d: %s/%d has two owners, %s and %s",
						f.Name, f.Generation, f.Topic, p, old.Member, f.Member)
				}
				owner[k] = f
			}
			m := member{f.Name, f.Member}
			if old := last[m]; old != nil && old.Generation > f.Generation {
				r.violation("I13", []int64{old.N, f.N}, "group %s: member %s went from generation %d to %d", f.Name, f.Member, old.Generation, f.Generation)
			}
			last[m] = f
			if old := newest[f.Name]; old == nil || f.Generation > old.Generation {
				newest[f.Name] = f
			}
		case h.CommitAttempt:
			if n := newest[f.Name]; f.Generation > 0 && n != nil && n.Generation > f.Generation {
				attempts[f.N], successor[f.N] = f, n
			}
		case h.CommitReply:
			if a := attempts[f.Ref]; a != nil {
				r.judged("I13", 1)
				if f.Outcome == h.OK {
					r.violation("I13", []int64{successor[f.Ref].N, a.N, f.N}, "group %s took a commit of generation %d after generation %d had begun",
						a.Name, a.Generation, successor[f.Ref].Generation)
				}
			}
		}
	}
}
