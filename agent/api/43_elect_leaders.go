package api

// ElectLeaders: key 43, versions 0 to 2.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/metadata/state"
)

var errElectionNotNeeded = refuse(kerr.ElectionNotNeeded, "Leader election not needed for topic partition.")

// electLeaders has no election to hold: every agent serves every partition, and the leader that Metadata names is
// computed from who is alive. So of every partition the preferred leader leads already.
func (a *API) electLeaders(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.ElectLeadersRequest)
	resp := kmsg.NewPtrElectLeadersResponse()
	var bad error
	if body.ElectionType != 0 && body.ElectionType != 1 { // preferred, unclean
		bad = refuse(kerr.InvalidRequest, "Unknown election type %d", body.ElectionType)
		resp.ErrorCode = code(keyElectLeaders, bad)
	}
	if body.Topics == nil {
		if bad == nil {
			a.allElected(ctx, resp)
		}
		return resp, nil
	}
	a.twice(ctx, func(s *state.State, barrier error) (missing bool) {
		resp.Topics = make([]kmsg.ElectLeadersResponseTopic, len(body.Topics))
		for i := range body.Topics {
			in, out := &body.Topics[i], &resp.Topics[i]
			out.Topic = in.Topic
			out.Partitions = make([]kmsg.ElectLeadersResponseTopicPartition, len(in.Partitions))
			t, unknown := topicRef{name: in.Topic}.find(s)
			for j, n := range in.Partitions {
				err := bad
				switch {
				case err != nil:
				case unknown != nil:
					missing = true
					err = either(barrier, refuse(kerr.UnknownTopicOrPartition, "No such topic as %s", in.Topic))
				case t.Partition(n) == nil:
					missing = true
					err = either(barrier, refuse(kerr.UnknownTopicOrPartition, "No such partition as %s-%d", in.Topic, n))
				default:
					err = errElectionNotNeeded
				}
				out.Partitions[j].Partition = n
				out.Partitions[j].ErrorCode, out.Partitions[j].ErrorMessage = code(keyElectLeaders, err), message(err)
			}
		}
		return missing
	})
	return resp, nil
}

// allElected answers for all partitions. As in Apache Kafka, those that need no election are left out of such a reply
// and their topics are not, so that a client knows what was looked at.
func (a *API) allElected(ctx context.Context, resp *kmsg.ElectLeadersResponse) {
	if err := a.barrier(ctx); err != nil {
		resp.ErrorCode = code(keyElectLeaders, err)
		return
	}
	a.d.View.Read(func(s *state.State) {
		s.EachTopic(func(t *state.Topic) {
			out := kmsg.NewElectLeadersResponseTopic()
			out.Topic = t.Name
			resp.Topics = append(resp.Topics, out)
		})
	})
}
