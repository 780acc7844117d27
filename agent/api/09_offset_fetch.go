package api

// OffsetFetch: key 9, versions 1 to 10.

import (
	"cmp"
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/group"
	"wadi/agent/server"
	"wadi/metadata/state"
)

// offsetFetch reads committed positions of one group or, from version 8 on, of several, each with its own error
// (Semantics lines 62, 63). Who wants stable positions is told to wait where a transaction that is open holds one
// (KIP-447).
func (a *API) offsetFetch(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.OffsetFetchRequest)
	resp := kmsg.NewPtrOffsetFetchResponse()
	if req.Version >= 8 {
		var stale error
		if len(body.Groups) > 0 {
			stale = a.barrier(ctx)
		}
		resp.Groups = make([]kmsg.OffsetFetchResponseGroup, len(body.Groups))
		for i := range body.Groups {
			a.fetchOffsets(req, &body.Groups[i], &resp.Groups[i], stale)
		}
		return resp, nil
	}
	one, out := oneGroup(body), kmsg.NewOffsetFetchResponseGroup()
	a.fetchOffsets(req, &one, &out, a.barrier(ctx))
	resp.ErrorCode = out.ErrorCode
	if out.ErrorCode != 0 && req.Version < 2 {
		// Version 1 has no place for an error but its partitions (KAFKA-19246).
		out.Topics = failedTopics(one.Topics, out.ErrorCode)
	}
	for i := range out.Topics {
		t := kmsg.NewOffsetFetchResponseTopic()
		t.Topic = out.Topics[i].Topic
		for _, p := range out.Topics[i].Partitions {
			x := kmsg.NewOffsetFetchResponseTopicPartition()
			x.Partition, x.Offset, x.LeaderEpoch, x.Metadata, x.ErrorCode = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode
			t.Partitions = append(t.Partitions, x)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp, nil
}

// oneGroup is a request of an older version in the form of the newer ones.
func oneGroup(body *kmsg.OffsetFetchRequest) kmsg.OffsetFetchRequestGroup {
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = body.Group
	if body.Topics == nil {
		return g
	}
	g.Topics = make([]kmsg.OffsetFetchRequestGroupTopic, len(body.Topics))
	for i, t := range body.Topics {
		g.Topics[i].Topic, g.Topics[i].Partitions = t.Topic, t.Partitions
	}
	return g
}

func failedTopics(topics []kmsg.OffsetFetchRequestGroupTopic, code int16) []kmsg.OffsetFetchResponseGroupTopic {
	out := make([]kmsg.OffsetFetchResponseGroupTopic, len(topics))
	for i, t := range topics {
		out[i].Topic, out[i].TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			slot := nothingCommitted(p)
			slot.ErrorCode = code
			out[i].Partitions = append(out[i].Partitions, slot)
		}
	}
	return out
}

// nothingCommitted says that nothing was committed: offset -1 and no error, so that auto.offset.reset decides (Regression R10).
func nothingCommitted(partition int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	slot := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	slot.Partition, slot.Offset, slot.LeaderEpoch, slot.Metadata = partition, -1, -1, kmsg.StringPtr("")
	return slot
}

func (a *API) fetchOffsets(req *server.Request, in *kmsg.OffsetFetchRequestGroup, out *kmsg.OffsetFetchResponseGroup, stale error) {
	version, stable := req.Version, req.Body.(*kmsg.OffsetFetchRequest).RequireStable
	out.Group, out.Topics = in.Group, []kmsg.OffsetFetchResponseGroupTopic{}
	err := a.d.Groups.Check(in.Group)
	if err == nil {
		err = stale
	}
	var all []committedOffset
	if err == nil {
		a.d.View.Read(func(s *state.State) {
			g := s.Group(in.Group)
			if err = mayFetch(g, version, in); err != nil {
				return
			}
			if in.Topics == nil {
				all = allOffsets(s, g, stable)
			} else {
				out.Topics = someOffsets(s, g, version, stable, in.Topics, out.Topics)
			}
		})
	}
	out.Topics = listOffsetsByTopic(all, out.Topics)
	out.ErrorCode = code(keyOffsetFetch, err)
}

// mayFetch checks the member that versions 9 and later name, in groups that have member epochs.
func mayFetch(g *state.Group, version int16, in *kmsg.OffsetFetchRequestGroup) error {
	if version < 9 || g == nil || g.Type != state.ConsumerGroup || (in.MemberID == nil && in.MemberEpoch < 0) {
		return nil
	}
	m := g.Member(ownPtr(in.MemberID))
	switch {
	case m == nil:
		return group.ErrUnknownMember
	case m.Epoch != in.MemberEpoch:
		return group.ErrStaleEpoch
	}
	return nil
}

func someOffsets(s *state.State, g *state.Group, version int16, stable bool, topics []kmsg.OffsetFetchRequestGroupTopic, out []kmsg.OffsetFetchResponseGroupTopic) []kmsg.OffsetFetchResponseGroupTopic {
	for _, want := range topics {
		t, unknown := topicRef{name: want.Topic, id: want.TopicID, byID: version >= 10}.find(s)
		x := kmsg.NewOffsetFetchResponseGroupTopic()
		x.Topic, x.TopicID = want.Topic, want.TopicID
		for _, p := range want.Partitions {
			slot := nothingCommitted(p)
			switch {
			case unknown != nil && version >= 10:
				slot.ErrorCode = code(keyOffsetFetch, unknown)
			case unknown == nil && g != nil && stable && s.OffsetPending(g, t.Number, p):
				slot.ErrorCode = kerr.UnstableOffsetCommit.Code
			case unknown == nil && g != nil:
				if o, ok := g.Offset(t.Number, p); ok {
					slot.Offset, slot.LeaderEpoch, slot.Metadata = o.Offset, o.LeaderEpoch, kmsg.StringPtr(o.Metadata)
				}
			}
			x.Partitions = append(x.Partitions, slot)
		}
		out = append(out, x)
	}
	return out
}

// committedOffset is a position with its topic.
type committedOffset struct {
	number    uint64
	name      string
	id        state.TopicID
	partition int32
	unstable  bool // a transaction that is open holds another one
	state.Offset
}

// allOffsets copies what a group has committed; it is sorted when State is not held any more.
func allOffsets(s *state.State, g *state.Group, stable bool) (all []committedOffset) {
	if g == nil {
		return nil
	}
	all = make([]committedOffset, 0, g.Offsets())
	g.VisitOffsets(func(topic uint64, partition int32, o state.Offset) {
		if t := s.TopicByNumber(topic); t != nil { // else deleted; a topic of its name is another one (Semantics line 91)
			unstable := stable && s.OffsetPending(g, topic, partition)
			all = append(all, committedOffset{number: topic, name: t.Name, id: t.ID, partition: partition, unstable: unstable, Offset: o})
		}
	})
	return all
}

func listOffsetsByTopic(all []committedOffset, out []kmsg.OffsetFetchResponseGroupTopic) []kmsg.OffsetFetchResponseGroupTopic {
	slices.SortFunc(all, func(a, b committedOffset) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.partition, b.partition))
	})
	for i, o := range all {
		if i == 0 || all[i-1].number != o.number {
			x := kmsg.NewOffsetFetchResponseGroupTopic()
			x.Topic, x.TopicID = o.name, o.id
			out = append(out, x)
		}
		slot := nothingCommitted(o.partition)
		if o.unstable {
			slot.ErrorCode = kerr.UnstableOffsetCommit.Code
		} else {
			slot.Offset, slot.LeaderEpoch, slot.Metadata = o.Offset.Offset, o.LeaderEpoch, kmsg.StringPtr(o.Metadata)
		}
		x := &out[len(out)-1]
		x.Partitions = append(x.Partitions, slot)
	}
	return out
}
