package sim

import (
	"errors"
	"time"

	"wadi/metadata/journal"
	"wadi/metadata/kv"
)

// watch is an agent's watch on the journal: it reads the store's history and delivers it in order, unless a fault has it
// otherwise.
type watch struct {
	a       *agent
	gen     uint64
	next    int64
	polling bool
	ended   bool
	arrives time.Duration // of the batch before
}

// follow starts a watch and ends the one before.
func (a *agent) follow(gen uint64, from int64) {
	if a.watch != nil {
		a.watch.ended = true
	}
	a.watch = &watch{a: a, gen: gen, next: from}
	a.watch.wake(a.w.latency())
}

// wake lets the watch look for something new.
func (x *watch) wake(in time.Duration) {
	if x.polling || x.ended {
		return
	}
	x.polling = true
	x.a.w.after(in, func() {
		x.polling = false
		if !x.ended {
			x.poll()
		}
	})
}

func (x *watch) poll() {
	w, a := x.a.w, x.a
	if !w.etcdUp || a.cut {
		x.wake(50 * time.Millisecond)
		return
	}
	f := &w.faults
	if w.chance(f.watchCut) {
		x.deliver(0, journal.Batch{Err: kv.ErrUnavailable})
		return
	}
	r := journal.WatchRequest(w.keys, x.next)
	events, next, err := w.etcd.EventsSince(r.Key, r.End, r.From, r.NoDelete, 1+w.rng.IntN(40))
	if err != nil {
		resp := kv.WatchResponse{Header: w.etcd.Header(), Err: err}
		if !errors.Is(err, kv.ErrCompacted) {
			w.violated("watch of agent %d from %d: %v", a.id, x.next, err)
		}
		x.deliver(0, journal.Decode(w.keys, resp))
		return
	}
	more := next <= w.etcd.Revision()
	x.next = next
	if len(events) > 0 {
		b := journal.Decode(w.keys, kv.WatchResponse{Header: w.etcd.Header(), Events: events})
		lag := time.Duration(0)
		if w.chance(f.watchLate) {
			lag = w.between(0, 2*ttl)
		}
		if !w.chance(f.watchLost) {
			x.deliver(lag, b)
		}
		if w.chance(f.watchRepeat) {
			x.deliver(lag+w.latency(), b)
		}
	}
	if more {
		x.wake(0)
	}
}

func (x *watch) deliver(lag time.Duration, b journal.Batch) {
	w, a := x.a.w, x.a
	x.arrives = max(x.arrives, w.now+w.latency()+lag)
	a.after(x.arrives-w.now, func() {
		w.note("watch agent=%d gen=%d entries=%d err=%v", a.id, x.gen, len(b.Entries), b.Err)
		a.view.WatchBatch(a.mono(), x.gen, b)
	})
}
