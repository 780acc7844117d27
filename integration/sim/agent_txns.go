package sim

import (
	"fmt"
	"slices"

	"wadi/agent/group"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// maxConflicts is how often a command is judged again.
const maxConflicts = 10

// answersFor tells whether the agent answers for a transactional id now.
func (a *agent) answersFor(name string) bool {
	return a.groups != nil && a.caughtUp && a.opened && a.leaseHolds() && a.rank(name) == 0
}

// transact is what txn.Coordinator does: it proposes, in the session of now, and where the command met a change that it
// did not know of it is judged again behind that, while its client waits.
func (a *agent) transact(check, waits func() bool, command *pb.Command, answer func(state.Result, error)) {
	tenant, _, _ := a.sess.Session()
	tries := 0
	var try func(c *pb.Command)
	try = func(c *pb.Command) {
		if !check() {
			answer(state.Result{}, group.ErrNotCoordinator)
			return
		}
		x := &commit{answer: func(err error) { answer(state.Result{}, fmt.Errorf("%w: %w", session.ErrUnknown, err)) }}
		a.commits = append(a.commits, x)
		if c.GetInitProducer() == nil && a.w.chance(a.w.faults.overtaken/3) {
			a.waylaid = true
		}
		a.sessStep(func(core *session.Core) {
			core.Propose(a.instant(), &session.Proposal{Command: c, Control: true, Session: tenant, Done: func(o session.Outcome) {
				i := slices.Index(a.commits, x)
				if i < 0 {
					return // answered when the lease may have been over
				}
				a.commits = slices.Delete(a.commits, i, i+1)
				if o.Err != nil {
					answer(state.Result{}, o.Err)
					return
				}
				r := state.Result{Code: o.Result.Code, ID: o.Result.ID, Epoch: o.Result.Epoch}
				if tries++; r.Code != state.Conflict || tries > maxConflicts || !waits() {
					answer(r, nil)
					return
				}
				a.after(0, func() {
					s := a.view.State()
					if overtaken(s, command) {
						answer(r, nil)
						return
					}
					try(&pb.Command{Base: s.Position(), Kind: c.Kind})
				})
			}})
		})
	}
	try(command)
}

// overtaken tells, as the coordinator asks it, that the open transaction began after a request came that nothing but its
// time tells from one of that transaction.
func overtaken(s *state.State, c *pb.Command) bool {
	var t *state.Txn
	switch end, offsets := c.GetEndTxn(), c.GetCommitTxnOffsets(); {
	case end != nil && !end.Bump:
		t = s.TxnByProducer(end.ProducerId)
	case offsets != nil && !offsets.Implicit:
		t = s.TxnByProducer(offsets.ProducerId)
	}
	return t != nil && t.Began > c.Base
}
