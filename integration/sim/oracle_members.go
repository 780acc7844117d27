package sim

import (
	"fmt"
	"slices"

	"wadi/agent/group"
	"wadi/metadata/kv"
)

// answers checks that an agent that answers for groups still has its lease. One that an operator ended is learned of late.
func (o *groupsOracle) answers(a *agent) {
	w := o.w
	id, _, _ := a.sess.Session()
	res, err := w.etcd.Range(kv.RangeRequest{Key: w.keys.SessionKey(id)})
	if err != nil || len(res.KVs) == 0 && !w.revoked[id] {
		w.violated("agent %d answers for groups, the lease of its session %s is over (%v)", a.id, id, err)
	}
}

// joined checks the answer to a JoinGroup at the moment it is given.
func (o *groupsOracle) joined(a *agent, name string, j group.Joined) {
	if j.Err != nil {
		return
	}
	o.w.note("joined agent=%d group=%s member=%s generation=%d", a.id, name, j.Member, j.Generation)
	x := a.view.State().Group(name)
	if !o.group(name).rosters[j.Generation][j.Member] || x == nil || x.Generation != j.Generation || x.Member(j.Member) == nil {
		o.w.violated("agent %d tells %s that it is in generation %d of group %s, State does not know", a.id, j.Member, j.Generation, name)
	}
}

// synced checks an assignment at the moment a member is told of it.
func (o *groupsOracle) synced(a *agent, req *group.Sync, s group.Synced) {
	if s.Err != nil {
		return
	}
	w, g := o.w, o.group(req.Group)
	w.stats.Assignments++
	if plan, ok := g.plans[req.Generation][req.Member]; (!ok && len(s.Assignment) > 0) || plan != string(s.Assignment) {
		w.violated("agent %d tells %s of group %s that it owns %x in generation %d, State has %x", a.id, req.Member, req.Group,
			s.Assignment, req.Generation, plan)
	}
	who := req.Instance
	if who == "" {
		who = req.Member
	}
	owners := g.owners[req.Generation]
	if owners == nil {
		owners = map[slot]string{}
		g.owners[req.Generation] = owners
	}
	for ; len(s.Assignment) >= 4; s.Assignment = s.Assignment[4:] {
		p := slot{0, uint32(s.Assignment[2])<<8 | uint32(s.Assignment[3])}
		if owner, ok := owners[p]; ok && owner != who {
			w.violated("generation %d of group %s gives partition %d to %s and to %s", req.Generation, req.Group, p.partition, owner, who)
		}
		owners[p] = who
	}
}

// heard checks a heartbeat that was answered without an error.
func (o *groupsOracle) heard(a *agent, req *group.Heartbeat, err error) {
	if err != nil {
		return
	}
	x := a.view.State().Group(req.Group)
	if x == nil || x.Generation != req.Generation || x.Member(req.Member) == nil || !o.group(req.Group).rosters[req.Generation][req.Member] {
		o.w.violated("agent %d lets %s go on in generation %d of group %s, State does not know", a.id, req.Member, req.Generation, req.Group)
	}
}

// told checks an answer to a ConsumerGroupHeartbeat at the moment it is given.
func (o *groupsOracle) told(a *agent, name string, answer group.ConsumerAnswer) {
	if answer.Err != nil {
		return
	}
	g, x := o.group(name), a.view.State().Group(name)
	if answer.Epoch < 0 {
		return
	}
	known := g.epochs[fmt.Sprint(answer.Member, " ", answer.Epoch)]
	if answer.Assignment != nil {
		o.w.stats.Assignments++
		o.w.note("told agent=%d group=%s member=%s epoch=%d %v", a.id, name, answer.Member, answer.Epoch, slotsOf(*answer.Assignment))
		known = g.records[fmt.Sprint(answer.Member, " ", answer.Epoch, " ", slotsOf(*answer.Assignment))]
	}
	m := x.Member(answer.Member)
	known = known && m != nil && m.Epoch == answer.Epoch && (answer.Assignment == nil || slices.Equal(slotsOf(*answer.Assignment), slotsOf(m.Owned)))
	if !known {
		o.w.violated("agent %d tells %s of group %s of epoch %d and %v, State never had that", a.id, answer.Member, name, answer.Epoch,
			answer.Assignment)
	}
}
