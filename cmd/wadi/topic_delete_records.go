package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// toEnd stands for the end that a partition has when it is asked.
const toEnd = -1

type trimmedPartition struct {
	Partition int32 `json:"partition"`
	Start     int64 `json:"start"`
}

func (a *app) topicDeleteRecords() *cobra.Command {
	var partitions []int32
	var all bool
	var offset string
	cmd := &cobra.Command{
		Use:   "delete-records NAME",
		Short: "Delete the first records of a topic's partitions",
		Args:  cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&all, "all", false, "all partitions")
	cmd.Flags().StringVar(&offset, "offset", "", "first offset that stays, or 'latest' to delete all there is (required)")
	cmd.Flags().Int32SliceVar(&partitions, "partition", nil, "partitions, repeatable")
	cmd.RunE = a.do(func(ctx context.Context, names []string) error {
		to, err := firstToStay(offset)
		if err != nil {
			return err
		}
		if all == (len(partitions) > 0) {
			return usagef("name the partitions with --partition, or all of them with --all")
		}
		for _, p := range partitions {
			if p < 0 {
				return usagef("--partition %d: must not be negative", p)
			}
		}
		return a.admin(ctx, func(adm *kadm.Client) error {
			there, err := partitionsOf(ctx, adm, names[0])
			if err != nil {
				return err
			}
			var errs []error
			for _, p := range partitions {
				if !slices.Contains(there, p) {
					errs = append(errs, noPartition(names[0], p))
				}
			}
			if !all {
				there = slices.DeleteFunc(there, func(p int32) bool { return !slices.Contains(partitions, p) })
			}
			if len(there) > 0 {
				errs = append(errs, a.deleteRecords(ctx, adm, names[0], there, to))
			}
			return errors.Join(errs...)
		})
	})
	return cmd
}

func firstToStay(offset string) (int64, error) {
	if offset == "latest" {
		return toEnd, nil
	}
	n, err := strconv.ParseInt(offset, 10, 64)
	if err != nil || n < 0 {
		return 0, usagef("--offset %q: must be an offset or 'latest'", offset)
	}
	return n, nil
}

func partitionsOf(ctx context.Context, adm *kadm.Client, topic string) ([]int32, error) {
	details, err := adm.ListTopics(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	t, ok := details[topic]
	switch {
	case !ok:
		return nil, fmt.Errorf("topic %s: %w", topic, errNoAnswer)
	case t.Err != nil:
		return nil, topicError(topic, t.Err, "")
	}
	return sortedKeys(t.Partitions), nil
}

// deleteRecords prints where the partitions start now. Those that fail are reported, the others are done.
func (a *app) deleteRecords(ctx context.Context, adm *kadm.Client, topic string, partitions []int32, to int64) error {
	offsets := kadm.Offsets{}
	for _, p := range partitions {
		offsets.AddOffset(topic, p, to, -1)
	}
	answers, err := adm.DeleteRecords(ctx, offsets)
	var errs []error
	if err != nil {
		errs = append(errs, fmt.Errorf("records of topic %s were not deleted: %w", topic, err))
	}
	done := []trimmedPartition{}
	for _, p := range sortedKeys(offsets[topic]) {
		answer, ok := answers.Lookup(topic, p)
		switch {
		case !ok && err != nil: // told already
		case !ok:
			errs = append(errs, partitionError(topic, p, errNoAnswer))
		case answer.Err != nil:
			errs = append(errs, partitionError(topic, p, answer.Err))
		default:
			done = append(done, trimmedPartition{p, answer.LowWatermark})
		}
	}
	if a.json() {
		errs = append(errs, a.printJSON(done))
	} else {
		for _, p := range done {
			errs = append(errs, a.printf("%s partition %d starts at offset %d\n", topic, p.Partition, p.Start))
		}
	}
	return errors.Join(errs...)
}
