package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"wadi/agent/txn"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// Transactions coordinates transactional ids.
type Transactions interface {
	// Check is nil when this agent answers for a transactional id now.
	Check(id string) error
	// Mine says which of many transactional ids this agent answers for, by the agents of this moment.
	Mine() func(id string) bool
	// Do proposes a command and waits for the verdict; see txn.Coordinator.
	Do(ctx context.Context, a txn.Ask) (state.Result, error)
}

// txnTimeout bounds the wait of a transaction's request for the journal; clients ask again.
const txnTimeout = 10 * time.Second

// producerRef is how requests name a producer.
type producerRef struct {
	txn   string // transactional id
	id    int64
	epoch int16
}

var (
	errNoTxnID  = refuse(kerr.InvalidRequest, "the transactional id is empty")
	errMapping  = refuse(kerr.InvalidProducerIDMapping, "the transactional id has another producer id, or none")
	errAbortTxn = refuse(kerr.TransactionAbortable, "the partition is not in the transaction")
)

// mapped finds out whether a transactional id has the producer id, and the position at which it was asked. State judges
// by the producer id alone, which belongs to one transactional id for ever; whether the client means that one is asked
// here. The id that it had before is let pass with retired: State knows which repetitions it may still answer. Nobody is
// told that the two do not belong together before a barrier.
func (a *API) mapped(ctx context.Context, p producerRef, retired bool) (base int64, err error) {
	if p.txn == "" {
		return 0, errNoTxnID
	}
	if err := a.d.Txns.Check(p.txn); err != nil {
		return 0, err
	}
	a.twice(ctx, func(s *state.State, barrier error) (missing bool) {
		base, err = s.Position(), nil
		t := s.Txn(p.txn)
		if t != nil && (t.ProducerID == p.id || retired && s.TxnByProducer(p.id) == t) {
			return false
		}
		err = either(barrier, errMapping)
		return true
	})
	return base, err
}

// transact proposes a command for a transactional id that this agent coordinates. An error is State's refusal, or says
// that nobody knows.
func (a *API) transact(ctx context.Context, id string, command *pb.Command) (state.Result, error) {
	id = own(id)
	return a.judged(a.d.Txns.Do(ctx, txn.Ask{Command: command, Check: func() error { return a.d.Txns.Check(id) }}))
}

func (a *API) judged(r state.Result, err error) (state.Result, error) {
	switch {
	case err != nil:
		return r, groupError(err)
	case r.Code != state.OK:
		return r, &Refused{r.Code}
	}
	return r, nil
}

// fencedCode is the code of an error for an API whose versions from since on know PRODUCER_FENCED; older clients
// are told INVALID_PRODUCER_EPOCH (Semantics line 73).
func fencedCode(api, version, since int16, err error) int16 {
	n := code(api, err)
	if n == kerr.ProducerFenced.Code && version < since {
		return kerr.InvalidProducerEpoch.Code
	}
	return n
}

// txnStates are Kafka's names of what becomes of a transaction; those that State has no counterpart of are known as
// filters.
var txnStates = map[state.TxnStatus]string{
	state.TxnEmpty: "Empty", state.TxnOngoing: "Ongoing", state.TxnCommitted: "CompleteCommit", state.TxnAborted: "CompleteAbort",
}

// began is when the open transaction began, in Unix milliseconds, or -1.
func began(t *state.Txn) int64 {
	if t.Status != state.TxnOngoing {
		return -1
	}
	return t.BeganMs
}
