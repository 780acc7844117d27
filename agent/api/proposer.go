package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// SessionProposer proposes through this agent's session. Commands of one call are queued together, so they usually
// share a journal entry.
type SessionProposer struct {
	Session interface{ Propose(*session.Proposal) }
}

// Propose implements Proposer. When ctx ends, what is unanswered is ErrOutcomeUnknown.
func (p SessionProposer) Propose(ctx context.Context, commands []*pb.Command) []Outcome {
	if len(commands) == 0 {
		return nil
	}
	w := &proposing{left: len(commands), all: make(chan struct{}), out: make([]Outcome, len(commands))}
	for i, c := range commands {
		w.out[i].Err = ErrOutcomeUnknown
		p.Session.Propose(&session.Proposal{Command: c, Control: true, Done: func(o session.Outcome) { w.done(i, o) }})
	}
	select {
	case <-w.all:
		return w.out
	case <-ctx.Done():
	}
	// Outcomes may still come in: the caller gets what is there now.
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Outcome(nil), w.out...)
}

var errTooLarge = refuse(kerr.InvalidRequest, "the request is too large")

type proposing struct {
	mu   sync.Mutex
	left int
	out  []Outcome
	all  chan struct{}
}

func (w *proposing) done(i int, o session.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out[i] = Outcome{Err: sessionError(o.Err)}
	if o.Err == nil {
		w.out[i].Result = state.Result{Code: o.Result.Code, ID: o.Result.ID, Batches: slices.Clone(o.Result.Batches)}
	}
	if w.left--; w.left == 0 {
		close(w.all)
	}
}

// sessionError names a session's failure in this package's terms.
func sessionError(err error) error {
	for _, m := range []struct{ from, to error }{
		{nil, nil},
		{session.ErrUnknown, ErrOutcomeUnknown},
		{session.ErrBusy, ErrMemory},
		{session.ErrTooLarge, errTooLarge}, // sending it again would not help
		{session.ErrNotProposed, ErrNotProposed},
	} {
		if errors.Is(err, m.from) {
			if m.to == nil {
				return nil
			}
			return fmt.Errorf("%w: %w", m.to, err)
		}
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err) // Nothing says that it cannot land.
}
