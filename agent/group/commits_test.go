package group

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/agent/tenure"
	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// silentEtcd is a session whose proposals get no answer until the test gives it.
type silentEtcd struct {
	alive     atomic.Bool
	session   atomic.Int64
	proposals chan *session.Proposal
}

func (s *silentEtcd) Propose(p *session.Proposal) { s.proposals <- p }
func (s *silentEtcd) Alive() bool                 { return s.alive.Load() }
func (s *silentEtcd) Current() (layout.Session, int32, bool) {
	return layout.Session(s.session.Load()), 0, true
}

type emptyView struct{ s *state.State }

func (v emptyView) Read(f func(*state.State))   { f(v.s) }
func (emptyView) Barrier(context.Context) error { return nil }

type allMine struct{}

func (allMine) Mine(string) bool { return true }
func (allMine) Many() func(string) bool {
	return func(string) bool { return true }
}
func (allMine) Epoch() uint64 { return 1 }

// F6: a commit that etcd does not answer is sent to the next coordinator once the lease may be over, and its late outcome
// is nobody's. What is answered in time is answered as it is.
func TestCommitsOfALostLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := &silentEtcd{proposals: make(chan *session.Proposal, 10)}
		etcd.alive.Store(true)
		etcd.session.Store(1)
		c := New(Options{
			View: emptyView{state.New()}, Session: etcd, Routing: allMine{}, Log: slog.New(slog.DiscardHandler),
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		answers := make(chan error, 10)
		commit := func() *session.Proposal {
			c.Commit(&Commit{Command: &pb.CommitOffsets{Group: "g", Generation: -1}, Done: func(err error) { answers <- err }})
			return <-etcd.proposals
		}
		commit().Done(session.Outcome{Result: &state.Result{}})
		require.NoError(t, <-answers)
		late := commit()
		time.Sleep(time.Second)
		require.Empty(t, answers, "it may still come")
		etcd.alive.Store(false)
		time.Sleep(2 * housekeeping)
		require.ErrorIs(t, <-answers, ErrNotCoordinator)
		late.Done(session.Outcome{Result: &state.Result{}})
		synctest.Wait()
		require.Empty(t, answers)
		c.Commit(&Commit{Command: &pb.CommitOffsets{Group: "g", Generation: -1}, Done: func(err error) { answers <- err }})
		require.ErrorIs(t, <-answers, ErrNotCoordinator)
		require.Empty(t, etcd.proposals)
		stop()
		require.NoError(t, <-ended)
	})
}

// F2: a process that was frozen past its lease and has a new session answers for no group for a moment, in which it refuses
// what lay in its sockets: a commit of before its sleep must not undo one that another coordinator took.
func TestOldRequestsAfterASleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := &silentEtcd{proposals: make(chan *session.Proposal, 10)}
		etcd.alive.Store(true)
		etcd.session.Store(1)
		c := New(Options{View: emptyView{state.New()}, Session: etcd, Routing: allMine{}, Log: slog.New(slog.DiscardHandler)})
		require.NoError(t, c.Check("g"), "the first session begins at once")
		time.Sleep(time.Minute)
		etcd.session.Store(2) // nobody saw that there was none
		require.ErrorIs(t, c.Check("g"), ErrNotCoordinator)
		time.Sleep(tenure.Settle - 1)
		require.ErrorIs(t, c.Check("g"), ErrNotCoordinator)
		time.Sleep(time.Nanosecond)
		require.NoError(t, c.Check("g"))
	})
}
