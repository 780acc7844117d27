package api

// DescribeConfigs: key 32, versions 1 to 4.

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/agent/topicconfig"
	"wadi/metadata/state"
)

// describeConfigs shows a topic's configs, or those of brokers that clients may depend on. Brokers have no config of
// their own that could be changed at run time, so the cluster-wide resource "" is empty (Semantics line 86).
func (a *API) describeConfigs(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.DescribeConfigsRequest)
	resp := kmsg.NewPtrDescribeConfigsResponse()
	// What was altered through another agent must be seen.
	barrier := a.barrier(ctx)
	for i := range body.Resources {
		in := &body.Resources[i]
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		var err error
		switch in.ResourceType {
		case kmsg.ConfigResourceTypeTopic:
			out.Configs, err = a.topicConfigs(in, barrier)
		case kmsg.ConfigResourceTypeBroker:
			out.Configs, err = a.brokerConfigs(in, a.d.Members.Brokers(req.Conn.Listener))
		default:
			err = refuse(kerr.InvalidRequest, "configs of resource type %d cannot be described", in.ResourceType)
		}
		out.ErrorCode, out.ErrorMessage = code(keyDescribeConfigs, err), message(err)
		for j := range out.Configs {
			if !body.IncludeSynonyms {
				out.Configs[j].ConfigSynonyms = nil
			}
			if !body.IncludeDocumentation {
				out.Configs[j].Documentation = nil
			}
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp, nil
}

func wantsConfig(in *kmsg.DescribeConfigsRequestResource, name string) bool {
	return len(in.ConfigNames) == 0 || slices.Contains(in.ConfigNames, name)
}

func (a *API) topicConfigs(in *kmsg.DescribeConfigsRequestResource, barrier error) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	if err := validName(in.ResourceName); err != nil {
		return nil, err
	}
	own := make(map[string]string)
	found := false
	a.d.View.Read(func(s *state.State) {
		t := s.Topic(in.ResourceName)
		if found = t != nil; found {
			for _, c := range t.Configs {
				own[c.Name] = c.Value
			}
		}
	})
	if barrier != nil || !found {
		return nil, either(barrier, ErrUnknownTopic)
	}
	var list []kmsg.DescribeConfigsResponseResourceConfig
	for i := range topicconfig.Catalogue {
		k := &topicconfig.Catalogue[i]
		if !wantsConfig(in, k.Name) {
			continue
		}
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		c.Name, c.ConfigType, c.Documentation = k.Name, kmsg.ConfigType(k.Kind), kmsg.StringPtr(k.Doc)
		c.Value, c.Source = kmsg.StringPtr(k.Default), kmsg.ConfigSourceDefaultConfig
		// A value that was set is an override even where it equals the default.
		if v, ok := own[k.Name]; ok {
			c.Value, c.Source = kmsg.StringPtr(v), kmsg.ConfigSourceDynamicTopicConfig
			c.ConfigSynonyms = append(c.ConfigSynonyms, synonym(k.Name, v, c.Source))
		}
		if k.Broker != "" {
			c.ConfigSynonyms = append(c.ConfigSynonyms, synonym(k.Broker, k.Default, kmsg.ConfigSourceDefaultConfig))
		}
		list = append(list, c)
	}
	return list, nil
}

func synonym(name, value string, source kmsg.ConfigSource) kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
	s.Name, s.Value, s.Source = name, kmsg.StringPtr(value), source
	return s
}

func (a *API) brokerConfigs(in *kmsg.DescribeConfigsRequestResource, brokers []Broker) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	if in.ResourceName == "" {
		return nil, nil
	}
	id, err := strconv.ParseInt(in.ResourceName, 10, 32)
	if err != nil || !slices.ContainsFunc(brokers, func(b Broker) bool { return b.NodeID == int32(id) }) {
		return nil, refuse(kerr.InvalidRequest, "%q is not the id of a live broker", in.ResourceName)
	}
	var list []kmsg.DescribeConfigsResponseResourceConfig
	add := func(name, value string, kind topicconfig.Kind, source kmsg.ConfigSource) {
		if !wantsConfig(in, name) {
			return
		}
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		c.Name, c.Value, c.ReadOnly = name, kmsg.StringPtr(value), true
		c.Source, c.ConfigType = source, kmsg.ConfigType(kind)
		c.ConfigSynonyms = append(c.ConfigSynonyms, synonym(name, value, source))
		list = append(list, c)
	}
	static := kmsg.ConfigSourceStaticBrokerConfig
	add("auto.create.topics.enable", strconv.FormatBool(a.d.Config.AutoCreate), topicconfig.Boolean, static)
	add("broker.id", in.ResourceName, topicconfig.Int, static)
	add("default.replication.factor", strconv.Itoa(max(1, min(3, len(brokers)))), topicconfig.Int, static)
	add("fetch.max.bytes", strconv.Itoa(a.d.Config.MaxFetchBytes), topicconfig.Int, static)
	add("node.id", in.ResourceName, topicconfig.Int, static)
	add("num.partitions", strconv.Itoa(int(a.d.Config.DefaultPartitions)), topicconfig.Int, static)
	for name, value := range a.d.Config.Broker {
		add(name, value, topicconfig.String, static)
	}
	for i := range topicconfig.Catalogue {
		k := &topicconfig.Catalogue[i]
		if _, set := a.d.Config.Broker[k.Broker]; k.Broker != "" && !set {
			add(k.Broker, k.Default, k.Kind, kmsg.ConfigSourceDefaultConfig)
		}
	}
	slices.SortFunc(list, func(x, y kmsg.DescribeConfigsResponseResourceConfig) int {
		if x.Name < y.Name {
			return -1
		}
		return 1
	})
	return list, nil
}
