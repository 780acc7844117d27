package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// alteredTopic is what a command changed of a topic.
type alteredTopic struct {
	Topic      string            `json:"topic"`
	Set        map[string]string `json:"set,omitempty"`
	Unset      []string          `json:"unset,omitempty"`
	Partitions int               `json:"partitions,omitempty"`
}

func (a *app) topicAlter() *cobra.Command {
	var partitions int32
	var set, unset []string
	cmd := &cobra.Command{
		Use:   "alter NAME",
		Short: "Change a topic's configuration, or give it more partitions",
		Args:  cobra.ExactArgs(1),
	}
	cmd.Flags().Int32Var(&partitions, "partitions", 0, "number of partitions that the topic shall have; it must grow")
	cmd.Flags().StringArrayVar(&set, "set", nil, "topic configuration KEY=VALUE, repeatable")
	cmd.Flags().StringArrayVar(&unset, "unset", nil, "topic configuration KEY that goes back to its default, repeatable")
	cmd.RunE = a.do(func(ctx context.Context, names []string) error {
		if cmd.Flags().Changed("partitions") && partitions < 1 {
			return usagef("--partitions %d: must be positive", partitions)
		}
		configs, err := configChanges(set, unset)
		if err != nil {
			return err
		}
		if len(configs) == 0 && partitions == 0 {
			return usagef("there is nothing to change: name --set, --unset or --partitions")
		}
		return a.admin(ctx, func(adm *kadm.Client) error {
			return a.alterTopic(ctx, adm, names[0], configs, int(partitions))
		})
	})
	return cmd
}

func configChanges(set, unset []string) ([]kadm.AlterConfig, error) {
	settings, err := pairs("--set", set)
	if err != nil {
		return nil, err
	}
	var list []kadm.AlterConfig
	for _, kv := range settings {
		list = append(list, kadm.AlterConfig{Op: kadm.SetConfig, Name: kv.key, Value: &kv.value})
	}
	for _, name := range unset {
		if name == "" || strings.Contains(name, "=") {
			return nil, usagef("--unset %q: must be a KEY", name)
		}
		list = append(list, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: name})
	}
	for i, c := range list {
		if slices.ContainsFunc(list[:i], func(other kadm.AlterConfig) bool { return other.Name == c.Name }) {
			return nil, usagef("the configuration %s is named twice", c.Name)
		}
	}
	return list, nil
}

// alterTopic changes the configuration first, which is done whole or not at all, and tells what was done also when the
// growth then fails.
func (a *app) alterTopic(ctx context.Context, adm *kadm.Client, topic string, configs []kadm.AlterConfig, partitions int) error {
	done := alteredTopic{Topic: topic}
	if len(configs) > 0 {
		if err := alterConfigs(ctx, adm, topic, configs); err != nil {
			return err
		}
		done.Set = map[string]string{}
		for _, c := range configs {
			if c.Op == kadm.SetConfig {
				done.Set[c.Name] = *c.Value
			} else {
				done.Unset = append(done.Unset, c.Name)
			}
		}
	}
	var failed error
	if partitions > 0 {
		if failed = growTopic(ctx, adm, topic, partitions); failed == nil {
			done.Partitions = partitions
		}
	}
	if failed != nil && len(configs) == 0 {
		return failed
	}
	return errors.Join(a.printAltered(done), failed)
}

func (a *app) printAltered(t alteredTopic) error {
	if a.json() {
		return a.printJSON(t)
	}
	var errs []error
	for _, k := range sortedKeys(t.Set) {
		errs = append(errs, a.printf("altered %s: %s=%s\n", t.Topic, k, t.Set[k]))
	}
	for _, k := range t.Unset {
		errs = append(errs, a.printf("altered %s: %s is not set any more\n", t.Topic, k))
	}
	if t.Partitions > 0 {
		errs = append(errs, a.printf("altered %s: %s\n", t.Topic, plural(t.Partitions, "partition")))
	}
	return errors.Join(errs...)
}

func alterConfigs(ctx context.Context, adm *kadm.Client, topic string, configs []kadm.AlterConfig) error {
	answers, err := adm.AlterTopicConfigs(ctx, configs, topic)
	if err != nil {
		return fmt.Errorf("topic %s was not altered: %w", topic, err)
	}
	answer, err := answers.On(topic, nil)
	switch {
	case err != nil:
		return fmt.Errorf("topic %s: %w", topic, errNoAnswer)
	case answer.Err != nil:
		return topicError(topic, answer.Err, answer.ErrMessage)
	}
	return nil
}

func growTopic(ctx context.Context, adm *kadm.Client, topic string, partitions int) error {
	answers, err := adm.UpdatePartitions(ctx, partitions, topic)
	if err != nil {
		return fmt.Errorf("topic %s was not altered: %w", topic, err)
	}
	answer, ok := answers[topic]
	switch {
	case !ok:
		return fmt.Errorf("topic %s: %w", topic, errNoAnswer)
	case answer.Err != nil:
		return topicError(topic, answer.Err, answer.ErrMessage)
	}
	return nil
}

// errNoAnswer: the broker left out what it was asked for.
var errNoAnswer = errors.New("the broker did not answer for it")
