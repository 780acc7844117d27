package checker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	h "wadi/integration/history"
)

// byHand commits offsets of a group in transactions, request by request, and holds each transaction open for a while
// after the offsets were taken: who asks with require_stable must be told nothing meanwhile. It speaks transaction
// version 2.
type byHand struct {
	r     *run
	id    string
	who   string
	cl    *kgo.Client
	line  *line
	pid   int64
	epoch int16
	next  int64
}

// handGroup has no members: whoever has a producer id may commit.
const handGroup = "by-hand"

func (r *run) byHand(ctx context.Context) {
	x := &byHand{r: r, id: "hand"}
	for life := 1; ctx.Err() == nil; life++ {
		x.who = fmt.Sprintf("%s.%d", x.id, life)
		var err error
		if x.cl, x.line, err = r.client(x.who); err != nil {
			r.fail(err)
			return
		}
		for err = x.open(ctx); err == nil && ctx.Err() == nil; {
			err = x.transaction(ctx)
		}
		if err != nil {
			r.note(x.who, "given up: %v", err)
			pause(ctx, 200*time.Millisecond)
		}
		x.cl.Close()
		x.line.cut()
	}
}

func (x *byHand) open(ctx context.Context) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &x.id, int32(limit/time.Millisecond)
	req.ProducerID, req.ProducerEpoch = -1, -1
	f := h.Fact{Kind: h.InitAttempt, Who: x.who, Name: x.id}
	f.Ref = x.r.rec.Add(f)
	f.Kind, f.Outcome = h.InitReply, h.OK
	bounded, cancel := patient(x.r.sending)
	defer cancel()
	resp, err := req.RequestWith(bounded, x.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		f.Outcome, f.Error = h.Unknown, err.Error()
	} else {
		x.pid, x.epoch = resp.ProducerID, resp.ProducerEpoch
		f.Producer, f.Epoch = x.pid, x.epoch
	}
	x.r.rec.Add(f)
	return err
}

// transaction commits one offset for each partition, waits, asks what is stable, and ends it. Whatever fails leaves the
// rest to a new life, whose InitProducerID aborts it.
func (x *byHand) transaction(ctx context.Context) error {
	r, txn := x.r, x.r.rec.NextTxn()
	r.rec.Add(h.Fact{
		Kind: h.Begin, Who: x.who, Name: x.id, Txn: txn, Limit: int64(limit), Generation: 2, Producer: x.pid, Epoch: x.epoch,
	})
	x.next++
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Group, req.TransactionalID, req.ProducerID, req.ProducerEpoch = handGroup, x.id, x.pid, x.epoch
	req.Generation = -1
	t := kmsg.NewTxnOffsetCommitRequestTopic()
	t.Topic = r.in.name
	attempts := map[int32]h.Fact{}
	for p := range r.in.partitions {
		one := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		one.Partition, one.Offset, one.LeaderEpoch = p, x.next, -1
		t.Partitions = append(t.Partitions, one)
		f := h.Fact{Kind: h.CommitAttempt, Who: x.who, Txn: txn, Name: handGroup, Topic: r.in.name, Partition: p, Offset: x.next, Generation: -1}
		f.Ref = r.rec.Add(f)
		f.Kind, f.Outcome = h.CommitReply, h.OK
		attempts[p] = f
	}
	req.Topics = append(req.Topics, t)
	bounded, cancel := patient(x.r.sending)
	defer cancel()
	resp, err := req.RequestWith(bounded, x.cl)
	if err != nil {
		return fmt.Errorf("commit offsets: %w", err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			f := attempts[p.Partition]
			if e := kerr.ErrorForCode(p.ErrorCode); e != nil {
				f.Outcome, f.Error = h.Unknown, e.Error()
				err = fmt.Errorf("commit offset of partition %d: %w", p.Partition, e)
			}
			r.rec.Add(f)
		}
	}
	if err != nil {
		return err
	}
	for range 4 {
		r.askGroup(ctx, x.who, x.cl, handGroup, r.in, true)
		if !pause(ctx, 200*time.Millisecond) {
			break
		}
	}
	return x.end(txn, x.next%4 != 0)
}

func (x *byHand) end(txn int64, commit bool) error {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = x.id, x.pid, x.epoch, commit
	f := h.Fact{Kind: h.EndAttempt, Who: x.who, Name: x.id, Txn: txn, Commit: commit}
	x.r.rec.Add(f)
	f.Kind, f.Outcome = h.EndReply, h.OK
	bounded, cancel := patient(x.r.sending)
	defer cancel()
	resp, err := req.RequestWith(bounded, x.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		f.Outcome, f.Error = h.Unknown, err.Error()
	}
	x.r.rec.Add(f)
	if err != nil {
		return fmt.Errorf("end: %w", err)
	}
	if resp.Version < 5 {
		return errors.New("the cluster speaks transaction version 1")
	}
	x.pid, x.epoch = resp.ProducerID, resp.ProducerEpoch
	return nil
}
