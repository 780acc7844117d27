package api

// ConsumerGroupHeartbeat: key 68, versions 0 to 1.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/group"
	"wadi/agent/group/consumer"
	"wadi/agent/server"
	"wadi/metadata/state"
)

// consumerGroupHeartbeat is all that a member of the consumer protocol says (KIP-848): it joins, lives, changes its
// subscription, gives up partitions and leaves by it. What it is told is State before.
func (a *API) consumerGroupHeartbeat(_ context.Context, req *server.Request) {
	body := req.Body.(*kmsg.ConsumerGroupHeartbeatRequest)
	reply := func(x group.ConsumerAnswer) {
		resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
		resp.ErrorCode, resp.ErrorMessage = code(keyConsumerGroupHeartbeat, x.Err), message(x.Err)
		if x.Err == nil {
			resp.MemberID, resp.MemberEpoch = &x.Member, x.Epoch
			if x.Epoch >= 0 {
				resp.HeartbeatIntervalMillis = int32(x.Interval.Milliseconds())
			}
			if x.Assignment != nil {
				resp.Assignment = a.heartbeatAssignment(*x.Assignment)
			}
		}
		req.Reply(resp)
	}
	if err := checkConsumerHeartbeat(req.Version, body); err != nil {
		reply(group.ConsumerAnswer{Err: err})
		return
	}
	h := &group.ConsumerHeartbeat{Group: own(body.Group), Done: reply}
	h.Member, h.Instance, h.Epoch = own(body.MemberID), ownPtr(body.InstanceID), body.MemberEpoch
	if h.Member == "" { // version 0 leaves it to the coordinator
		h.Member = a.d.Groups.NewMemberID()
	}
	h.ClientID, h.ClientHost = own(req.ClientID), "/"+req.Conn.ClientHost
	h.RebalanceTimeoutMs, h.HasTopics = body.RebalanceTimeoutMillis, body.SubscribedTopicNames != nil
	for _, t := range body.SubscribedTopicNames {
		h.Topics = append(h.Topics, own(t))
	}
	h.Rack, h.Regex, h.Assignor = ownNullable(body.RackID), ownNullable(body.SubscribedTopicRegex), ownNullable(body.ServerAssignor)
	if body.Topics != nil {
		owned := a.ownedPartitions(body.Topics)
		h.Owned = &owned
	}
	a.d.Groups.ConsumerHeartbeat(h)
}

func ownNullable(s *string) *string {
	if s == nil {
		return nil
	}
	c := own(*s)
	return &c
}

// checkConsumerHeartbeat is the judgement that needs no group.
func checkConsumerHeartbeat(version int16, b *kmsg.ConsumerGroupHeartbeatRequest) error {
	bad := func(text string) error { return refuse(kerr.InvalidRequest, "%s", text) }
	isEmpty := func(s *string) bool { return s != nil && *s == "" }
	switch {
	case b.Group == "":
		return bad("GroupId can't be empty.")
	case b.MemberID == "" && (version >= 1 || b.MemberEpoch != consumer.JoinEpoch):
		return bad("MemberId can't be empty.")
	case isEmpty(b.InstanceID):
		return bad("InstanceId can't be empty.")
	case isEmpty(b.RackID):
		return bad("RackId can't be empty.")
	case b.MemberEpoch < consumer.StaticLeaveEpoch:
		return bad("MemberEpoch is invalid.")
	case b.MemberEpoch == consumer.StaticLeaveEpoch && b.InstanceID == nil:
		return bad("InstanceId can't be null.")
	case b.MemberEpoch != consumer.JoinEpoch:
		return nil
	case b.RebalanceTimeoutMillis == -1:
		return bad("RebalanceTimeoutMs must be provided in first request.")
	case b.Topics == nil || len(b.Topics) > 0: // Semantics line 67
		return bad("TopicPartitions must be empty when (re-)joining.")
	case len(b.SubscribedTopicNames) == 0 && (b.SubscribedTopicRegex == nil || *b.SubscribedTopicRegex == ""):
		return bad("Either SubscribedTopicNames or SubscribedTopicRegex must be non-empty when (re-)joining.")
	}
	return nil
}

// ownedPartitions passes over topics that are gone: nobody can own anything of them.
func (a *API) ownedPartitions(topics []kmsg.ConsumerGroupHeartbeatRequestTopic) consumer.Set {
	owned := map[uint64][]uint32{}
	a.d.View.Read(func(s *state.State) {
		for _, t := range topics {
			x := s.TopicByID(t.TopicID)
			if x == nil {
				continue
			}
			for _, p := range t.Partitions {
				if p >= 0 {
					owned[x.Number] = append(owned[x.Number], uint32(p))
				}
			}
		}
	})
	return consumer.SetOf(owned)
}

func (a *API) heartbeatAssignment(set consumer.Set) *kmsg.ConsumerGroupHeartbeatResponseAssignment {
	out := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
	out.Topics = []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{}
	a.d.View.Read(func(s *state.State) {
		for _, t := range set {
			x := s.TopicByNumber(t.Topic)
			if x == nil {
				continue
			}
			topic := kmsg.NewConsumerGroupHeartbeatResponseAssignmentTopic()
			topic.TopicID = x.ID
			for _, p := range t.Partitions {
				topic.Partitions = append(topic.Partitions, int32(p))
			}
			out.Topics = append(out.Topics, topic)
		}
	})
	return &out
}
