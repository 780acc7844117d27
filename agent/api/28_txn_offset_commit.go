package api

// TxnOffsetCommit: key 28, versions 0 to 5.

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/group"
	"wadi/agent/server"
	"wadi/agent/txn"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// txnOffsetCommit keeps positions until their transaction ends (KIP-447; Semantics line 83). It is asked of the group's
// coordinator, and not a sign of life of the member that it names. From version 5 on it registers the group too.
func (a *API) txnOffsetCommit(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, txnTimeout)
	defer cancel()
	c := &txnCommitting{api: a, version: req.Version, body: req.Body.(*kmsg.TxnOffsetCommitRequest), arrived: time.Now()}
	c.body.Topics = slices.DeleteFunc(c.body.Topics, func(t kmsg.TxnOffsetCommitRequestTopic) bool { return len(t.Partitions) == 0 }) // left out, as in Kafka
	a.twice(ctx, c.find)
	if c.left > 0 {
		c.commit(ctx)
	}
	return c.resp, nil
}

// txnCommitting is one TxnOffsetCommit on its way.
type txnCommitting struct {
	api     *API
	version int16
	body    *kmsg.TxnOffsetCommitRequest
	arrived time.Time
	base    int64
	command *pb.CommitOffsets
	resp    *kmsg.TxnOffsetCommitResponse
	slots   []*kmsg.TxnOffsetCommitResponseTopicPartition // of the command's partitions
	long    []*kmsg.TxnOffsetCommitResponseTopicPartition // whose metadata is too large
	left    int                                           // partitions that exist
}

// baseWithin is how late State's position may be taken for the one at which a request arrived. It must stay below the
// time after which clients give a request up, for then they may begin their next transaction.
const baseWithin = time.Second

// find fills in which partitions do not exist, and the command with the others. Below version 5 the coordinator of the
// transactional id, another agent perhaps, has just told the client that the group is in its transaction. Where State
// does not show that yet, it is as good as missing: its position would be that of a request from before the transaction.
func (c *txnCommitting) find(s *state.State, barrier error) (missing bool) {
	if c.base == 0 || time.Since(c.arrived) < baseWithin {
		c.base = s.Position()
	}
	missing = c.version < 5 && !c.registered(s)
	c.command = &pb.CommitOffsets{
		Group: own(c.body.Group), Generation: c.body.Generation, Member: own(c.body.MemberID), InstanceId: ownPtr(c.body.InstanceID),
	}
	c.resp, c.slots, c.long, c.left = kmsg.NewPtrTxnOffsetCommitResponse(), c.slots[:0], c.long[:0], 0
	c.resp.Topics = make([]kmsg.TxnOffsetCommitResponseTopic, len(c.body.Topics))
	for i := range c.body.Topics {
		in, out := &c.body.Topics[i], &c.resp.Topics[i]
		out.Topic = in.Topic
		out.Partitions = make([]kmsg.TxnOffsetCommitResponseTopicPartition, len(in.Partitions))
		t := s.Topic(in.Topic)
		for j := range in.Partitions {
			p, slot := &in.Partitions[j], &out.Partitions[j]
			slot.Partition = p.Partition
			if t == nil || t.Partition(p.Partition) == nil {
				missing = true
				slot.ErrorCode = code(keyTxnOffsetCommit, either(barrier, ErrUnknownTopic))
				continue
			}
			c.left++
			if p.Metadata != nil && tooLong(*p.Metadata, c.api.d.Config.OffsetMetadataMax) {
				c.long = append(c.long, slot)
				continue
			}
			addPosition(c.command, t.Number, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata)
			c.slots = append(c.slots, slot)
		}
	}
	dropEmptyColumns(c.command)
	return missing
}

// registered reports whether the group is in the open transaction.
func (c *txnCommitting) registered(s *state.State) bool {
	t := s.Txn(c.body.TransactionalID)
	return t != nil && t.Status == state.TxnOngoing && slices.Contains(t.Groups(), c.body.Group)
}

// commit proposes what is left, several commands one after the other where one does not hold it. Who commits is judged
// before how long the metadata is.
func (c *txnCommitting) commit(ctx context.Context) {
	err := c.judge(ctx)
	from := 0
	for _, to := range splitCommit(c.command) {
		if err == nil {
			err = c.propose(ctx, partOfCommit(c.command, from, to))
		}
		c.answer(c.slots[from:to], err)
		from = to
	}
	if err == nil {
		err = errMetadataTooLarge
	}
	c.answer(c.long, err)
}

// judge does what can be judged without State's apply.
func (c *txnCommitting) judge(ctx context.Context) (err error) {
	b := c.body
	switch {
	case b.Group == "":
		return group.ErrInvalidGroup
	case b.TransactionalID == "":
		return errNoTxnID
	}
	if err := c.api.d.Groups.Check(b.Group); err != nil {
		return err
	}
	c.api.twice(ctx, func(s *state.State, barrier error) (missing bool) {
		if t := s.Txn(b.TransactionalID); t != nil && t.ProducerID == b.ProducerID {
			err = nil
			return false
		}
		err = either(barrier, errMapping)
		return true
	})
	return err
}

func (c *txnCommitting) propose(ctx context.Context, k *pb.CommitOffsets) error {
	name := k.Group
	r, err := c.api.d.Txns.Do(ctx, txn.Ask{
		Check: func() error { return c.api.d.Groups.Check(name) },
		Command: &pb.Command{Base: c.base, Kind: &pb.Command_CommitTxnOffsets{CommitTxnOffsets: &pb.CommitTxnOffsets{
			ProducerId: c.body.ProducerID, ProducerEpoch: int32(c.body.ProducerEpoch), Implicit: c.version >= 5, Offsets: k,
		}}},
	})
	if err != nil {
		return groupError(err)
	}
	switch r.Code {
	case state.OK:
		return nil
	case state.ProducerFenced:
		return kerr.InvalidProducerEpoch // what clients of every version know here
	case state.InvalidTxnState:
		if c.version >= 4 {
			return errGroupNotAdded
		}
		return &Refused{r.Code}
	case state.StaleMemberEpoch:
		return group.ErrIllegalGeneration
	case state.UnknownTxn, state.TooMany, state.Invalid:
		return &Refused{r.Code}
	default:
		return group.Verdict(r.Code)
	}
}

// errGroupNotAdded: clients of these versions may abort and go on (KIP-890).
var errGroupNotAdded = refuse(kerr.TransactionAbortable, "the group is not in the transaction")

func (c *txnCommitting) answer(slots []*kmsg.TxnOffsetCommitResponseTopicPartition, err error) {
	n := code(keyTxnOffsetCommit, err)
	if errors.Is(err, ErrViewBehind) && c.version < 2 {
		n = noCoordinator.Code // clients of then do not get over COORDINATOR_LOAD_IN_PROGRESS (KAFKA-7296)
	}
	for _, slot := range slots {
		slot.ErrorCode = n
	}
}
