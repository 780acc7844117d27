package api

// ListTransactions: key 66, versions 0 to 2.

import (
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/metadata/state"
)

// knownTxnStates are Kafka's. Those between the two phases of its transactions, and the last, are never seen here.
var knownTxnStates = []string{
	"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence",
}

// listTransactions lists the transactional ids that this agent coordinates: clients ask every broker and add up.
func (a *API) listTransactions(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	resp := kmsg.NewPtrListTransactionsResponse()
	resp.UnknownStateFilters, resp.TransactionStates = []string{}, []kmsg.ListTransactionsResponseTransactionState{}
	f, err := newTxnFilter(req.Body.(*kmsg.ListTransactionsRequest), time.Now())
	if err == nil {
		err = a.barrier(ctx)
	}
	if err != nil {
		resp.ErrorCode = code(keyListTransactions, err)
		return resp, nil
	}
	resp.UnknownStateFilters = append(resp.UnknownStateFilters, f.unknown...)
	for next, first := uint64(0), true; (first || next != 0) && ctx.Err() == nil; first = false {
		var step []kmsg.ListTransactionsResponseTransactionState
		a.d.View.Read(func(s *state.State) {
			next = s.SomeTxns(next, listStep, func(t *state.Txn) {
				if f.takes(t) {
					x := kmsg.NewListTransactionsResponseTransactionState()
					x.TransactionalID, x.ProducerID, x.TransactionState = t.Name, t.ProducerID, txnStates[t.Status]
					step = append(step, x)
				}
			})
		})
		mine := a.d.Txns.Mine()
		for _, x := range step {
			if f.matches(x.TransactionalID) && mine(x.TransactionalID) {
				resp.TransactionStates = append(resp.TransactionStates, x)
			}
		}
	}
	return resp, nil
}

// txnFilter is what a client wants to see.
type txnFilter struct {
	states    []string
	unknown   []string // states that do not exist
	producers []int64
	before    int64 // Unix milliseconds: only what began earlier; 0 = any
	pattern   *regexp.Regexp
}

func newTxnFilter(body *kmsg.ListTransactionsRequest, now time.Time) (*txnFilter, error) {
	f := &txnFilter{states: body.StateFilters, producers: body.ProducerIDFilters}
	for _, s := range body.StateFilters {
		if !slices.Contains(knownTxnStates, s) && !slices.Contains(f.unknown, s) {
			f.unknown = append(f.unknown, s)
		}
	}
	if body.DurationFilterMillis >= 0 {
		f.before = now.UnixMilli() - body.DurationFilterMillis
	}
	if p := body.TransactionalIDPattern; p != nil && *p != "" {
		var err error
		if f.pattern, err = regexp.Compile(*p); err != nil {
			return nil, refuse(kerr.InvalidRegularExpression, "the pattern of transactional ids: %v", err)
		}
		f.pattern.Longest()
	}
	return f, nil
}

// takes judges what is quick to judge. Who has not begun is older than any duration, as in Kafka.
func (f *txnFilter) takes(t *state.Txn) bool {
	return (len(f.states) == 0 || slices.Contains(f.states, txnStates[t.Status])) &&
		(len(f.producers) == 0 || slices.Contains(f.producers, t.ProducerID)) &&
		(f.before == 0 || since(t) < f.before)
}

// since is when an open transaction began, in Unix milliseconds, and for want of that when one that is over ended, which was
// later; -1 = the id has had none.
func since(t *state.Txn) int64 {
	if t.Status == state.TxnCommitted || t.Status == state.TxnAborted {
		return t.ChangedMs
	}
	return began(t)
}

// matches judges what may take long, when State is not held. The pattern matches whole names: where it does, the leftmost
// longest match is the name. Anchors around it would not hold for one with an open \Q.
func (f *txnFilter) matches(id string) bool {
	if f.pattern == nil {
		return true
	}
	at := f.pattern.FindStringIndex(id)
	return at != nil && at[0] == 0 && at[1] == len(id)
}
