package api

// AlterPartitionReassignments: key 45, versions 0 to 1.

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/metadata/state"
)

// alterPartitionReassignments moves nothing: replicas are computed from who is alive, and no agent holds data that could
// move. Asking for the brokers that a partition has is granted, cancelling finds nothing to cancel, and other brokers
// are refused rather than accepted and forgotten, for a tool would wait for them for ever.
func (a *API) alterPartitionReassignments(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.AlterPartitionAssignmentsRequest)
	resp := kmsg.NewPtrAlterPartitionAssignmentsResponse()
	resp.AllowReplicationFactorChange = body.AllowReplicationFactorChange
	r := reassigning{brokers: a.d.Members.Brokers(req.Conn.Listener), resize: req.Version == 0 || body.AllowReplicationFactorChange}
	a.twice(ctx, func(s *state.State, barrier error) (missing bool) {
		resp.Topics = make([]kmsg.AlterPartitionAssignmentsResponseTopic, len(body.Topics))
		for i := range body.Topics {
			in, out := &body.Topics[i], &resp.Topics[i]
			out.Topic = in.Topic
			out.Partitions = make([]kmsg.AlterPartitionAssignmentsResponseTopicPartition, len(in.Partitions))
			t, unknown := topicRef{name: in.Topic}.find(s)
			for j := range in.Partitions {
				want, slot := &in.Partitions[j], &out.Partitions[j]
				var err error
				switch {
				case unknown != nil:
					missing = true
					err = either(barrier, refuse(kerr.UnknownTopicOrPartition, "Unable to find a topic named %s.", in.Topic))
				case t.Partition(want.Partition) == nil:
					missing = true
					err = either(barrier, refuse(kerr.UnknownTopicOrPartition, "Unable to find partition %s:%d.", in.Topic, want.Partition))
				default:
					err = r.judge(partitionKey(t.ID, want.Partition), want.Replicas)
				}
				slot.Partition, slot.ErrorCode = want.Partition, code(keyAlterPartitionReassignments, err)
				if err != error(kerr.NoReassignmentInProgress) { // which needs no words
					slot.ErrorMessage = message(err)
				}
			}
		}
		return missing
	})
	return resp, nil
}

type reassigning struct {
	brokers []Broker
	resize  bool // the client allows another replication factor (KIP-860)
}

func (r *reassigning) judge(partition placeKey, replicas []int32) error {
	if replicas == nil {
		return kerr.NoReassignmentInProgress
	}
	if err := checkBrokers(replicas, r.brokers); err != nil {
		return err
	}
	have := place(partition, r.brokers, maxReplicas, nil)
	if len(have) != len(replicas) && !r.resize {
		return refuse(kerr.InvalidReplicationFactor, "The replication factor is changed from %d to %d", len(have), len(replicas))
	}
	slices.Sort(have)
	want := slices.Sorted(slices.Values(replicas))
	if !slices.Equal(have, want) {
		return refuse(kerr.InvalidReplicaAssignment, "replicas follow from the live brokers and cannot be assigned; these are %v", have)
	}
	return nil
}

// checkBrokers says what is wrong with the brokers that a client gives to a partition.
func checkBrokers(replicas []int32, brokers []Broker) error {
	if len(replicas) == 0 {
		return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes an empty replica list.")
	}
	for i, id := range replicas {
		if !slices.ContainsFunc(brokers, func(b Broker) bool { return b.NodeID == id }) {
			return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", id)
		}
		if slices.Contains(replicas[:i], id) {
			return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes the broker %d more than once.", id)
		}
	}
	return nil
}
