package api

import (
	"iter"
	"maps"
	"strconv"
	"sync"

	"wadi/internal/kafkaconfig"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// brokerName is how this agent is called as a broker whose configs are asked for, "" while it has no node id.
func (a *API) brokerName() string {
	if id, ok := a.d.Members.Self(); ok {
		return strconv.Itoa(int(id))
	}
	return ""
}

// layers are the places that give this agent's configs their values. They are good for ever: what was set in State is
// never changed, only replaced.
func (a *API) layers(s *state.State, self string, brokers int) kafkaconfig.Layers {
	l := kafkaconfig.Layers{
		Broker: kafkaconfig.Nothing, All: s.Configs(state.BrokerConfigs, "").Config, File: a.fileConfigs(self, brokers),
	}
	if self != "" {
		l.Broker = s.Configs(state.BrokerConfigs, self).Config
	}
	return l
}

// fileConfigs is what the agent's own configuration and its place in the cluster say.
func (a *API) fileConfigs(self string, brokers int) kafkaconfig.Lookup {
	own := maps.Clone(a.d.Config.Broker)
	if own == nil {
		own = make(map[string]string)
	}
	own[kafkaconfig.NodeID], own[kafkaconfig.BrokerID] = self, self
	own[kafkaconfig.NumPartitions] = strconv.Itoa(int(a.d.Config.DefaultPartitions))
	own[kafkaconfig.AutoCreate] = strconv.FormatBool(a.d.Config.AutoCreate)
	own[kafkaconfig.FetchMaxBytes] = strconv.Itoa(a.d.Config.MaxFetchBytes)
	if dir := a.d.Config.LogDir; dir != "" {
		own[kafkaconfig.LogDirs] = dir
	}
	own[kafkaconfig.DefaultReplication] = strconv.Itoa(max(1, min(maxReplicas, brokers)))
	for name, value := range own { // a default is one, whoever wrote it down
		if k, ok := kafkaconfig.Brokers.Lookup(name); ok && !k.Null && k.Default == value {
			delete(own, name)
		}
	}
	return func(name string) (string, bool) { v, ok := own[name]; return v, ok }
}

// configsOf looks up what a list of configs says.
func configsOf(list []*pb.Config) kafkaconfig.Lookup {
	return func(name string) (string, bool) {
		for _, c := range list {
			if c.Name == name {
				return c.Value, true
			}
		}
		return "", false
	}
}

func eachConfig(list []*pb.Config) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, c := range list {
			if !yield(c.Name, c.Value) {
				return
			}
		}
	}
}

// effectives remembers what topics' configs mean, so that a batch costs a look and not a parse. What it holds is
// recognized by the positions of the changes it was made from, and made anew when they differ.
type effectives struct {
	mu struct {
		sync.RWMutex
		self     string
		changed  int64 // of the brokers' configs
		defaults *kafkaconfig.Effective
		topics   map[uint64]topicEffective // only those with configs of their own
	}
}

type topicEffective struct {
	changed int64
	*kafkaconfig.Effective
}

// spareEffectives is how many deleted topics may be remembered before all are forgotten.
const spareEffectives = 1000

// of is what a topic's configs mean at this agent. The result is shared: nobody changes it.
func (e *effectives) of(s *state.State, t *state.Topic, self string) *kafkaconfig.Effective {
	if found := e.look(s, t, self); found != nil {
		return found
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.defaults == nil || e.mu.changed != s.BrokerConfigsChanged() || e.mu.self != self {
		l := kafkaconfig.Layers{
			Broker: kafkaconfig.Nothing, All: s.Configs(state.BrokerConfigs, "").Config, File: kafkaconfig.Nothing,
		}
		if self != "" {
			l.Broker = s.Configs(state.BrokerConfigs, self).Config
		}
		e.mu.defaults, e.mu.changed, e.mu.self, e.mu.topics = l.Topics(), s.BrokerConfigsChanged(), self, nil
	}
	if len(t.Configs) == 0 {
		return e.mu.defaults
	}
	if e.mu.topics == nil || len(e.mu.topics) > s.Topics()+spareEffectives {
		e.mu.topics = make(map[uint64]topicEffective)
	}
	fresh := e.mu.defaults.With(eachConfig(t.Configs))
	e.mu.topics[t.Number] = topicEffective{t.Changed, fresh}
	return fresh
}

// look finds what is remembered and still true, or nil.
func (e *effectives) look(s *state.State, t *state.Topic, self string) *kafkaconfig.Effective {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.mu.defaults == nil || e.mu.changed != s.BrokerConfigsChanged() || e.mu.self != self {
		return nil
	}
	if len(t.Configs) == 0 {
		return e.mu.defaults
	}
	if x, ok := e.mu.topics[t.Number]; ok && x.changed == t.Changed {
		return x.Effective
	}
	return nil
}
