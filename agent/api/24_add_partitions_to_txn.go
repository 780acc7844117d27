package api

// AddPartitionsToTxn: key 24, versions 0 to 5.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// addPartitionsToTxn registers partitions in a transaction, or, from version 4 on, in several, each with its own
// answer; those versions can also ask whether partitions are registered. One bad partition, and none of its transaction
// is registered (Semantics line 74). It is answered when State has them, so what follows may be produced to any agent.
func (a *API) addPartitionsToTxn(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.AddPartitionsToTxnRequest)
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	ctx, cancel := context.WithTimeout(ctx, txnTimeout)
	defer cancel()
	if req.Version < 4 {
		one := addition{producer: producerRef{body.TransactionalID, body.ProducerID, body.ProducerEpoch}}
		for _, t := range body.Topics {
			one.topics = append(one.topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: t.Topic, Partitions: t.Partitions})
		}
		for _, t := range a.addPartitions(ctx, req.Version, &one) {
			x := kmsg.NewAddPartitionsToTxnResponseTopic()
			x.Topic = t.Topic
			for _, p := range t.Partitions {
				x.Partitions = append(x.Partitions, kmsg.AddPartitionsToTxnResponseTopicPartition{Partition: p.Partition, ErrorCode: p.ErrorCode})
			}
			resp.Topics = append(resp.Topics, x)
		}
		return resp, nil
	}
	resp.Transactions = make([]kmsg.AddPartitionsToTxnResponseTransaction, len(body.Transactions))
	for i := range body.Transactions {
		t := &body.Transactions[i]
		one := addition{producer: producerRef{t.TransactionalID, t.ProducerID, t.ProducerEpoch}, topics: t.Topics, verify: t.VerifyOnly}
		resp.Transactions[i].TransactionalID = t.TransactionalID
		resp.Transactions[i].Topics = a.addPartitions(ctx, req.Version, &one)
	}
	return resp, nil
}

// addition is what one transaction is to get, or to be asked for.
type addition struct {
	producer producerRef
	topics   []kmsg.AddPartitionsToTxnRequestTransactionTopic
	verify   bool

	unknown []bool // by partition, in the order of the request
	command *pb.AddToTxn
}

// addPartitions answers partition by partition: with an error of their own those that do not exist, and then the others
// are not attempted; else all with what became of the whole.
func (a *API) addPartitions(ctx context.Context, version int16, x *addition) []kmsg.AddPartitionsToTxnResponseTransactionTopic {
	var stale error
	missing := false
	a.twice(ctx, func(s *state.State, barrier error) bool {
		stale = barrier
		missing = x.find(s)
		return missing
	})
	var in []bool
	var err error
	if !missing {
		in, err = a.addOrVerify(ctx, x)
	}
	each := func(i int) error {
		switch {
		case missing && x.unknown[i]:
			return either(stale, ErrUnknownTopic)
		case missing:
			return kerr.OperationNotAttempted
		case err == nil && in != nil && !in[i]:
			return errAbortTxn
		}
		return err
	}
	out, n := make([]kmsg.AddPartitionsToTxnResponseTransactionTopic, len(x.topics)), 0
	for i, t := range x.topics {
		out[i].Topic = t.Topic
		for _, p := range t.Partitions {
			slot := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
			slot.Partition, slot.ErrorCode = p, fencedCode(keyAddPartitionsToTxn, version, 2, each(n))
			out[i].Partitions = append(out[i].Partitions, slot)
			n++
		}
	}
	return out
}

// find makes the command, and notes which partitions do not exist.
func (x *addition) find(s *state.State) (missing bool) {
	x.unknown = x.unknown[:0]
	x.command = &pb.AddToTxn{ProducerId: x.producer.id, ProducerEpoch: int32(x.producer.epoch)}
	for _, topic := range x.topics {
		t := s.Topic(topic.Topic)
		for _, p := range topic.Partitions {
			bad := t == nil || t.Partition(p) == nil
			x.unknown = append(x.unknown, bad)
			missing = missing || bad
			if !bad {
				x.command.Topics = append(x.command.Topics, t.Number)
				x.command.Partitions = append(x.command.Partitions, uint32(p))
			}
		}
	}
	return missing
}

// addOrVerify does what is asked for. With verify, in tells of each partition whether it is registered.
func (a *API) addOrVerify(ctx context.Context, x *addition) (in []bool, err error) {
	base, err := a.mapped(ctx, x.producer, false)
	switch {
	case err != nil:
		return nil, err
	case x.verify:
		return a.verify(ctx, x)
	case len(x.command.Topics) == 0:
		return nil, nil // nothing is asked for, and there is no place for an answer
	}
	_, err = a.transact(ctx, x.producer.txn, &pb.Command{Base: base, Kind: &pb.Command_AddToTxn{AddToTxn: x.command}})
	return nil, err
}

func (a *API) verify(ctx context.Context, x *addition) (in []bool, err error) {
	if err := a.barrier(ctx); err != nil {
		return nil, err
	}
	a.d.View.Read(func(s *state.State) {
		t := s.TxnByProducer(x.producer.id)
		switch {
		case t == nil || t.ProducerID != x.producer.id:
			err = errMapping
			return
		case t.Epoch != x.producer.epoch:
			err = &Refused{state.ProducerFenced}
			return
		}
		in = make([]bool, len(x.command.Topics))
		for i, topic := range x.command.Topics {
			in[i] = t.HasPartition(topic, int32(x.command.Partitions[i]))
		}
	})
	return in, err
}
