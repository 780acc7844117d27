package api

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// Semantics line 85: what kafka-transactions asks.
func TestDescribeAndListTransactions(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 3)
	k := c.dial()
	empty, open, done := newTxnProducer(t, k, "empty"), newTxnProducer(t, k, "open"), newTxnProducer(t, k, "done")
	require.Equal(t, []int16{0, 0}, open.add(3, map[string][]int32{"a": {2, 0}}, "a"))
	require.Zero(t, open.addGroup(4, "group"))
	require.Equal(t, []int16{0}, done.add(3, map[string][]int32{"a": {0}}, "a"))
	require.Zero(t, done.end(5, true).ErrorCode)
	c.set(func() { c.elsewhere = map[string]bool{"other": true} })

	r := kmsg.NewPtrDescribeTransactionsRequest()
	r.TransactionalIDs = []string{"empty", "open", "done", "none", "other", ""}
	got := k.ask(r).(*kmsg.DescribeTransactionsResponse).TransactionStates
	var codes []int16
	for i, x := range got {
		require.Equal(t, r.TransactionalIDs[i], x.TransactionalID)
		codes = append(codes, x.ErrorCode)
	}
	require.Equal(t, []int16{0, 0, 0, 105, 16, 42}, codes)
	require.Equal(t, []string{"Empty", "Ongoing", "CompleteCommit"}, []string{got[0].State, got[1].State, got[2].State})
	require.Equal(t, int64(-1), got[0].StartTimestamp)
	require.Positive(t, got[1].StartTimestamp)
	require.Equal(t, int32(60_000), got[1].TimeoutMillis)
	require.Equal(t, [2]int64{open.id, 0}, [2]int64{got[1].ProducerID, int64(got[1].ProducerEpoch)})
	require.Equal(t, int16(1), got[2].ProducerEpoch)
	require.Equal(t, []kmsg.DescribeTransactionsResponseTransactionStateTopic{
		{Topic: "a", Partitions: []int32{0, 2}}, {Topic: "__consumer_offsets", Partitions: []int32{47}},
	}, got[1].Topics)
	require.Empty(t, got[2].Topics)

	list := func(version int16, change func(*kmsg.ListTransactionsRequest)) (ids []string, resp *kmsg.ListTransactionsResponse) {
		r := kmsg.NewPtrListTransactionsRequest()
		r.SetVersion(version)
		change(r)
		resp = k.ask(r).(*kmsg.ListTransactionsResponse)
		for _, x := range resp.TransactionStates {
			ids = append(ids, x.TransactionalID+" "+x.TransactionState)
		}
		return ids, resp
	}
	all := []string{"empty Empty", "open Ongoing", "done CompleteCommit"}
	for version := int16(0); version <= 2; version++ {
		ids, _ := list(version, func(*kmsg.ListTransactionsRequest) {})
		require.Equal(t, all, ids)
		ids, resp := list(version, func(r *kmsg.ListTransactionsRequest) {
			r.StateFilters = []string{"Ongoing", "Empty", "PrepareAbort", "ongoing"}
		})
		require.Equal(t, all[:2], ids)
		require.Equal(t, []string{"ongoing"}, resp.UnknownStateFilters)
		ids, _ = list(version, func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{done.id, empty.id} })
		require.Equal(t, []string{all[0], all[2]}, ids)
	}
	ids, _ := list(1, func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = 3_600_000 })
	require.Equal(t, all[:1], ids, "what has no beginning is older than any time")
	ids, _ = list(2, func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = kmsg.StringPtr("o.*|.*ty") })
	require.Equal(t, all[:2], ids)
	ids, _ = list(2, func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = kmsg.StringPtr("") })
	require.Equal(t, all, ids)
	_, resp := list(2, func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = kmsg.StringPtr("(") })
	require.Equal(t, kerr.InvalidRegularExpression.Code, resp.ErrorCode)
	c.set(func() { c.elsewhere = map[string]bool{"open": true} })
	ids, _ = list(2, func(*kmsg.ListTransactionsRequest) {})
	require.Equal(t, []string{all[0], all[2]}, ids, "the others are listed elsewhere")
}

// The partition of a group is the one that Kafka would keep it in: Java's String.hashCode.
func TestOffsetsPartitions(t *testing.T) {
	require.Equal(t, []int32{0}, offsetsPartitions([]string{""}))
	require.Equal(t, []int32{0}, offsetsPartitions([]string{"polygenelubricants"}), "the hash has no absolute value")
	require.Equal(t, []int32{47, 12}, offsetsPartitions([]string{"a", "my-group", "a"}))
}

func markers(version int16, id int64, epoch int16, commit bool, topic string, partitions ...int32) *kmsg.WriteTxnMarkersRequest {
	r := kmsg.NewPtrWriteTxnMarkersRequest()
	r.SetVersion(version)
	r.Markers = []kmsg.WriteTxnMarkersRequestMarker{{
		ProducerID: id, ProducerEpoch: epoch, Committed: commit,
		Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: topic, Partitions: partitions}},
	}}
	return r
}

// KIP-664: an administrator's abort ends the transaction everywhere and shuts its producer out.
func TestWriteTxnMarkers(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 3)
	k := c.dial()
	ask := func(r *kmsg.WriteTxnMarkersRequest) (codes []int16) {
		m := k.ask(r).(*kmsg.WriteTxnMarkersResponse).Markers
		require.Len(t, m, 1)
		require.Equal(t, r.Markers[0].ProducerID, m[0].ProducerID)
		for _, p := range m[0].Topics[0].Partitions {
			codes = append(codes, p.ErrorCode)
		}
		return codes
	}
	for version := int16(1); version <= 2; version++ {
		p := newTxnProducer(t, k, fmt.Sprintf("t%d", version))
		require.Equal(t, []int16{0}, ask(markers(version, p.id, p.epoch, false, "a", 0)), "nothing is open")
		require.Equal(t, []int16{0}, ask(markers(version, p.id, p.epoch, true, "a", 0)))
		require.Equal(t, []int16{0, 0}, p.add(3, map[string][]int32{"a": {0, 1}}, "a"))
		require.Equal(t, []int16{0}, ask(markers(version, p.id, p.epoch, false, "a", 2)), "not in the transaction")
		require.Equal(t, []int16{48}, ask(markers(version, p.id, p.epoch, true, "a", 0)), "only the producer commits")
		require.Equal(t, []int16{47}, ask(markers(version, p.id, p.epoch-1, false, "a", 0)))
		status, _ := c.txnStatus(p.txn)
		require.Equal(t, state.TxnOngoing, status)
		require.Equal(t, []int16{0, 3}, ask(markers(version, p.id, p.epoch, false, "a", 0, 9)))
		status, epoch := c.txnStatus(p.txn)
		require.Equal(t, state.TxnAborted, status)
		require.Equal(t, p.epoch+1, epoch)
		require.Equal(t, kerr.ProducerFenced.Code, p.end(4, true).ErrorCode)
		require.Equal(t, []int16{0}, ask(markers(version, p.id, p.epoch, false, "a", 1)), "that is done")
		require.Equal(t, []int16{47}, ask(markers(version, p.id, p.epoch, true, "a", 1)), "the epoch is over")
	}
	require.Equal(t, []int16{0}, ask(markers(1, 1<<40, 0, false, "a", 0)), "nobody has that producer id")
	r := markers(1, 1, 0, false, "a", 0)
	r.Markers[0].Topics = nil
	require.Empty(t, k.ask(r).(*kmsg.WriteTxnMarkersResponse).Markers, "left out, as in Kafka")
}

// KIP-664: the producers of a partition, with what they have open there.
func TestDescribeProducersOfTransactions(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 1)
	k := c.dial()
	p := newTxnProducer(t, k, "t")
	number := uint64(0)
	c.Read(func(s *state.State) { number = s.Topic("a").Number })
	write := func(sequence int32) {
		r := c.apply(make([]byte, 100), &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: &pb.AppendBatches{
			Topics: []uint64{number}, Partitions: []uint32{0}, Offsets: []uint64{0}, Runs: []uint32{1},
			ProducerIds: []int64{p.id}, ProducerEpochs: []int32{int32(p.epoch)}, Sequences: []int32{sequence}, Transactional: []uint32{2},
			Batches: []uint32{1}, Records: []uint32{3}, Bytes: []uint32{100}, MaxTimestamps: []int64{0},
		}}})
		require.Equal(t, state.OK, r[0].Code)
		require.Equal(t, state.OK, r[0].Batches[0].Code)
	}
	ask := func() kmsg.DescribeProducersResponseTopicPartitionActiveProducer {
		r := kmsg.NewPtrDescribeProducersRequest()
		r.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "a", Partitions: []int32{0}}}
		x := k.ask(r).(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0].ActiveProducers
		require.Len(t, x, 1)
		return x[0]
	}
	write(0)
	require.Equal(t, [2]int64{-1, 0}, [2]int64{int64(ask().CoordinatorEpoch), ask().CurrentTxnStartOffset})
	require.Zero(t, p.end(4, true).ErrorCode)
	require.Equal(t, [2]int64{0, -1}, [2]int64{int64(ask().CoordinatorEpoch), ask().CurrentTxnStartOffset})
	write(3)
	require.Equal(t, int64(4), ask().CurrentTxnStartOffset)
}

// The markers of a transaction's partitions go to several agents at once: who comes second is told that it is done.
func TestMarkersAtTwoAgents(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 2)
	k := c.dial()
	p := newTxnProducer(t, k, "t")
	require.Equal(t, []int16{0, 0}, p.add(3, map[string][]int32{"a": {0, 1}}, "a"))
	c.set(func() {
		c.before = func() {
			c.before = nil
			c.applyFrom(9, &pb.Command{Base: c.position, Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{
				ProducerId: p.id, ProducerEpoch: int32(p.epoch), Fence: true,
			}}})
		}
	})
	r := k.ask(markers(1, p.id, p.epoch, false, "a", 1)).(*kmsg.WriteTxnMarkersResponse)
	require.Zero(t, r.Markers[0].Topics[0].Partitions[0].ErrorCode)
	require.Equal(t, int16(0), p.end(5, false).ErrorCode, "the producer aborts and goes on")
}
