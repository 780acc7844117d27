package api

// DeleteRecords: key 21, versions 0 to 2.

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// toHighWatermark as offset deletes all that was there when the request came.
const toHighWatermark = -1

// deleteRecords moves log starts, each on its own (Semantics line 51). It begins with a barrier, so that "all there is"
// holds what was acknowledged by other agents before. Once it is answered, ListOffsets gives the new log start at every
// agent.
func (a *API) deleteRecords(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.DeleteRecordsRequest)
	resp := kmsg.NewPtrDeleteRecordsResponse()
	ctx, cancel := context.WithTimeout(ctx, adminTimeout(body.TimeoutMillis))
	defer cancel()
	d := newTrimming(body, resp)
	self := a.brokerName()
	d.deletes = func(s *state.State, t *state.Topic) bool { return a.effective.of(s, t, self).Delete }
	barrier := a.barrier(ctx)
	for try := 0; len(d.open) > 0; try++ {
		var commands []*pb.Command
		a.d.View.Read(func(s *state.State) { commands = d.judge(s, barrier) })
		if len(commands) == 0 {
			break
		}
		d.done(a.d.Proposer.Propose(ctx, commands), try < maxConflicts && ctx.Err() == nil)
	}
	return resp, nil
}

// trimming is one DeleteRecords request on its way.
type trimming struct {
	parts   []trimmedPart
	open    []int                                 // of parts: neither done nor failed
	deletes func(*state.State, *state.Topic) bool // whether the cleanup policy deletes
}

type trimmedPart struct {
	name      string
	partition int32
	offset    int64
	slot      *kmsg.DeleteRecordsResponseTopicPartition
}

// newTrimming makes the reply's skeleton. Like Kafka's, it has one entry per partition, and of several offsets for one
// the last counts.
func newTrimming(body *kmsg.DeleteRecordsRequest, resp *kmsg.DeleteRecordsResponse) *trimming {
	type ref struct {
		name      string
		partition int32
	}
	d := &trimming{}
	parts, topics := make(map[ref]int), make(map[string]int)
	var of [][]int // the parts of each topic
	for i := range body.Topics {
		in := &body.Topics[i]
		if len(in.Partitions) == 0 {
			continue
		}
		topic, known := topics[in.Topic]
		if !known {
			topic = len(of)
			topics[in.Topic], of = topic, append(of, nil)
		}
		for _, p := range in.Partitions {
			if at, again := parts[ref{in.Topic, p.Partition}]; again {
				d.parts[at].offset = p.Offset
				continue
			}
			parts[ref{in.Topic, p.Partition}] = len(d.parts)
			of[topic] = append(of[topic], len(d.parts))
			d.open = append(d.open, len(d.parts))
			d.parts = append(d.parts, trimmedPart{name: in.Topic, partition: p.Partition, offset: p.Offset})
		}
	}
	resp.Topics = make([]kmsg.DeleteRecordsResponseTopic, len(of))
	for topic, list := range of {
		out := &resp.Topics[topic]
		out.Default()
		out.Topic, out.Partitions = d.parts[list[0]].name, make([]kmsg.DeleteRecordsResponseTopicPartition, len(list))
		for i, at := range list {
			slot := &out.Partitions[i]
			slot.Default()
			slot.Partition, slot.LowWatermark = d.parts[at].partition, -1
			d.parts[at].slot = slot
		}
	}
	return d
}

// judge answers what must fail, and makes commands of the rest: open is left with the parts of the commands, in order.
func (d *trimming) judge(s *state.State, barrier error) (commands []*pb.Command) {
	var trim *pb.TrimPartitions
	open := d.open[:0]
	for _, at := range d.open {
		x := &d.parts[at]
		t := s.Topic(x.name)
		if err := x.judge(t, barrier, t != nil && d.deletes(s, t)); err != nil {
			x.slot.ErrorCode = code(keyDeleteRecords, err)
			continue
		}
		if trim == nil || len(trim.Topics) == state.MaxTrims {
			trim = &pb.TrimPartitions{}
			commands = append(commands, &pb.Command{Base: s.Position(), Kind: &pb.Command_TrimPartitions{TrimPartitions: trim}})
		}
		trim.Topics, trim.Partitions = append(trim.Topics, t.Number), append(trim.Partitions, uint32(x.partition))
		trim.Offsets = append(trim.Offsets, x.offset)
		open = append(open, at)
	}
	d.open = open
	return commands
}

// judge says why records cannot be deleted, or resolves the offset, once: what is written while the request is judged
// again stays.
func (x *trimmedPart) judge(t *state.Topic, barrier error, deletes bool) error {
	var p *state.Partition
	if t != nil {
		p = t.Partition(x.partition)
	}
	switch {
	case barrier != nil || p == nil:
		return either(barrier, ErrUnknownTopic)
	case internalTopic(x.name):
		return refuse(kerr.InvalidTopicException, "the records of %s are the cluster's own", x.name)
	case !deletes:
		return refuse(kerr.PolicyViolation, "the cleanup policy of %s keeps the newest record of each key", x.name)
	case x.offset == toHighWatermark:
		x.offset = p.Next
	case x.offset < 0 || x.offset > p.Next:
		return ErrOffsetOutOfRange
	}
	return nil
}

// done takes the outcomes; open is left with the parts whose topic another agent changed meanwhile.
func (d *trimming) done(outcomes []Outcome, again bool) {
	asked := d.open
	d.open = nil
	for _, o := range outcomes {
		n := min(len(asked), state.MaxTrims)
		failed := o.failed()
		for i, at := range asked[:n] {
			x, err := &d.parts[at], failed
			if err == nil {
				switch b := o.Result.Batches[i]; {
				case b.Code == state.OK:
					x.slot.LowWatermark = b.Base
				case b.Code == state.Conflict && again:
					d.open = append(d.open, at)
				case b.Code == state.Conflict:
					err = fmt.Errorf("%w: the topic changes all the time", ErrTimeout)
				default:
					err = &Refused{b.Code}
				}
			}
			x.slot.ErrorCode = code(keyDeleteRecords, err)
		}
		asked = asked[n:]
	}
}
