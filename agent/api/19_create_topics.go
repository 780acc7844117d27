package api

// CreateTopics: key 19, versions 2 to 7.

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/agent/topicconfig"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// createTopics checks every topic on its own and proposes the good ones together (Semantics line 89).
func (a *API) createTopics(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.CreateTopicsRequest)
	resp := kmsg.NewPtrCreateTopicsResponse()
	names := make(map[string]int, len(body.Topics))
	for i := range body.Topics {
		names[body.Topics[i].Topic]++
	}
	var wanted []newTopic
	var slots []int
	for i := range body.Topics {
		in := &body.Topics[i]
		if names[in.Topic] == 0 {
			continue // A duplicate that was answered already: the reply has one entry per name.
		}
		out := kmsg.NewCreateTopicsResponseTopic()
		out.Topic = in.Topic
		t, err := a.checkNew(in)
		if names[in.Topic] > 1 {
			err = refuse(kerr.InvalidRequest, "topic '%s' comes twice in one request", in.Topic)
		}
		names[in.Topic] = 0
		if err == nil {
			wanted, slots = append(wanted, t), append(slots, len(resp.Topics))
		}
		out.ErrorCode, out.ErrorMessage = code(keyCreateTopics, err), message(err)
		resp.Topics = append(resp.Topics, out)
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout(body.TimeoutMillis))
	defer cancel()
	if body.ValidateOnly {
		a.validate(ctx, wanted)
	} else {
		a.create(ctx, wanted)
	}
	replicas := int16(max(1, min(3, len(a.d.Members.Brokers(req.Conn.Listener)))))
	for i := range wanted {
		t, out := &wanted[i], &resp.Topics[slots[i]]
		out.ErrorCode, out.ErrorMessage = code(keyCreateTopics, t.err), message(t.err)
		if t.err == nil {
			out.TopicID, out.NumPartitions, out.ReplicationFactor = t.id, t.partitions, replicas
			out.Configs = createdConfigs(t.configs)
		}
	}
	return resp, nil
}

// adminTimeout is a client's timeout within sane bounds.
func adminTimeout(ms int32) time.Duration {
	return min(max(time.Duration(ms)*time.Millisecond, time.Second), 5*time.Minute)
}

// checkNew checks all that does not depend on what exists.
func (a *API) checkNew(in *kmsg.CreateTopicsRequestTopic) (newTopic, error) {
	t := newTopic{name: in.Topic, partitions: in.NumPartitions}
	if err := validName(in.Topic); err != nil {
		return t, err
	}
	if len(in.ReplicaAssignment) > 0 {
		if err := checkAssignment(in); err != nil {
			return t, err
		}
		t.partitions = int32(len(in.ReplicaAssignment))
	} else if in.ReplicationFactor != -1 && (in.ReplicationFactor < 1 || in.ReplicationFactor > 3) {
		return t, refuse(kerr.InvalidReplicationFactor, "replication factor must be -1 or 1 to 3, not %d", in.ReplicationFactor)
	}
	if t.partitions == -1 {
		t.partitions = a.d.Config.DefaultPartitions
	}
	if t.partitions < 1 || t.partitions > maxTopicPartitions {
		return t, refuse(kerr.InvalidPartitions, "number of partitions must be 1 to %d, not %d", maxTopicPartitions, t.partitions)
	}
	var twice seen[string]
	for _, c := range in.Configs {
		switch {
		case c.Value == nil:
			return t, refuse(kerr.InvalidConfig, "null value not supported for topic config %s", c.Name)
		case twice.again(c.Name):
			return t, refuse(kerr.InvalidConfig, "topic config %s comes twice", c.Name)
		}
		v, err := topicconfig.Check(c.Name, *c.Value)
		if err != nil {
			return t, err
		}
		t.configs = append(t.configs, &pb.Config{Name: c.Name, Value: v})
	}
	sortConfigs(t.configs)
	return t, nil
}

// checkAssignment accepts any brokers, as none of them owns a partition.
func checkAssignment(in *kmsg.CreateTopicsRequestTopic) error {
	if in.NumPartitions != -1 || in.ReplicationFactor != -1 {
		return refuse(kerr.InvalidRequest, "with a replica assignment, partitions and replication factor must be -1")
	}
	if len(in.ReplicaAssignment) > maxTopicPartitions {
		return refuse(kerr.InvalidPartitions, "number of partitions must be at most %d", maxTopicPartitions)
	}
	have := make([]bool, len(in.ReplicaAssignment))
	for _, r := range in.ReplicaAssignment {
		if r.Partition < 0 || int(r.Partition) >= len(have) || have[r.Partition] {
			return refuse(kerr.InvalidReplicaAssignment, "partitions must be numbered from 0, each once")
		}
		have[r.Partition] = true
		if n := len(r.Replicas); n < 1 || n > 3 {
			return refuse(kerr.InvalidReplicaAssignment, "partition %d: 1 to 3 replicas are needed, not %d", r.Partition, n)
		}
	}
	return nil
}

// validate answers for validate_only what State would judge now.
func (a *API) validate(ctx context.Context, topics []newTopic) {
	if len(topics) == 0 {
		return
	}
	err := a.barrier(ctx)
	a.d.View.Read(func(s *state.State) {
		for i := range topics {
			t := &topics[i]
			switch {
			case err != nil:
				t.err = err
			case s.Topic(t.name) != nil:
				t.err = refusedTopic(t.name, state.TopicExists)
			case s.Collides(t.name):
				t.err = refusedTopic(t.name, state.NameCollision)
			case s.Topics() >= state.MaxTopics || s.Partitions()+int(t.partitions) > state.MaxPartitions:
				t.err = refusedTopic(t.name, state.TooMany)
			}
		}
	})
}

// createdConfigs lists all configs of a new topic, for version 5 and later.
func createdConfigs(own []*pb.Config) []kmsg.CreateTopicsResponseTopicConfig {
	list := make([]kmsg.CreateTopicsResponseTopicConfig, len(topicconfig.Catalogue))
	for i := range topicconfig.Catalogue {
		k := &topicconfig.Catalogue[i]
		list[i].Default()
		list[i].Name, list[i].Value, list[i].Source = k.Name, kmsg.StringPtr(k.Default), int8(kmsg.ConfigSourceDefaultConfig)
		for _, c := range own {
			if c.Name == k.Name {
				list[i].Value, list[i].Source = kmsg.StringPtr(c.Value), int8(kmsg.ConfigSourceDynamicTopicConfig)
			}
		}
	}
	return list
}
