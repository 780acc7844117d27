package saramaclient

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/IBM/sarama"

	"wadi/integration/clients/go/record"
)

// Admin creates, lists, describes, alters, grows and deletes a topic, and lists offsets of another one. args: TOPIC
// OTHER MILLISECONDS.
func Admin(ctx context.Context, out *record.Printer, servers string, args []string) error {
	config, err := newConfig()
	if err != nil {
		return err
	}
	client, err := sarama.NewClient(strings.Split(servers, ","), config)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	defer admin.Close() // and the client with it
	a := administrator{ClusterAdmin: admin, ctx: ctx, version: config.Version, topic: args[0]}
	for _, step := range []func() error{a.create, a.alter, a.grow, a.delete, a.cluster} {
		if err := step(); err != nil {
			return err
		}
	}
	at, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	for time, found := range map[int64]*map[int32]int64{
		sarama.OffsetOldest: &a.seen.Earliest, sarama.OffsetNewest: &a.seen.Latest, at: &a.seen.At,
	} {
		if *found, err = offsets(client, admin, args[1], time); err != nil {
			return err
		}
	}
	out.Print(a.seen)
	return nil
}

type administrator struct {
	sarama.ClusterAdmin
	ctx     context.Context // of the program
	version sarama.KafkaVersion
	topic   string
	seen    record.Admin
}

func (a *administrator) create() error {
	retention := record.FirstRetention
	detail := &sarama.TopicDetail{
		NumPartitions: record.FirstPartitions, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &retention},
	}
	if err := a.CreateTopic(a.topic, detail, false); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	a.seen.Again = code(a.CreateTopic(a.topic, detail, false))
	return record.Until(a.ctx, func() (bool, error) {
		listed, err := a.ListTopics()
		if err != nil {
			return false, fmt.Errorf("list: %w", err)
		}
		a.seen.Partitions = int(listed[a.topic].NumPartitions)
		return a.seen.Partitions == record.FirstPartitions, nil
	})
}

func (a *administrator) alter() error {
	if err := a.retention(record.FirstRetention, &a.seen.Retention); err != nil {
		return err
	}
	if err := a.set("retention.ms", record.NextRetention); err != nil {
		return fmt.Errorf("alter: %w", err)
	}
	return a.retention(record.NextRetention, &a.seen.Altered)
}

// set takes the old call, which replaces all configs, where the version has no other.
func (a *administrator) set(name, value string) error {
	if !a.version.IsAtLeast(sarama.V2_3_0_0) {
		return a.AlterConfig(sarama.TopicResource, a.topic, map[string]*string{name: &value}, false)
	}
	return a.IncrementalAlterConfig(sarama.TopicResource, a.topic, map[string]sarama.IncrementalAlterConfigsEntry{
		name: {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value},
	}, false)
}

func (a *administrator) retention(want string, value *string) error {
	return record.Until(a.ctx, func() (bool, error) {
		results, err := a.DescribeConfigs([]*sarama.ConfigResource{
			{Type: sarama.TopicResource, Name: a.topic, ConfigNames: []string{"retention.ms"}},
		}, sarama.DescribeConfigsOptions{})
		if err != nil {
			return false, fmt.Errorf("describe configs: %w", err)
		}
		if results[0].ErrorCode != sarama.ErrNoError {
			return false, fmt.Errorf("describe configs: %w", results[0].ErrorCode)
		}
		if len(results[0].Configs) != 1 {
			return false, fmt.Errorf("%d configs described, want 1", len(results[0].Configs))
		}
		*value = results[0].Configs[0].Value
		return *value == want, nil
	})
}

func (a *administrator) grow() error {
	if err := a.CreatePartitions(a.topic, record.MorePartitions, nil, false); err != nil {
		return fmt.Errorf("create partitions: %w", err)
	}
	return record.Until(a.ctx, func() (bool, error) {
		described, err := a.DescribeTopics([]string{a.topic})
		if err != nil {
			return false, fmt.Errorf("describe: %w", err)
		}
		a.seen.Grown = len(described[0].Partitions)
		return a.seen.Grown == record.MorePartitions, nil
	})
}

func (a *administrator) delete() error {
	if err := a.DeleteTopic(a.topic); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	err := record.Until(a.ctx, func() (bool, error) {
		listed, err := a.ListTopics()
		if err != nil {
			return false, fmt.Errorf("list: %w", err)
		}
		_, there := listed[a.topic]
		a.seen.Gone = !there
		return !there, nil
	})
	a.seen.Unknown = code(a.DeleteTopic(a.topic))
	return err
}

func (a *administrator) cluster() error {
	brokers, controller, err := a.DescribeCluster()
	if err != nil {
		return fmt.Errorf("describe cluster: %w", err)
	}
	a.seen.Brokers = len(brokers)
	a.seen.Controller = slices.ContainsFunc(brokers, func(b *sarama.Broker) bool { return b.ID() == controller })
	return nil
}

func offsets(client sarama.Client, admin sarama.ClusterAdmin, topic string, at int64) (map[int32]int64, error) {
	partitions, err := client.Partitions(topic)
	if err != nil {
		return nil, fmt.Errorf("partitions of %s: %w", topic, err)
	}
	asked := map[int32]int64{}
	for _, p := range partitions {
		asked[p] = at
	}
	answer, err := admin.ListOffsets(map[string]map[int32]int64{topic: asked}, nil)
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	found := map[int32]int64{}
	for p, result := range answer[topic] {
		if result.Err != nil && !errors.Is(result.Err, sarama.ErrNoError) {
			return nil, fmt.Errorf("offset of %s/%d: %w", topic, p, result.Err)
		}
		found[p] = result.Offset
	}
	if len(found) != len(asked) {
		return nil, fmt.Errorf("offsets of partitions %v, want %v", slices.Collect(maps.Keys(found)), partitions)
	}
	return found, nil
}

// code is Kafka's error code, 0 for none, -2 for an error that is not Kafka's.
func code(err error) int {
	var kafka sarama.KError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &kafka):
		return int(kafka)
	}
	return -2
}
