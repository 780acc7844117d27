package history

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

// Partition names one log. A topic that is deleted and created again is another log: put the id into Topic then.
type Partition struct {
	Topic string
	Index int32
}

func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Index) }

// Record is what a client sends or gets. Timestamp counts in Unix milliseconds; 0 in an attempt means that the broker or
// the client library sets it and any will do.
type Record struct {
	Key, Value []byte
	Headers    []Header
	Timestamp  int64
}

// Header is one of a record's headers.
type Header struct {
	Key   string
	Value []byte
}

// sum is a digest of everything but the timestamp.
func (r Record) sum() (s [16]byte) {
	h := sha256.New()
	part := func(b []byte, null bool) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		if null {
			n[0] = 0xff
		}
		h.Write(n[:])
		h.Write(b)
	}
	part(r.Key, r.Key == nil)
	part(r.Value, r.Value == nil)
	for _, x := range r.Headers {
		part([]byte(x.Key), false)
		part(x.Value, x.Value == nil)
	}
	copy(s[:], h.Sum(nil))
	return s
}

type outcome uint8

const (
	open    outcome = iota // never answered
	acked                  // with an offset
	unknown                // may appear or not
	refused                // must not appear
)

// Send is one attempt to produce a record. Exactly one of its methods is called, or none when no answer came.
type Send struct {
	h         *History
	producer  string
	partition Partition
	value     string
	sum       [16]byte
	timestamp int64
	outcome   outcome
	offset    int64
}

// History is safe for concurrent use. The zero value is not ready; see New.
type History struct {
	mu      sync.Mutex
	began   time.Time
	sends   []*Send // in the order of the attempts
	byValue map[string]*Send
	acked   map[Partition]int64 // highest acknowledged offset
	logs    map[Partition]map[int64]seen
	readers []*Reader
	found   []Violation // by reads, at once
	seen    map[Violation]bool
}

// seen is what an offset held when it was first met.
type seen struct {
	value string
	sum   [16]byte
	by    string
}

// New is an empty history.
func New() *History {
	return &History{
		began: time.Now(), byValue: map[string]*Send{}, acked: map[Partition]int64{}, logs: map[Partition]map[int64]seen{},
		seen: map[Violation]bool{},
	}
}

// Attempt records that a producer is about to send r. Attempts of one producer to one partition must be recorded in the
// order in which they are to appear.
func (h *History) Attempt(producer string, p Partition, r Record) *Send {
	s := &Send{
		h: h, producer: producer, partition: p, value: string(r.Value), sum: r.sum(), timestamp: r.Timestamp, offset: -1,
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byValue[s.value] != nil {
		panic("history: value is not unique: " + s.value)
	}
	h.byValue[s.value] = s
	h.sends = append(h.sends, s)
	return s
}

// Acked records a successful answer.
func (s *Send) Acked(offset int64) {
	h := s.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.outcome == acked && s.offset != offset {
		h.report("I4", s.partition, "%s was acknowledged at offset %d and at %d", brief(s.value), s.offset, offset)
	}
	s.outcome, s.offset = acked, offset
	if offset < 0 {
		h.report("I4", s.partition, "%s was acknowledged without an offset", brief(s.value))
		return
	}
	if top, ok := h.acked[s.partition]; !ok || offset > top {
		h.acked[s.partition] = offset
	}
	h.meet(s.partition, offset, s.value, s.sum, "the acknowledgement to "+s.producer)
}

// Unknown records an error after which the record may be in the log, now or later.
func (s *Send) Unknown() { s.end(unknown) }

// Refused records an error that means that the record is not in the log and never will be.
func (s *Send) Refused() { s.end(refused) }

func (s *Send) end(o outcome) {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if s.outcome == open {
		s.outcome = o
	}
}

// meet compares what somebody saw at an offset with what others saw there (I3).
func (h *History) meet(p Partition, offset int64, value string, sum [16]byte, by string) {
	log := h.logs[p]
	if log == nil {
		log = map[int64]seen{}
		h.logs[p] = log
	}
	old, ok := log[offset]
	if !ok {
		log[offset] = seen{value: value, sum: sum, by: by}
		return
	}
	if old.value != value || old.sum != sum {
		h.report("I3", p, "offset %d holds %s for %s and %s for %s", offset, brief(old.value), old.by, brief(value), by)
	}
}

// Acknowledged is how many attempts were acknowledged so far.
func (h *History) Acknowledged() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, s := range h.sends {
		if s.outcome == acked {
			n++
		}
	}
	return n
}

// HighestAcked is the highest acknowledged offset of a partition, -1 for none.
func (h *History) HighestAcked(p Partition) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if top, ok := h.acked[p]; ok {
		return top
	}
	return -1
}

// brief is a value short enough for a message.
func brief(value string) string {
	if len(value) > 40 {
		return fmt.Sprintf("%q...", value[:40])
	}
	return fmt.Sprintf("%q", value)
}
