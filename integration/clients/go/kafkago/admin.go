package kafkago

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"wadi/integration/clients/go/record"
)

// Admin creates, lists, describes, alters, grows and deletes a topic, and lists offsets of another one. args: TOPIC
// OTHER MILLISECONDS.
func Admin(ctx context.Context, out *record.Printer, servers string, args []string) error {
	// A Transport keeps what it knows of topics for six seconds, also when it is asked.
	transport := &kafka.Transport{MetadataTTL: 50 * time.Millisecond}
	defer transport.CloseIdleConnections()
	a := administrator{Client: kafka.Client{Addr: kafka.TCP(strings.Split(servers, ",")...), Transport: transport}, topic: args[0]}
	for _, step := range []func(context.Context) error{a.create, a.alter, a.grow, a.delete} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	at, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	if err := a.offsets(ctx, args[1], time.UnixMilli(at)); err != nil {
		return err
	}
	out.Print(a.seen)
	return nil
}

type administrator struct {
	kafka.Client
	topic string
	seen  record.Admin
}

func (a *administrator) create(ctx context.Context) error {
	create := func() error {
		answer, err := a.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
			Topic: a.topic, NumPartitions: record.FirstPartitions, ReplicationFactor: 1,
			ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: record.FirstRetention}},
		}}})
		return first(answer, err, func() error { return answer.Errors[a.topic] })
	}
	// A new Transport may not have reached the controller yet.
	err := record.Until(ctx, func() (bool, error) {
		err := create()
		return err == nil, notOf(err, kafka.BrokerNotAvailable)
	})
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	a.seen.Again = code(create())
	return record.Until(ctx, func() (bool, error) {
		metadata, err := a.Metadata(ctx, &kafka.MetadataRequest{})
		if err != nil {
			return false, fmt.Errorf("list: %w", err)
		}
		a.seen.Brokers = len(metadata.Brokers)
		a.seen.Controller = slices.ContainsFunc(metadata.Brokers, func(b kafka.Broker) bool { return b.ID == metadata.Controller.ID })
		i := slices.IndexFunc(metadata.Topics, func(t kafka.Topic) bool { return t.Name == a.topic })
		if i >= 0 {
			a.seen.Partitions = len(metadata.Topics[i].Partitions)
		}
		return a.seen.Partitions == record.FirstPartitions, nil
	})
}

func (a *administrator) alter(ctx context.Context) error {
	if err := a.retention(ctx, record.FirstRetention, &a.seen.Retention); err != nil {
		return err
	}
	answer, err := a.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: a.topic,
			Configs: []kafka.IncrementalAlterConfigsRequestConfig{{
				Name: "retention.ms", Value: record.NextRetention, ConfigOperation: kafka.ConfigOperationSet,
			}},
		}},
	})
	if err := first(answer, err, func() error { return answer.Resources[0].Error }); err != nil {
		return fmt.Errorf("alter: %w", err)
	}
	return a.retention(ctx, record.NextRetention, &a.seen.Altered)
}

func (a *administrator) retention(ctx context.Context, want string, value *string) error {
	return record.Until(ctx, func() (bool, error) {
		answer, err := a.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: a.topic, ConfigNames: []string{"retention.ms"},
		}}})
		if err := first(answer, err, func() error { return answer.Resources[0].Error }); err != nil {
			return false, fmt.Errorf("describe configs: %w", err)
		}
		entries := answer.Resources[0].ConfigEntries
		if len(entries) != 1 {
			return false, fmt.Errorf("%d configs described, want 1", len(entries))
		}
		*value = entries[0].ConfigValue
		return *value == want, nil
	})
}

func (a *administrator) grow(ctx context.Context) error {
	answer, err := a.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: a.topic, Count: record.MorePartitions}},
	})
	if err := first(answer, err, func() error { return answer.Errors[a.topic] }); err != nil {
		return fmt.Errorf("create partitions: %w", err)
	}
	return record.Until(ctx, func() (bool, error) {
		metadata, err := a.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{a.topic}})
		if err := first(metadata, err, func() error { return metadata.Topics[0].Error }); err != nil {
			return false, fmt.Errorf("describe: %w", err)
		}
		a.seen.Grown = len(metadata.Topics[0].Partitions)
		return a.seen.Grown == record.MorePartitions, nil
	})
}

func (a *administrator) delete(ctx context.Context) error {
	remove := func() error {
		answer, err := a.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{a.topic}})
		return first(answer, err, func() error { return answer.Errors[a.topic] })
	}
	if err := remove(); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	err := record.Until(ctx, func() (bool, error) {
		metadata, err := a.Metadata(ctx, &kafka.MetadataRequest{})
		if err != nil {
			return false, fmt.Errorf("list: %w", err)
		}
		a.seen.Gone = !slices.ContainsFunc(metadata.Topics, func(t kafka.Topic) bool { return t.Name == a.topic })
		return a.seen.Gone, nil
	})
	a.seen.Unknown = code(remove())
	return err
}

func (a *administrator) offsets(ctx context.Context, topic string, at time.Time) error {
	metadata, err := a.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err := first(metadata, err, func() error { return metadata.Topics[0].Error }); err != nil {
		return fmt.Errorf("metadata of %s: %w", topic, err)
	}
	ids := make([]int, len(metadata.Topics[0].Partitions))
	for i, p := range metadata.Topics[0].Partitions {
		ids[i] = p.ID
	}
	a.seen.Earliest, a.seen.Latest, a.seen.At = map[int32]int64{}, map[int32]int64{}, map[int32]int64{}
	for _, ask := range []struct {
		offset func(partition int) kafka.OffsetRequest
		take   func(id int32, p kafka.PartitionOffsets)
	}{
		{kafka.FirstOffsetOf, func(id int32, p kafka.PartitionOffsets) { a.seen.Earliest[id] = p.FirstOffset }},
		{kafka.LastOffsetOf, func(id int32, p kafka.PartitionOffsets) { a.seen.Latest[id] = p.LastOffset }},
		{func(id int) kafka.OffsetRequest { return kafka.TimeOffsetOf(id, at) }, func(id int32, p kafka.PartitionOffsets) {
			for offset := range p.Offsets {
				a.seen.At[id] = offset
			}
		}},
	} {
		var asked []kafka.OffsetRequest
		for _, id := range ids {
			asked = append(asked, ask.offset(id))
		}
		answer, err := a.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: asked}})
		if err != nil {
			return fmt.Errorf("list offsets: %w", err)
		}
		for _, p := range answer.Topics[topic] {
			if p.Error != nil {
				return fmt.Errorf("offsets of %s/%d: %w", topic, p.Partition, p.Error)
			}
			ask.take(int32(p.Partition), p)
		}
	}
	return nil
}

// first is the call's error, or else the one inside of its answer.
func first[T any](answer *T, err error, inside func() error) error {
	if err != nil {
		return err
	}
	return inside()
}

// notOf is err, unless it is passing.
func notOf(err, passing error) error {
	if errors.Is(err, passing) {
		return nil
	}
	return err
}

// code is Kafka's error code, 0 for none, -2 for an error that is not Kafka's.
func code(err error) int {
	var kafkaError kafka.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &kafkaError):
		return int(kafkaError)
	}
	return -2
}
