package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

func positionOf(topic string, partition int32, offset int64, metadata string) kmsg.TxnOffsetCommitRequestTopic {
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.Metadata = partition, offset, &metadata
	return kmsg.TxnOffsetCommitRequestTopic{Topic: topic, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{p}}
}

func (p *producer) commitOffsets(version int16, group string, generation int32, member string, topics ...kmsg.TxnOffsetCommitRequestTopic) (codes []int16) {
	r := kmsg.NewPtrTxnOffsetCommitRequest()
	r.SetVersion(version)
	r.TransactionalID, r.ProducerID, r.ProducerEpoch = p.txn, p.id, p.epoch
	r.Group, r.Generation, r.MemberID, r.Topics = group, generation, member, topics
	if member == "static" {
		r.InstanceID = kmsg.StringPtr("i")
	}
	for _, t := range p.k.ask(r).(*kmsg.TxnOffsetCommitResponse).Topics {
		for _, x := range t.Partitions {
			codes = append(codes, x.ErrorCode)
		}
	}
	return codes
}

func (c *cluster) committed(group, topic string) (offset int64) {
	c.Read(func(s *state.State) {
		offset = -1
		if g := s.Group(group); g != nil {
			if o, ok := g.Offset(s.Topic(topic).Number, 0); ok {
				offset = o.Offset
			}
		}
	})
	return offset
}

// Semantics line 83: positions wait for their transaction; who must register the group first, and what is refused.
func TestTxnOffsetCommit(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 1)
	k := c.dial()
	for version := int16(0); version <= 5; version++ {
		name := fmt.Sprintf("g%d", version)
		p := newTxnProducer(t, k, fmt.Sprintf("t%d", version))
		commit := func() []int16 {
			return p.commitOffsets(version, name, -1, "", positionOf("a", 0, 7, "m"), positionOf("a", 1, 7, ""), positionOf("none", 0, 7, ""))
		}
		switch {
		case version <= 3:
			require.Equal(t, []int16{48, 3, 3}, commit(), "not registered")
		case version == 4:
			require.Equal(t, []int16{120, 3, 3}, commit(), "not registered")
		}
		if version < 5 {
			require.Zero(t, p.addGroup(4, name))
		}
		require.Equal(t, []int16{0, 3, 3}, commit())
		require.Equal(t, int64(-1), c.committed(name, "a"))
		require.Equal(t, []int16{12, 0}, p.commitOffsets(version, name, -1, "", positionOf("a", 0, 9, strings.Repeat("x", 4097)), positionOf("a", 0, 8, "")))
		require.Zero(t, p.end(4, true).ErrorCode)
		require.Equal(t, int64(8), c.committed(name, "a"))

		require.Zero(t, p.addGroup(4, name))
		require.Equal(t, []int16{0}, p.commitOffsets(version, name, -1, "", positionOf("a", 0, 99, "")))
		require.Zero(t, p.end(4, false).ErrorCode)
		require.Equal(t, int64(8), c.committed(name, "a"))

		other := *p
		other.epoch++
		require.Equal(t, []int16{47}, other.commitOffsets(version, name, -1, "", positionOf("a", 0, 7, "")), "in all versions")
		other.epoch, other.id = p.epoch, p.id+1000
		require.Equal(t, []int16{49}, other.commitOffsets(version, name, -1, "", positionOf("a", 0, 7, "")))
		require.Equal(t, []int16{24}, other.commitOffsets(version, "", -1, "", positionOf("a", 0, 7, "")))
		require.Equal(t, []int16{3}, other.commitOffsets(version, "", -1, "", positionOf("none", 0, 7, "")), "nothing is left to refuse")
	}
	c.set(func() { c.elsewhere = map[string]bool{"g": true} })
	p := newTxnProducer(t, k, "t")
	require.Equal(t, []int16{16}, p.commitOffsets(5, "g", -1, "", positionOf("a", 0, 7, "")))
}

// Semantics line 83: 22, 25 and 82 for members, of both protocols; who names none is not asked for one.
func TestTxnOffsetCommitOfMembers(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 1)
	k := c.dial()
	p := newTxnProducer(t, k, "t")
	commit := func(group string, generation int32, member string) int16 {
		return p.commitOffsets(5, group, generation, member, positionOf("a", 0, 7, ""))[0]
	}
	require.Equal(t, kerr.IllegalGeneration.Code, commit("none", 0, "m"), "no such group")
	var topic uint64
	c.Read(func(s *state.State) { topic = s.Topic("a").Number })
	c.apply(nil, &pb.Command{Kind: &pb.Command_UpdateGroup{UpdateGroup: &pb.UpdateGroup{
		Group: "classic",
		Header: &pb.GroupHeader{
			Type: uint32(state.ClassicGroup), State: uint32(state.GroupStable), ProtocolType: "consumer", Protocol: "range", Leader: "m", Generation: 3,
		},
		Members: []*pb.GroupMember{{Id: "m"}, {Id: "s", InstanceId: "i"}},
	}}})
	c.apply(nil, &pb.Command{Kind: &pb.Command_UpdateGroup{UpdateGroup: &pb.UpdateGroup{
		Group:  "consumer",
		Header: &pb.GroupHeader{Type: uint32(state.ConsumerGroup), State: uint32(state.GroupStable), Generation: 3},
		Members: []*pb.GroupMember{
			{Id: "had", Epoch: 3, Owned: []*pb.GroupPartitions{{Topic: topic, Partitions: []uint32{0}, Epochs: []int32{2}}}}, {Id: "m", Epoch: 3},
		},
	}}})
	for _, x := range []struct {
		group      string
		generation int32
		member     string
		want       int16
	}{
		{"classic", 3, "m", 0}, {"classic", 2, "m", 22}, {"classic", 3, "x", 25}, {"classic", -1, "", 0}, {"classic", -1, "m", 22},
		{"classic", 3, "static", 82},
		{"consumer", 3, "m", 0}, {"consumer", 2, "m", 22}, {"consumer", 4, "m", 22}, {"consumer", 3, "x", 25}, {"consumer", -1, "", 0},
		{"consumer", 2, "had", 0}, {"consumer", 1, "had", 22}, {"consumer", 4, "had", 22}, // KIP-1251
	} {
		require.Equal(t, x.want, commit(x.group, x.generation, x.member), "%+v", x)
	}
}

// Semantics line 63: who wants stable positions waits for those that a transaction holds.
func TestUnstableOffsets(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 2)
	k := c.dial()
	p := newTxnProducer(t, k, "t")
	fetch := func(version int16, stable bool, all bool) (codes []int16, offsets []int64) {
		r := kmsg.NewPtrOffsetFetchRequest()
		r.SetVersion(version)
		r.RequireStable, r.Group = stable, "g"
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = "g"
		if !all {
			r.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "a", Partitions: []int32{0, 1}}}
			g.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: "a", TopicID: c.id("a"), Partitions: []int32{0, 1}}}
		}
		r.Groups = []kmsg.OffsetFetchRequestGroup{g}
		resp := k.ask(r).(*kmsg.OffsetFetchResponse)
		for _, t := range resp.Topics {
			for _, x := range t.Partitions {
				codes, offsets = append(codes, x.ErrorCode), append(offsets, x.Offset)
			}
		}
		for _, g := range resp.Groups {
			for _, t := range g.Topics {
				for _, x := range t.Partitions {
					codes, offsets = append(codes, x.ErrorCode), append(offsets, x.Offset)
				}
			}
		}
		return codes, offsets
	}
	require.Equal(t, []int16{0}, p.commitOffsets(5, "g", -1, "", positionOf("a", 0, 5, "")))
	require.Zero(t, p.end(4, true).ErrorCode)
	require.Equal(t, []int16{0, 0}, p.commitOffsets(5, "g", -1, "", positionOf("a", 0, 6, ""), positionOf("a", 1, 6, "")))
	for version := int16(7); version <= 10; version++ {
		codes, offsets := fetch(version, true, false)
		require.Equal(t, []int16{88, 88}, codes)
		require.Equal(t, []int64{-1, -1}, offsets)
		codes, offsets = fetch(version, false, false)
		require.Equal(t, []int16{0, 0}, codes)
		require.Equal(t, []int64{5, -1}, offsets)
		codes, _ = fetch(version, true, true)
		require.Equal(t, []int16{88}, codes, "of all those that are committed")
	}
	require.Zero(t, p.end(4, true).ErrorCode)
	codes, offsets := fetch(8, true, false)
	require.Equal(t, []int16{0, 0}, codes)
	require.Equal(t, []int64{6, 6}, offsets)
}

// The coordinator of the transactional id has registered the group, and this view has not applied that yet: a barrier
// brings it, so that clients that keep their epoch need not ask again.
func TestTxnOffsetCommitOfAViewBehind(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 1)
	p := newTxnProducer(t, c.dial(), "t")
	begin := &pb.AddToTxn{ProducerId: p.id, ProducerEpoch: int32(p.epoch), Groups: []string{"g"}}
	for version := int16(0); version <= 4; version++ {
		c.set(func() {
			c.lagging = append(c.lagging, func() {
				c.set(func() { c.applyFrom(9, &pb.Command{Base: c.position, Kind: &pb.Command_AddToTxn{AddToTxn: begin}}) })
			})
		})
		require.Equal(t, []int16{0}, p.commitOffsets(version, "g", -1, "", positionOf("a", 0, int64(version), "")))
		require.Zero(t, p.end(4, true).ErrorCode)
		require.Equal(t, int64(version), c.committed("g", "a"))
	}

	// A barrier that took long may bring a transaction that the request does not know of.
	late := &txnCommitting{api: &API{}, version: 4, body: kmsg.NewPtrTxnOffsetCommitRequest(), base: 1, arrived: time.Now().Add(-2 * baseWithin)}
	c.Read(func(s *state.State) { late.find(s, nil) })
	require.EqualValues(t, 1, late.base)
	late.arrived = time.Now()
	c.Read(func(s *state.State) { late.find(s, nil) })
	require.Equal(t, c.position, late.base)
}
