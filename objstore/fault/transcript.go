package fault

import (
	"fmt"
	"strings"

	"wadi/objstore"
)

// Record is one finished call.
type Record struct {
	Call
	Size    int64    // bytes of a Put, Get, PutPart or Complete, entries of a List, Uploads or Delete; 0 when it failed before its effect
	Outcome string   // objstore.Outcome of what the caller saw
	Faults  []string // that happened to it
}

// String is a line of a golden transcript: "put demo/x 1234 ok", "get demo/x [0,+100) 100 corrupt (torn)",
// "part demo/x #2 1234 ok".
func (r Record) String() string {
	var b strings.Builder
	b.WriteString(string(r.Op))
	if r.Key != "" {
		b.WriteString(" " + r.Key)
	}
	if n := len(r.Keys); n > 1 {
		fmt.Fprintf(&b, " and %d more", n-1)
	}
	if r.Op == Get {
		fmt.Fprintf(&b, " [%d,%+d)", r.Off, r.Length)
	}
	if r.Op == PutPart || r.Op == Complete {
		fmt.Fprintf(&b, " #%d", r.Part)
	}
	if r.Op != Date && r.Op != Begin && r.Op != Abandon {
		fmt.Fprintf(&b, " %d", r.Size)
	}
	b.WriteString(" " + r.Outcome)
	if len(r.Faults) > 0 {
		b.WriteString(" (" + strings.Join(r.Faults, ", ") + ")")
	}
	return b.String()
}

// WithTranscript records the last limit calls.
func WithTranscript(limit int) Option { return func(s *Store) { s.mu.limit = limit } }

// Transcript returns the calls recorded since the last TakeTranscript, in the order in which they ended.
func (s *Store) Transcript() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Record(nil), s.mu.transcript...)
}

// TakeTranscript returns what Transcript does and starts a new one.
func (s *Store) TakeTranscript() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.mu.transcript
	s.mu.transcript = nil
	return out
}

// Calls is the number of calls that were started.
func (s *Store) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.calls
}

// end records the call and returns err.
func (a *attempt) end(err error) error {
	s := a.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.limit <= 0 {
		return err
	}
	r := Record{Call: a.call, Size: a.size, Outcome: objstore.Outcome(err)}
	r.Keys = append([]string(nil), r.Keys...)
	for _, e := range a.effects {
		r.Faults = append(r.Faults, e.name)
	}
	if len(s.mu.transcript) >= s.mu.limit {
		s.mu.transcript = s.mu.transcript[1:]
	}
	s.mu.transcript = append(s.mu.transcript, r)
	return err
}
