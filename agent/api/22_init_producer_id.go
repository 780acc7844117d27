package api

// InitProducerId: key 22, versions 0 to 5.

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// initProducerIDTimeout bounds the wait for the journal; clients ask again.
const initProducerIDTimeout = 10 * time.Second

// initProducerID gives out a producer id that nobody ever had, with epoch 0 (semantics line 69). An id and epoch that
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
	ctx, cancel := context.WithTimeout(ctx, initProducerIDTimeout)
	defer cancel()
	results, err := a.d.Proposer.Propose(ctx, []*pb.Command{{Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{}}}})
	switch {
	case err != nil:
	case len(results) != 1:
		err = fmt.Errorf("%d results for one command", len(results))
	case results[0].Code != state.OK:
		err = &Refused{results[0].Code}
	default:
		resp.ProducerID, resp.ProducerEpoch = results[0].ID, 0
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
