package differential

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/rawbatch"
)

// Transactions. Apache Kafka ends one in two steps, and answers CONCURRENT_TRANSACTIONS until the second is done: every
// client asks again then. So does Finally, which is how cases ask what may meet a transaction on its way out. Wadi ends
// transactions in one step and is asked once.

// writer is a transactional producer of a case.
type writer struct {
	name  string
	id    int64
	epoch int16
	seq   map[string]int32 // next sequence, by topic and partition
}

// TransactionalID is a name of the run's own, for which the broker is ready: Apache Kafka creates its internal topic at the
// first question and loads its partitions when it leads them.
func (s *Script) TransactionalID(short string) string {
	name := s.Unused(short)
	s.Until(func() bool {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey, req.CoordinatorType = name, 1
		return s.Do(3, req).(*kmsg.FindCoordinatorResponse).ErrorCode == 0
	})
	s.Until(func() bool { // the coordinator loads
		code := s.Do(0, describeTransactions(name)).(*kmsg.DescribeTransactionsResponse).TransactionStates[0].ErrorCode
		return !kerr.IsRetriable(kerr.ErrorForCode(code))
	})
	return name
}

// Writer initialises a transactional producer with a transactional id of its own.
func (s *Script) Writer(short string) *writer {
	w := &writer{name: s.TransactionalID(short)}
	s.Fence(w)
	return w
}

// Fence initialises a writer again, as another instance of it would.
func (s *Script) Fence(w *writer) { s.initialised(w, 60_000) }

func (s *Script) initialised(w *writer, timeoutMs int32) {
	resp := s.finally(4, initProducer(w.name, timeoutMs, -1, -1)).(*kmsg.InitProducerIDResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		s.fail("InitProducerId of %s: %w", w.name, err)
	}
	w.id, w.epoch, w.seq = resp.ProducerID, resp.ProducerEpoch, map[string]int32{}
	s.names.producer(w.id)
}

// Finally asks as Ask does, and asks Apache Kafka again until it has closed the transaction before.
func (s *Script) Finally(req kmsg.Request) kmsg.Response { return s.FinallyAs(s.Version, req) }

// FinallyAs is Finally in another version.
func (s *Script) FinallyAs(version int16, req kmsg.Request) kmsg.Response {
	resp := s.finally(version, req)
	s.note(kmsg.NameForKey(req.Key()), resp)
	return resp
}

func (s *Script) finally(version int16, req kmsg.Request) kmsg.Response {
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		resp := s.exchange(version, req)
		if !s.broker.twoSteps || resp == nil || !holds(reflect.ValueOf(resp), passing) {
			return resp
		}
		if time.Now().After(deadline) {
			s.fail("%T: still to be asked again after %v", req, patience)
		}
	}
}

// passing are errors by which Apache Kafka asks to be asked again: the transaction before is not closed yet, a partition of
// its internal topics is not loaded yet, it has no block of producer ids yet.
var passing = []int64{
	int64(kerr.ConcurrentTransactions.Code), int64(kerr.CoordinatorLoadInProgress.Code), int64(kerr.CoordinatorNotAvailable.Code),
}

// holds: an answer holds one of the codes anywhere.
func holds(v reflect.Value, codes []int64) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return !v.IsNil() && holds(v.Elem(), codes)
	case reflect.Slice:
		for i := range v.Len() {
			if holds(v.Index(i), codes) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Name == "ErrorCode" && slices.Contains(codes, v.Field(i).Int()) || holds(v.Field(i), codes) {
				return true
			}
		}
	}
	return false
}

func initProducer(name string, timeout int32, id int64, epoch int16) *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = &name, timeout, id, epoch
	return req
}

// addPartitions is in the form of all versions: up to 3 for one transaction, then for a batch of one.
func addPartitions(w *writer, topic string, partitions ...int32) *kmsg.AddPartitionsToTxnRequest {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = w.name, w.id, w.epoch
	if topic != "" {
		in := kmsg.NewAddPartitionsToTxnRequestTopic()
		in.Topic, in.Partitions = topic, partitions
		req.Topics = append(req.Topics, in)
	}
	return batched(req)
}

// batched fills in what versions from 4 on send of a request.
func batched(req *kmsg.AddPartitionsToTxnRequest) *kmsg.AddPartitionsToTxnRequest {
	one := kmsg.NewAddPartitionsToTxnRequestTransaction()
	one.TransactionalID, one.ProducerID, one.ProducerEpoch = req.TransactionalID, req.ProducerID, req.ProducerEpoch
	for _, t := range req.Topics {
		in := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
		in.Topic, in.Partitions = t.Topic, t.Partitions
		one.Topics = append(one.Topics, in)
	}
	req.Transactions = []kmsg.AddPartitionsToTxnRequestTransaction{one}
	return req
}

func addOffsets(w *writer, group string) *kmsg.AddOffsetsToTxnRequest {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = w.name, w.id, w.epoch, group
	return req
}

func endTxn(w *writer, commit bool) *kmsg.EndTxnRequest {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = w.name, w.id, w.epoch, commit
	return req
}

func txnOffsetCommit(w *writer, group string, t topic, places ...place) *kmsg.TxnOffsetCommitRequest {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = w.name, w.id, w.epoch, group
	req.Generation = -1
	in := kmsg.NewTxnOffsetCommitRequestTopic()
	in.Topic, in.TopicID = t.name, t.id
	for _, p := range places {
		one := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		one.Partition, one.Offset, one.Metadata = p.partition, p.offset, kmsg.StringPtr("m")
		in.Partitions = append(in.Partitions, one)
	}
	req.Topics = append(req.Topics, in)
	return req
}

// inTxn is a batch of a transaction.
func inTxn(id int64, epoch int16, seq int32, list ...string) []byte {
	return batchOf(func(b *kmsg.RecordBatch) {
		b.ProducerID, b.ProducerEpoch, b.FirstSequence, b.Attributes = id, epoch, seq, 0x10
	}, rawbatch.Values(list...)...)
}

// batch is the writer's next batch for a partition.
func (w *writer) batch(t topic, partition int32, list ...string) []byte {
	key := t.name + string(rune('0'+partition))
	seq := w.seq[key]
	w.seq[key] += int32(len(list))
	return inTxn(w.id, w.epoch, seq, list...)
}

func (w *writer) produce(t topic, partition int32, batch []byte) *kmsg.ProduceRequest {
	req := produce(-1, t, part{partition, batch})
	req.TransactionID = &w.name
	return req
}

// The versions in which clients of both kinds end transactions and produce: those before KIP-890's second part (TV1) register
// partitions first, and a transaction's end leaves the epoch alone; others (TV2) register by producing, and it counts up.
const (
	produceTV1, endTV1, offsetsTV1 = 11, 4, 4
	produceTV2, endTV2, offsetsTV2 = 12, 5, 5
)

// Sent produces in a transaction, which begins if there is none. It must succeed.
func (s *Script) Sent(w *writer, t topic, partition int32, list ...string) {
	s.Registered(w, t, partition)
	s.stored(produceTV1, w, t, partition, list...)
}

// SentTV2 is Sent of a TV2 client.
func (s *Script) SentTV2(w *writer, t topic, partition int32, list ...string) {
	s.stored(produceTV2, w, t, partition, list...)
}

func (s *Script) stored(version int16, w *writer, t topic, partition int32, list ...string) {
	resp := s.finally(version, w.produce(t, partition, w.batch(t, partition, list...))).(*kmsg.ProduceResponse)
	if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
		s.fail("produce to %s in a transaction: %w", t.name, err)
	}
}

// Registered adds partitions to the writer's transaction. It must succeed.
func (s *Script) Registered(w *writer, t topic, partitions ...int32) {
	resp := s.finally(3, addPartitions(w, t.name, partitions...)).(*kmsg.AddPartitionsToTxnResponse)
	for _, p := range resp.Topics[0].Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			s.fail("AddPartitionsToTxn: %w", err)
		}
	}
}

// Ended ends a transaction, which must succeed, and waits until it shows.
func (s *Script) Ended(w *writer, commit bool) { s.ended(endTV1, w, commit) }

// EndedTV2 is Ended of a TV2 client.
func (s *Script) EndedTV2(w *writer, commit bool) { s.ended(endTV2, w, commit) }

func (s *Script) ended(version int16, w *writer, commit bool) {
	resp := s.finally(version, endTxn(w, commit)).(*kmsg.EndTxnResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		s.fail("EndTxn: %w", err)
	}
	if version >= endTV2 {
		if resp.ProducerEpoch != w.epoch || resp.ProducerID != w.id {
			w.seq = map[string]int32{}
		}
		w.id, w.epoch = resp.ProducerID, resp.ProducerEpoch
		s.names.producer(w.id)
	}
	s.Closed(w)
}

// Closed waits until Apache Kafka has written the markers of what was ended before.
func (s *Script) Closed(w *writer) {
	if !s.broker.twoSteps {
		return
	}
	s.Until(func() bool {
		state := s.Do(0, describeTransactions(w.name)).(*kmsg.DescribeTransactionsResponse).TransactionStates[0]
		return !strings.HasPrefix(state.State, "Prepare")
	})
}

func describeTransactions(names ...string) *kmsg.DescribeTransactionsRequest {
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = names
	return req
}

// committed asks for what consumers with isolation level read_committed see.
func committed(t topic, places ...place) *kmsg.FetchRequest {
	req := fetch(t, places...)
	req.IsolationLevel = 1
	return req
}
