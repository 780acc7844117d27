package agent

import (
	"context"
	"log/slog"
	"time"

	"wadi/agent/sweep"
	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// closeSessions ends, in State, the sessions whose key is gone. Every agent looks; the one with the lowest node id among
// the live ones acts, the others only after a longer while, so that one proposal is the rule. A repeat does nothing.
func closeSessions(ctx context.Context, p *parts, ttl time.Duration, log *slog.Logger) error {
	gone := map[layout.Session]time.Time{}
	tick := time.NewTicker(max(ttl/5, 100*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		missing, wait := missingSessions(p, ttl)
		for id := range gone {
			if !missing[id] {
				delete(gone, id)
			}
		}
		for id := range missing {
			since, known := gone[id]
			if !known {
				gone[id] = time.Now()
				continue
			}
			if time.Since(since) < wait {
				continue
			}
			if err := closeSession(ctx, p, id); err != nil && ctx.Err() == nil {
				log.Warn("session not closed", "session", id.String(), "error", err)
			}
		}
	}
}

// missingSessions are those open in State without a registration, and how long they must be missing before this agent
// acts.
func missingSessions(p *parts, ttl time.Duration) (map[layout.Session]bool, time.Duration) {
	live := p.members.All()
	_, own, open := p.session.Current()
	missing, rank := map[layout.Session]bool{}, 0
	if !open {
		return missing, 0
	}
	p.view.Read(func(s *state.State) {
		s.EachSession(func(id layout.Session, v state.Session) {
			if v.Closed != 0 {
				return
			}
			if _, ok := live[id]; !ok {
				missing[id] = true
			} else if v.NodeID < own && serves(live[id].Info) {
				rank++
			}
		})
	})
	return missing, ttl/5 + time.Duration(rank)*ttl
}

// serves reports whether a session is an agent's: who serves no clients has other things to do.
func serves(info *pb.SessionInfo) bool { return len(info.Endpoints) > 0 }

func closeSession(ctx context.Context, p *parts, id layout.Session) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	gone, err := p.members.Gone(ctx, id)
	if err != nil || !gone {
		return err
	}
	return p.session.Do(ctx, &pb.Command{Kind: &pb.Command_CloseSession{
		CloseSession: &pb.CloseSession{Session: int64(id)},
	}}, func(session.Outcome) {})
}

// lookForSweep is what this agent sees of the backlog, and of who is to sweep it.
func lookForSweep(p *parts) sweep.Look {
	live := p.members.All()
	self, own, open := p.session.Current()
	l := sweep.Look{}
	p.view.Read(func(s *state.State) {
		l.Unswept, l.LastSweep = s.Unswept(), s.LastSweep()
		if l.Unswept == 0 {
			return // the rest is not asked for
		}
		for id, member := range live {
			if v, ok := s.Session(id); ok && v.Closed == 0 && v.NodeID < own && serves(member.Info) && !member.Info.Draining {
				l.Rank++
			}
		}
	})
	if m, listed := live[self]; !open || !listed || m.Info.Draining {
		l.Rank = -1
	}
	return l
}
