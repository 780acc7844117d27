package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

type describedTopic struct {
	Topic      string               `json:"topic"`
	ID         string               `json:"id"`
	Partitions []describedPartition `json:"partitions"`
	Configs    map[string]string    `json:"configs"`
}

type describedPartition struct {
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"`
	Replicas  []int32 `json:"replicas"`
	Start     int64   `json:"start"` // first offset
	End       int64   `json:"end"`   // next offset
}

func (a *app) topicDescribe() *cobra.Command {
	return &cobra.Command{
		Use:   "describe NAME...",
		Short: "Show partitions, offsets and configuration of topics",
		Args:  cobra.MinimumNArgs(1),
		RunE: a.do(func(ctx context.Context, names []string) error {
			return a.admin(ctx, func(adm *kadm.Client) error {
				topics, err := describe(ctx, adm, names)
				if a.json() {
					return errors.Join(a.printJSON(topics), err)
				}
				for _, t := range topics {
					err = errors.Join(err, a.printTopic(t))
				}
				return err
			})
		}),
	}
}

// describe returns what it found out, also next to an error.
func describe(ctx context.Context, adm *kadm.Client, names []string) ([]describedTopic, error) {
	out := []describedTopic{}
	details, err := adm.ListTopics(ctx, names...)
	if err != nil {
		return out, fmt.Errorf("topics cannot be described: %w", err)
	}
	var errs []error
	var found []string
	for _, t := range details.Sorted() {
		if t.Err != nil {
			errs = append(errs, topicError(t.Topic, t.Err, ""))
			continue
		}
		found = append(found, t.Topic)
	}
	if len(found) == 0 {
		return out, errors.Join(errs...)
	}
	starts, err1 := adm.ListStartOffsets(ctx, found...)
	ends, err2 := adm.ListEndOffsets(ctx, found...)
	configs, err3 := topicConfigs(ctx, adm, found)
	errs = append(errs, err1, err2, err3)
	for _, name := range found {
		t := describedTopic{Topic: name, ID: details[name].ID.String(), Configs: configs[name]}
		for _, p := range details[name].Partitions.Sorted() {
			d := describedPartition{Partition: p.Partition, Leader: p.Leader, Replicas: p.Replicas, Start: -1, End: -1}
			if o, ok := starts.Lookup(name, p.Partition); ok {
				d.Start = o.Offset
				errs = append(errs, partitionError(name, p.Partition, o.Err))
			}
			if o, ok := ends.Lookup(name, p.Partition); ok {
				d.End = o.Offset
				errs = append(errs, partitionError(name, p.Partition, o.Err))
			}
			t.Partitions = append(t.Partitions, d)
		}
		out = append(out, t)
	}
	return out, errors.Join(errs...)
}

func topicConfigs(ctx context.Context, adm *kadm.Client, names []string) (map[string]map[string]string, error) {
	resources, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("configurations cannot be read: %w", err)
	}
	out := make(map[string]map[string]string, len(resources))
	var errs []error
	for _, r := range resources {
		if r.Err != nil {
			errs = append(errs, topicError(r.Name, r.Err, r.ErrMessage))
		}
		values := make(map[string]string, len(r.Configs))
		for _, c := range r.Configs {
			values[c.Key] = c.MaybeValue()
		}
		out[r.Name] = values
	}
	return out, errors.Join(errs...)
}

func (a *app) printTopic(t describedTopic) error {
	if err := a.printf("%s (id %s)\n", t.Topic, t.ID); err != nil {
		return err
	}
	rows := [][]string{{"PARTITION", "LEADER", "REPLICAS", "START", "END"}}
	for _, p := range t.Partitions {
		replicas := make([]string, len(p.Replicas))
		for i, r := range p.Replicas {
			replicas[i] = strconv.Itoa(int(r))
		}
		rows = append(rows, []string{strconv.Itoa(int(p.Partition)), strconv.Itoa(int(p.Leader)),
			strings.Join(replicas, ","), strconv.FormatInt(p.Start, 10), strconv.FormatInt(p.End, 10)})
	}
	if err := a.printTable(rows); err != nil {
		return err
	}
	for _, key := range sortedKeys(t.Configs) {
		if err := a.printf("  %s=%s\n", key, t.Configs[key]); err != nil {
			return err
		}
	}
	return nil
}

func noPartition(topic string, partition int32) error {
	return fmt.Errorf("topic %s has no partition %d", topic, partition)
}

// partitionError is nil for a nil err.
func partitionError(topic string, partition int32, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("topic %s, partition %d: %w", topic, partition, err)
}
