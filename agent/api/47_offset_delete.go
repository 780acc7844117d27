package api

// OffsetDelete: key 47, versions 0 to 0.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/group"
	"wadi/agent/server"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// offsetDelete forgets positions of partitions that no member of the group is subscribed to (Semantics line 65).
func (a *API) offsetDelete(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.OffsetDeleteRequest)
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	name := own(body.Group)
	resp := kmsg.NewPtrOffsetDeleteResponse()
	var err error
	if name == "" {
		err = group.ErrInvalidGroup
	} else {
		err = a.atCoordinator(ctx, name)
	}
	if err == nil {
		err = a.onGroup(ctx, func(s *state.State) (*pb.Command, error) {
			resp = kmsg.NewPtrOffsetDeleteResponse()
			return deleteOffsets(s, name, body, resp)
		})
	}
	if err != nil {
		resp = kmsg.NewPtrOffsetDeleteResponse()
		resp.ErrorCode = code(keyOffsetDelete, err)
	}
	return resp, nil
}

var errSubscribed = refuse(kerr.GroupSubscribedToTopic, "a member of the group is subscribed to the topic")

// deleteOffsets answers for each partition and returns the command for those that can be forgotten, nil when there is
// none.
func deleteOffsets(s *state.State, name string, body *kmsg.OffsetDeleteRequest, resp *kmsg.OffsetDeleteResponse) (*pb.Command, error) {
	g := s.Group(name)
	switch {
	case g == nil:
		return nil, group.ErrUnknownGroup
	case g.Type == state.ClassicGroup && len(g.Members()) > 0 && g.ProtocolType != "consumer":
		return nil, group.ErrNotEmpty
	}
	subscribed := group.Subscribed(g)
	c := &pb.DeleteOffsets{Group: name, Version: g.Version}
	for i := range body.Topics {
		in, out := &body.Topics[i], kmsg.NewOffsetDeleteResponseTopic()
		if len(in.Partitions) == 0 {
			continue // left out, as in Kafka
		}
		out.Topic = in.Topic
		t := s.Topic(in.Topic)
		for _, p := range in.Partitions {
			slot := kmsg.NewOffsetDeleteResponseTopicPartition()
			slot.Partition = p.Partition
			switch {
			case t == nil || t.Partition(p.Partition) == nil:
				slot.ErrorCode = code(keyOffsetDelete, ErrUnknownTopic)
			case subscribed(in.Topic):
				slot.ErrorCode = code(keyOffsetDelete, errSubscribed)
			default:
				c.Topics, c.Partitions = append(c.Topics, t.Number), append(c.Partitions, uint32(p.Partition))
			}
			out.Partitions = append(out.Partitions, slot)
		}
		resp.Topics = append(resp.Topics, out)
	}
	switch {
	case len(c.Topics) == 0:
		return nil, nil
	case len(c.Topics) > state.MaxCommit:
		return nil, errTooLarge
	}
	return &pb.Command{Kind: &pb.Command_DeleteOffsets{DeleteOffsets: c}}, nil
}
