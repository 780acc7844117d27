package api

// DeleteTopics: key 20, versions 1 to 6.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// deleteTopics marks topics as deleted; their records go in steps afterwards. The command names the topic's number, so
// one that lands late cannot delete a topic that was created anew under the name (Semantics line 91).
func (a *API) deleteTopics(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.DeleteTopicsRequest)
	resp := kmsg.NewPtrDeleteTopicsResponse()
	ctx, cancel := context.WithTimeout(ctx, adminTimeout(body.TimeoutMillis))
	defer cancel()
	var d *deleting
	a.twice(ctx, func(s *state.State, barrier error) bool {
		d = &deleting{base: s.Position()}
		return d.find(s, barrier, req.Version, body)
	})
	if len(d.commands) > 0 {
		for i, o := range a.d.Proposer.Propose(ctx, d.commands) {
			t := &d.topics[d.slots[i]]
			t.err = o.failed()
			if o.Err == nil && o.Result.Code == state.UnknownTopic {
				t.err = t.unknown()
			}
		}
	}
	for i := range d.topics {
		t := &d.topics[i]
		out := kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = t.name, t.id
		out.ErrorCode, out.ErrorMessage = code(keyDeleteTopics, t.err), message(t.err)
		resp.Topics = append(resp.Topics, out)
	}
	return resp, nil
}

type deleting struct {
	base     int64
	topics   []deletedTopic
	commands []*pb.Command
	slots    []int // of each command in topics
}

type deletedTopic struct {
	name *string // null in the reply when an id is unknown
	id   state.TopicID
	byID bool
	err  error
}

func (t *deletedTopic) unknown() error {
	if t.byID {
		return errUnknownID
	}
	return ErrUnknownTopic
}

func (d *deleting) find(s *state.State, barrier error, version int16, body *kmsg.DeleteTopicsRequest) (missing bool) {
	if version >= 6 {
		for i := range body.Topics {
			in := &body.Topics[i]
			d.topics = append(d.topics, deletedTopic{name: in.Topic, id: in.TopicID, byID: in.Topic == nil})
		}
	} else {
		for i := range body.TopicNames {
			d.topics = append(d.topics, deletedTopic{name: &body.TopicNames[i]})
		}
	}
	var twice seen[uint64]
	for i := range d.topics {
		t := &d.topics[i]
		if version >= 6 && t.byID == (t.id == state.TopicID{}) {
			t.err = refuse(kerr.InvalidRequest, "exactly one of name and id must be given")
			continue
		}
		ref := topicRef{id: t.id, byID: t.byID}
		if !t.byID {
			ref.name = *t.name
		}
		found, unknown := ref.find(s)
		switch {
		case unknown != nil:
			missing = true
			t.err = either(barrier, unknown)
		case twice.again(found.Number):
			t.err = errDuplicate
		default:
			name := found.Name
			t.name, t.id = &name, found.ID
			d.commands = append(d.commands, &pb.Command{Base: d.base, Kind: &pb.Command_DeleteTopic{
				DeleteTopic: &pb.DeleteTopic{Topic: found.Number}}})
			d.slots = append(d.slots, i)
		}
	}
	return missing
}
