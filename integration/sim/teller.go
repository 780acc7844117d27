package sim

import (
	"fmt"
	"slices"
	"time"
)

// teller is an application with a transactional id: one process after the other, and at times two at once, as the one
// before was only thought to be dead.
type teller struct {
	w       *World
	name    string
	v2      bool          // transaction version 2 (KIP-890): epochs end with transactions
	timeout time.Duration // of its transactions
	pause   time.Duration // between what it does, on average
	copies  *member       // what it writes is a copy of what this one reads, nil = it makes it up
	procs   []*process    // those that are not dead
	exposed bool          // a request of an old transaction came into a later one of its epoch: with version 1 that can be
}

// process is one process of a teller, with its producer.
type process struct {
	*producer
	t       *teller
	n       int
	alive   bool
	paused  bool
	backlog []func()
	arrives time.Duration // of the request before

	coordinator *agent // nil = to be asked for
	busy        bool   // a request to the coordinator is on its way
	resume      bool   // its epoch is over: it asks for the next one, under its name (KIP-360)
	begun       int    // counts its transactions
	txn         *transaction
	last        map[string]request // of each kind of the transaction
	rest        time.Duration      // it does nothing before
}

// transaction is one as its client means it.
type transaction struct {
	of      *process
	n       int
	by      grant
	todo    []output
	added   map[int32]bool // version 1: logs that the coordinator has acknowledged
	batches []*sent        // handed to the producer
	offsets *offsetsToSend // nil = none
	abort   bool           // it means to
	asked   direction      // what an EndTxn was sent for
	fate    direction      // what the journal says
}

// output is a batch to come.
type output struct {
	log, records int32
	source       *attempt // nil = it is no copy
}

type direction uint8

const (
	undecided direction = iota
	committed
	aborted
)

func (d direction) String() string { return [...]string{"undecided", "committed", "aborted"}[d] }

// startTellers makes applications of both versions.
func (w *World) startTellers() {
	for i := range 4 {
		t := &teller{
			w: w, name: fmt.Sprintf("teller-%d", i), v2: w.chance(0.6), timeout: w.between(2*time.Second, 6*time.Second),
			pause: w.between(10*time.Millisecond, 150*time.Millisecond),
		}
		w.tellers = append(w.tellers, t)
		w.after(w.between(0, 1500*time.Millisecond), t.start)
		t.planFates()
	}
}

// start is a new process.
func (t *teller) start() {
	w := t.w
	p := &process{
		producer: &producer{w: w, id: 100 + w.ids, idempotent: true, pid: -1, home: w.rng.IntN(3), spread: w.chance(0.2), big: w.chance(0.2)},
		t:        t, n: w.ids, alive: true,
	}
	w.ids++
	p.of = p
	for log := range int32(logs) {
		p.streams = append(p.streams, &stream{p: p.producer, log: log})
	}
	t.procs = append(t.procs, p)
	w.producers = append(w.producers, p.producer)
	w.note("teller=%s process=%d starts v2=%t", t.name, p.n, t.v2)
	p.tick()
}

// newest is the process that the application means to have, nil when there is none.
func (t *teller) newest() *process {
	if n := len(t.procs); n > 0 {
		return t.procs[n-1]
	}
	return nil
}

// planFates lets processes die, and pause: half of the time somebody takes a paused one for dead and starts another.
func (t *teller) planFates() {
	w := t.w
	for at := w.between(time.Second, 6*time.Second); at < w.opts.Active; at += w.between(time.Second, 6*time.Second) {
		w.after(at, func() {
			p := t.newest()
			if p == nil || p.paused || w.now >= w.opts.Active {
				return
			}
			w.stats.Fates++
			switch w.rng.IntN(3) {
			case 0:
				p.end("crashes")
				w.after(w.between(0, 2*t.timeout), t.startIfNone)
			case 1:
				p.paused = true
				w.note("teller=%s process=%d pauses", t.name, p.n)
				w.after(w.between(200*time.Millisecond, 3*t.timeout/2), p.wake)
				if w.chance(0.5) {
					w.after(w.between(0, time.Second), t.start)
				}
			default:
				w.after(w.between(0, time.Second), t.start) // two at once
			}
		})
	}
	if w.chance(0.4) { // it dies for good, with what it has open
		w.after(w.opts.Active, func() {
			for _, p := range slices.Clone(t.procs) {
				p.end("dies")
			}
		})
	}
}

func (t *teller) startIfNone() {
	if t.newest() == nil && t.w.now < t.w.opts.Active {
		t.start()
	}
}

// end is the end of a process: nobody hears what is still said to it.
func (p *process) end(how string) {
	if !p.alive {
		return
	}
	w := p.w
	w.note("teller=%s process=%d %s", p.t.name, p.n, how)
	p.alive, p.paused, p.backlog = false, false, nil
	for i, c := range p.conns {
		if c != nil {
			c.closed, p.conns[i] = true, nil
		}
	}
	p.t.procs = slices.DeleteFunc(p.t.procs, func(x *process) bool { return x == p })
	w.producers = slices.DeleteFunc(slices.Clone(w.producers), func(x *producer) bool { return x == p.producer })
}

// fenced ends a process that was told that another has its transactional id. Of those that were, one is started again.
func (p *process) fenced(by string) {
	p.w.stats.Shut++
	if m := p.t.copies; m != nil {
		m.again(by)
		return
	}
	p.end("is fenced by " + by)
	if p.w.now < p.w.opts.Active {
		p.w.after(p.w.between(0, time.Second), p.t.startIfNone)
	}
}

func (p *process) wake() {
	if !p.paused {
		return
	}
	p.paused = false
	p.w.note("teller=%s process=%d resumes", p.t.name, p.n)
	backlog := p.backlog
	p.backlog = nil
	for _, f := range backlog {
		p.deliver(f)
	}
}

// deliver runs f in the process: not when it has died, and not before it goes on when it is paused.
func (p *process) deliver(f func()) {
	switch {
	case !p.alive:
	case p.paused:
		p.backlog = append(p.backlog, f)
	default:
		f()
	}
}

// tick is the process's clock.
func (p *process) tick() {
	p.w.after(p.w.between(20*time.Millisecond, 60*time.Millisecond), func() { p.deliver(p.tick) })
	p.step()
	p.pump()
}
