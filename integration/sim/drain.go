package sim

import (
	"fmt"
	"time"

	"wadi/internal/layout"

	"wadi/metadata/state"
	"wadi/metadata/view"
)

// mostRuns bounds the runs of a partition when everything is done: merges and folds have seen to it.
const mostRuns = 40

// drain waits, after the faults, until everything is answered, archived and the same everywhere; that must not take long.
func (w *World) drain() {
	if !w.until(30*time.Second, w.quiet) {
		w.violated("30 s after the faults: %s", w.stuck())
	}
	if !w.until(20*time.Second, w.archived) {
		w.violated("20 s after the last batch: %d inline bytes in no archive, %d entries in etcd, pointer at %v, State at %d",
			w.oracle.st.InlineOutstanding(), len(w.oracle.places), w.oracle.pointer, w.oracle.st.Position())
	}
	if w.err == nil {
		w.runUntil(w.now + 4*ttl) // what is still on its way lands
	}
	if !w.until(10*time.Second, w.quiet) {
		w.violated("at the end: %s", w.stuck())
	}
	if w.err == nil {
		w.final()
	}
	if w.err == nil && w.chance(0.3) { // what live sessions gave up is theirs for as long as they live
		for _, a := range w.agents {
			a.crash()
			a.start()
		}
		if !w.until(20*time.Second, w.quiet) {
			w.violated("after a restart of all: %s", w.stuck())
		}
	}
	if !w.until(30*time.Second, func() bool { return w.oracle.compactions.left() == "" }) {
		w.violated("20 s after all: %s", w.oracle.compactions.left())
	}
	for log := range int32(logs) {
		if n := w.partitionIn(w.oracle.st, log).Runs(); w.err == nil && n > mostRuns {
			w.violated("log %d has %d runs in the end", log, n)
		}
	}
	if w.err == nil {
		w.fsck()
	}
}

// until lets time pass until a condition holds, at most for a while.
func (w *World) until(limit time.Duration, holds func() bool) bool {
	for end := w.now + limit; w.err == nil; {
		if holds() {
			return true
		}
		if w.now >= end {
			return false
		}
		w.runUntil(w.now + 100*time.Millisecond)
	}
	return true // there is an error already
}

func (w *World) quiet() bool { return w.stuck() == "" }

// stuck says what is not done yet.
func (w *World) stuck() string {
	for _, p := range w.producers {
		if p.busy() {
			return "a producer waits"
		}
	}
	open := 0
	w.oracle.st.EachSession(func(_ layout.Session, v state.Session) {
		if v.Closed == 0 {
			open++
		}
	})
	for _, a := range w.agents {
		if a.view == nil {
			return "an agent has not started"
		}
		h, _ := a.view.Health()
		_, _, isOpen := a.sess.Session()
		switch {
		case h != view.Current:
			return "a view is " + h.String()
		case !isOpen:
			return "an agent has no session"
		case len(a.rpcs) > 0:
			return "an agent owes an answer"
		case !a.ing.Idle():
			return "an agent's ingest is not idle"
		case a.view.State().Position() != w.oracle.st.Position():
			return "a view lags"
		}
	}
	if open != len(w.agents) {
		return "a dead session is open"
	}
	for _, t := range w.tellers {
		if t.copies == nil && len(t.procs) > 0 {
			return t.name + " has not retired"
		}
	}
	for log := range int32(logs) {
		if stable, end := w.oracle.txns.stable[log], w.oracle.end(log); stable < end {
			return fmt.Sprintf("log %d is stable up to %d, its end is %d", log, stable, end)
		}
	}
	if s := w.uncopied(); s != "" {
		return s
	}
	for _, g := range w.groups {
		if s := g.unsettled(); s != "" {
			return s
		}
	}
	if n := w.oracle.st.Unswept(); n > 0 {
		return "deletions and trims are not swept"
	}
	return ""
}

// archived tells that archives hold everything and that what may be trimmed is. A repeated append that came after its
// entry was trimmed stands in the way of its session's later entries until the trim position is past it.
func (w *World) archived() bool {
	trim := w.oracle.pointer.GetTrimPosition()
	young := map[layout.Session]uint64{} // the lowest sequence behind the trim position
	for key, position := range w.oracle.places {
		if id, seq, err := w.keys.ParseEntry(key); err == nil && position > trim && (young[id] == 0 || seq < young[id]) {
			young[id] = seq
		}
	}
	for key, position := range w.oracle.places {
		id, seq, err := w.keys.ParseEntry(key)
		if err != nil || position <= trim && (young[id] == 0 || seq < young[id]) {
			return false
		}
	}
	return w.oracle.st.InlineOutstanding() == 0
}

// final compares all replicas, a fresh one included, and reads everything from everywhere.
func (w *World) final() {
	if err := w.oracle.st.Check(); err != nil {
		w.violated("%v", err)
	}
	for _, p := range w.oracle.pointer.GetKept() {
		if err := w.oracle.checkRoot(p.Key, p.Position); err != nil {
			w.violated("kept root at position %d: %v", p.Position, err)
		}
	}
	for _, a := range w.agents {
		if err := sameBase(a.view.State(), w.oracle.st); err != nil {
			w.violated("agent %d: %v", a.id, err)
		}
	}
	w.oracle.groups.check(w.oracle.st)
	w.oracle.txns.copies()
	for _, fresh := range []bool{false, true} {
		if fresh {
			generations := w.generations()
			a := w.anyAgent()
			a.crash()
			a.start()
			if !w.until(20*time.Second, w.quiet) {
				w.violated("after a restart: %s", w.stuck())
			}
			if now := w.generations(); now != generations {
				w.violated("a restart of an agent made groups rebalance: %s, before %s", now, generations)
			}
			if w.err != nil {
				return
			}
			if err := sameBase(a.view.State(), w.oracle.st); err != nil {
				w.violated("after a restart: %v", err)
			}
		}
		for _, a := range w.agents {
			clear(a.inline)
			for i := range int32(logs) {
				w.readAll(a, i)
			}
		}
	}
	for i, log := range w.oracle.logs {
		if n := len(log); w.oracle.ackedTo[i] > 0 && (n == 0 || log[n-1].last+1 < w.oracle.ackedTo[i]) {
			w.violated("partition %d ends before offset %d, which was acknowledged", i, w.oracle.ackedTo[i]-1)
		}
	}
}

// readAll reads a whole partition at an agent whose memory holds no inline bytes.
func (w *World) readAll(a *agent, partition int32) {
	if !w.until(20*time.Second, func() bool { return a.up && w.quiet() }) {
		w.violated("before agent %d reads: %s", a.id, w.stuck())
	}
	if w.err != nil {
		return
	}
	done := false
	var err error
	a.spawn(func() {
		if err = a.read(partition, true, all); err == nil {
			for at, next := int64(-1), a.partition(partition).LogStart; err == nil && next > at; {
				at = next
				next, err = a.readCommitted(partition, at, true, all, nil)
			}
		}
		done = true
	})
	life := a.life
	over := w.until(60*time.Second, func() bool { return done || a.life != life })
	switch {
	case !done && a.life != life: // its process was killed
		w.readAll(a, partition)
	case !over || err != nil:
		w.violated("agent %d cannot read partition %d: %v", a.id, partition, err)
	}
}
