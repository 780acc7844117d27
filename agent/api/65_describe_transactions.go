package api

// DescribeTransactions: key 65, versions 0 to 0.

import (
	"context"
	"math"
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/metadata/state"
)

// describeTransactions tells of transactional ids that this agent coordinates (KIP-664). Groups whose positions are
// pending stand there as partitions of the topic in which Kafka would keep them.
func (a *API) describeTransactions(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.DescribeTransactionsRequest)
	resp := kmsg.NewPtrDescribeTransactionsResponse()
	resp.TransactionStates = make([]kmsg.DescribeTransactionsResponseTransactionState, len(body.TransactionalIDs))
	stale := a.barrier(ctx)
	for i, id := range body.TransactionalIDs {
		out := &resp.TransactionStates[i]
		out.Default()
		out.TransactionalID = id
		var err error
		if id == "" {
			err = errNoTxnID
		} else if err = a.d.Txns.Check(id); err == nil {
			err = stale
		}
		if err == nil {
			a.d.View.Read(func(s *state.State) { err = describeTxn(s, id, out) })
		}
		out.ErrorCode = code(keyDescribeTransactions, err)
	}
	return resp, nil
}

var errUnknownTxnID = refuse(kerr.TransactionalIDNotFound, "no such transactional id")

func describeTxn(s *state.State, id string, out *kmsg.DescribeTransactionsResponseTransactionState) error {
	t := s.Txn(id)
	if t == nil {
		return errUnknownTxnID
	}
	out.State, out.TimeoutMillis, out.StartTimestamp = txnStates[t.Status], t.TimeoutMs, began(t)
	out.ProducerID, out.ProducerEpoch = t.ProducerID, t.Epoch
	out.Topics = []kmsg.DescribeTransactionsResponseTransactionStateTopic{}
	last := uint64(0)
	t.EachPartition(func(number uint64, partition int32) {
		topic := s.TopicByNumber(number)
		if topic == nil {
			return // deleted meanwhile
		}
		if number != last {
			out.Topics = append(out.Topics, kmsg.DescribeTransactionsResponseTransactionStateTopic{Topic: topic.Name})
			last = number
		}
		x := &out.Topics[len(out.Topics)-1]
		x.Partitions = append(x.Partitions, partition)
	})
	if groups := t.Groups(); len(groups) > 0 {
		out.Topics = append(out.Topics, kmsg.DescribeTransactionsResponseTransactionStateTopic{
			Topic: offsetsTopic, Partitions: offsetsPartitions(groups),
		})
	}
	return nil
}

// offsetsTopic is where Kafka keeps what groups commit; here it does not exist.
const offsetsTopic = "__consumer_offsets"

// offsetsPartitions are the partitions of a topic of 50 that Kafka would keep the groups in, each once, in the order of
// the groups.
func offsetsPartitions(groups []string) (partitions []int32) {
	seen := map[int32]bool{}
	for _, g := range groups {
		h := int32(0) // Java's String.hashCode
		for _, unit := range utf16.Encode([]rune(g)) {
			h = 31*h + int32(unit)
		}
		p := max(h, -h) % 50
		if h == math.MinInt32 {
			p = 0
		}
		if !seen[p] {
			seen[p] = true
			partitions = append(partitions, p)
		}
	}
	return partitions
}
