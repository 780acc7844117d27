package job

import (
	"context"
	"errors"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// ErrNoSession: this process has no session now, so it can name no object.
var ErrNoSession = errors.New("no session")

// Name is the name of an object that a task is about to write. It is used for one object and one content, ever: what was
// sent to the store under it may land at any time.
type Name struct {
	Session layout.Session
	N       uint64
}

// Name gives out the next name. State takes the objects of a session in the order of their numbers, so a task introduces
// what it wrote, or gives it up, before it takes another name; tasks of one process take turns.
func (e *Env) Name() (Name, error) {
	id, _, open := e.Session.Current()
	if !open {
		return Name{}, ErrNoSession
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.session != id {
		e.session, e.last = id, 0
		e.Read(func(s *state.State) {
			v, _ := s.Session(id)
			e.last = v.LastMerge
		})
	}
	e.last++
	return Name{Session: id, N: e.last}, nil
}

// Introduce proposes the command that introduces the object of that name, and waits for its result. When the session of
// the name has ended the command is refused, and the object is an orphan that gc finds.
func (e *Env) Introduce(ctx context.Context, name Name, cmd *pb.Command, take func(session.Outcome)) error {
	return e.propose(ctx, name.Session, cmd, take)
}
