package api

import (
	"context"
	"errors"
	"strings"
	"time"

	"wadi/agent/group"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// groupTimeout bounds the wait of a group's request for the journal; clients ask again.
const groupTimeout = 10 * time.Second

// own makes a string that may be kept and written to the journal: it does not alias a frame, and it is UTF-8, as
// protocol buffers want it. What is not is replaced, as Kafka's decoder does.
func own(s string) string { return strings.Clone(strings.ToValidUTF8(s, "\uFFFD")) }

// ownPtr is own of a nullable string; null is "".
func ownPtr(s *string) string {
	if s == nil {
		return ""
	}
	return own(*s)
}

// nullable is null for "".
func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// atCoordinator makes sure that this agent answers for a group and sees everything that was done to it.
func (a *API) atCoordinator(ctx context.Context, name string) error {
	if err := a.d.Groups.Check(name); err != nil {
		return err
	}
	return a.barrier(ctx)
}

// groupError names a session's failure in this package's terms and leaves others as they are.
func groupError(err error) error {
	for _, s := range []error{session.ErrUnknown, session.ErrBusy, session.ErrTooLarge, session.ErrNotProposed} {
		if errors.Is(err, s) {
			return sessionError(err)
		}
	}
	return err
}

func stateOf(t state.GroupType) string {
	if t == state.ConsumerGroup {
		return "consumer"
	}
	return "classic"
}

// Groups coordinates consumer groups. None of the requests blocks; each is answered exactly once, from any goroutine.
type Groups interface {
	// Check is nil when this agent answers for a group now.
	Check(name string) error
	// Mine says which of many groups this agent answers for, by the agents of this moment.
	Mine() func(name string) bool
	Join(*group.Join)
	Sync(*group.Sync)
	Heartbeat(*group.Heartbeat)
	ConsumerHeartbeat(*group.ConsumerHeartbeat)
	// NewMemberID makes an id that no other member has.
	NewMemberID() string
	Leave(*group.Leave)
	// Commit proposes in the order of the calls.
	Commit(*group.Commit)
	// Describe tells of a classic group, nil when there is none. The caller has seen to a barrier.
	Describe(name string) *group.Description
	// State is the name of a group's state, given the one that State has. It must not be called while State is read.
	State(name string, s state.GroupState) string
}
