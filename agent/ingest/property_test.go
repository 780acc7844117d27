package ingest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"wadi/internal/layout"
	"wadi/metadata/state"
)

// twin is a naive twin of what lies behind the core: proposals are applied one after the other, sequences are judged
// by a map, and a log is a list.
type twin struct {
	t       *rapid.T
	r       *rig
	uploads []*Flush
	queue   []*Flush // proposed, not applied
	logs    map[Partition][]*Item
	next    map[producerKey]int32
	epochs  map[int64]int16           // of producers
	bases   map[*Item]int64           // of what was accepted
	serial  map[*Item]int             // order of arrival
	sends   map[connPartition][]*Item // what was proposed
	sent    int
	session layout.Session
	seqs    map[producerKey]int32 // what each producer sends next
}

func (w *twin) upload(f *Flush) { w.uploads = append(w.uploads, f) }

func (w *twin) propose(f *Flush) {
	for _, it := range f.items {
		w.alive(it)
		k := connPartition{it.request.Conn, it.Partition}
		for _, before := range w.sends[k] {
			// A held batch lets an earlier one of its producer pass, which its client sent again.
			if w.serial[it] <= w.serial[before] && !(it.pid >= 0 && it.pid == before.pid && it.epoch == before.epoch && ahead(it.seq, before.seq)) {
				w.t.Fatalf("connection %d, partition %v: batch %d proposed after %d", k.conn, k.partition, w.serial[it], w.serial[before])
			}
		}
		w.sends[k] = append(w.sends[k], it)
	}
	if f.N == 0 && f.bytes > w.r.c.cfg.InlineMaxBytes {
		w.t.Fatalf("inline flush of %d bytes", f.bytes)
	}
	w.queue = append(w.queue, f)
}

// alive fails when the item's bytes were released: the rig wipes those.
func (w *twin) alive(it *Item) {
	if it.Data.Magic() != 2 {
		w.t.Fatalf("batch %d is read after its release", w.serial[it])
	}
}

func (w *twin) Turn(p Partition, pid int64, epoch int16) Turn {
	seq, ok := w.next[producerKey{p, pid}]
	return Turn{Asked: true, Next: seq, Known: ok, Fresh: true, Over: epoch < w.epochs[pid]}
}

// begin gives a producer its next epoch, in which sequences start at 0.
func (w *twin) begin(pid int64) {
	w.epochs[pid]++
	for _, m := range []map[producerKey]int32{w.next, w.seqs} {
		for k := range m {
			if k.pid == pid {
				m[k] = 0
			}
		}
	}
	w.r.c.Began(w.r.now, pid, w.epochs[pid])
	w.notHeld(pid)
}

// notHeld fails when a batch of an epoch that is over is the one that its queue waits for.
func (w *twin) notHeld(pid int64) {
	for _, q := range w.r.c.held.queues {
		if it := q.items[0]; it.pid == pid && it.epoch < w.epochs[pid] {
			w.t.Fatalf("batch %d of epoch %d is held in epoch %d", w.serial[it], it.epoch, w.epochs[pid])
		}
	}
}

// apply judges the oldest proposal's batches.
func (w *twin) apply(f *Flush) []Result {
	list := make([]Result, len(f.items))
	for i, it := range f.items {
		k := producerKey{it.Partition, it.pid}
		if it.epoch < w.epochs[it.pid] {
			list[i] = Result{Code: state.InvalidProducerEpoch, Base: -1}
			continue
		}
		if it.pid >= 0 && it.seq != w.next[k] {
			list[i] = Result{Code: state.OutOfOrderSequence, Base: -1}
			if ahead(w.next[k], it.seq) {
				list[i].Code = state.Duplicate
			}
			continue
		}
		if it.pid >= 0 {
			w.next[k] = addSequence(it.seq, it.records)
		}
		w.bases[it] = int64(len(w.logs[it.Partition]))
		list[i] = Result{Code: state.OK, Base: w.bases[it]}
		w.logs[it.Partition] = append(w.logs[it.Partition], it)
	}
	return list
}

func (w *twin) produce() {
	conn := uint64(rapid.IntRange(1, 4).Draw(w.t, "conn"))
	q := &Request{Conn: conn, Deadline: w.r.now + time.Duration(rapid.IntRange(0, 5000).Draw(w.t, "timeout"))*time.Millisecond}
	q.JoinsTxn = rapid.Bool().Draw(w.t, "joins")
	n := rapid.IntRange(1, 4).Draw(w.t, "batches")
	first := rapid.IntRange(0, 5).Draw(w.t, "partition")
	for i := range n {
		p := Partition{1, int32((first + i) % 6)}
		pid := rapid.SampledFrom([]int64{-1, int64(conn), int64(conn), 9}).Draw(w.t, "pid")
		size := rapid.SampledFrom([]int{61, 100, 400, 1500, 3000}).Draw(w.t, "size")
		seq, records, epoch := int32(-1), int32(rapid.IntRange(1, 3).Draw(w.t, "records")), int16(-1)
		if pid >= 0 {
			k := producerKey{p, pid}
			seq = max(0, w.seqs[k]+int32(rapid.SampledFrom([]int{0, 0, 0, 0, -1, 2}).Draw(w.t, "slip")))
			// Somebody who was fenced may go on for a while.
			if epoch = max(0, w.epochs[pid]-int16(rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(w.t, "late"))); epoch == w.epochs[pid] {
				w.seqs[k] = addSequence(seq, records)
			}
		}
		data := header(size, pid, epoch, seq, records, 1000)
		if rapid.Bool().Draw(w.t, "transactional") {
			data[22] |= 0x10
		}
		it := Item{Partition: p, Data: data}
		if pid >= 0 {
			it.Turn = w.Turn(p, pid, epoch) // as the shell does
		}
		q.Items = append(q.Items, it)
	}
	for i := range q.Items {
		w.sent++
		w.serial[&q.Items[i]] = w.sent
	}
	w.r.names[q] = fmt.Sprint("request ", w.sent)
	w.r.c.Produce(w.r.now, q)
	w.notHeld(int64(conn))
}

func (w *twin) endUpload(i int, err error) {
	f := w.uploads[i]
	w.uploads = append(w.uploads[:i], w.uploads[i+1:]...)
	for _, it := range f.items {
		w.alive(it)
	}
	w.r.c.Uploaded(w.r.now, f, 1<<30, make([]uint64, f.sections()), false, err)
}

// settle ends the oldest proposal: applied and known, applied and not known, or not proposed.
func (w *twin) settle(how string) {
	f := w.queue[0]
	w.queue = w.queue[1:]
	for _, it := range f.items {
		w.alive(it)
	}
	var verdicts []Result
	var err error
	switch how {
	case "applied":
		verdicts = w.apply(f)
	case "unknown":
		w.apply(f)
		err = ErrUnknown
	default:
		err = ErrNoSession
	}
	parts := map[Partition]bool{}
	for _, it := range f.items {
		parts[it.Partition] = true
	}
	w.r.c.Committed(w.r.now, f, verdicts, err)
	for p := range parts {
		w.r.c.Advanced(w.r.now, p)
	}
}

// TestCoreProperties drives the core with random producers, connections and faults. Each request is answered and
// released exactly once, in this order, and never while its bytes are read; what reaches the journal keeps the order of
// arrival per connection and partition; nothing is acknowledged but what the journal took, where it took it; and in the
// end nothing is left behind (Regressions R2, R18).
func TestCoreProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t, Config{
			FlushBytes: 4000, FlushInterval: 250 * time.Millisecond, PutsPerSecond: rapid.IntRange(0, 8).Draw(t, "puts"),
			InlineMaxBytes: 1000, InlineBudget: 4000, MaxOutstanding: 1 << 20, MaxBuffered: 30_000,
		})
		w := &twin{
			t: t, r: r, logs: map[Partition][]*Item{}, next: map[producerKey]int32{}, epochs: map[int64]int16{}, bases: map[*Item]int64{},
			serial: map[*Item]int{}, sends: map[connPartition][]*Item{}, seqs: map[producerKey]int32{},
		}
		r.c.prod, r.onUpload, r.onPropose = w, w.upload, w.propose
		t.Repeat(map[string]func(*rapid.T){
			"produce":  func(*rapid.T) { w.produce() },
			"produce2": func(*rapid.T) { w.produce() },
			"upload": func(t *rapid.T) {
				if len(w.uploads) > 0 {
					var err error
					if rapid.IntRange(0, 3).Draw(t, "fail") == 0 {
						err = errors.New("store is down")
					}
					w.endUpload(rapid.IntRange(0, len(w.uploads)-1).Draw(t, "which"), err)
				}
			},
			"settle": func(t *rapid.T) {
				if len(w.queue) > 0 {
					w.settle(rapid.SampledFrom([]string{"applied", "applied", "applied", "unknown", "lost"}).Draw(t, "how"))
				}
			},
			"pass": func(t *rapid.T) { r.pass(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond / 10) },
			"open": func(*rapid.T) {
				if r.c.session == 0 {
					w.session++
					r.c.Opened(r.now, w.session)
				}
			},
			"lose": func(t *rapid.T) {
				if rapid.IntRange(0, 4).Draw(t, "really") == 0 {
					r.c.Lost(r.now, r.c.session)
				}
			},
			"stage": func(t *rapid.T) {
				r.c.Stage(r.now, rapid.Bool().Draw(t, "no inline"), rapid.IntRange(0, 3).Draw(t, "no produce") == 0)
			},
			"begin": func(t *rapid.T) { w.begin(rapid.SampledFrom([]int64{1, 2, 3, 4, 9}).Draw(t, "pid")) },
			"other": func(t *rapid.T) { // another agent's connection closes a gap
				k := producerKey{Partition{1, int32(rapid.IntRange(0, 5).Draw(t, "partition"))}, 9}
				w.next[k] = max(w.next[k], w.seqs[k])
				r.c.Advanced(r.now, k.partition)
			},
		})
		w.finish()
	})
}

func (w *twin) finish() {
	r := w.r
	r.c.Stage(r.now, false, false)
	w.session++
	r.c.Opened(r.now, w.session)
	for i := 0; !r.c.Idle(); i++ {
		if i > 10_000 {
			w.t.Fatal("the core does not come to rest")
		}
		switch {
		case len(w.uploads) > 0:
			w.endUpload(0, nil)
		case len(w.queue) > 0:
			w.settle("applied")
		default:
			r.pass(100 * time.Millisecond)
		}
	}
	for q, name := range r.names {
		if r.ends[q] != [2]int{1, 1} {
			w.t.Fatalf("%s: answers, releases %v", name, r.ends[q])
		}
		for i := range q.Items {
			it := &q.Items[i]
			if it.Result.Err != nil || it.Result.Code != state.OK {
				continue
			}
			if base, ok := w.bases[it]; !ok || base != it.Result.Base {
				w.t.Fatalf("%s: acknowledged at %d, stored: %t at %d", name, it.Result.Base, ok, base)
			}
		}
	}
	if c := r.c; c.bytes != 0 || c.uploads != 0 || len(c.parts) != 0 || len(c.expected) != 0 || c.held.count != 0 || len(c.held.of) != 0 ||
		len(c.held.queues) != 0 || len(c.deadlines) != 0 || len(c.ready) != 0 {
		w.t.Fatalf("left behind: %d bytes, %d uploads, %d partitions, %d producers, %d held, %d deadlines",
			c.bytes, c.uploads, len(c.parts), len(c.expected), c.held.count, len(c.deadlines))
	}
	if at, ok := r.c.NextWake(); ok {
		w.t.Fatalf("an idle core wants to be woken at %s", at)
	}
}
