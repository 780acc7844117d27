package api

// CreatePartitions: key 37, versions 0 to 3.

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// createPartitions makes topics grow, each on its own (Semantics line 90). The reply has one entry per name.
func (a *API) createPartitions(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.CreatePartitionsRequest)
	ctx, cancel := context.WithTimeout(ctx, adminTimeout(body.TimeoutMillis))
	defer cancel()
	brokers := make(map[int32]bool)
	for _, b := range a.d.Members.Brokers(req.Conn.Listener) {
		brokers[b.NodeID] = true
	}
	topics := make([]growth, 0, len(body.Topics))
	slots := make(map[string]int, len(body.Topics))
	for i := range body.Topics {
		in := &body.Topics[i]
		if at, again := slots[in.Topic]; again {
			topics[at].err = refuse(kerr.InvalidRequest, "topic '%s' comes twice in one request", in.Topic)
			continue
		}
		slots[in.Topic] = len(topics)
		topics = append(topics, growth{in: in, assignment: checkReplicas(in.Assignment, brokers)})
	}
	a.grow(ctx, topics, body.ValidateOnly)
	resp := kmsg.NewPtrCreatePartitionsResponse()
	resp.Topics = make([]kmsg.CreatePartitionsResponseTopic, len(topics))
	for i := range topics {
		out := &resp.Topics[i]
		out.Default()
		out.Topic = topics[i].in.Topic
		out.ErrorCode, out.ErrorMessage = code(keyCreatePartitions, topics[i].err), message(topics[i].err)
	}
	return resp, nil
}

// growth is a topic that is to grow and what became of it.
type growth struct {
	in         *kmsg.CreatePartitionsRequestTopic
	assignment error // what is wrong with it whatever the topic is
	topic      uint64
	err        error
}

// checkReplicas checks what of an assignment does not depend on the topic. Which live brokers it names does not matter:
// none of them owns a partition.
func checkReplicas(list []kmsg.CreatePartitionsRequestTopicAssignment, brokers map[int32]bool) error {
	for i := range list {
		replicas := list[i].Replicas
		if n := len(replicas); n < 1 || n > 3 {
			return refuse(kerr.InvalidReplicaAssignment, "1 to 3 replicas are needed, not %d", n)
		}
		var twice seen[int32]
		for _, id := range replicas {
			switch {
			case twice.again(id):
				return refuse(kerr.InvalidReplicaAssignment, "broker %d comes twice in one partition's replicas", id)
			case !brokers[id]:
				return refuse(kerr.InvalidReplicaAssignment, "there is no broker %d", id)
			}
		}
	}
	return nil
}

// grow judges all topics behind a barrier, since a topic may have been created anew elsewhere with fewer partitions, and
// proposes what can be done. A topic that another agent changed meanwhile is judged again.
func (a *API) grow(ctx context.Context, topics []growth, validateOnly bool) {
	barrier := a.barrier(ctx)
	open := make([]*growth, 0, len(topics))
	for i := range topics {
		if topics[i].err == nil {
			open = append(open, &topics[i])
		}
	}
	for try := 0; len(open) > 0; try++ {
		var commands []*pb.Command
		var proposed []*growth
		a.d.View.Read(func(s *state.State) {
			for _, g := range open {
				if g.err = g.judge(s, barrier); g.err == nil {
					proposed = append(proposed, g)
					commands = append(commands, &pb.Command{Base: s.Position(), Kind: &pb.Command_CreatePartitions{
						CreatePartitions: &pb.CreatePartitions{Topic: g.topic, Count: uint32(g.in.Count)},
					}})
				}
			}
		})
		if validateOnly || len(commands) == 0 {
			return
		}
		open = open[:0]
		for i, o := range a.d.Proposer.Propose(ctx, commands) {
			g := proposed[i]
			switch {
			case o.Err == nil && o.Result.Code == state.Conflict && try < maxConflicts && ctx.Err() == nil:
				open = append(open, g)
			case o.Err == nil && o.Result.Code == state.Conflict:
				g.err = fmt.Errorf("%w: the topic changes all the time", ErrTimeout)
			case o.Err == nil && o.Result.Code == state.UnknownTopic:
				g.err = ErrUnknownTopic // deleted meanwhile
			case o.Err == nil && o.Result.Code == state.NotMore:
				g.err = notMore(int(o.Result.ID), g.in.Count)
			default:
				g.err = o.failed()
			}
		}
	}
}

// judge is what State would say, in the order in which Kafka looks: the topic, its count, the assignment.
func (g *growth) judge(s *state.State, barrier error) error {
	t := s.Topic(g.in.Topic)
	if barrier != nil || t == nil {
		return either(barrier, ErrUnknownTopic)
	}
	g.topic = t.Number
	have := t.Partitions()
	added := int(g.in.Count) - have
	switch {
	case added <= 0:
		return notMore(have, g.in.Count)
	case g.in.Assignment != nil && len(g.in.Assignment) != added:
		return refuse(kerr.InvalidReplicaAssignment, "%d new partitions, but replicas for %d", added, len(g.in.Assignment))
	case g.in.Count > state.MaxTopicPartitions || s.Partitions()+added > state.MaxPartitions:
		return refuse(kerr.PolicyViolation, "a topic can have %d partitions, the cluster %d", state.MaxTopicPartitions, state.MaxPartitions)
	}
	return g.assignment
}

func notMore(have int, wanted int32) error {
	if have == int(wanted) {
		return refuse(kerr.InvalidPartitions, "the topic has %d partitions already", have)
	}
	return refuse(kerr.InvalidPartitions, "the topic has %d partitions; it cannot shrink to %d", have, wanted)
}
