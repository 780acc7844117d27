package sim

import (
	"slices"
	"time"

	"wadi/compactor/keycompact"
	"wadi/compactor/merge"
	"wadi/compactor/unfold"
)

// faults are the probabilities of what happens to a single call or batch. Each run enables some kinds only: rare
// combinations show when the rest is quiet.
type faults struct {
	late, requestLost, answerLost               float64 // etcd calls
	watchLost, watchRepeat, watchLate, watchCut float64 // watch batches
	bucketSlow, bucketError, bucketLost         float64
	replyLost                                   float64 // of an agent to its client
	ambush                                      float64 // at places where a lost lease hurts most
	overtaken                                   float64 // appends of transactions' requests, by what their clients do elsewhere
	linger                                      float64 // of an agent, before it publishes a checkpoint
	clockless                                   float64 // rounds of a compactor without a clock
	held, copied                                float64 // requests of transactions: not there in time, there once more, late
}

// drawFaults decides which faults a run has, and how often.
func (w *World) drawFaults() (f faults) {
	for _, p := range []*float64{
		&f.late, &f.requestLost, &f.answerLost, &f.watchLost, &f.watchRepeat, &f.watchLate, &f.watchCut,
		&f.bucketSlow, &f.bucketError, &f.bucketLost, &f.replyLost, &f.ambush, &f.overtaken, &f.held, &f.copied, &f.clockless, &f.linger,
	} {
		switch n := w.rng.IntN(20); {
		case n < 5:
			*p = 0.003
		case n < 9:
			*p = 0.03
		case n < 10:
			*p = 0.2
		}
	}
	w.exposes = w.chance(0.15)
	w.grace = w.between(2500*time.Millisecond, 4*time.Second)
	w.merges = merge.Config{
		MaxInput: 64 << 10, MaxOutput: int64(8+w.rng.IntN(40)) << 10, Own: int64(1+w.rng.IntN(8)) << 10, MaxRun: int64(2000 + w.rng.IntN(6000)),
		MaxInline: 16 << 10, FanIn: 4, Debt: 4, Crowd: 8, Small: 300, Medium: 1500, MaxSources: 8, Parallel: 1,
	}
	w.cleans = keycompact.Config{
		Memory: 1 << 20, MaxOutput: int64(2+w.rng.IntN(16)) << 10, RunBytes: int64(300 + w.rng.IntN(3000)), MaxInput: 96 << 10, Parallel: 1,
	}
	if w.chance(0.5) {
		w.cleans.Memory = int64(200 + w.rng.IntN(250)) // fewer keys than there are
	}
	if w.chance(0.7) {
		w.cleans.Unfold = unfold.Limits{Runs: 1 + w.rng.IntN(20), Objects: 1 + w.rng.IntN(3), Aborted: 1 + w.rng.IntN(3)}
	}
	w.sharing = sharing(w.rng.IntN(int(ways)))
	return f
}

// disaster is something that befalls an agent or a service for a while.
type disaster struct {
	name  string
	every time.Duration // on average, in runs that have it
	do    func(w *World)
}

var disasters = [8]disaster{
	{"crash", 4 * time.Second, func(w *World) {
		if a := w.anyAgent(); a.up {
			a.crash()
			w.after(w.between(0, 3*ttl), a.start)
		}
	}},
	{"pause", 4 * time.Second, func(w *World) {
		if a := w.anyAgent(); a.up && !a.paused {
			a.paused = true
			w.note("agent=%d paused", a.id)
			w.after(w.between(100*time.Millisecond, 3*ttl), a.resume)
		}
	}},
	{"cut", 5 * time.Second, func(w *World) {
		if a := w.anyAgent(); !a.cut {
			a.cut = true
			w.note("agent=%d cut off from etcd", a.id)
			w.after(w.between(100*time.Millisecond, 3*ttl), a.heal)
		}
	}},
	{"etcd", 8 * time.Second, func(w *World) {
		if w.etcdUp {
			w.etcdUp = false
			w.note("etcd down")
			w.after(w.between(100*time.Millisecond, 2*ttl), w.healEtcd)
		}
	}},
	{"bucket", 8 * time.Second, func(w *World) {
		if w.bucketUp {
			w.bucketUp = false
			w.note("bucket down")
			w.after(w.between(100*time.Millisecond, 3*ttl), func() { w.bucketUp = true; w.note("bucket up") })
		}
	}},
	{"revoke", 5 * time.Second, func(w *World) {
		a := w.anyAgent()
		if a.up && a.sess != nil {
			a.revoke()
		}
	}},
	{"drain", 3 * time.Second, func(w *World) {
		a := w.anyAgent()
		w.setDraining(a, true)
		w.after(w.between(100*time.Millisecond, 2*ttl), func() { w.setDraining(a, false) })
	}},
	{"compact", 3 * time.Second, func(w *World) {
		// An operator's compaction, close to the end: slow watches find their revision gone.
		rev := w.etcd.Revision() - w.rng.Int64N(5)
		w.note("compacted at %d: %v", rev, w.etcd.Compact(rev))
		w.afterEtcd()
	}},
}

// planDisasters picks this run's kinds and lets them come at random times until end.
func (w *World) planDisasters(end time.Duration) {
	for i := range disasters {
		d := &disasters[i]
		if w.rng.IntN(2) == 0 {
			continue
		}
		for at := time.Duration(0); ; {
			at += time.Duration(w.rng.ExpFloat64() * float64(d.every))
			if at >= end {
				break
			}
			w.after(at, func() {
				if w.now < end {
					w.stats.Disasters[i]++
					d.do(w)
				}
			})
		}
	}
}

// revoke ends the agent's lease, as an operator may.
func (a *agent) revoke() {
	w := a.w
	if id, _, _ := a.sess.Session(); id != 0 && w.etcdUp {
		w.revoked[id] = true
		w.note("lease of agent=%d revoked: %v", a.id, w.etcd.Revoke(int64(id)))
		w.afterEtcd()
	}
}

// ambushed slows every call of the coroutine that has come this far and ends its agent's lease meanwhile: what it is about
// to do lands when the agent has another session.
func (a *agent) ambushed(often float64) {
	w := a.w
	if !w.chance(often * w.faults.ambush) {
		return
	}
	w.current.slow = w.between(ttl/8, ttl*3/4)
	w.note("agent=%d ambushed, calls take %v", a.id, w.current.slow)
	a.after(0, a.revoke)
}

// overtaken slows the append that the agent is about to make when it was waylaid: by the time that it lands the clients
// that it is for have given up, have been to another agent and are somewhere else.
func (a *agent) overtaken() {
	w := a.w
	if !a.waylaid {
		return
	}
	a.waylaid = false
	w.current.slow = w.between(memberTimeout, ttl-50*time.Millisecond)
	w.note("agent=%d waylaid, the append takes %v", a.id, w.current.slow)
	a.after(0, func() { w.setDraining(a, true) })
	a.after(w.between(ttl, 2*ttl), func() { w.setDraining(a, false) })
}

func (w *World) anyAgent() *agent { return w.agents[w.rng.IntN(len(w.agents))] }

func (w *World) healEtcd() {
	if w.etcdUp {
		return
	}
	w.etcdUp = true
	w.note("etcd up")
	if w.chance(0.5) {
		w.etcd.RefreshLeases(w.wall()) // a new leader
	}
	w.expireLeases()
	w.afterEtcd()
}

// heal ends all faults for good.
func (w *World) heal() {
	w.faults = faults{}
	w.bucketUp = true
	w.healEtcd()
	for _, a := range w.agents {
		a.heal()
		a.resume()
		if !a.up {
			a.start()
		}
	}
	for _, g := range w.groups {
		for _, m := range g.members {
			m.resume()
		}
	}
	for _, t := range w.tellers {
		for _, p := range slices.Clone(t.procs) {
			p.wake()
		}
	}
}
