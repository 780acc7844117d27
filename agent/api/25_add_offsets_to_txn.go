package api

// AddOffsetsToTxn: key 25, versions 0 to 4.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/group"
	"wadi/agent/server"
	pb "wadi/metadata/metadatapb"
)

// addOffsetsToTxn registers a group in a transaction. The group need not exist (Semantics line 83).
func (a *API) addOffsetsToTxn(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.AddOffsetsToTxnRequest)
	resp := kmsg.NewPtrAddOffsetsToTxnResponse()
	ctx, cancel := context.WithTimeout(ctx, txnTimeout)
	defer cancel()
	p := producerRef{body.TransactionalID, body.ProducerID, body.ProducerEpoch}
	base, err := a.mapped(ctx, p, false)
	if err == nil && body.Group == "" {
		err = group.ErrInvalidGroup
	}
	if err == nil {
		_, err = a.transact(ctx, p.txn, &pb.Command{Base: base, Kind: &pb.Command_AddToTxn{AddToTxn: &pb.AddToTxn{
			ProducerId: p.id, ProducerEpoch: int32(p.epoch), Groups: []string{own(body.Group)},
		}}})
	}
	resp.ErrorCode = fencedCode(keyAddOffsetsToTxn, req.Version, 2, err)
	return resp, nil
}
