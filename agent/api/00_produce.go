package api

// Produce: key 0, versions 3 to 13, advertised from 0.

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/internal/batch"
	"wadi/internal/kafkaconfig"
	"wadi/metadata/state"
)

// produce runs in the connection's reader, so that requests reach ingest in their order. It waits there only when a
// topic is unknown and a barrier must tell, which delays this connection alone.
func (a *API) produce(ctx context.Context, req *server.Request) {
	body := req.Body.(*kmsg.ProduceRequest)
	body.Topics = slices.DeleteFunc(body.Topics, func(t kmsg.ProduceRequestTopic) bool { return len(t.Partitions) == 0 })
	p := &producing{req: req, body: body, resp: newProduceResponse(body), debt: a.d.Config.MergeDebt, onThrottle: a.d.OnThrottle}
	call := &ProduceCall{
		Conn: req.Conn.ID, Acks: body.Acks, Timeout: time.Duration(max(0, body.TimeoutMillis)) * time.Millisecond,
		AllowZstd: req.Version >= 7, JoinsTxn: req.Version >= 12, Frame: req.Frame,
	}
	if transactionalWithoutID(body) {
		p.failAll(errNoTransactionalID)
		p.reply()
		return
	}
	self := a.brokerName()
	a.twice(ctx, func(s *state.State, barrier error) bool {
		return p.resolve(s, barrier, call, func(t *state.Topic) *kafkaconfig.Effective { return a.effective.of(s, t, self) })
	})
	if p.several {
		p.failAll(errSeveralProducers)
		call.Parts = nil
	}
	if len(call.Parts) == 0 {
		p.reply()
		return
	}
	call.Done = func() {
		for i := range call.Parts {
			p.finish(p.slots[i], &call.Parts[i])
		}
		p.reply()
	}
	a.d.Ingest.Produce(ctx, call)
}

// producing is one Produce request on its way.
type producing struct {
	req        *server.Request
	body       *kmsg.ProduceRequest
	resp       *kmsg.ProduceResponse
	slots      []answerTo // of each part of the call
	err        error      // the first one, for acks=0
	throttle   Throttle
	debt       int            // Config.MergeDebt
	onThrottle func(Throttle) // Deps.OnThrottle
	// several: the batches of transactions are not all of one producer id and epoch.
	several bool
}

// answerTo is where the answer to a part goes.
type answerTo struct {
	slot  *kmsg.ProduceResponseTopicPartition
	topic string // its name, also where the request has an id
	inTxn bool   // the part is a batch of a transaction
}

// newProduceResponse has an entry for every partition of the request, in its order (Semantics line 29). Offsets are -1
// until one is known to be assigned (line 22).
func newProduceResponse(body *kmsg.ProduceRequest) *kmsg.ProduceResponse {
	resp := kmsg.NewPtrProduceResponse()
	resp.Topics = make([]kmsg.ProduceResponseTopic, len(body.Topics))
	for i := range body.Topics {
		in, out := &body.Topics[i], &resp.Topics[i]
		out.Topic, out.TopicID = in.Topic, in.TopicID
		out.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(in.Partitions))
		for j := range in.Partitions {
			out.Partitions[j].Default()
			out.Partitions[j].Partition = in.Partitions[j].Partition
			out.Partitions[j].BaseOffset = -1
		}
	}
	return resp
}

// resolve sorts the partitions into those for ingest and those that fail here.
func (p *producing) resolve(s *state.State, barrier error, call *ProduceCall,
	effective func(*state.Topic) *kafkaconfig.Effective) (missing bool) {
	call.Parts, p.slots, p.err, p.several = call.Parts[:0], p.slots[:0], nil, false
	p.throttle = throttle(s, p.debt)
	var parts seen[partitionRef]
	var first batch.Batch // of a transaction
	for i := range p.body.Topics {
		in, out := &p.body.Topics[i], &p.resp.Topics[i]
		t, unknown := topicRef{name: in.Topic, id: in.TopicID, byID: p.req.Version >= 13}.find(s)
		if unknown != nil {
			missing = true
			unknown = either(barrier, unknown)
		}
		var config *kafkaconfig.Effective
		if unknown == nil {
			config = effective(t)
		}
		for j := range in.Partitions {
			part, slot := &in.Partitions[j], &out.Partitions[j]
			err := unknown
			if err == nil && t.Partition(part.Partition) == nil {
				missing = true
				err = either(barrier, ErrUnknownTopic)
			}
			if err == nil {
				err = p.check(part)
			}
			inTxn := err == nil && inTransaction(part.Records)
			if inTxn {
				p.several = p.several || !sameProducer(&first, part.Records)
				err = p.verify(s, part.Records)
			}
			if err == nil && parts.again(partitionRef{t.Number, part.Partition}) {
				err = errDuplicate // Two batches of one partition have no order in one request.
			}
			if err != nil {
				p.fail(slot, err)
				continue
			}
			slot.ErrorCode, slot.ErrorMessage = 0, nil
			p.slots = append(p.slots, answerTo{slot, t.Name, inTxn})
			call.Parts = append(call.Parts, ProducePart{
				Topic: t.Number, Partition: part.Partition, Records: part.Records, Config: config,
				BaseOffset: -1, AppendTime: -1, LogStart: t.Partition(part.Partition).LogStart,
			})
		}
	}
	return missing
}

// check refuses what no topic would take.
func (p *producing) check(part *kmsg.ProduceRequestTopicPartition) error {
	if err := checkOneBatch(part.Records); err != nil {
		return err
	}
	if p.body.Acks < -1 || p.body.Acks > 1 {
		return refuse(kerr.InvalidRequiredAcks, "acks must be -1, 0 or 1") // Semantics line 15.
	}
	return nil
}

// checkOneBatch refuses what is not one whole batch of magic 2 with INVALID_RECORD, as Apache Kafka does: clients would
// send it again and again on CORRUPT_MESSAGE. What is wrong within one batch is found by its validation.
func checkOneBatch(records []byte) error {
	const lengthAt, magicAt, leastLength = 8, 16, 14
	if len(records) >= lengthAt+4 && int32(binary.BigEndian.Uint32(records[lengthAt:])) < leastLength {
		return fmt.Errorf("%w: a length that no batch has", batch.ErrCorrupt)
	}
	if len(records) > magicAt && (records[magicAt] == 0 || records[magicAt] == 1) {
		return refuse(kerr.InvalidRecord, "message format %d is not served", records[magicAt])
	}
	_, rest, err := batch.Split(records)
	if err == nil && len(rest) > 0 {
		if _, _, behind := batch.Split(rest); behind == nil {
			return errNotOneBatch
		}
	}
	if errors.Is(err, batch.ErrShort) {
		return errNotOneBatch
	}
	return nil
}

// finish takes over what ingest made of a part.
func (p *producing) finish(at answerTo, part *ProducePart) {
	slot := at.slot
	slot.LogStartOffset = part.LogStart
	if part.Err == nil {
		slot.BaseOffset, slot.LogAppendTime = part.BaseOffset, part.AppendTime
		return
	}
	if at.inTxn {
		part.Err = p.asVerified(part.Err)
	}
	p.fail(slot, part.Err)
	// As Apache Kafka: the log start comes with what the topic refused, not with what is no batch to begin with, or not of
	// a transaction.
	var refused *Refused
	if slot.ErrorCode != kerr.InvalidRecord.Code && slot.ErrorCode != kerr.InvalidTimestamp.Code && !errors.As(part.Err, &refused) {
		slot.LogStartOffset = -1
	}
	p.records(slot, at.topic, part.Err)
}

// records names the records that a topic refused (KIP-467, Semantics line 21), in the words of Apache Kafka: its tools
// print them.
func (p *producing) records(slot *kmsg.ProduceResponseTopicPartition, topic string, err error) {
	var refused batch.RecordErrors
	if !errors.As(err, &refused) {
		return
	}
	slot.ErrorRecords = slot.ErrorRecords[:0]
	for i := range refused {
		words := refused[i].Err.Error()
		if errors.Is(refused[i].Err, batch.ErrNoKey) {
			words = fmt.Sprintf("Compacted topic cannot accept message without key in topic partition %s-%d", topic, slot.Partition)
		}
		e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		e.RelativeOffset, e.ErrorMessage = refused[i].Index, &words
		slot.ErrorRecords = append(slot.ErrorRecords, e)
	}
	words := "One or more records have been rejected due to invalid timestamp"
	if !errors.Is(err, batch.ErrTimestamp) {
		words = fmt.Sprintf("One or more records have been rejected due to %d record errors in total", len(refused))
	}
	slot.ErrorMessage = &words
}

func (p *producing) fail(slot *kmsg.ProduceResponseTopicPartition, err error) {
	slot.ErrorCode = code(keyProduce, err)
	slot.ErrorMessage = message(err)
	if p.err == nil {
		p.err = err
	}
}

// slow tells the client to wait if the compactor is behind, and sees to it that it does (Semantics line 95).
func (p *producing) slow() {
	wait := p.throttle.Wait
	if wait == 0 {
		return
	}
	p.resp.ThrottleMillis = int32(wait.Milliseconds())
	p.req.Conn.Mute(wait)
	if p.onThrottle != nil {
		p.onThrottle(p.throttle)
	}
}

// reply answers, with nothing for acks=0; closing is the only way to tell such a client of an error (Semantics line 8).
func (p *producing) reply() {
	p.slow()
	switch {
	case p.body.Acks != 0:
		p.req.Reply(p.resp)
	case p.err != nil:
		p.req.Close(p.err)
	default:
		p.req.Reply(nil)
	}
}
