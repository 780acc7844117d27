package etcdkv

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"wadi/metadata/kv"
)

func header(h *pb.ResponseHeader) kv.Header {
	return kv.Header{ClusterID: h.GetClusterId(), Revision: h.GetRevision()}
}

// keyValue shares the value's bytes with the message.
func keyValue(p *mvccpb.KeyValue) kv.KeyValue {
	return kv.KeyValue{
		Key: string(p.Key), Value: p.Value, Lease: p.Lease,
		CreateRevision: p.CreateRevision, ModRevision: p.ModRevision, Version: p.Version,
	}
}

func keyValues(ps []*mvccpb.KeyValue) []kv.KeyValue {
	if len(ps) == 0 {
		return nil
	}
	out := make([]kv.KeyValue, len(ps))
	for i, p := range ps {
		out[i] = keyValue(p)
	}
	return out
}

func events(ps []*mvccpb.Event) []kv.Event {
	out := make([]kv.Event, len(ps))
	for i, p := range ps {
		if p.Type == mvccpb.Event_DELETE {
			out[i] = kv.Event{Delete: true, KV: kv.KeyValue{Key: string(p.Kv.Key), ModRevision: p.Kv.ModRevision}}
			continue
		}
		out[i] = kv.Event{KV: keyValue(p.Kv)}
	}
	return out
}

// rangeEnd is end on the wire: absent for the key alone.
func rangeEnd(end string) []byte {
	if end == "" {
		return nil
	}
	return []byte(end)
}

func txnRequest(t kv.Txn) *pb.TxnRequest {
	return &pb.TxnRequest{Compare: compares(t.If), Success: ops(t.Then), Failure: ops(t.Else)}
}

func compares(in []kv.Compare) []*pb.Compare {
	out := make([]*pb.Compare, len(in))
	for i, c := range in {
		p := &pb.Compare{Result: pb.Compare_EQUAL, Key: []byte(c.Key)}
		switch c.Target {
		case kv.CreateRevision:
			p.Target = pb.Compare_CREATE
			p.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: c.Want}
		case kv.ModRevision:
			p.Target = pb.Compare_MOD
			p.TargetUnion = &pb.Compare_ModRevision{ModRevision: c.Want}
		case kv.Version:
			p.Target = pb.Compare_VERSION
			p.TargetUnion = &pb.Compare_Version{Version: c.Want}
		}
		out[i] = p
	}
	return out
}

func ops(in []kv.Op) []*pb.RequestOp {
	out := make([]*pb.RequestOp, len(in))
	for i, op := range in {
		p := &pb.RequestOp{}
		switch op.Kind {
		case kv.OpPut:
			p.Request = &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{
				Key: []byte(op.Key), Value: op.Value, Lease: op.Lease,
			}}
		case kv.OpGet:
			p.Request = &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{
				Key: []byte(op.Key), RangeEnd: rangeEnd(op.End), Limit: op.Limit,
			}}
		case kv.OpDelete:
			p.Request = &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{
				Key: []byte(op.Key), RangeEnd: rangeEnd(op.End),
			}}
		}
		out[i] = p
	}
	return out
}

func txnResult(p *pb.TxnResponse) kv.TxnResult {
	res := kv.TxnResult{Header: header(p.Header), Succeeded: p.Succeeded}
	for _, r := range p.Responses {
		switch r := r.Response.(type) {
		case *pb.ResponseOp_ResponseRange:
			res.Gets = append(res.Gets, keyValues(r.ResponseRange.Kvs))
		case *pb.ResponseOp_ResponseDeleteRange:
			res.Deleted += r.ResponseDeleteRange.Deleted
		}
	}
	return res
}
