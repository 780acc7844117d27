// Package franz takes part in consumer groups with franz-go. What needs no process of its own, the tests do themselves.
package franz

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"wadi/integration/clients/go/record"
)

// Member is a member of a group (cooperative-sticky, franz-go's default) that commits each record after it has processed
// it. args: GROUP TOPIC.
func Member(ctx context.Context, out *record.Printer, servers string, args []string) error {
	m := &member{out: out, topic: args[1], owned: map[int32]bool{}}
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(servers, ",")...), kgo.ConsumerGroup(args[0]),
		kgo.ConsumeTopics(args[1]), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(record.SessionTimeout), kgo.HeartbeatInterval(record.HeartbeatInterval),
		kgo.MetadataMaxAge(record.MetadataAge), kgo.MetadataMinAge(record.MetadataAge/2),
		kgo.OnPartitionsAssigned(m.change(true)), kgo.OnPartitionsRevoked(m.change(false)), kgo.OnPartitionsLost(m.change(false)))
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	defer cl.Close()
	ctx = record.Orders(ctx, os.Stdin, func() { m.replay(cl) })
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		fetches.EachError(func(_ string, _ int32, err error) {
			if ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
		for records := fetches.RecordIter(); !records.Done(); {
			r := records.Next()
			out.Processed(r.Partition, r.Offset, r.Value)
			if err := cl.CommitRecords(ctx, r); err != nil {
				fmt.Fprintln(os.Stderr, "commit:", err)
				break
			}
			out.Committed(r.Partition, r.Offset+1)
		}
	}
	return nil
}

type member struct {
	out   *record.Printer
	topic string

	mu    sync.Mutex
	owned map[int32]bool
}

func (m *member) change(owned bool) func(context.Context, *kgo.Client, map[string][]int32) {
	return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, partition := range changed[m.topic] {
			if owned {
				m.owned[partition] = true
			} else {
				delete(m.owned, partition)
			}
		}
		var now []int32
		for partition := range m.owned {
			now = append(now, partition)
		}
		m.out.Assigned(now)
	}
}

func (m *member) replay(cl *kgo.Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	start := map[int32]kgo.EpochOffset{}
	for partition := range m.owned {
		start[partition] = kgo.EpochOffset{Epoch: -1, Offset: 0}
	}
	cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{m.topic: start})
}
