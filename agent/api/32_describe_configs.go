package api

// DescribeConfigs: key 32, versions 1 to 4.

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/internal/kafkaconfig"
	"wadi/metadata/state"
)

// describeConfigs shows the configs of topics, of this broker, of all brokers (resource ""), of groups and of client
// metrics subscriptions: where each value comes from, and what it hides (Semantics lines 86, 87).
func (a *API) describeConfigs(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.DescribeConfigsRequest)
	resp := kmsg.NewPtrDescribeConfigsResponse()
	d := &describedRequest{
		body: body, self: a.brokerName(), brokers: len(a.d.Members.Brokers(req.Conn.Listener)),
		barrier: a.barrier(ctx), // what was altered through another agent must be seen
	}
	for i := range body.Resources {
		in := &body.Resources[i]
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		var err error
		if out.Configs, err = a.describe(d, in); err != nil {
			out.ErrorCode, out.ErrorMessage = code(keyDescribeConfigs, err), message(err)
		} else {
			out.ErrorMessage = kmsg.StringPtr("") // as Kafka has it, only here
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp, nil
}

// describedRequest is one DescribeConfigs request.
type describedRequest struct {
	body    *kmsg.DescribeConfigsRequest
	self    string
	brokers int
	barrier error
}

type describedConfigs = []kmsg.DescribeConfigsResponseResourceConfig

// rootLogger is the one logger that an agent has, at the level at which it logs.
const rootLogger, rootLevel = "root", "INFO"

func (a *API) describe(d *describedRequest, in *kmsg.DescribeConfigsRequestResource) (list describedConfigs, err error) {
	switch in.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		err = validName(in.ResourceName)
	case kmsg.ConfigResourceTypeBroker:
		if in.ResourceName != "" {
			err = isBroker(in.ResourceName, d.self)
		}
	case kmsg.ConfigResourceTypeBrokerLogger:
		if err = isBroker(in.ResourceName, d.self); err == nil && wants(in, rootLogger) {
			c := kmsg.NewDescribeConfigsResponseResourceConfig()
			c.Name, c.Value, c.Source = rootLogger, kmsg.StringPtr(rootLevel), kmsg.ConfigSourceDynamicBrokerLoggerConfig
			list = append(list, c)
		}
		return list, err
	case kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeGroupConfig:
		err = hasName(in.ResourceName)
	default:
		err = refuse(kerr.InvalidRequest, "Unexpected resource type %d", in.ResourceType)
	}
	if err != nil {
		return nil, err
	}
	if d.barrier != nil {
		return nil, d.barrier
	}
	a.d.View.Read(func(s *state.State) {
		l := a.layers(s, d.self, d.brokers)
		switch in.ResourceType {
		case kmsg.ConfigResourceTypeTopic:
			t := s.Topic(in.ResourceName)
			if t == nil {
				err = refuse(kerr.UnknownTopicOrPartition, "")
				return
			}
			list = d.inherited(in, kafkaconfig.Topics, l, configsOf(t.Configs), kafkaconfig.FromTopic)
		case kmsg.ConfigResourceTypeBroker:
			list = d.broker(in, l)
		case kmsg.ConfigResourceTypeGroupConfig:
			own := s.Configs(state.GroupConfigs, in.ResourceName).Config
			list = d.inherited(in, kafkaconfig.Groups, l, own, kafkaconfig.FromGroup)
		case kmsg.ConfigResourceTypeClientMetrics:
			own := s.Configs(state.MetricsConfigs, in.ResourceName).Config
			list = d.inherited(in, kafkaconfig.Metrics, l, own, kafkaconfig.FromMetrics)
		}
	})
	return list, err
}

// inherited lists the configs of what is not a broker.
func (d *describedRequest) inherited(in *kmsg.DescribeConfigsRequestResource, c *kafkaconfig.Catalogue, l kafkaconfig.Layers,
	own kafkaconfig.Lookup, source kafkaconfig.Source) (list describedConfigs) {
	for i := range c.Keys {
		if k := &c.Keys[i]; wants(in, k.Name) {
			chain := l.Inherited(k, own, source)
			value, from := l.InForce(k, chain)
			list = append(list, d.entry(k, &value, from, chain))
		}
	}
	return list
}

// broker lists this broker's configs; for all brokers, those that were set for all of them.
func (d *describedRequest) broker(in *kmsg.DescribeConfigsRequestResource, l kafkaconfig.Layers) (list describedConfigs) {
	for i := range kafkaconfig.Brokers.Keys {
		k := &kafkaconfig.Brokers.Keys[i]
		if !wants(in, k.Name) {
			continue
		}
		chain := l.Chain(k.Name)
		if in.ResourceName == "" {
			chain = slices.DeleteFunc(chain, func(s kafkaconfig.Setting) bool {
				return s.Source != kafkaconfig.FromDefaultBroker
			})
			if len(chain) == 0 {
				continue
			}
		}
		if k.Unlisted && len(chain) > 0 && chain[0].Source == kafkaconfig.FromDefault {
			continue
		}
		var value *string
		from := kafkaconfig.FromDefault
		if len(chain) > 0 {
			value, from = &chain[0].Value, chain[0].Source
		}
		c := d.entry(k, value, from, chain)
		c.ReadOnly = k.Mode == kafkaconfig.ReadOnly
		list = append(list, c)
	}
	return list
}

func (d *describedRequest) entry(k *kafkaconfig.Key, value *string, from kafkaconfig.Source, chain []kafkaconfig.Setting) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.Value, c.Source, c.ConfigType = k.Name, value, kmsg.ConfigSource(from), kmsg.ConfigType(k.Kind)
	if c.IsSensitive = k.Sensitive(); c.IsSensitive {
		c.Value = nil
	}
	if d.body.IncludeSynonyms {
		for i := range chain {
			s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			s.Name, s.Source = chain[i].Name, kmsg.ConfigSource(chain[i].Source)
			if !k.Sensitive() {
				s.Value = &chain[i].Value
			}
			c.ConfigSynonyms = append(c.ConfigSynonyms, s)
		}
	}
	if d.body.IncludeDocumentation {
		c.Documentation = &k.Doc
	}
	return c
}

// wants reports whether a config is asked for: all are where none is named.
func wants(in *kmsg.DescribeConfigsRequestResource, name string) bool {
	return len(in.ConfigNames) == 0 || slices.Contains(in.ConfigNames, name)
}

// isBroker checks that a resource is this broker: another one's configs are asked of itself, as clients do.
func isBroker(name, self string) error {
	id, err := strconv.ParseInt(name, 10, 32)
	switch {
	case name == "":
		return refuse(kerr.InvalidRequest, "Broker id must not be empty")
	case err != nil:
		return refuse(kerr.InvalidRequest, "Broker id must be an integer, but it is: %s", name)
	case self == "" || strconv.FormatInt(id, 10) != self:
		return refuse(kerr.InvalidRequest, "Unexpected broker id, expected %s, but received %s", self, name)
	}
	return nil
}

func hasName(name string) error {
	if name == "" {
		return refuse(kerr.InvalidRequest, "the resource's name must not be empty")
	}
	return nil
}
