package api

import (
	"context"
	"fmt"
	"sort"

	"github.com/twmb/franz-go/pkg/kerr"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// newTopic is a topic to create and what became of it.
type newTopic struct {
	name       string
	partitions int32
	configs    []*pb.Config // checked, sorted by name

	err error
	id  state.TopicID
}

// maxConflicts bounds how often a creation is judged again because another agent deleted that name meanwhile.
const maxConflicts = 5

// maxTopicPartitions keeps one command within what Apply may take.
const maxTopicPartitions = state.MaxTopicPartitions

// create proposes the topics, all in one go, and sets err or id of each. State judges: a name that is there is refused
// even when this agent had not seen it.
func (a *API) create(ctx context.Context, topics []newTopic) {
	open := make([]*newTopic, len(topics))
	for i := range topics {
		open[i] = &topics[i]
	}
	for try := 0; len(open) > 0; try++ {
		var base int64
		a.d.View.Read(func(s *state.State) { base = s.Position() })
		commands := make([]*pb.Command, len(open))
		for i, t := range open {
			commands[i] = &pb.Command{Base: base, Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{
				Name: t.name, Partitions: uint32(t.partitions), Configs: t.configs,
			}}}
		}
		outcomes := a.d.Proposer.Propose(ctx, commands)
		var again []*newTopic
		for i, t := range open {
			switch o := outcomes[i]; {
			case o.Err != nil:
				t.err = o.Err
			case o.Result.Code == state.OK:
				t.err = nil
				a.readBack(t, uint64(o.Result.ID))
			case o.Result.Code == state.Conflict && try < maxConflicts && ctx.Err() == nil:
				again = append(again, t)
			case o.Result.Code == state.Conflict:
				t.err = fmt.Errorf("%w: the topic is being deleted and created at the same time", ErrTimeout)
			default:
				a.d.View.Read(func(s *state.State) { t.err = refusedTopic(s, t.name, o.Result.Code) })
			}
		}
		open = again
	}
}

// readBack takes the id that State gave. A topic that is gone again was created all the same, and has none to show.
func (a *API) readBack(t *newTopic, number uint64) {
	a.d.View.Read(func(s *state.State) {
		if found := s.TopicByNumber(number); found != nil {
			t.id = found.ID
		}
	})
}

// refusedTopic is State's verdict on a new topic, in the words that Apache Kafka's tools print.
func refusedTopic(s *state.State, name string, c state.Code) error {
	switch c {
	case state.TopicExists:
		return refuse(kerr.TopicAlreadyExists, "Topic '%s' already exists.", name)
	case state.NameCollision:
		return refuse(kerr.InvalidTopicException, "Topic '%s' collides with existing topic: %s", name, s.Collides(name))
	case state.TooMany:
		return refuse(kerr.PolicyViolation, "the cluster's limit of topics or partitions is reached")
	}
	return &Refused{c}
}

func sortConfigs(c []*pb.Config) {
	sort.Slice(c, func(i, j int) bool { return c[i].Name < c[j].Name })
}
