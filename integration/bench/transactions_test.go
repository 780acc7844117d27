package bench

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/rawbatch"
)

const (
	transactionsWarm    = 50
	transactionsSamples = 500
	transactionsWithin  = 30 * time.Second // for a coordinator to appear, or a transaction to settle
)

// BenchmarkEndTxn: transactions of one record in each of 1 and of 200 partitions, one after the other, by a client of
// KIP-890. "end" is the time until EndTxn is answered (wanted: 5 ms at p50), "settled" until readers of committed records see
// all of it, "whole" the same from the first write on.
//
// Apache Kafka does the same beside it: it answers when its coordinator has noted how the transaction ends, and writes the
// markers afterwards.
func BenchmarkEndTxn(b *testing.B) {
	for _, on := range []struct {
		name  string
		start func(*testing.B) target
	}{{"wadi", dev}, {"kafka", apacheKafka}} {
		for _, partitions := range []int32{1, 200} {
			b.Run(fmt.Sprintf("%s/%d", on.name, partitions), func(b *testing.B) {
				for b.Loop() {
					endTxns(b, on.start(b), partitions)
				}
			})
		}
	}
}

func endTxns(b *testing.B, t target, partitions int32) {
	createTopic(b, t, "transactions", partitions)
	x, err := newTransactions(t, partitions)
	if err != nil {
		b.Fatal(err)
	}
	defer x.conn.Close()
	var before figures
	var ended, settled, whole []time.Duration
	for i := range transactionsWarm + transactionsSamples {
		if i == transactionsWarm {
			before = read(b, t)
		}
		began := time.Now()
		end, settle, err := x.run()
		if err != nil {
			b.Fatal(err)
		}
		if i >= transactionsWarm {
			ended, settled, whole = append(ended, end), append(settled, settle), append(whole, time.Since(began))
		}
	}
	percentiles(b, "end", ended)
	percentiles(b, "settled", settled)
	percentiles(b, "whole", whole)
	if t.http != "" {
		b.ReportMetric(read(b, t).since(before, "wadi_journal_appends_total", "")/transactionsSamples, "appends/txn")
	}
}

// transactions is a producer on one connection.
type transactions struct {
	*wire
	id      string
	pid     int64
	epoch   int16
	parts   int32
	written int64 // offsets used up in each partition
}

func newTransactions(t target, partitions int32) (*transactions, error) {
	w, err := dialWire(t)
	if err != nil {
		return nil, err
	}
	x := &transactions{wire: w, id: "bench", parts: partitions}
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorType, find.CoordinatorKeys = 4, 1, []string{x.id}
	init := kmsg.NewPtrInitProducerIDRequest()
	init.Version, init.TransactionalID, init.TransactionTimeoutMillis = 5, &x.id, 60_000
	err = x.until(find, func(r kmsg.Response) int16 { return r.(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode })
	if err != nil {
		return nil, err
	}
	return x, x.until(init, func(r kmsg.Response) int16 {
		got := r.(*kmsg.InitProducerIDResponse)
		x.pid, x.epoch = got.ProducerID, got.ProducerEpoch
		return got.ErrorCode
	})
}

// until asks again while the answer is one that a client asks again after.
func (x *transactions) until(req kmsg.Request, code func(kmsg.Response) int16) error {
	for end := time.Now().Add(transactionsWithin); ; time.Sleep(time.Millisecond) {
		resp, err := x.ask(req)
		if err != nil {
			return err
		}
		switch err := kerr.ErrorForCode(code(resp)); {
		case err == nil:
			return nil
		case !kerr.IsRetriable(err) && !errors.Is(err, kerr.ConcurrentTransactions), time.Now().After(end):
			return fmt.Errorf("%T: %w", req, err)
		}
	}
}

// run is one transaction: how long its end took, and how long until it was settled everywhere.
func (x *transactions) run() (ended, settled time.Duration, err error) {
	if err := x.write(); err != nil {
		return 0, 0, err
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.Version, end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = 5, x.id, x.pid, x.epoch, true
	began := time.Now()
	resp, err := x.ask(end)
	if err != nil {
		return 0, 0, err
	}
	ended = time.Since(began)
	got := resp.(*kmsg.EndTxnResponse)
	if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
		return 0, 0, fmt.Errorf("EndTxn: %w", err)
	}
	x.pid, x.epoch = got.ProducerID, got.ProducerEpoch
	x.written += 2 // the record and its marker
	for {
		low, err := x.stable()
		if err != nil {
			return 0, 0, err
		}
		settled = time.Since(began)
		switch {
		case low == x.written:
			return ended, settled, nil
		case settled > transactionsWithin:
			return 0, 0, fmt.Errorf("a partition is stable up to %d of %d", low, x.written)
		}
	}
}

// write puts a record into each partition. The first of a producer's epoch has sequence 0.
func (x *transactions) write() error {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.TransactionID, req.Acks, req.TimeoutMillis = 12, &x.id, -1, 10_000
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic = "transactions"
	records := rawbatch.Of(time.Now().UnixMilli(), func(h *kmsg.RecordBatch) {
		h.ProducerID, h.ProducerEpoch, h.FirstSequence, h.Attributes = x.pid, x.epoch, 0, 0x10
	}, rawbatch.Values("a record")...)
	for p := range x.parts {
		part := kmsg.NewProduceRequestTopicPartition()
		part.Partition, part.Records = p, records
		topic.Partitions = append(topic.Partitions, part)
	}
	req.Topics = append(req.Topics, topic)
	return x.until(req, func(r kmsg.Response) int16 {
		for _, p := range r.(*kmsg.ProduceResponse).Topics[0].Partitions {
			if p.ErrorCode != 0 {
				return p.ErrorCode
			}
		}
		return 0
	})
}

// stable is the lowest offset up to which readers of committed records may read.
func (x *transactions) stable() (int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID, req.IsolationLevel = 7, -1, 1
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = "transactions"
	for p := range x.parts {
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Partition, part.Timestamp, part.CurrentLeaderEpoch = p, -1, -1
		topic.Partitions = append(topic.Partitions, part)
	}
	req.Topics = append(req.Topics, topic)
	low := x.written
	err := x.until(req, func(r kmsg.Response) int16 {
		for _, p := range r.(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
			if p.ErrorCode != 0 {
				return p.ErrorCode
			}
			low = min(low, p.Offset)
		}
		return 0
	})
	return low, err
}
