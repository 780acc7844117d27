package api

// EndTxn: key 26, versions 0 to 5.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// endTxn commits or aborts a transaction, all of it in one command. From version 5 on the producer goes on under the id
// and epoch of the answer (KIP-890), so that nothing that was sent under the old epoch can come in late. A request that
// is repeated gets the same answer again (Semantics lines 76 to 78).
func (a *API) endTxn(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.EndTxnRequest)
	resp := kmsg.NewPtrEndTxnResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	ctx, cancel := context.WithTimeout(ctx, txnTimeout)
	defer cancel()
	bump := req.Version >= 5
	p := producerRef{body.TransactionalID, body.ProducerID, body.ProducerEpoch}
	base, err := a.mapped(ctx, p, bump && p.epoch == state.MaxProducerEpoch)
	if err == nil {
		var r state.Result
		r, err = a.transact(ctx, p.txn, &pb.Command{Base: base, Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{
			ProducerId: p.id, ProducerEpoch: int32(p.epoch), Commit: body.Commit, Bump: bump,
		}}})
		if err == nil {
			resp.ProducerID, resp.ProducerEpoch = r.ID, r.Epoch
		}
	}
	resp.ErrorCode = fencedCode(keyEndTxn, req.Version, 2, err)
	return resp, nil
}
