package api

// OffsetForLeaderEpoch: key 23, versions 2 to 4.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/metadata/state"
)

// offsetForLeaderEpoch: the leader epoch is always 0, so epoch 0 ends at the log's end and no other epoch ever was
// (Semantics line 49). Below it, as below any first epoch, the answer is the log's start.
func (a *API) offsetForLeaderEpoch(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.OffsetForLeaderEpochRequest)
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	resp.Topics = make([]kmsg.OffsetForLeaderEpochResponseTopic, len(body.Topics))
	barrier := a.barrier(ctx) // An end that is too low would make a consumer throw away what it has read.
	a.d.View.Read(func(s *state.State) {
		for i := range body.Topics {
			in, out := &body.Topics[i], &resp.Topics[i]
			out.Topic = in.Topic
			t, unknown := topicRef{name: in.Topic}.find(s)
			for _, want := range in.Partitions {
				slot := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				slot.Partition = want.Partition
				var p *state.Partition
				if unknown == nil {
					p = t.Partition(want.Partition)
				}
				err := barrier
				if err == nil && p == nil {
					err = ErrUnknownTopic
				}
				if err == nil {
					err = checkEpoch(want.CurrentLeaderEpoch)
				}
				slot.ErrorCode = code(keyOffsetForLeaderEpoch, err)
				switch {
				case err != nil:
				case want.LeaderEpoch == 0:
					slot.LeaderEpoch, slot.EndOffset = 0, p.Next
				case want.LeaderEpoch < -1:
					slot.LeaderEpoch, slot.EndOffset = want.LeaderEpoch, p.LogStart
				}
				out.Partitions = append(out.Partitions, slot)
			}
		}
	})
	return resp, nil
}
