package compactor

import (
	"iter"
	"sync"

	"wadi/internal/kafkaconfig"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// configs remembers what topics' configs mean, by the positions of the changes that they were made from.
//
// What is set for one broker, or in its file, does not count: any process may have a partition's shard, so it would count
// one day and not the next.
type configs struct {
	mu struct {
		sync.Mutex
		changed  int64 // of the brokers' configs
		defaults *kafkaconfig.Effective
		topics   map[uint64]topicConfigs // only those with configs of their own
	}
}

type topicConfigs struct {
	changed int64
	*kafkaconfig.Effective
}

// spareTopics is how many deleted topics may be remembered before all are forgotten.
const spareTopics = 1000

// of looks topics of a snapshot up.
func (c *configs) of(s *state.State) func(*state.Topic) *kafkaconfig.Effective {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.defaults == nil || c.mu.changed != s.BrokerConfigsChanged() {
		l := kafkaconfig.NoLayers
		l.All = s.Configs(state.BrokerConfigs, "").Config
		c.mu.defaults, c.mu.changed, c.mu.topics = l.Topics(), s.BrokerConfigsChanged(), nil
	}
	if c.mu.topics == nil || len(c.mu.topics) > s.Topics()+spareTopics {
		c.mu.topics = make(map[uint64]topicConfigs)
	}
	return c.topic
}

func (c *configs) topic(t *state.Topic) *kafkaconfig.Effective {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(t.Configs) == 0 {
		return c.mu.defaults
	}
	if found, ok := c.mu.topics[t.Number]; ok && found.changed == t.Changed {
		return found.Effective
	}
	fresh := c.mu.defaults.With(each(t.Configs))
	c.mu.topics[t.Number] = topicConfigs{t.Changed, fresh}
	return fresh
}

func each(list []*pb.Config) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, c := range list {
			if !yield(c.Name, c.Value) {
				return
			}
		}
	}
}
