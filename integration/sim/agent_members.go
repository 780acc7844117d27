package sim

import (
	"time"

	"wadi/agent/api"
	"wadi/internal/layout"
	"wadi/metadata/kv"
	"wadi/metadata/view"
)

// relist is how often an agent reads all registrations again, in case its watch on them is dead.
const relist = 5 * time.Second

// hearOfMembers lets an agent learn that registrations changed: late, or not at all before it lists them again.
func (a *agent) hearOfMembers() {
	w := a.w
	if w.chance(w.faults.watchLost) {
		return
	}
	lag := w.latency()
	if w.chance(w.faults.watchLate) {
		lag += w.between(0, 2*ttl)
	}
	a.listMembers(lag)
}

// listMembers reads the registrations some time from now, as soon as etcd answers then.
func (a *agent) listMembers(in time.Duration) {
	if a.listing || !a.up {
		return
	}
	a.listing = true
	w, life := a.w, a.life
	var read func()
	read = func() {
		switch {
		case life != a.life:
			return
		case !w.etcdUp || a.cut:
			w.after(100*time.Millisecond, read)
			return
		}
		a.listing = false
		list, revision := w.registered(), w.etcd.Revision()
		a.after(w.latency(), func() {
			if revision > a.liveAt {
				a.live, a.liveAt = list, revision
			}
		})
	}
	w.after(in, read)
}

// registered are the sessions with a key in etcd, sorted.
func (w *World) registered() (list []layout.Session) {
	prefix := w.keys.SessionsPrefix()
	res, err := w.etcd.Range(kv.RangeRequest{Key: prefix, End: kv.PrefixEnd(prefix)})
	if err != nil {
		w.violated("registrations: %v", err)
	}
	for _, x := range res.KVs {
		id, err := w.keys.ParseSessionKey(x.Key)
		if err != nil {
			w.violated("registrations: %v", err)
		}
		list = append(list, id)
	}
	return list
}

// brokers are the live agents by what this one knows, as package agent lists them: registrations whose session is open in
// State. An agent that is cut off leaves itself out, unless it is alone.
func (a *agent) brokers() []api.Broker {
	own, _, _ := a.sess.Session()
	health, _ := a.view.Health()
	s := a.view.State()
	var all, serving []api.Broker
	for _, id := range a.live {
		v, ok := s.Session(id)
		if !ok || v.Closed != 0 {
			continue
		}
		b := api.Broker{NodeID: v.NodeID, Port: int32(a.w.owners[id])}
		all = append(all, b)
		if health != view.CutOff || id != own {
			serving = append(serving, b)
		}
	}
	if len(serving) == 0 {
		return all
	}
	return serving
}

// coordinatorOf is the agent that this one takes for a group's coordinator.
func (a *agent) coordinatorOf(group string) *agent {
	if a.groups == nil || !a.caughtUp || !a.opened {
		return nil
	}
	b, ok := api.GroupCoordinator(group, a.brokers())
	if !ok {
		return nil
	}
	return a.w.agents[b.Port]
}
