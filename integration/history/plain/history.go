package plain

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"sync"

	"wadi/integration/history"
)

// Partition names one log. A topic that is deleted and created again is another log: put the id into Topic then.
type Partition struct {
	Topic string
	Index int32
}

func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Index) }

// Header is one of a record's headers.
type Header = history.Header

// Record is what a client sends or gets. Timestamp counts in Unix milliseconds; 0 in an attempt means that the broker or
// the client library sets it and any will do.
type Record struct {
	Key, Value []byte
	Headers    []Header
	Timestamp  int64
}

// longest is the length up to which a value stands for itself in a history, which may hold many.
const longest = 64

// name stands for a value: it is as unique.
func (r Record) name() string {
	if len(r.Value) <= longest {
		return string(r.Value)
	}
	f := fnv.New128a()
	f.Write(r.Value)
	return string(r.Value[:longest-32]) + hex.EncodeToString(f.Sum(nil))
}

func (r Record) sum() uint64 { return history.Sum(r.Key, r.Value, r.Headers) }

// History is safe for concurrent use. The zero value is not ready; see New.
type History struct {
	facts *history.Recorder

	mu struct {
		sync.Mutex
		values  map[string]bool
		acked   map[Partition]int64 // highest acknowledged offset
		count   Verdict
		readers []*Reader
	}
}

// New is an empty history.
func New() *History {
	h := &History{facts: history.New()}
	h.mu.values, h.mu.acked = map[string]bool{}, map[Partition]int64{}
	return h
}

// Send is one attempt to produce a record. Exactly one of its methods is called, or none when no answer came.
type Send struct {
	h *History
	f history.Fact // what all facts about it have
}

// Attempt records that a producer is about to send r. Attempts of one producer to one partition must be recorded in the
// order in which they are to appear.
func (h *History) Attempt(producer string, p Partition, r Record) *Send {
	s := &Send{h: h, f: history.Fact{Who: producer, Topic: p.Topic, Partition: p.Index, Value: r.name()}}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.values[s.f.Value] {
		panic("history: value is not unique: " + s.f.Value)
	}
	h.mu.values[s.f.Value] = true
	h.mu.count.Attempts++
	f := s.f
	f.Kind, f.Sum, f.Timestamp = history.Attempt, r.sum(), r.Timestamp
	h.facts.Add(f)
	return s
}

// Acked records a successful answer.
func (s *Send) Acked(offset int64) {
	f, p := s.f, Partition{s.f.Topic, s.f.Partition}
	f.Kind, f.Offset = history.Ack, offset
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.facts.Add(f)
	s.h.mu.count.Acked++
	if top, ok := s.h.mu.acked[p]; !ok || offset > top {
		s.h.mu.acked[p] = offset
	}
}

// Unknown records an error after which the record may be in the log, now or later.
func (s *Send) Unknown() { s.end(history.Unknown) }

// Refused records an error that means that the record is not in the log and never will be.
func (s *Send) Refused() { s.end(history.Refused) }

func (s *Send) end(o history.Outcome) {
	f := s.f
	f.Kind, f.Outcome, f.Offset = history.Fail, o, -1
	s.h.facts.Add(f)
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if o == history.Refused {
		s.h.mu.count.Refused++
	}
}

// Acknowledged is how many attempts were acknowledged so far.
func (h *History) Acknowledged() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.count.Acked
}

// HighestAcked is the highest acknowledged offset of a partition, -1 for none.
func (h *History) HighestAcked(p Partition) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if top, ok := h.mu.acked[p]; ok {
		return top
	}
	return -1
}

// Latest is a question for the end of a partition.
type Latest struct {
	h *History
	f history.Fact
}

// Ask records that somebody asks for the end of a partition now: the answer must count all that is acknowledged.
func (h *History) Ask(who string, p Partition) Latest {
	f := history.Fact{Kind: history.EndAsk, Who: who, Topic: p.Topic, Partition: p.Index}
	f.Ref = h.facts.Add(f)
	return Latest{h, f}
}

// Answer is the end that was told.
func (l Latest) Answer(end int64) {
	l.f.Kind, l.f.Offset = history.EndTold, end
	l.h.facts.Add(l.f)
}
