package api

// ConsumerGroupDescribe: key 69, versions 0 to 1.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/group"
	"wadi/agent/group/consumer"
	"wadi/agent/server"
	"wadi/metadata/state"
)

// consumerGroupDescribe tells of groups of the consumer protocol, all of it from State.
func (a *API) consumerGroupDescribe(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.ConsumerGroupDescribeRequest)
	resp := kmsg.NewPtrConsumerGroupDescribeResponse()
	resp.Groups = make([]kmsg.ConsumerGroupDescribeResponseGroup, len(body.Groups))
	stale := a.barrier(ctx)
	for i, name := range body.Groups {
		out := &resp.Groups[i]
		out.Default()
		out.Group, out.Members = name, []kmsg.ConsumerGroupDescribeResponseGroupMember{}
		err := a.d.Groups.Check(name)
		if err == nil {
			err = stale
		}
		if err == nil {
			a.d.View.Read(func(s *state.State) { err = describeConsumerGroup(s, name, out) })
		}
		out.ErrorCode = code(keyConsumerGroupDescribe, err)
		if name != "" {
			out.ErrorMessage = message(err)
		}
		if body.IncludeAuthorizedOperations && err == nil {
			out.AuthorizedOperations = groupOperations
		}
	}
	return resp, nil
}

func describeConsumerGroup(s *state.State, name string, out *kmsg.ConsumerGroupDescribeResponseGroup) error {
	g := s.Group(name)
	switch {
	case name == "":
		return group.ErrInvalidGroup
	case g == nil:
		return refuse(kerr.GroupIDNotFound, "Group %s not found.", name)
	case g.Type != state.ConsumerGroup:
		return refuse(kerr.GroupIDNotFound, "Group %s is not a consumer group.", name)
	}
	out.State, out.Epoch, out.AssignmentEpoch = consumer.Phase(g.Generation, g.AssignmentEpoch, g.Members()), g.Generation, g.AssignmentEpoch
	out.AssignorName = consumer.Preferred(g.Members())
	for _, m := range g.Members() {
		x := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		x.MemberID, x.InstanceID, x.RackID, x.MemberEpoch = m.Id, nullable(m.InstanceId), nullable(m.Rack), m.Epoch
		x.ClientID, x.ClientHost, x.SubscribedTopics, x.SubscribedTopicRegex = m.ClientId, m.ClientHost, m.Topics, &m.Regex
		x.Assignment, x.TargetAssignment = describedAssignment(s, m.Owned), describedAssignment(s, m.Target)
		x.MemberType = 1 // KIP-1099: of the consumer protocol
		out.Members = append(out.Members, x)
	}
	return nil
}

func describedAssignment(s *state.State, set consumer.Set) kmsg.Assignment {
	out := kmsg.NewAssignment()
	out.TopicPartitions = []kmsg.AssignmentTopicPartition{}
	for _, t := range set {
		topic := s.TopicByNumber(t.Topic)
		if topic == nil {
			continue
		}
		x := kmsg.NewAssignmentTopicPartition()
		x.TopicID, x.Topic = topic.ID, topic.Name
		for _, p := range t.Partitions {
			x.Partitions = append(x.Partitions, int32(p))
		}
		out.TopicPartitions = append(out.TopicPartitions, x)
	}
	return out
}
