package api

// InitProducerId: key 22, versions 0 to 5.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

var errTxnTimeout = refuse(kerr.InvalidTransactionTimeout, "the transaction timeout is not above 0, or above transaction.max.timeout.ms")

// initProducerID gives out a producer id that nobody ever had, with epoch 0 (Semantics line 69), or, for a
// transactional id, its next epoch: whoever used it before is shut out and what that one had open is aborted, in one
// command, so nobody is told to wait for the end of it (CONCURRENT_TRANSACTIONS; Semantics line 70). An id and epoch
// that the client names (KIP-360) matter with a transactional id alone; without one it simply gets a new id.
func (a *API) initProducerID(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.InitProducerIDRequest)
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	ctx, cancel := context.WithTimeout(ctx, txnTimeout)
	defer cancel()
	id, epoch, err := a.newProducer(ctx, body)
	if err == nil {
		resp.ProducerID, resp.ProducerEpoch = id, epoch
	}
	resp.ErrorCode = fencedCode(keyInitProducerID, req.Version, 4, err)
	return resp, nil
}

func (a *API) newProducer(ctx context.Context, body *kmsg.InitProducerIDRequest) (id int64, epoch int16, err error) {
	if (body.ProducerID == -1) != (body.ProducerEpoch == -1) { // KIP-360: both or none
		return 0, 0, refuse(kerr.InvalidRequest, "a producer id without an epoch, or the other way round")
	}
	if body.TransactionalID == nil {
		o := a.d.Proposer.Propose(ctx, []*pb.Command{{Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{}}}})[0]
		return o.Result.ID, 0, o.failed()
	}
	name := *body.TransactionalID
	switch {
	case name == "":
		return 0, 0, errNoTxnID
	case body.TransactionTimeoutMillis <= 0 || body.TransactionTimeoutMillis > a.d.Config.MaxTxnTimeoutMs:
		return 0, 0, errTxnTimeout
	}
	k := &pb.InitProducer{TransactionalId: own(name), TimeoutMs: body.TransactionTimeoutMillis}
	if body.ProducerID != -1 {
		k.Resume, k.ProducerId, k.ProducerEpoch = true, body.ProducerID, int32(body.ProducerEpoch)
	}
	var base int64
	a.d.View.Read(func(s *state.State) { base = s.Position() })
	r, err := a.transact(ctx, name, &pb.Command{Base: base, Kind: &pb.Command_InitProducer{InitProducer: k}})
	return r.ID, r.Epoch, err
}
