// Package job is what the compactor's tasks share: what they work with, what they see of the cluster, how they propose.
//
// A task is a pass that is called again and again: it looks at a snapshot of State, decides what is due (its core), reads
// and writes objects, and proposes commands, one after the other. It keeps nothing that it could not find out anew: State
// judges every command against what is there when it lands, so a pass that dies at any point, or runs twice at a time,
// costs work and nothing else.
package job

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"wadi/internal/kafkaconfig"
	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore"
)

// Task is one of the compactor's tasks.
type Task interface {
	// Name of the task in logs and metrics.
	Name() string
	// Pass does some of what is due, in bounded memory and some seconds at most. more tells that the next pass has work
	// at once, as far as this one knows. An error ends the pass; the next one finds out what is left.
	Pass(ctx context.Context, in *View) (more bool, err error)
}

// View is what a pass sees.
type View struct {
	State *state.State // a snapshot, for this pass alone
	// Now is the wall clock in Unix milliseconds, that of this machine and of the store which is behind. Clock says why
	// there is none: nothing may be deleted or expire by time then.
	Now   int64
	Clock error
	// Mine tells whether a partition is this process' to work on; others work on the rest.
	Mine func(topic uint64, partition uint32) bool
	// Configs are a topic's, with what it gets from the brokers.
	Configs func(t *state.Topic) *kafkaconfig.Effective
}

// Proposer appends commands.
type Proposer interface {
	Current() (id layout.Session, node int32, open bool)
	Propose(p *session.Proposal)
}

// Archives reads inline bytes out of archives; checkpoint.Reader does.
type Archives interface {
	// Inline returns the inline bytes of the entry at position out of the archive object. The caller owns the bytes.
	Inline(ctx context.Context, key string, size uint64, position int64) ([]byte, error)
}

// Env is what tasks work with. Its fields are set once, before its first use.
type Env struct {
	Session  Proposer
	Store    objstore.Store // repeats what can be repeated
	Archives Archives
	// Inline returns the inline bytes of the entry at a position while the view holds them in memory, else nil: then an
	// archive holds them. They are the view's: not to be changed. It may be nil itself: nothing is in memory.
	Inline  func(position int64) []byte
	Objects layout.Objects
	Barrier func(ctx context.Context) error // passes when the live State holds all that was appended before
	Read    func(func(*state.State))        // of the live State; quick
	Log     *slog.Logger

	mu      sync.Mutex
	session layout.Session // that numbers were given under
	last    uint64         // the last number given
}

// proposeTimeout bounds one proposal.
const proposeTimeout = 15 * time.Second

// Do proposes a command and waits for its result, which take is called with while it is valid. An error is one of
// package session's: after ErrUnknown the command may land yet.
func (e *Env) Do(ctx context.Context, cmd *pb.Command, take func(session.Outcome)) error {
	return e.propose(ctx, 0, cmd, take)
}

func (e *Env) propose(ctx context.Context, of layout.Session, cmd *pb.Command, take func(session.Outcome)) error {
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	return session.Await(ctx, e.Session, &session.Proposal{Command: cmd, Session: of}, take)
}
