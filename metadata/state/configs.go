package state

import (
	"cmp"
	"slices"

	pb "wadi/metadata/metadatapb"
)

// ResourceType is what configs belong to, by Kafka's numbers.
type ResourceType uint32

const (
	TopicConfigs   ResourceType = 2
	BrokerConfigs  ResourceType = 4 // named by node id; "" is the default of all
	MetricsConfigs ResourceType = 16
	GroupConfigs   ResourceType = 32
)

// Caps on configs. All of them live in every agent's memory, and a change copies the list of resources.
const (
	MaxConfigResources = 10_000
	MaxConfigBytes     = 32 << 10 // names and values of one resource, a topic included
	MaxAllConfigBytes  = 8 << 20  // of all resources that are not topics
)

const (
	brokerTimestampType = "log.message.timestamp.type"
	topicTimestampType  = "message.timestamp.type"
	logAppendTime       = "LogAppendTime"
)

// ConfigResource is what was set for a broker, for all of them, for a group or for a metrics subscription. It never
// changes: a change replaces it. Values are as the proposer checked them; State does not know their meaning.
type ConfigResource struct {
	Type    ResourceType
	Name    string
	Configs []*pb.Config // sorted by name, at least one
	Changed int64        // position of the last change

	bytes int
}

// Config returns one value.
func (r *ConfigResource) Config(name string) (string, bool) {
	if r == nil {
		return "", false
	}
	return findConfig(r.Configs, name)
}

// Configs finds what was set for a resource other than a topic, nil when nothing is. It is valid for ever.
func (s *State) Configs(typ ResourceType, name string) *ConfigResource {
	if at, found := s.findResource(typ, name); found {
		return s.configs[at]
	}
	return nil
}

// EachConfigs visits the resources of a type in the order of their names.
func (s *State) EachConfigs(typ ResourceType, visit func(*ConfigResource)) {
	for _, r := range s.configs {
		if r.Type == typ {
			visit(r)
		}
	}
}

// BrokerConfigsChanged grows with every change to what is set for brokers, so what was worked out from the defaults is
// good as long as it stays.
func (s *State) BrokerConfigsChanged() int64 { return s.brokerConfigsChanged }

// defaultsChanged is when what is set for all brokers changed, or at the latest when there is nothing set. Other than
// BrokerConfigsChanged it is the same on every replica.
func (s *State) defaultsChanged() int64 {
	if r := s.Configs(BrokerConfigs, ""); r != nil {
		return r.Changed
	}
	return s.forgottenConfigs
}

func findConfig(configs []*pb.Config, name string) (string, bool) {
	at, found := slices.BinarySearchFunc(configs, name, func(c *pb.Config, n string) int { return cmp.Compare(c.Name, n) })
	if !found {
		return "", false
	}
	return configs[at].Value, true
}

func (s *State) findResource(typ ResourceType, name string) (int, bool) {
	return slices.BinarySearchFunc(s.configs, name, func(r *ConfigResource, n string) int {
		return cmp.Or(cmp.Compare(r.Type, typ), cmp.Compare(r.Name, n))
	})
}

// applyAlterConfigs changes one resource, as a whole or not at all. Other than with topics' creation and deletion, a
// change by the same session after base is a conflict too: what becomes of a list was worked out from its old value.
func (s *State) applyAlterConfigs(base int64, c *pb.AlterConfigs, res *Result) Code {
	if !soundChanges(c) {
		return Invalid
	}
	if ResourceType(c.Type) == TopicConfigs {
		return s.alterTopic(base, c, res)
	}
	at, found := s.findResource(ResourceType(c.Type), c.Name)
	var old []*pb.Config
	changed, before := s.forgottenConfigs, 0
	if found {
		old, changed, before = s.configs[at].Configs, s.configs[at].Changed, s.configs[at].bytes
	}
	configs, bytes := altered(old, c)
	switch {
	case changed > base:
		return Conflict
	case bytes > MaxConfigBytes || s.configBytes-before+bytes > MaxAllConfigBytes:
		return TooMany
	case !found && len(configs) > 0 && len(s.configs) >= MaxConfigResources:
		return TooMany
	case sameConfigs(old, configs):
		return OK
	}
	list := make([]*ConfigResource, 0, len(s.configs)+1) // a snapshot may hold the old one
	list = append(list, s.configs[:at]...)
	if len(configs) == 0 {
		s.forgottenConfigs = s.position
	} else {
		list = append(list, &ConfigResource{
			Type: ResourceType(c.Type), Name: c.Name, Configs: configs, Changed: s.position, bytes: bytes,
		})
	}
	if found {
		at++
	}
	s.configs = append(list, s.configs[at:]...)
	s.configBytes += bytes - before
	if ResourceType(c.Type) == BrokerConfigs {
		s.deriveConfigs(s.position)
	}
	return OK
}

func (s *State) alterTopic(base int64, c *pb.AlterConfigs, res *Result) Code {
	t := s.TopicByNumber(c.Topic)
	if t == nil {
		return UnknownTopic
	}
	configs, bytes := altered(t.Configs, c)
	res.ID = int64(t.Number)
	switch {
	case t.Changed > base:
		return Conflict
	case bytes > MaxConfigBytes:
		return TooMany
	case sameConfigs(t.Configs, configs):
		return OK
	}
	t = s.editTopic(c.Topic)
	t.Configs, t.Changed, t.ChangedBy = configs, s.position, s.session
	t.parseConfigs()
	return OK
}

// soundChanges checks the shape: a type that has configs, names that rise.
func soundChanges(c *pb.AlterConfigs) bool {
	switch ResourceType(c.Type) {
	case TopicConfigs:
		if c.Name != "" {
			return false
		}
	case BrokerConfigs, MetricsConfigs, GroupConfigs:
		if c.Topic != 0 {
			return false
		}
	default:
		return false
	}
	return risingConfigs(c.Set) && risingNames(c.Remove)
}

func risingConfigs(configs []*pb.Config) bool {
	for i, x := range configs {
		if x == nil || x.Name == "" || (i > 0 && configs[i-1].Name >= x.Name) {
			return false
		}
	}
	return true
}

func risingNames(names []string) bool {
	for i, n := range names {
		if n == "" || (i > 0 && names[i-1] >= n) {
			return false
		}
	}
	return true
}

// altered is what a command makes of a resource's configs, and how many bytes their names and values have.
func altered(old []*pb.Config, c *pb.AlterConfigs) ([]*pb.Config, int) {
	var configs []*pb.Config
	bytes := 0
	keep := func(x *pb.Config) {
		configs = append(configs, x)
		bytes += len(x.Name) + len(x.Value)
	}
	set := c.Set
	for _, x := range old {
		for len(set) > 0 && set[0].Name < x.Name {
			keep(set[0])
			set = set[1:]
		}
		switch _, removed := slices.BinarySearch(c.Remove, x.Name); {
		case len(set) > 0 && set[0].Name == x.Name:
			keep(set[0])
			set = set[1:]
		case !removed && !c.Replace:
			keep(x)
		}
	}
	for _, x := range set {
		keep(x)
	}
	return configs, bytes
}

func sameConfigs(a, b []*pb.Config) bool {
	return slices.EqualFunc(a, b, func(x, y *pb.Config) bool { return x.Name == y.Name && x.Value == y.Value })
}

// deriveConfigs keeps what is asked for all the time: the brokers' default timestamp type, and when any of their configs
// changed, at the latest.
func (s *State) deriveConfigs(changed int64) {
	v, _ := s.Configs(BrokerConfigs, "").Config(brokerTimestampType)
	s.defaultLogAppendTime, s.brokerConfigsChanged = v == logAppendTime, changed
}

// StampsAppendTime reports whether batches of a topic carry the time of their appending: by its own
// message.timestamp.type, else by the default for all brokers.
func (s *State) StampsAppendTime(t *Topic) bool {
	return t.LogAppendTime || (s.defaultLogAppendTime && !t.ownTimestampType)
}
