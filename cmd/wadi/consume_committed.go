package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"wadi/internal/batch"
)

// committedTail finds where a reader of committed records sees its last one. Below the last stable offset there may be
// records of a transaction whose abort lies behind it, as another that began in between is still open. No reader gets
// those, nor is it told that it has passed them: who waits for the offset before the last stable one would wait for good.
type committedTail struct {
	client *kgo.Client // of Fetch requests that name topics
	topic  string
}

const (
	fetchNamesTopics = 12 // the last version of Fetch that does
	tailBytes        = 1 << 20
	tailGrowth       = 16
)

// committedEnds are the offsets behind the last records that a reader of committed ones gets now of the partitions to read.
func (a *app) committedEnds(ctx context.Context, adm *kadm.Client, topic string, b extent) (map[int32]int64, error) {
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.Fetch), fetchNamesTopics)
	client, err := a.connect(ctx, kgo.MaxVersions(versions))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	details, err := adm.ListTopics(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("topic %s cannot be described: %w", topic, err)
	}
	tail := committedTail{client: client, topic: topic}
	ends := make(map[int32]int64, len(b.starts))
	for _, p := range sortedKeys(b.starts) {
		if ends[p] = b.stable[p]; b.stable[p] >= b.high[p] || b.starts[p] >= b.stable[p] {
			continue // nothing is open: what is last is a record to see, or a marker
		}
		if ends[p], err = tail.end(ctx, details[topic].Partitions[p].Leader, p, b.first[p], b.stable[p]); err != nil {
			return nil, partitionError(topic, p, err)
		}
	}
	return ends, nil
}

// end looks back from an offset, further each time, until there is something to see.
func (t committedTail) end(ctx context.Context, leader, partition int32, first, stable int64) (int64, error) {
	for back := int64(1); ; back *= tailGrowth {
		from := max(first, stable-back)
		end, err := t.scan(ctx, leader, partition, from, stable)
		if err != nil || end > from || from == first {
			return end, err
		}
	}
}

// scan returns the offset behind the last record from `from` on, below to, that a reader of committed ones gets; from if
// there is none.
func (t committedTail) scan(ctx context.Context, leader, partition int32, from, to int64) (end int64, err error) {
	end = from
	for at := from; at < to; {
		part, err := t.fetch(ctx, leader, partition, at)
		if err != nil {
			return 0, err
		}
		seen, next, err := visible(part)
		if err != nil {
			return 0, err
		}
		end = max(end, min(seen, to))
		if next <= at {
			break // nothing more below the last stable offset
		}
		at = next
	}
	return end, nil
}

// visible goes through what a Fetch of committed records brought: end is the offset behind the last one to see, a marker
// included, 0 if there is none; next is that behind the last one of all.
func visible(part *kmsg.FetchResponseTopicPartition) (end, next int64, err error) {
	began := slices.SortedFunc(slices.Values(part.AbortedTransactions), func(x, y kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return cmp.Compare(x.FirstOffset, y.FirstOffset)
	})
	aborted := map[int64]bool{} // producers in a transaction that was aborted
	for rest := part.RecordBatches; len(rest) > 0; {
		b, tail, err := batch.Split(rest)
		if errors.Is(err, batch.ErrShort) {
			break // cut off at the limit
		}
		if err != nil {
			return 0, 0, err
		}
		rest, next = tail, b.LastOffset()+1
		for len(began) > 0 && began[0].FirstOffset <= b.LastOffset() {
			aborted[began[0].ProducerID] = true
			began = began[1:]
		}
		switch {
		case b.Control():
			delete(aborted, b.ProducerID())
		case b.Transactional() && aborted[b.ProducerID()]:
			continue
		}
		records := b.Iter()
		for r, ok := records.Next(); ok; r, ok = records.Next() {
			end = r.Offset + 1
		}
		records.Close()
		if err := records.Err(); err != nil {
			return 0, 0, fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
		}
	}
	return end, next, nil
}

// fetch asks for what lies at an offset and behind it.
func (t committedTail) fetch(ctx context.Context, leader, partition int32, at int64) (*kmsg.FetchResponseTopicPartition, error) {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.SessionEpoch, req.IsolationLevel, req.MaxBytes = -1, -1, 1, tailBytes
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = t.topic
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.CurrentLeaderEpoch, part.PartitionMaxBytes = partition, at, -1, tailBytes
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	resp, err := t.client.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	answer := resp.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return nil, err
	}
	if len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1 {
		return nil, errors.New("the answer to a Fetch request is about something else")
	}
	got := &answer.Topics[0].Partitions[0]
	return got, kerr.ErrorForCode(got.ErrorCode)
}
