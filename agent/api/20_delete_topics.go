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
// one that lands late cannot delete a topic that was created anew under the name (Semantics line 91). A topic that is
// named twice, in whatever way, is not deleted at all: the client may have meant another one.
func (a *API) deleteTopics(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.DeleteTopicsRequest)
	resp := kmsg.NewPtrDeleteTopicsResponse()
	ctx, cancel := context.WithTimeout(ctx, adminTimeout(body.TimeoutMillis))
	defer cancel()
	d := newDeleting(req.Version, body)
	a.twice(ctx, d.find)
	if len(d.commands) > 0 {
		for i, o := range a.d.Proposer.Propose(ctx, d.commands) {
			t := d.deleted[i]
			t.err = o.failed()
			if o.Err == nil && o.Result.Code == state.UnknownTopic {
				t.err = t.unknown()
			}
		}
	}
	for _, t := range d.topics {
		if t.elsewhere {
			continue
		}
		out := kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = t.name, t.id
		out.ErrorCode, out.ErrorMessage = code(keyDeleteTopics, t.err), message(t.err)
		resp.Topics = append(resp.Topics, out)
	}
	return resp, nil
}

// deleting is one DeleteTopics request on its way.
type deleting struct {
	topics   []*deletedTopic // in the order of the request
	commands []*pb.Command
	deleted  []*deletedTopic // of each command
}

type deletedTopic struct {
	name *string // null in the reply when an id is unknown
	id   state.TopicID
	byID bool
	bad  error // what is wrong with it whatever there is

	err       error
	found     *state.Topic // of an id; only while State is read
	elsewhere bool         // answered by the entry that has its name
}

func (t *deletedTopic) unknown() error {
	if t.byID {
		return errUnknownID
	}
	return ErrUnknownTopic
}

// newDeleting has one entry for each name and each id of the request.
func newDeleting(version int16, body *kmsg.DeleteTopicsRequest) *deleting {
	d := &deleting{}
	names, ids := make(map[string]*deletedTopic), make(map[state.TopicID]*deletedTopic)
	byName := func(name *string) {
		if first, again := names[*name]; again {
			first.bad = refuse(kerr.InvalidRequest, "Duplicate topic name.")
			return
		}
		names[*name] = &deletedTopic{name: name}
		d.topics = append(d.topics, names[*name])
	}
	byID := func(id state.TopicID) {
		if first, again := ids[id]; again {
			first.bad = refuse(kerr.InvalidRequest, "Duplicate topic id.")
			return
		}
		ids[id] = &deletedTopic{id: id, byID: true}
		d.topics = append(d.topics, ids[id])
	}
	if version < 6 {
		for i := range body.TopicNames {
			byName(&body.TopicNames[i])
		}
		return d
	}
	for i := range body.Topics {
		in := &body.Topics[i]
		none := in.TopicID == state.TopicID{}
		switch {
		case in.Topic == nil && none:
			d.topics = append(d.topics, &deletedTopic{bad: refuse(kerr.InvalidRequest, "Neither topic name nor id were specified.")})
		case in.Topic == nil:
			byID(in.TopicID)
		case none:
			byName(in.Topic)
		default:
			d.topics = append(d.topics, &deletedTopic{name: in.Topic, id: in.TopicID,
				bad: refuse(kerr.InvalidRequest, "You may not specify both topic name and topic id.")})
		}
	}
	return d
}

// find looks the topics up and makes the commands. Ids come first, so that a name is compared with all of them.
func (d *deleting) find(s *state.State, barrier error) (missing bool) {
	d.commands, d.deleted = nil, nil
	ids := make(map[uint64]*deletedTopic)
	for _, t := range d.topics {
		t.err, t.elsewhere = t.bad, false
		if !t.byID {
			continue
		}
		found, unknown := topicRef{id: t.id, byID: true}.find(s)
		if t.found = found; unknown == nil {
			ids[found.Number] = t
		} else if t.bad == nil {
			missing = true
			t.err = either(barrier, unknown)
		}
	}
	for _, t := range d.topics {
		if t.byID || t.bad != nil {
			continue
		}
		found, unknown := topicRef{name: *t.name}.find(s)
		if unknown != nil {
			missing = true
			t.err = either(barrier, unknown)
			continue
		}
		t.id = found.ID
		if same := ids[found.Number]; same != nil {
			t.err = refuse(kerr.InvalidRequest, "The provided topic name maps to an ID that was already supplied.")
			same.elsewhere = same.bad == nil
			continue
		}
		d.remove(s, t, found)
	}
	for _, t := range d.topics {
		if t.byID && t.err == nil && !t.elsewhere {
			name := t.found.Name
			t.name = &name
			d.remove(s, t, t.found)
		}
	}
	return missing
}

func (d *deleting) remove(s *state.State, t *deletedTopic, found *state.Topic) {
	d.deleted = append(d.deleted, t)
	d.commands = append(d.commands, &pb.Command{Base: s.Position(), Kind: &pb.Command_DeleteTopic{
		DeleteTopic: &pb.DeleteTopic{Topic: found.Number}}})
}
