package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/internal/kafkaconfig"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// alteration is one resource whose configs are to change, and what became of it.
type alteration struct {
	kind    kmsg.ConfigResourceType
	name    string
	changes []configChange
	replace bool // what is not named goes back to its default
	err     error
}

// configChange is one change as the client asked for it.
type configChange struct {
	op    kmsg.IncrementalAlterConfigOp
	name  string
	value *string
}

const maxConfigName = 256

// alter changes each resource as a whole or not at all (Semantics line 88). What becomes of it is worked out here, from
// the view; State refuses it when the resource has changed meanwhile, and then it is worked out again.
func (a *API) alter(ctx context.Context, list []alteration, validateOnly bool) {
	self := a.brokerName()
	twice := make(map[configResource]int, len(list))
	for i := range list {
		twice[configResource{list[i].kind, list[i].name}]++
	}
	open := make([]*alteration, 0, len(list))
	for i := range list {
		x := &list[i]
		if twice[configResource{x.kind, x.name}] > 1 {
			x.err = refuse(kerr.InvalidRequest, "Each resource must appear at most once.")
		} else {
			x.err = x.check(self)
		}
		if x.err == nil {
			open = append(open, x)
		}
	}
	for try := 0; len(open) > 0; try++ {
		commands := a.workOut(ctx, &open, self)
		if validateOnly || len(commands) == 0 {
			return
		}
		var again []*alteration
		for i, o := range a.d.Proposer.Propose(ctx, commands) {
			x := open[i]
			switch err := o.failed(); {
			case o.Err == nil && o.Result.Code == state.Conflict && try < maxConflicts && ctx.Err() == nil:
				again = append(again, x)
			case o.Err == nil && o.Result.Code == state.Conflict:
				x.err = fmt.Errorf("%w: the configs change all the time", ErrTimeout)
			case o.Err == nil && o.Result.Code == state.TooMany:
				x.err = refuse(kerr.PolicyViolation, "the limit of what is kept of configs is reached")
			default:
				x.err = err
			}
		}
		open = again
	}
}

type configResource struct {
	kind kmsg.ConfigResourceType
	name string
}

// check finds what is wrong whatever the resource holds.
func (x *alteration) check(self string) error {
	var twice seen[string]
	for _, c := range x.changes {
		if twice.again(c.name) {
			return refuse(kerr.InvalidRequest, "Error due to duplicate config keys")
		}
	}
	for _, c := range x.changes {
		switch {
		case c.op != kmsg.IncrementalAlterConfigOpDelete && c.value == nil:
			return refuse(kerr.InvalidRequest, "Null value not supported for : %s", c.name)
		case c.op < kmsg.IncrementalAlterConfigOpSet || c.op > kmsg.IncrementalAlterConfigOpSubtract:
			return refuse(kerr.InvalidRequest, "Unknown operations type %d", c.op)
		}
	}
	switch x.kind {
	case kmsg.ConfigResourceTypeTopic:
		if x.name == "" {
			return refuse(kerr.InvalidRequest, "Default topic resources are not allowed.")
		}
		return validName(x.name)
	case kmsg.ConfigResourceTypeBroker:
		if x.name == "" {
			return nil
		}
		return isBroker(x.name, self)
	case kmsg.ConfigResourceTypeBrokerLogger:
		if err := isBroker(x.name, self); err != nil {
			return err
		}
		return refuse(kerr.InvalidConfig, "the level at which an agent logs cannot be changed while it runs")
	case kmsg.ConfigResourceTypeGroupConfig:
		if x.name == "" {
			return refuse(kerr.InvalidRequest, "Default group resources are not allowed.")
		}
	case kmsg.ConfigResourceTypeClientMetrics:
		if x.name == "" {
			return refuse(kerr.InvalidRequest, "Subscription name can't be empty")
		}
	default:
		return refuse(kerr.InvalidRequest, "Unknown resource type %d", x.kind)
	}
	if len(x.name) > maxConfigName {
		return refuse(kerr.InvalidRequest, "the resource's name is longer than %d bytes", maxConfigName)
	}
	return nil
}

// workOut makes a command of each alteration and takes those that cannot be done out of open. A topic that is not there
// is looked for again behind a barrier.
func (a *API) workOut(ctx context.Context, open *[]*alteration, self string) (commands []*pb.Command) {
	list := *open
	a.twice(ctx, func(s *state.State, barrier error) (missing bool) {
		l := a.layers(s, self, 1)
		commands, *open = commands[:0], nil
		for _, x := range list {
			var k *pb.AlterConfigs
			k, x.err = x.command(s, l)
			if errors.Is(x.err, ErrUnknownTopic) {
				missing = true
				x.err = either(barrier, refuse(kerr.UnknownTopicOrPartition, "The topic '%s' does not exist.", x.name))
			}
			if x.err == nil {
				commands = append(commands, &pb.Command{Base: s.Position(), Kind: &pb.Command_AlterConfigs{AlterConfigs: k}})
				*open = append(*open, x)
			}
		}
		return missing
	})
	return commands
}

// command works out what becomes of the resource. Values are checked before the topic is looked for, as in Kafka.
func (x *alteration) command(s *state.State, l kafkaconfig.Layers) (*pb.AlterConfigs, error) {
	r := resourceOf(s, l, x)
	k := &pb.AlterConfigs{Type: uint32(x.kind), Topic: r.topic, Name: x.name, Replace: x.replace}
	if x.kind == kmsg.ConfigResourceTypeTopic {
		k.Name = ""
	}
	for _, c := range x.changes {
		if c.op == kmsg.IncrementalAlterConfigOpDelete {
			// What is not set needs no removal: State refuses the command if it was set meanwhile.
			if _, set := r.own(c.name); set {
				k.Remove = append(k.Remove, c.name)
			}
			continue
		}
		value, err := r.newValue(c)
		if err != nil {
			return nil, err
		}
		k.Set = append(k.Set, &pb.Config{Name: c.name, Value: value})
	}
	sortConfigs(k.Set)
	slices.Sort(k.Remove)
	if err := r.checkWhole(k); err != nil {
		return nil, err
	}
	if x.kind == kmsg.ConfigResourceTypeTopic && r.topic == 0 {
		return nil, ErrUnknownTopic
	}
	return k, nil
}

// resource is what is known of an alteration's resource.
type resource struct {
	kind    kmsg.ConfigResourceType
	catalog *kafkaconfig.Catalogue
	topic   uint64
	own     kafkaconfig.Lookup
	layers  kafkaconfig.Layers
}

func resourceOf(s *state.State, l kafkaconfig.Layers, x *alteration) resource {
	r := resource{kind: x.kind, own: kafkaconfig.Nothing, layers: l}
	switch x.kind {
	case kmsg.ConfigResourceTypeTopic:
		r.catalog = kafkaconfig.Topics
		if t := s.Topic(x.name); t != nil {
			r.topic, r.own = t.Number, configsOf(t.Configs)
		}
		return r
	case kmsg.ConfigResourceTypeBroker:
		r.catalog = kafkaconfig.Brokers
	case kmsg.ConfigResourceTypeGroupConfig:
		r.catalog = kafkaconfig.Groups
	default:
		r.catalog = kafkaconfig.Metrics
	}
	r.own = s.Configs(state.ResourceType(x.kind), x.name).Config
	return r
}

// newValue is what a config becomes, checked.
func (r *resource) newValue(c configChange) (string, error) {
	value := *c.value
	if c.op != kmsg.IncrementalAlterConfigOpSet {
		if !r.catalog.IsList(c.name) || r.kind == kmsg.ConfigResourceTypeClientMetrics {
			return "", refuse(kerr.InvalidConfig, "Can't %s to key %s because its type is not LIST.", opNames[c.op], c.name)
		}
		value = r.combine(c)
	}
	k, known := r.catalog.Lookup(c.name)
	switch {
	case r.kind != kmsg.ConfigResourceTypeBroker || !known:
	case k.Mode == kafkaconfig.ReadOnly:
		return "", refuse(kerr.InvalidRequest, "Cannot update these configs dynamically: [%s]", c.name)
	case k.Mode == kafkaconfig.PerBroker:
		return "", refuse(kerr.InvalidRequest, "%s is about listeners, which an agent takes from its own configuration", c.name)
	}
	stored, err := r.catalog.Check(c.name, value)
	if err != nil && r.isBadRequest(c.name, value, err) {
		return "", refuse(kerr.InvalidRequest, "%v", err)
	}
	return stored, err
}

// isBadRequest reports whether Kafka calls a refused value INVALID_REQUEST: of brokers (KAFKA-13609), and of metrics
// subscriptions an unknown name and an interval out of bounds.
func (r *resource) isBadRequest(name, value string, err error) bool {
	switch r.kind {
	case kmsg.ConfigResourceTypeBroker:
		return errors.Is(err, kafkaconfig.ErrInvalid)
	case kmsg.ConfigResourceTypeClientMetrics:
		_, noNumber := strconv.ParseInt(value, 10, 32)
		return errors.Is(err, kafkaconfig.ErrUnknown) || name == "interval.ms" && noNumber == nil
	}
	return false
}

var opNames = map[kmsg.IncrementalAlterConfigOp]string{
	kmsg.IncrementalAlterConfigOpAppend: "APPEND", kmsg.IncrementalAlterConfigOpSubtract: "SUBTRACT",
}

// combine appends to a list or takes out of it. Where the resource has none of its own, it starts from what the agent's
// file and Kafka's defaults say: what is set for brokers at run time does not count, as in Kafka.
func (r *resource) combine(c configChange) string {
	k, _ := r.catalog.Lookup(c.name)
	old, ok := r.own(c.name)
	if !ok {
		fixed := kafkaconfig.Layers{Broker: kafkaconfig.Nothing, All: kafkaconfig.Nothing, File: r.layers.File}
		chain := fixed.Chain(c.name)
		if r.kind != kmsg.ConfigResourceTypeBroker {
			chain = fixed.Inherited(k, kafkaconfig.Nothing, kafkaconfig.FromTopic)
		}
		old, _ = fixed.InForce(k, chain)
	}
	list := kafkaconfig.Elements(old)
	for _, e := range strings.Split(*c.value, ",") {
		e = strings.TrimSpace(e)
		at := slices.Index(list, e)
		switch {
		case c.op == kmsg.IncrementalAlterConfigOpSubtract && at >= 0:
			list = slices.Delete(list, at, at+1)
		case c.op == kmsg.IncrementalAlterConfigOpAppend && at < 0 && e != "":
			list = append(list, e)
		}
	}
	return strings.Join(list, ",")
}

// checkWhole checks that what the resource will have goes together.
func (r *resource) checkWhole(k *pb.AlterConfigs) error {
	set := configsOf(k.Set)
	after := func(name string) (string, bool) {
		if v, ok := set(name); ok {
			return v, true
		}
		if _, removed := slices.BinarySearch(k.Remove, name); removed || k.Replace {
			return "", false
		}
		return r.own(name)
	}
	switch r.kind {
	case kmsg.ConfigResourceTypeTopic:
		return kafkaconfig.CheckTopic(inForce(r.layers, after))
	case kmsg.ConfigResourceTypeGroupConfig:
		return kafkaconfig.CheckGroup(after, r.layers.Value)
	}
	return nil
}

// inForce is what is in force of a topic's configs.
func inForce(l kafkaconfig.Layers, own kafkaconfig.Lookup) func(name string) string {
	return func(name string) string {
		k, ok := kafkaconfig.Topics.Lookup(name)
		if !ok {
			return ""
		}
		v, _ := l.InForce(k, l.Inherited(k, own, kafkaconfig.FromTopic))
		return v
	}
}
