package api

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

type fakeSession struct{ queue []*session.Proposal }

func (f *fakeSession) Propose(p *session.Proposal) { f.queue = append(f.queue, p) }

type instantSession struct{ outcomes []session.Outcome }

func (f *instantSession) Propose(p *session.Proposal) {
	o := f.outcomes[0]
	f.outcomes = f.outcomes[1:]
	p.Done(o)
}

func TestSessionProposer(t *testing.T) {
	ok := state.Result{Code: state.OK, ID: 5}
	bad := state.Result{Code: state.TopicExists, ID: 3}
	f := &instantSession{outcomes: []session.Outcome{
		{Result: &ok}, {Result: &bad}, {Err: fmt.Errorf("x: %w", session.ErrNotProposed)}, {Err: session.ErrUnknown}, {Err: session.ErrBusy},
		{Err: session.ErrTooLarge}, {Err: errors.New("unforeseen")},
	}}
	got := SessionProposer{f}.Propose(context.Background(), make([]*pb.Command, 7))
	require.Equal(t, int64(5), got[0].Result.ID)
	require.NoError(t, got[0].failed())
	require.ErrorAs(t, got[1].failed(), new(*Refused))
	for i, want := range []error{ErrNotProposed, ErrOutcomeUnknown, ErrMemory, kerr.InvalidRequest, ErrOutcomeUnknown} {
		require.ErrorIs(t, got[2+i].failed(), want)
	}
}

// When the caller's time is over, what was not answered is unknown, and a late answer harms nothing.
func TestSessionProposerTimesOut(t *testing.T) {
	f := &fakeSession{}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	got := SessionProposer{f}.Propose(ctx, make([]*pb.Command, 2))
	require.ErrorIs(t, got[0].Err, ErrOutcomeUnknown)
	require.ErrorIs(t, got[1].Err, ErrOutcomeUnknown)
	ok := state.Result{Code: state.OK, ID: 5}
	f.queue[0].Done(session.Outcome{Result: &ok})
	require.ErrorIs(t, got[0].Err, ErrOutcomeUnknown)
}
