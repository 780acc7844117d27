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
const maxTopicPartitions = 10_000

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
		results, err := a.propose(ctx, commands)
		if err != nil {
			for _, t := range open {
				t.err = err
			}
			return
		}
		var again []*newTopic
		for i, t := range open {
			switch c := results[i].Code; {
			case c == state.OK:
				t.err = a.created(t, uint64(results[i].ID))
			case c == state.Conflict && try < maxConflicts && ctx.Err() == nil:
				again = append(again, t)
			case c == state.Conflict:
				t.err = fmt.Errorf("%w: the topic is being deleted and created at the same time", ErrTimeout)
			default:
				t.err = refusedTopic(t.name, c)
			}
		}
		open = again
	}
}

// created reads back the id that State gave. A topic that is gone again was created all the same.
func (a *API) created(t *newTopic, number uint64) error {
	a.d.View.Read(func(s *state.State) {
		if found := s.TopicByNumber(number); found != nil {
			t.id = found.ID
		}
	})
	return nil
}

// propose checks the one thing that every caller relies on: a result for each command.
func (a *API) propose(ctx context.Context, commands []*pb.Command) ([]state.Result, error) {
	results, err := a.d.Proposer.Propose(ctx, commands)
	if err == nil && len(results) != len(commands) {
		err = fmt.Errorf("%w: %d results for %d commands", ErrOutcomeUnknown, len(results), len(commands))
	}
	return results, err
}

func refusedTopic(name string, c state.Code) error {
	switch c {
	case state.TopicExists:
		return refuse(kerr.TopicAlreadyExists, "topic '%s' already exists", name)
	case state.NameCollision:
		return refuse(kerr.InvalidTopicException, "topic '%s' collides with an existing topic that differs in '.' and '_' only", name)
	case state.TooMany:
		return refuse(kerr.PolicyViolation, "the cluster's limit of topics or partitions is reached")
	}
	return &Refused{c}
}

func sortConfigs(c []*pb.Config) {
	sort.Slice(c, func(i, j int) bool { return c[i].Name < c[j].Name })
}
