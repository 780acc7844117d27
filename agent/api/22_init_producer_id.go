package api

// InitProducerId: key 22, versions 0 to 5.

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	pb "wadi/metadata/metadatapb"
)

// initProducerIDTimeout bounds the wait for the journal; clients ask again.
const initProducerIDTimeout = 10 * time.Second

// initProducerID gives out a producer id that nobody ever had, with epoch 0 (Semantics line 69). An id and epoch that
// the client names (KIP-360) matter with a transactional id alone; without one it simply gets a new id. A
// transactional id is refused with an error that is fatal to clients, as transactions are not served yet.
func (a *API) initProducerID(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.InitProducerIDRequest)
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerEpoch = -1
	if id := body.TransactionalID; id != nil {
		resp.ErrorCode = errTransactionalID(*id).Code
		return resp, nil
	}
	if (body.ProducerID == -1) != (body.ProducerEpoch == -1) { // KIP-360: both or none
		resp.ErrorCode = kerr.InvalidRequest.Code
		return resp, nil
	}
	ctx, cancel := context.WithTimeout(ctx, initProducerIDTimeout)
	defer cancel()
	command := &pb.Command{Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{}}}
	o := a.d.Proposer.Propose(ctx, []*pb.Command{command})[0]
	err := o.failed()
	if err == nil {
		resp.ProducerID, resp.ProducerEpoch = o.Result.ID, 0
	}
	resp.ErrorCode = code(keyInitProducerID, err)
	return resp, nil
}

func errTransactionalID(id string) *kerr.Error {
	if id == "" {
		return kerr.InvalidRequest
	}
	return kerr.TransactionalIDAuthorizationFailed
}
