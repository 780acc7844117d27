package api

// DescribeProducers: key 61, versions 0 to 0.

import (
	"cmp"
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/metadata/state"
)

// describeProducers lists the idempotent producers that a partition remembers, for KIP-664's tools (Semantics line 85).
// Where Apache Kafka shows the largest timestamp of a producer's last batch, this is the time of its append: State keeps
// no other. The coordinator epoch is that of the last marker, always 0, or -1 before the first one.
func (a *API) describeProducers(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.DescribeProducersRequest)
	resp := kmsg.NewPtrDescribeProducersResponse()
	barrier := a.barrier(ctx)
	var producers []activeProducer
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
				active.CoordinatorEpoch, active.CurrentTxnStartOffset = p.coordinator, p.first
			}
			out.Partitions = append(out.Partitions, slot)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp, nil
}

// producers of one partition, by id. That a topic is known and its partition is not needs no words. One read of the view for each keeps it free for others meanwhile.
func (a *API) producers(topic string, partition int32, dst []activeProducer) ([]activeProducer, error) {
	var err error = ErrUnknownTopic
	a.d.View.Read(func(s *state.State) {
		t := s.Topic(topic)
		if t == nil {
			return
		}
		err = kerr.UnknownTopicOrPartition
		if p := t.Partition(partition); p != nil {
			dst, err = activeProducers(s, p, dst), nil
		}
	})
	slices.SortFunc(dst, func(x, y activeProducer) int { return cmp.Compare(x.ID, y.ID) })
	return dst, err
}

// activeProducer is a producer with the transaction that it has open on the partition.
type activeProducer struct {
	state.Producer
	first       int64 // offset of its first record, -1 = none is open
	coordinator int32
}

func activeProducers(s *state.State, p *state.Partition, dst []activeProducer) []activeProducer {
	first := map[int64]int64{}
	for _, o := range p.OpenTxns(nil) {
		first[o.ProducerID] = o.First
	}
	for _, x := range p.Producers(nil) {
		active := activeProducer{Producer: x, first: -1, coordinator: -1}
		if at, open := first[x.ID]; open {
			active.first = at
		} else if s.TxnByProducer(x.ID) != nil {
			active.coordinator = 0 // what it had open here has ended
		}
		dst = append(dst, active)
	}
	return dst
}
