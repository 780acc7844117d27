package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// closes notes when State closes a session: from then on nothing of its is introduced.
func (o *compactions) closes(id layout.Session) {
	if v, ok := o.w.oracle.st.Session(id); ok && v.Closed != 0 {
		if _, known := o.closed[id]; !known {
			o.closed[id] = o.w.now
		}
	}
}

// opened follows an OpenSession: what it closes had lost its key when it was listed, and an agent whose processes know of
// each other that they are dead is the same node in all of them.
func (o *compactions) opened(e journal.Entry, c *pb.OpenSession, r *state.Result) {
	w := o.w
	w.oracle.st.EachSession(func(id layout.Session, v state.Session) {
		if v.Closed != e.Position {
			return
		}
		o.closes(id)
		w.stats.Unlisted++
		res, err := w.etcd.Range(kv.RangeRequest{Key: w.keys.SessionKey(id)})
		// A registration that was lost on the way may come after all; nothing can be appended with what it puts.
		if err != nil || len(res.KVs) > 0 && res.KVs[0].CreateRevision <= c.ListedAt {
			w.violated("position %d: session %s is closed as its key is gone, but it is there: %v", e.Position, id, err)
		}
	})
	agent := w.owners[e.Session]
	node, known := o.nodes[agent]
	if known && node != r.ID && w.agents[agent].place() != "" {
		w.violated("position %d: agent %d comes back as node %d, it was %d", e.Position, agent, r.ID, node)
	}
	o.nodes[agent] = r.ID
}

// forgot follows a ForgetSessions: nothing is left of what a forgotten session wrote, but what landed later than anything
// may.
func (o *compactions) forgot(e journal.Entry, c *pb.ForgetSessions) {
	w := o.w
	for _, n := range c.Sessions {
		id := layout.Session(n)
		if _, known := w.oracle.st.Session(id); known || o.forgotten[id] {
			continue
		}
		o.forgotten[id] = true
		w.stats.Forgotten++
		if w.now < o.closed[id]+w.grace {
			w.violated("position %d: session %s is forgotten %v after its end, the grace is %v", e.Position, id, w.now-o.closed[id], w.grace)
		}
	}
	live, table := o.claims(w.oracle.st), o.table()
	for _, key := range slices.Sorted(maps.Keys(w.bucket.objects)) {
		id, _, _, ok := o.nameOf(key)
		if name, err := w.oracle.objects.ParseCheckpoint(key); err == nil {
			id, ok = name.Session, true
		}
		if ok && o.forgotten[id] && !live[key] && !table[key] && !o.late(key, id) {
			w.violated("position %d: %s is left of a session that is forgotten", e.Position, key)
		}
	}
}

// late tells that an object landed when its session had been closed for longer than the grace: its agent hung.
func (o *compactions) late(key string, id layout.Session) bool {
	at, closed := o.closed[id]
	return closed && o.w.bucket.stored[key].After(time.UnixMilli(epochMs).Add(at+o.w.grace))
}

// table are the keys of all objects that State has in its table, garbage, too.
func (o *compactions) table() map[string]bool {
	keys := map[string]bool{}
	o.w.oracle.st.EachObject(func(_ uint64, x state.Object) { keys[x.Key(o.w.oracle.objects)] = true })
	return keys
}

// left says what is in the bucket that is to be collected, "" = nothing.
func (o *compactions) left() string {
	w := o.w
	st, left := w.oracle.st, ""
	st.EachGarbage(func(n uint64, x state.Object) {
		kept := w.oracle.pointer.GetPosition() < x.Lost
		for _, k := range w.oracle.pointer.GetKept() {
			kept = kept || x.Introduced <= k.Position && k.Position < x.Lost
		}
		if key := x.Key(w.oracle.objects); !kept && !w.oracle.needed[key] {
			left = fmt.Sprintf("object %d, %s, is garbage since position %d", n, key, x.Lost)
		}
	})
	if left != "" {
		return left
	}
	needed := []map[string]bool{o.claims(st), o.table(), w.oracle.needed}
	for _, keys := range o.roots {
		needed = append(needed, keys)
	}
	for _, key := range slices.Sorted(maps.Keys(w.bucket.objects)) {
		id, _, _, ok := o.nameOf(key)
		v, known := st.Session(id)
		switch {
		case !ok, slices.ContainsFunc(needed, func(m map[string]bool) bool { return m[key] }):
		case known && v.Closed == 0: // what its agent gave up goes some day
		case !known && o.late(key, id):
			w.stats.Orphans++
		default:
			return key + " is an orphan"
		}
	}
	return ""
}
