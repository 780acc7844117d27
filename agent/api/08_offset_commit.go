package api

// OffsetCommit: key 8, versions 2 to 10.

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/group"
	"wadi/agent/group/consumer"
	"wadi/agent/server"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// offsetCommit stores positions, those of a request in one command unless they are thousands. It runs in the connection's
// reader, so that commits of one connection are proposed in their order; only a topic that nobody knows costs a goroutine,
// for the barrier. The retention that versions 2 to 4 may ask for is not kept: offsets.retention.minutes holds for all.
func (a *API) offsetCommit(ctx context.Context, req *server.Request) {
	c := &committing{api: a, req: req, body: req.Body.(*kmsg.OffsetCommitRequest)}
	c.body.Topics = slices.DeleteFunc(c.body.Topics, func(t kmsg.OffsetCommitRequestTopic) bool { return len(t.Partitions) == 0 }) // left out, as in Kafka
	missing := false
	a.d.View.Read(func(s *state.State) { missing = c.find(s, nil) })
	if !missing {
		c.commit()
		return
	}
	req.Go(func() {
		err := a.barrier(ctx)
		a.d.View.Read(func(s *state.State) { c.find(s, err) })
		c.commit()
	})
}

// committing is one OffsetCommit on its way.
type committing struct {
	api     *API
	req     *server.Request
	body    *kmsg.OffsetCommitRequest
	base    int64
	command *pb.CommitOffsets
	resp    *kmsg.OffsetCommitResponse
	slots   []*kmsg.OffsetCommitResponseTopicPartition // of the command's partitions
	old     bool                                       // the version knows no member epochs, and the member has one
}

// errOldCommit is for a version that knows no member epochs: as Kafka answers it.
var errOldCommit = refuse(kerr.UnsupportedVersion, "the group has member epochs, which versions before 9 do not know")

var errMetadataTooLarge = refuse(kerr.OffsetMetadataTooLarge, "the metadata of an offset is too large")

// find fills in what is refused without the group, and the command with the rest (Semantics line 61).
func (c *committing) find(s *state.State, barrier error) (missing bool) {
	c.base = s.Position()
	c.command = &pb.CommitOffsets{
		Group: own(c.body.Group), Generation: c.body.Generation, Member: own(c.body.MemberID), InstanceId: ownPtr(c.body.InstanceID),
	}
	c.old = c.req.Version < 9 && hasEpoch(s.Group(c.body.Group), c.body.MemberID)
	c.resp, c.slots = kmsg.NewPtrOffsetCommitResponse(), c.slots[:0]
	c.resp.Topics = make([]kmsg.OffsetCommitResponseTopic, len(c.body.Topics))
	for i := range c.body.Topics {
		in, out := &c.body.Topics[i], &c.resp.Topics[i]
		out.Topic, out.TopicID = in.Topic, in.TopicID
		out.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, len(in.Partitions))
		t, unknown := topicRef{name: in.Topic, id: in.TopicID, byID: c.req.Version >= 10}.find(s)
		for j := range in.Partitions {
			p, slot := &in.Partitions[j], &out.Partitions[j]
			slot.Partition = p.Partition
			err := unknown
			if err == nil && t.Partition(p.Partition) == nil {
				err = ErrUnknownTopic
			}
			switch {
			case err != nil:
				missing = true
				slot.ErrorCode = code(keyOffsetCommit, either(barrier, err))
				continue
			case p.Metadata != nil && tooLong(*p.Metadata, c.api.d.Config.OffsetMetadataMax):
				slot.ErrorCode = code(keyOffsetCommit, errMetadataTooLarge)
				continue
			}
			addPosition(c.command, t.Number, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata)
			c.slots = append(c.slots, slot)
		}
	}
	dropEmptyColumns(c.command)
	return missing
}

// hasEpoch reports whether a group has a member of the consumer protocol by that id.
func hasEpoch(g *state.Group, member string) bool {
	if g == nil || g.Type != state.ConsumerGroup {
		return false
	}
	m := g.Member(member)
	return m != nil && !consumer.IsClassic(m)
}

// addPosition appends a partition's position to a command's columns.
func addPosition(k *pb.CommitOffsets, topic uint64, partition int32, offset int64, leaderEpoch int32, metadata *string) {
	k.Topics, k.Partitions = append(k.Topics, topic), append(k.Partitions, uint32(partition))
	k.Offsets, k.LeaderEpochs = append(k.Offsets, offset), append(k.LeaderEpochs, leaderEpoch)
	k.Metadata = append(k.Metadata, ownPtr(metadata))
}

// dropEmptyColumns leaves out leader epochs and metadata that no position has.
func dropEmptyColumns(k *pb.CommitOffsets) {
	if !slices.ContainsFunc(k.LeaderEpochs, func(epoch int32) bool { return epoch != -1 }) {
		k.LeaderEpochs = nil
	}
	if !slices.ContainsFunc(k.Metadata, func(metadata string) bool { return metadata != "" }) {
		k.Metadata = nil
	}
}

// tooLong compares as Kafka does, in UTF-16 units.
func tooLong(s string, limit int) bool {
	return len(s) > limit && len(utf16.Encode([]rune(s))) > limit
}

// commit proposes the command, or several where one journal entry does not hold it; each is judged by itself, as each
// partition has an answer of its own.
func (c *committing) commit() {
	if len(c.slots) == 0 {
		c.req.Reply(c.resp) // nothing is left to commit
		return
	}
	if c.old {
		c.answer(c.slots, cmp.Or(c.api.d.Groups.Check(c.command.Group), errOldCommit))
		c.req.Reply(c.resp)
		return
	}
	ends := splitCommit(c.command)
	var left atomic.Int32
	left.Store(int32(len(ends)))
	from := 0
	for _, to := range ends {
		command, slots := c.command, c.slots[from:to]
		if len(ends) > 1 {
			command = partOfCommit(c.command, from, to)
		}
		c.api.d.Groups.Commit(&group.Commit{Base: c.base, Command: command, Done: func(err error) {
			c.answer(slots, err)
			if left.Add(-1) == 0 {
				c.req.Reply(c.resp)
			}
		}})
		from = to
	}
}

// answer fills in what became of a command's partitions.
func (c *committing) answer(slots []*kmsg.OffsetCommitResponseTopicPartition, err error) {
	switch {
	case err == nil:
		return
	case errors.Is(err, group.ErrUnknownGroup) && c.req.Version < 9:
		err = group.ErrIllegalGeneration // what they know of
	case errors.Is(err, group.ErrStaleEpoch) && c.req.Version < 9:
		err = errOldCommit
	}
	n := code(keyOffsetCommit, groupError(err))
	for _, slot := range slots {
		slot.ErrorCode = n
	}
}
