package sim

import (
	"iter"
	"time"
)

// proc is blocking code of an agent, run as a coroutine: it runs until it waits, and goes on when the loop says so. A
// crash of the agent ends it where it waits.
type proc struct {
	w     *World
	owner *agent
	yield func(struct{}) bool
	next  func() (struct{}, bool)
	stop  func()
	slow  time.Duration // by which its calls are late
	ended bool
	dying bool
}

type killed struct{}

// spawn runs f until its first wait.
func (a *agent) spawn(f func()) {
	p := &proc{w: a.w, owner: a}
	a.procs = append(a.procs, p)
	p.next, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		p.yield = yield
		defer func() {
			p.ended = true
			if r := recover(); r != nil {
				if _, ok := r.(killed); !ok {
					panic(r)
				}
			}
		}()
		f()
	})
	p.resume()
}

func (p *proc) resume() {
	if p.ended {
		return
	}
	before := p.w.current
	p.w.current = p
	p.next()
	p.w.current = before
}

// await waits until the function that start is given has been called, which may be before it returns. Later calls do
// nothing.
func (w *World) await(start func(done func())) {
	p := w.current
	if p.dying {
		panic(killed{}) // what is deferred does not run in a process that is killed
	}
	called, waiting := false, false
	start(func() {
		if called {
			return
		}
		called = true
		if waiting {
			p.resume()
		}
	})
	if called {
		return
	}
	waiting = true
	if !p.yield(struct{}{}) {
		panic(killed{})
	}
}

// sleep lets time pass for the coroutine that calls it.
func (w *World) sleep(d time.Duration) {
	a := w.current.owner
	w.await(func(done func()) { a.after(d, done) })
}

// endProcs kills what is waiting.
func (a *agent) endProcs() {
	for _, p := range a.procs {
		if !p.ended {
			before := a.w.current
			a.w.current, p.dying = p, true
			p.stop()
			a.w.current, p.ended = before, true
		}
	}
	a.procs = a.procs[:0]
}

// sweepProcs forgets the procs that ended.
func (a *agent) sweepProcs() {
	n := 0
	for _, p := range a.procs {
		if !p.ended {
			a.procs[n] = p
			n++
		}
	}
	clear(a.procs[n:])
	a.procs = a.procs[:n]
}
