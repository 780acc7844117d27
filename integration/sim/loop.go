package sim

import (
	"container/heap"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"
)

// loop is virtual time: events in the order of their time, those of one time in the order in which they were planned.
type loop struct {
	now    time.Duration
	queue  eventHeap
	serial uint64
	rng    *rand.Rand
	sum    hash.Hash64
	trace  io.Writer // nil = only the hash
	line   []byte
	events int
	err    error // the first violation; the loop ends with it
}

type event struct {
	at     time.Duration
	serial uint64
	run    func()
}

func newLoop(seed uint64, trace io.Writer) *loop {
	return &loop{rng: rand.New(rand.NewPCG(seed, 0x77616469)), sum: fnv.New64a(), trace: trace}
}

// after plans run for d from now.
func (l *loop) after(d time.Duration, run func()) {
	l.serial++
	heap.Push(&l.queue, event{l.now + max(d, 0), l.serial, run})
}

// runUntil carries out the events up to a time, or until something is violated.
func (l *loop) runUntil(end time.Duration) {
	for l.err == nil && len(l.queue) > 0 && l.queue[0].at <= end {
		e := heap.Pop(&l.queue).(event)
		l.now = e.at
		l.events++
		e.run()
	}
	l.now = max(l.now, end)
}

// note adds a line to the trace, which is what the hash is of.
func (l *loop) note(format string, args ...any) {
	l.line = fmt.Appendf(l.line[:0], "%10.4f ", l.now.Seconds())
	l.line = fmt.Appendf(l.line, format, args...)
	l.line = append(l.line, '\n')
	l.sum.Write(l.line)
	if l.trace != nil {
		l.trace.Write(l.line)
	}
}

// violated ends the run: something that must hold does not.
func (l *loop) violated(format string, args ...any) {
	l.note("VIOLATED "+format, args...)
	if l.err == nil {
		l.err = fmt.Errorf("at %.4f s: "+format, append([]any{l.now.Seconds()}, args...)...)
	}
}

// chance is true with probability p.
func (l *loop) chance(p float64) bool { return p > 0 && l.rng.Float64() < p }

// between is a duration in [a, b).
func (l *loop) between(a, b time.Duration) time.Duration {
	return a + time.Duration(l.rng.Int64N(int64(b-a)))
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].serial < h[j].serial
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return x
}
