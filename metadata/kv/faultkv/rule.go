package faultkv

import (
	"fmt"
	"time"

	"wadi/metadata/kv"
)

// Op names a method of kv.KV.
type Op uint8

const (
	Txn Op = iota + 1
	Range
	Watch // the opening of a watch
	Grant
	KeepAlive
	Revoke
	Compact
	Status
	Response // one response of a watch, on its way to the reader
)

func (o Op) String() string {
	names := [...]string{"?", "txn", "range", "watch", "grant", "keepalive", "revoke", "compact", "status", "response"}
	if int(o) >= len(names) {
		o = 0
	}
	return names[o]
}

// Call is one call as a predicate sees it. The fields of other operations than Op are zero.
type Call struct {
	Op       Op
	Txn      kv.Txn
	Range    kv.RangeRequest
	Watch    kv.WatchRequest  // of Watch and Response
	Response kv.WatchResponse // of Response
	Lease    int64            // of KeepAlive and Revoke
	TTL      int64            // of Grant, seconds
	Revision int64            // of Compact
}

// Action is what happens to a call.
type Action uint8

const (
	// FailBefore answers Err (default kv.ErrUnavailable) without passing the call on. For Watch the watch ends with Err.
	FailBefore Action = iota + 1
	// LoseAnswer passes the call on and answers Err (default kv.ErrUnavailable) instead of its result. Not for watches.
	LoseAnswer
	// Delay waits for Delay, or until the context ends, then passes the call on. A delayed response delays those behind.
	Delay
	// Hang waits until the context ends or Close is called. A watch, or a response and all behind it, stays silent: frozen.
	Hang
	// HangAfter passes the call on, then waits as Hang does. Not for watches.
	HangAfter

	// Drop loses a response.
	Drop
	// Repeat delivers a response twice.
	Repeat
	// Swap delivers a response after the one that follows it. When none follows it is held back for ever.
	Swap
	// Cut ends the watch with Err (default kv.ErrUnavailable) in place of the response.
	Cut
)

func (a Action) String() string {
	names := [...]string{"?", "fail before", "lose answer", "delay", "hang", "hang after", "drop", "repeat", "swap", "cut"}
	if int(a) >= len(names) {
		a = 0
	}
	return names[a]
}

// Rule makes calls fail.
type Rule struct {
	Op Op
	// Match picks among the calls of Op; nil = all. It must not block nor use the KV, and is never called concurrently.
	Match  func(Call) bool
	Nth    int // the first matching call that is hit, from 1; 0 = 1
	Times  int // how many in a row from Nth on; 0 = 1, below 0 = all
	Action Action

	Err             error         // FailBefore, LoseAnswer, Cut
	CompactRevision int64         // Cut with kv.ErrCompacted
	Delay           time.Duration // Delay
}

func (r Rule) validate() error {
	watch := r.Op == Watch || r.Op == Response
	switch {
	case r.Op < Txn || r.Op > Response:
		return fmt.Errorf("faultkv: rule for op %d", r.Op)
	case r.Action < FailBefore || r.Action > Cut:
		return fmt.Errorf("faultkv: rule with action %d", r.Action)
	case watch && (r.Action == LoseAnswer || r.Action == HangAfter):
		return fmt.Errorf("faultkv: %v does not apply to %v", r.Action, r.Op)
	case r.Op == Response && r.Action == FailBefore:
		return fmt.Errorf("faultkv: %v does not apply to %v: use Cut", r.Action, r.Op)
	case r.Op != Response && r.Action >= Drop:
		return fmt.Errorf("faultkv: %v applies to responses, not to %v", r.Action, r.Op)
	case r.Nth < 0:
		return fmt.Errorf("faultkv: rule for call number %d", r.Nth)
	}
	return nil
}

// Handle tells about a rule in force.
type Handle struct {
	k    *KV
	rule Rule
	seen int // matching calls
	hits int
}

// Hits is how many calls the rule has hit.
func (h *Handle) Hits() int {
	h.k.mu.Lock()
	defer h.k.mu.Unlock()
	return h.hits
}

// Remove takes the rule out of force. What hangs by it goes on hanging until its context ends.
func (h *Handle) Remove() {
	h.k.mu.Lock()
	defer h.k.mu.Unlock()
	for i, other := range h.k.mu.rules {
		if other == h {
			h.k.mu.rules = append(h.k.mu.rules[:i:i], h.k.mu.rules[i+1:]...)
			return
		}
	}
}

// dueLocked counts c when it matches and reports whether the rule fires for it.
func (h *Handle) dueLocked(c Call) bool {
	if c.Op != h.rule.Op || h.rule.Match != nil && !h.rule.Match(c) {
		return false
	}
	h.seen++
	first, times := max(h.rule.Nth, 1), h.rule.Times
	if times == 0 {
		times = 1
	}
	return h.seen >= first && (times < 0 || h.seen < first+times)
}
