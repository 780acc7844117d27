package kafkago

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"wadi/integration/clients/go/record"
)

// Member is a member of a group that commits each record after it has processed it. It takes the generations of a
// ConsumerGroup, since a Reader with a group tells no assignments and cannot seek. args: GROUP TOPIC.
func Member(ctx context.Context, out *record.Printer, servers string, args []string) error {
	m := &member{out: out, servers: strings.Split(servers, ","), topic: args[1]}
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: args[0], Brokers: m.servers, Topics: args[1:], StartOffset: kafka.FirstOffset,
		SessionTimeout: record.SessionTimeout, HeartbeatInterval: record.HeartbeatInterval,
		RebalanceTimeout: 10 * time.Second, JoinGroupBackoff: 500 * time.Millisecond,
		WatchPartitionChanges: true, PartitionWatchInterval: record.MetadataAge,
		ErrorLogger: kafka.LoggerFunc(func(text string, args ...any) { fmt.Fprintf(os.Stderr, text+"\n", args...) }),
	})
	if err != nil {
		return fmt.Errorf("group: %w", err)
	}
	ctx = record.Orders(ctx, os.Stdin, m.replay)
	for {
		generation, err := group.Next(ctx)
		if ctx.Err() != nil {
			return group.Close()
		}
		if err != nil { // a rebalance that failed is tried again
			fmt.Fprintln(os.Stderr, err)
			record.Pause(ctx)
			continue
		}
		m.begin(generation)
	}
}

type member struct {
	out     *record.Printer
	servers []string
	topic   string

	mu      sync.Mutex
	readers []*kafka.Reader // of the current generation
}

func (m *member) replay() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, reader := range m.readers {
		if err := reader.SetOffset(kafka.FirstOffset); err != nil {
			fmt.Fprintln(os.Stderr, "replay:", err)
		}
	}
}

// begin starts a reader for each partition; they end with their generation.
func (m *member) begin(generation *kafka.Generation) {
	var partitions []int32
	m.mu.Lock()
	defer m.mu.Unlock()
	m.readers = nil
	for _, assigned := range generation.Assignments[m.topic] {
		partitions = append(partitions, int32(assigned.ID))
		reader := kafka.NewReader(kafka.ReaderConfig{
			Brokers: m.servers, Topic: m.topic, Partition: assigned.ID, MaxWait: 100 * time.Millisecond,
		})
		if err := reader.SetOffset(assigned.Offset); err != nil {
			fmt.Fprintln(os.Stderr, "start:", err)
		}
		m.readers = append(m.readers, reader)
		generation.Start(func(ctx context.Context) {
			defer reader.Close()
			m.consume(ctx, generation, reader)
		})
	}
	m.out.Assigned(partitions)
}

func (m *member) consume(ctx context.Context, generation *kafka.Generation, reader *kafka.Reader) {
	for {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			if !errors.Is(err, kafka.ErrGenerationEnded) && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, err)
			}
			return
		}
		m.out.Processed(int32(message.Partition), message.Offset, message.Value)
		next := map[string]map[int]int64{m.topic: {message.Partition: message.Offset + 1}}
		if err := generation.CommitOffsets(next); err != nil {
			fmt.Fprintln(os.Stderr, "commit:", err)
			return
		}
		m.out.Committed(int32(message.Partition), message.Offset+1)
	}
}
