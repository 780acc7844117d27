package sim

import (
	"time"

	"wadi/agent/api"
	"wadi/agent/txn"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// janitorEvery is how often an agent looks for transactions that are overdue.
const janitorEvery = 250 * time.Millisecond

// rank is the agent's place among those that may coordinate a transactional id.
func (a *agent) rank(id string) int {
	_, self, open := a.sess.Session()
	brokers := a.brokers()
	if !open || len(brokers) == 0 {
		return -1
	}
	return api.TxnRank(id, brokers, self)
}

// endOverdue is one look of the janitor, as package txn's Keeper has it.
func (a *agent) endOverdue() {
	if !a.caughtUp || !a.opened || !a.leaseHolds() {
		return
	}
	s := a.view.State()
	a.janitor.Look(a.mono(), a.w.wall()) // the object store's clock is right
	s.EachOpenTxn(func(t *state.Txn) {
		a.janitor.See(txn.Open{
			Number: t.Number, ID: t.Name, ProducerID: t.ProducerID, Epoch: t.Epoch, Began: t.Began,
			BeganAt: time.UnixMilli(t.BeganMs), Timeout: time.Duration(t.TimeoutMs) * time.Millisecond,
			Base: s.Position(), Rank: a.rank(t.Name),
		})
	})
	due, _ := a.janitor.Due()
	for _, o := range due {
		a.propose(&pb.Command{Base: o.Base, Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{
			ProducerId: o.ProducerID, ProducerEpoch: int32(o.Epoch), Fence: true,
		}}}, func(session.Outcome) { a.janitor.Done(a.mono(), o) })
	}
}
