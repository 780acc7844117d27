package checkpoint

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
)

// ReadPointer reads the pointer, nil when there is no checkpoint yet.
func ReadPointer(ctx context.Context, store kv.KV, keys layout.Etcd) (*pb.Pointer, error) {
	res, err := store.Range(ctx, kv.RangeRequest{Key: keys.Checkpoint()})
	if err != nil {
		return nil, fmt.Errorf("read checkpoint pointer: %w", err)
	}
	if len(res.KVs) == 0 {
		return nil, nil
	}
	p := &pb.Pointer{}
	if err := proto.Unmarshal(res.KVs[0].Value, p); err != nil {
		return nil, fmt.Errorf("checkpoint pointer: %w", err)
	}
	return p, nil
}
