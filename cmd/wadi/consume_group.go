package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// commitLimit bounds the commit and the good-bye when a command that reads as a group member ends.
const commitLimit = 10 * time.Second

// groupReader reads topics as a member of a consumer group.
type groupReader struct {
	group string
	topic string
	reset kgo.Offset // where to begin in partitions that the group has not committed

	isolation kgo.IsolationLevel
}

// read hands over records until ctx ends or each fails; errStop is no failure. flush is called when the records of one
// poll are through, and what was handed over is committed after it: a record is read again after a crash, but never
// passed over.
func (r groupReader) read(ctx context.Context, a *app, each func(*kgo.Record) error, flush func() error) error {
	client, err := a.connect(ctx, kgo.ConsumerGroup(r.group), kgo.ConsumeTopics(r.topic), kgo.ConsumeResetOffset(r.reset),
		kgo.FetchIsolationLevel(r.isolation), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll())
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			return partitionError(e.Topic, e.Partition, e.Err)
		}
		var failed error
		var done []*kgo.Record
		for record := range fetches.RecordsAll() {
			if failed = each(record); failed != nil && !errors.Is(failed, errStop) {
				break
			}
			done = append(done, record)
			if failed != nil {
				break
			}
		}
		if err := errors.Join(flush(), r.commit(ctx, client, done)); err != nil || failed != nil {
			if errors.Is(failed, errStop) {
				failed = nil
			}
			return errors.Join(failed, err)
		}
		client.AllowRebalance()
	}
}

// commit outlives ctx: what was printed is committed, whatever ended the command.
func (r groupReader) commit(ctx context.Context, client *kgo.Client, done []*kgo.Record) error {
	if len(done) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitLimit)
	defer cancel()
	if err := client.CommitRecords(ctx, done...); err != nil {
		return fmt.Errorf("group %s: offsets were not committed: %w", r.group, err)
	}
	return nil
}
