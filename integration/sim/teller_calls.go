package sim

import "time"

// copiesWithin is how late a copy of a request may come. Its client has given up by then, or has the answer to another one.
const copiesWithin = 4 * time.Second

// request is one of a process to an agent.
type request struct {
	name string
	to   *agent
	txn  *transaction // nil = of none
	// serve answers it in the agent, with what reply is given, when there is somebody to be answered. It may run more than
	// once: the network keeps copies. waits tells whether a client is still there, as far as the agent can see.
	serve func(waits func() bool, reply func(f func()))
	lost  func() // nil = the process's own
}

// call sends a request. Exactly one of what reply is given, and lost, happens, while the process lives.
func (p *process) call(r request) {
	w, a, process := p.w, r.to, r.to.life
	lost := p.lost
	if r.lost != nil {
		lost = r.lost
	}
	ended := false
	end := func(f func()) {
		p.deliver(func() {
			if !ended {
				ended = true
				f()
			}
		})
	}
	w.after(memberTimeout, func() { end(lost) })
	p.arrives = max(p.arrives, w.now+w.latency())
	w.after(p.arrives-w.now, func() {
		switch {
		case !a.up || a.life != process: // connection refused, or reset
			w.after(w.latency(), func() { end(lost) })
			return
		case w.chance(w.faults.held):
			return // somewhere on the way: its copies may come
		}
		a.deliver(func() {
			if ended {
				return // the connection was closed
			}
			r.serve(func() bool { return !ended }, func(f func()) {
				if !w.chance(w.faults.replyLost) {
					w.after(w.latency(), func() { end(f) })
				}
			})
		})
	})
	for w.chance(w.faults.copied) {
		w.after(w.between(0, copiesWithin), func() {
			if a.life == process {
				a.deliver(func() { p.copied(r) })
			}
		})
	}
}

// copied is a request that comes from somewhere on the way, where it was held. The agent takes it for a new one.
func (p *process) copied(r request) {
	w := p.w
	if !p.mayCome(r.txn) {
		return
	}
	w.note("late %s of teller=%s process=%d", r.name, p.t.name, p.n)
	w.stats.Late++
	until := w.now + copiesWithin/2
	r.serve(func() bool { return w.now < until && p.mayCome(r.txn) }, func(func()) {})
}

// mayCome tells whether a request of a transaction may reach an agent now. Once the process has begun another one, under
// the same epoch with version 1, nothing tells the agent that it is not meant (KAFKA-17754): there are runs in which that
// happens, and the application is judged no more.
func (p *process) mayCome(t *transaction) bool {
	if t == nil || p.t.v2 || p.begun == t.n {
		return true
	}
	if !p.w.exposes {
		return false
	}
	if !p.t.exposed {
		p.w.note("teller=%s is exposed", p.t.name)
	}
	p.t.exposed = true
	return true
}

// send is call for what may be repeated when its transaction is over.
func (p *process) send(r request) {
	if p.last == nil {
		p.last = map[string]request{}
	}
	p.last[r.name] = r
	p.call(r)
}

// repeats lets requests of a transaction come again just after it has ended, before its client can know, and be slow from
// there on: with version 1 their time is all that tells them from requests of the next one.
func (p *process) repeats() {
	w := p.w
	if p.t.v2 || p.txn == nil || !w.chance(4*w.faults.overtaken) {
		return
	}
	for _, name := range []string{"commit", "abort", "offsets"} {
		r, ok := p.last[name]
		if !ok || r.txn != p.txn || w.chance(0.3) {
			continue
		}
		a := r.to
		a.after(0, func() {
			a.waylaid = true
			p.copied(r)
		})
	}
}
