package api

// DescribeProducers: key 61, versions 0 to 0.

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/metadata/state"
)

// describeProducers lists the idempotent producers that a partition remembers, for KIP-664's tools (Semantics line 85).
// Where Apache Kafka shows the largest timestamp of a producer's last batch, this is the time of its append: State keeps
// no other. No coordinator epoch and no open transaction is known, which is -1.
func (a *API) describeProducers(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.DescribeProducersRequest)
	resp := kmsg.NewPtrDescribeProducersResponse()
	barrier := a.barrier(ctx)
	var producers []state.Producer
	for i := range body.Topics {
		in := &body.Topics[i]
		out := kmsg.NewDescribeProducersResponseTopic()
		out.Topic = in.Topic
		bad := validName(in.Topic)
		for _, n := range in.Partitions {
			err := either(barrier, bad)
			if err == nil {
				producers, err = a.producers(in.Topic, n, producers[:0])
			}
			slot := kmsg.NewDescribeProducersResponseTopicPartition()
			slot.Partition, slot.ErrorCode = n, code(keyDescribeProducers, err)
			if err != error(kerr.UnknownTopicOrPartition) {
				slot.ErrorMessage = message(err)
			}
			if err == nil {
				slot.ActiveProducers = make([]kmsg.DescribeProducersResponseTopicPartitionActiveProducer, len(producers))
			}
			for j, p := range producers {
				if err != nil {
					break
				}
				active := &slot.ActiveProducers[j]
				active.Default()
				active.ProducerID, active.ProducerEpoch = p.ID, int32(p.Epoch)
				active.LastSequence, active.LastTimestamp = p.LastSequence, p.LastTime
				active.CoordinatorEpoch, active.CurrentTxnStartOffset = -1, -1
			}
			out.Partitions = append(out.Partitions, slot)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp, nil
}

// producers of one partition, by id. That a topic is known and its partition is not needs no words. One read of the view for each keeps it free for others meanwhile.
func (a *API) producers(topic string, partition int32, dst []state.Producer) ([]state.Producer, error) {
	var err error = ErrUnknownTopic
	a.d.View.Read(func(s *state.State) {
		t := s.Topic(topic)
		if t == nil {
			return
		}
		err = kerr.UnknownTopicOrPartition
		if p := t.Partition(partition); p != nil {
			dst, err = p.Producers(dst), nil
		}
	})
	slices.SortFunc(dst, func(x, y state.Producer) int {
		if x.ID < y.ID {
			return -1
		}
		return 1
	})
	return dst, err
}
