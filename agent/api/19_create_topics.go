package api

// CreateTopics: key 19, versions 2 to 7.

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/internal/kafkaconfig"
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
	brokers := a.d.Members.Brokers(req.Conn.Listener)
	excess := a.checkTotal(body.Topics)
	var wanted []newTopic
	var slots []int
	for i := range body.Topics {
		in := &body.Topics[i]
		if names[in.Topic] == 0 {
			continue // A duplicate that was answered already: the reply has one entry per name.
		}
		out := kmsg.NewCreateTopicsResponseTopic()
		out.Topic = in.Topic
		t, err := a.checkNew(in, brokers)
		switch {
		case names[in.Topic] > 1:
			err = refuse(kerr.InvalidRequest, "Duplicate topic name.")
		case excess != nil:
			err = excess
		}
		names[in.Topic] = 0
		if err == nil {
			wanted, slots = append(wanted, t), append(slots, len(resp.Topics))
		}
		out.ErrorCode, out.ErrorMessage = code(keyCreateTopics, err), message(err)
		out.Configs = []kmsg.CreateTopicsResponseTopicConfig{} // with an error too; null is for those who may not read them
		resp.Topics = append(resp.Topics, out)
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout(body.TimeoutMillis))
	defer cancel()
	if body.ValidateOnly {
		a.validate(ctx, wanted)
	} else {
		a.create(ctx, wanted)
	}
	replicas := int16(max(1, min(maxReplicas, len(brokers))))
	self := a.brokerName()
	var layers kafkaconfig.Layers
	a.d.View.Read(func(s *state.State) { layers = a.layers(s, self, len(brokers)) })
	for i := range wanted {
		t, out := &wanted[i], &resp.Topics[slots[i]]
		out.ErrorCode, out.ErrorMessage = code(keyCreateTopics, t.err), message(t.err)
		if t.err == nil {
			out.TopicID, out.NumPartitions, out.ReplicationFactor = t.id, t.partitions, replicas
			out.Configs = createdConfigs(layers, t.configs)
		}
	}
	return resp, nil
}

// adminTimeout is a client's timeout within sane bounds.
func adminTimeout(ms int32) time.Duration {
	return min(max(time.Duration(ms)*time.Millisecond, time.Second), 5*time.Minute)
}

// checkTotal bounds how many partitions one request creates, as Apache Kafka does.
func (a *API) checkTotal(topics []kmsg.CreateTopicsRequestTopic) error {
	total := int64(0)
	for i := range topics {
		switch in := &topics[i]; {
		case len(in.ReplicaAssignment) > 0:
			total += int64(len(in.ReplicaAssignment))
		case in.NumPartitions == -1:
			total += int64(a.d.Config.DefaultPartitions)
		default:
			total += int64(max(0, in.NumPartitions))
		}
	}
	if total > maxTopicPartitions {
		return refuse(kerr.PolicyViolation, "Excessively large number of partitions per request.")
	}
	return nil
}

// checkNew checks all that does not depend on what exists, in Apache Kafka's order: the name, then that there is no such
// topic yet as far as this agent knows, configs, partitions.
func (a *API) checkNew(in *kmsg.CreateTopicsRequestTopic, brokers []Broker) (newTopic, error) {
	t := newTopic{name: in.Topic, partitions: in.NumPartitions}
	if err := validName(in.Topic); err != nil {
		return t, err
	}
	if in.Topic == clusterMetadata {
		return t, refuse(kerr.InvalidRequest, "Creation of internal topic %s is prohibited.", in.Topic)
	}
	var err error
	if t.configs, err = newConfigs(in.Configs); err == nil {
		t.partitions, err = a.newPartitions(in, brokers)
	}
	if err != nil {
		a.d.View.Read(func(s *state.State) {
			if s.Topic(in.Topic) != nil {
				err = refusedTopic(s, in.Topic, state.TopicExists)
			}
		})
	}
	return t, err
}

// clusterMetadata is how Apache Kafka calls its own journal. No client may have a topic of that name there.
const clusterMetadata = "__cluster_metadata"

// newConfigs checks the configs of a new topic. Of one that is given twice the last counts.
func newConfigs(list []kmsg.CreateTopicsRequestTopicConfig) ([]*pb.Config, error) {
	var configs []*pb.Config
	for _, c := range list {
		if c.Value == nil {
			return nil, refuse(kerr.InvalidConfig, "Null value not supported for topic configs: %s", c.Name)
		}
		v, err := kafkaconfig.Topics.Check(c.Name, *c.Value)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(configs, func(have *pb.Config) bool { return have.Name == c.Name }); i >= 0 {
			configs[i].Value = v
			continue
		}
		configs = append(configs, &pb.Config{Name: c.Name, Value: v})
	}
	sortConfigs(configs)
	return configs, kafkaconfig.CheckTopic(inForce(kafkaconfig.NoLayers, configsOf(configs)))
}

// newPartitions is how many partitions a new topic gets. Replication factors up to maxReplicas are accepted however few
// agents live, since it is not they who keep the records.
func (a *API) newPartitions(in *kmsg.CreateTopicsRequestTopic, brokers []Broker) (int32, error) {
	if len(in.ReplicaAssignment) > 0 {
		return int32(len(in.ReplicaAssignment)), checkAssignment(in, brokers)
	}
	n, factor := in.NumPartitions, in.ReplicationFactor
	switch {
	case factor != -1 && factor < 1:
		return n, refuse(kerr.InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value.")
	case factor > maxReplicas:
		return n, refuse(kerr.InvalidReplicationFactor, "Replication factor must be at most %d, or -1 to use the default value.", maxReplicas)
	case n == -1:
		return a.d.Config.DefaultPartitions, nil
	case n < 1:
		return n, refuse(kerr.InvalidPartitions, "Number of partitions was set to an invalid non-positive value.")
	}
	return n, nil
}

// checkAssignment accepts what could be: the brokers named do not matter, as none of them owns a partition.
func checkAssignment(in *kmsg.CreateTopicsRequestTopic, brokers []Broker) error {
	switch {
	case in.ReplicationFactor != -1:
		return refuse(kerr.InvalidRequest, "A manual partition assignment was specified, but replication factor was not set to -1.")
	case in.NumPartitions != -1:
		return refuse(kerr.InvalidRequest, "A manual partition assignment was specified, but numPartitions was not set to -1.")
	}
	have := make([]bool, len(in.ReplicaAssignment))
	for _, r := range in.ReplicaAssignment {
		switch {
		case r.Partition < 0 || int(r.Partition) >= len(have):
			return refuse(kerr.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
		case have[r.Partition]:
			return refuse(kerr.InvalidReplicaAssignment, "Found multiple manual partition assignments for partition %d", r.Partition)
		case len(r.Replicas) > maxReplicas:
			return refuse(kerr.InvalidReplicaAssignment, "partition %d has %d replicas; %d are the most", r.Partition, len(r.Replicas), maxReplicas)
		}
		have[r.Partition] = true
		if err := checkBrokers(r.Replicas, brokers); err != nil {
			return err
		}
		if n := len(in.ReplicaAssignment[0].Replicas); len(r.Replicas) != n {
			return refuse(kerr.InvalidReplicaAssignment, "partition %d has %d replicas, another one %d", r.Partition, len(r.Replicas), n)
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
				t.err = refusedTopic(s, t.name, state.TopicExists)
			case s.Collides(t.name) != "":
				t.err = refusedTopic(s, t.name, state.NameCollision)
			case s.Topics() >= state.MaxTopics || s.Partitions()+int(t.partitions) > state.MaxPartitions:
				t.err = refusedTopic(s, t.name, state.TooMany)
			}
		}
	})
}

// createdConfigs lists all configs of a new topic, for version 5 and later.
func createdConfigs(l kafkaconfig.Layers, own []*pb.Config) []kmsg.CreateTopicsResponseTopicConfig {
	list := make([]kmsg.CreateTopicsResponseTopicConfig, len(kafkaconfig.Topics.Keys))
	for i := range list {
		k := &kafkaconfig.Topics.Keys[i]
		value, source := l.InForce(k, l.Inherited(k, configsOf(own), kafkaconfig.FromTopic))
		list[i].Default()
		list[i].Name, list[i].Value, list[i].Source = k.Name, &value, int8(source)
	}
	return list
}
