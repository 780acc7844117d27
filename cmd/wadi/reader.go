package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// stallLimit is how long reading up to a known end may go without a record.
const stallLimit = 30 * time.Second

// errStop ends readTopic without an error.
var errStop = errors.New("stop")

// topicReader reads partitions of one topic by assignment, without a group.
type topicReader struct {
	topic  string
	starts map[int32]int64 // first offset of each partition to read
	ends   map[int32]int64 // stop before these offsets; nil = follow until ctx ends

	isolation kgo.IsolationLevel
}

// read hands over the records of each partition in order until every end is reached, ctx ends or each fails; errStop
// is no failure. flush is called when the records of one poll are through.
func (r topicReader) read(ctx context.Context, a *app, each func(*kgo.Record) error, flush func() error) error {
	from := make(map[int32]kgo.Offset, len(r.starts))
	for p, start := range r.starts {
		if r.ends == nil || start < r.ends[p] {
			from[p] = kgo.NewOffset().At(start)
		}
	}
	if len(from) == 0 {
		return nil
	}
	// Control records end transactions. They have offsets, so the end may lie behind one.
	client, err := a.connect(ctx, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: from}), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(r.isolation))
	if err != nil {
		return err
	}
	defer client.Close()
	open := make(map[int32]bool, len(from))
	for p := range from {
		open[p] = true
	}
	for len(open) > 0 {
		fetches, err := r.poll(ctx, client)
		if err != nil {
			return err
		}
		for record := range fetches.RecordsAll() {
			if r.ends != nil && record.Offset >= r.ends[record.Partition] {
				delete(open, record.Partition)
				continue
			}
			if !record.Attrs.IsControl() {
				if err := each(record); err != nil {
					if errors.Is(err, errStop) {
						err = nil
					}
					return errors.Join(err, flush())
				}
			}
			if r.ends != nil && record.Offset+1 >= r.ends[record.Partition] {
				delete(open, record.Partition)
			}
		}
		if err := flush(); err != nil {
			return err
		}
	}
	return nil
}

// poll waits for the next records: as long as ctx allows when following, at most stallLimit towards an end.
func (r topicReader) poll(ctx context.Context, client *kgo.Client) (kgo.Fetches, error) {
	pollCtx, cancel := ctx, context.CancelFunc(func() {})
	if r.ends != nil {
		pollCtx, cancel = context.WithTimeout(ctx, stallLimit)
	}
	defer cancel()
	fetches := client.PollFetches(pollCtx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if pollCtx.Err() != nil && fetches.NumRecords() == 0 {
		return nil, fmt.Errorf("topic %s: nothing arrived for %v before the end was reached", r.topic, stallLimit)
	}
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) {
			return nil, partitionError(e.Topic, e.Partition, e.Err)
		}
	}
	return fetches, nil
}

// offsetsOf turns a listing of one topic into plain numbers. It reports the first partition, in order, that failed.
func offsetsOf(topic string, listed kadm.ListedOffsets, err error) (map[int32]int64, error) {
	if err != nil {
		return nil, fmt.Errorf("offsets of topic %s cannot be read: %w", topic, err)
	}
	out := make(map[int32]int64, len(listed[topic]))
	for _, p := range sortedKeys(listed[topic]) {
		o := listed[topic][p]
		switch {
		case o.Err != nil && p < 0:
			return nil, topicError(topic, o.Err, "")
		case o.Err != nil:
			return nil, partitionError(topic, p, o.Err)
		}
		out[p] = o.Offset
	}
	return out, nil
}
