package group

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"wadi/internal/wallclock"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// ExpirerOptions of an Expirer.
type ExpirerOptions struct {
	View    View
	Routing Routing
	// Do proposes a command and waits for its outcome.
	Do func(ctx context.Context, c *pb.Command, take func(session.Outcome)) error
	// Date is the object store's clock. What goes by time waits while this machine's clock is far from it.
	Date      func(ctx context.Context) (time.Time, error)
	Retention time.Duration // offsets.retention.minutes
	Log       *slog.Logger
}

// Expirer forgets committed offsets whose group has had no member for the retention, those of deleted topics, and groups
// of which nothing is left. Each agent sees to the groups that it coordinates; what it proposes State judges again
// (Semantics line 66).
type Expirer struct{ o ExpirerOptions }

// NewExpirer starts nothing; see Run.
func NewExpirer(o ExpirerOptions) *Expirer { return &Expirer{o} }

const (
	expireEvery = time.Minute
	// expireStep is how many groups are looked at, and how many positions are named, while State is held.
	expireStep = 200
	// idleGroup is how long a group without members and offsets is kept: there is nothing in it to come back to.
	idleGroup = 10 * time.Minute
)

// Run looks once a minute until ctx ends.
func (x *Expirer) Run(ctx context.Context) error {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if err := x.round(ctx); err != nil && ctx.Err() == nil {
			x.o.Log.Warn("offsets not expired", "error", err)
		}
	}
}

// round goes through all groups in steps. A step that found as much as it may is taken again.
func (x *Expirer) round(ctx context.Context) error {
	clock := wallclock.New(x.o.Date)
	for next, first := uint64(0), true; first || next != 0; first = false {
		from := next
		var found []expiry
		full := false
		x.o.View.Read(func(s *state.State) {
			found, full, next = dueOffsets(s, from, time.Now(), x.o.Retention)
		})
		for _, e := range found {
			if !x.o.Routing.Mine(e.command.Group) {
				continue
			}
			if e.timed {
				if _, err := clock.Now(ctx); err != nil {
					return err
				}
			}
			err := x.o.Do(ctx, &pb.Command{Kind: &pb.Command_ExpireOffsets{ExpireOffsets: e.command}}, func(session.Outcome) {})
			if err != nil {
				return fmt.Errorf("group %q: %w", e.command.Group, err)
			}
		}
		if full && x.anyMine(found) {
			next, first = from, true
			continue
		}
	}
	return nil
}

func (x *Expirer) anyMine(found []expiry) bool {
	for _, e := range found {
		if x.o.Routing.Mine(e.command.Group) {
			return true
		}
	}
	return false
}

// expiry is a command, and whether it goes by time.
type expiry struct {
	command *pb.ExpireOffsets
	timed   bool
}

// dueOffsets lists what is due in the groups numbered after `after`, and where to go on. full tells that a group has
// more than one command may name.
func dueOffsets(s *state.State, after uint64, now time.Time, retention time.Duration) (found []expiry, full bool, next uint64) {
	next = s.SomeGroups(after, expireStep, func(g *state.Group) {
		before := now.Add(-retention).UnixMilli()
		if g.Offsets() == 0 {
			before = now.Add(-min(retention, idleGroup)).UnixMilli()
		}
		topics, partitions, over := s.ExpiredOffsets(g, before, state.MaxCommit)
		if len(topics) == 0 && !(over && g.Offsets() == 0) {
			return
		}
		full = full || len(topics) == state.MaxCommit
		found = append(found, expiry{timed: over, command: &pb.ExpireOffsets{
			Group: g.Name, BeforeMs: before, Topics: topics, Partitions: partitions,
		}})
	})
	return found, full, next
}
