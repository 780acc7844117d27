package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func (a *app) topicCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "topic", Short: "Create, list, describe, alter and delete topics", Args: cobra.ArbitraryArgs, RunE: group}
	cmd.AddCommand(a.topicCreate(), a.topicList(), a.topicDescribe(), a.topicAlter(), a.topicDelete(), a.topicDeleteRecords())
	return cmd
}

// admin runs an action with a Kafka admin client.
func (a *app) admin(ctx context.Context, action func(*kadm.Client) error) error {
	client, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	return action(kadm.NewClient(client))
}

type createdTopic struct {
	Topic      string `json:"topic"`
	ID         string `json:"id"`
	Partitions int32  `json:"partitions"`
}

func (a *app) topicCreate() *cobra.Command {
	var partitions int32
	var replicas int16
	var configs []string
	cmd := &cobra.Command{
		Use:   "create NAME...",
		Short: "Create topics",
		Args:  cobra.MinimumNArgs(1),
		RunE: a.do(func(ctx context.Context, names []string) error {
			settings, err := pairs("--config", configs)
			if err != nil {
				return err
			}
			if partitions == 0 || partitions < -1 {
				return usagef("--partitions %d: must be positive, or -1 for the cluster's default", partitions)
			}
			values := make(map[string]*string, len(settings))
			for _, kv := range settings {
				values[kv.key] = &kv.value
			}
			return a.admin(ctx, func(adm *kadm.Client) error {
				answers, err := adm.CreateTopics(ctx, partitions, replicas, values, names...)
				if err != nil {
					return fmt.Errorf("topics were not created: %w", err)
				}
				return a.printCreated(answers.Sorted())
			})
		}),
	}
	cmd.Flags().Int32Var(&partitions, "partitions", -1, "number of partitions, -1 for the cluster's default")
	cmd.Flags().Int16Var(&replicas, "replication-factor", -1, "accepted for compatibility; the store keeps the copies")
	cmd.Flags().StringArrayVar(&configs, "config", nil, "topic configuration KEY=VALUE, repeatable")
	return cmd
}

func (a *app) printCreated(answers []kadm.CreateTopicResponse) error {
	created := []createdTopic{}
	var errs []error
	for _, t := range answers {
		if t.Err != nil {
			errs = append(errs, topicError(t.Topic, t.Err, t.ErrMessage))
			continue
		}
		created = append(created, createdTopic{Topic: t.Topic, ID: t.ID.String(), Partitions: t.NumPartitions})
	}
	slices.SortFunc(created, func(x, y createdTopic) int { return strings.Compare(x.Topic, y.Topic) })
	if a.json() {
		errs = append(errs, a.printJSON(created))
	} else {
		for _, t := range created {
			errs = append(errs, a.printf("created %s with %s\n", t.Topic, plural(int(t.Partitions), "partition")))
		}
	}
	return errors.Join(errs...)
}

type listedTopic struct {
	Topic      string `json:"topic"`
	ID         string `json:"id"`
	Partitions int    `json:"partitions"`
}

func (a *app) topicList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List all topics",
		Args:  cobra.NoArgs,
		RunE: a.do(func(ctx context.Context, _ []string) error {
			return a.admin(ctx, func(adm *kadm.Client) error {
				details, err := adm.ListTopics(ctx)
				if err != nil {
					return fmt.Errorf("topics cannot be listed: %w", err)
				}
				topics := []listedTopic{}
				for _, t := range details.Sorted() {
					topics = append(topics, listedTopic{Topic: t.Topic, ID: t.ID.String(), Partitions: len(t.Partitions)})
				}
				if a.json() {
					return a.printJSON(topics)
				}
				rows := [][]string{{"TOPIC", "PARTITIONS", "ID"}}
				for _, t := range topics {
					rows = append(rows, []string{t.Topic, strconv.Itoa(t.Partitions), t.ID})
				}
				return a.printTable(rows)
			})
		}),
	}
}

func (a *app) topicDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME...",
		Short: "Delete topics and everything in them",
		Args:  cobra.MinimumNArgs(1),
		RunE: a.do(func(ctx context.Context, names []string) error {
			return a.admin(ctx, func(adm *kadm.Client) error {
				answers, err := adm.DeleteTopics(ctx, names...)
				if err != nil {
					return fmt.Errorf("topics were not deleted: %w", err)
				}
				deleted := []string{}
				var errs []error
				for _, t := range answers.Sorted() {
					if t.Err != nil {
						errs = append(errs, topicError(t.Topic, t.Err, t.ErrMessage))
						continue
					}
					deleted = append(deleted, t.Topic)
				}
				slices.Sort(deleted)
				if a.json() {
					errs = append(errs, a.printJSON(deleted))
				} else {
					for _, name := range deleted {
						errs = append(errs, a.printf("deleted %s\n", name))
					}
				}
				return errors.Join(errs...)
			})
		}),
	}
}

// topicError is one sentence about one topic; message is what the broker adds to the code, often nothing.
func topicError(topic string, err error, message string) error {
	return fmt.Errorf("topic %s: %w", topic, refusal(err, message))
}

type pair struct{ key, value string }

// pairs splits KEY=VALUE arguments of a repeatable flag.
func pairs(flag string, args []string) ([]pair, error) {
	out := make([]pair, 0, len(args))
	for _, arg := range args {
		k, v, ok := strings.Cut(arg, "=")
		if !ok || k == "" {
			return nil, usagef("%s %q: must be KEY=VALUE", flag, arg)
		}
		out = append(out, pair{k, v})
	}
	return out, nil
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
