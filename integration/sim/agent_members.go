package sim

import (
	"time"

	"google.golang.org/protobuf/proto"

	"wadi/agent/api"
	"wadi/internal/layout"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
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

// registration is a session's key in etcd.
type registration struct {
	id       layout.Session
	draining bool
}

// registered are all of them, sorted.
func (w *World) registered() (list []registration) {
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
		info := &pb.SessionInfo{}
		if err := proto.Unmarshal(x.Value, info); err != nil {
			w.violated("registrations: %v", err)
		}
		list = append(list, registration{id, info.Draining})
	}
	return list
}

// setDraining changes what an agent's registration says, on the same lease: groups leave it, or come back.
func (w *World) setDraining(a *agent, draining bool) {
	if !a.up || a.sess == nil || !w.etcdUp {
		return
	}
	id, _, _ := a.sess.Session()
	value, err := proto.Marshal(&pb.SessionInfo{Draining: draining, Place: a.place()})
	if err != nil {
		w.violated("registration: %v", err)
	}
	res, err := w.etcd.Range(kv.RangeRequest{Key: w.keys.SessionKey(id)})
	if err != nil || len(res.KVs) == 0 {
		return
	}
	_, err = w.etcd.Txn(kv.Txn{Then: []kv.Op{kv.Put(w.keys.SessionKey(id), value, int64(id))}})
	w.note("agent=%d draining=%t err=%v", a.id, draining, err)
	w.afterEtcd()
}

// brokers are the live agents by what this one knows, as package agent lists them: registrations whose session is open in
// State. An agent that is cut off leaves itself out, unless it is alone.
func (a *agent) brokers() []api.Broker {
	own, _, _ := a.sess.Session()
	health, _ := a.view.Health()
	s := a.view.State()
	var all, serving []api.Broker
	for _, r := range a.live {
		v, ok := s.Session(r.id)
		if !ok || v.Closed != 0 {
			continue
		}
		b := api.Broker{NodeID: v.NodeID, Port: int32(a.w.owners[r.id])}
		all = append(all, b)
		if !r.draining && (health != view.CutOff || r.id != own) {
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

// coordinatorOfTxn is the same for a transactional id.
func (a *agent) coordinatorOfTxn(id string) *agent {
	if a.groups == nil || !a.caughtUp || !a.opened {
		return nil
	}
	b, ok := api.TxnCoordinator(id, a.brokers())
	if !ok {
		return nil
	}
	return a.w.agents[b.Port]
}
