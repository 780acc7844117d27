package kafkago

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"wadi/integration/clients/go/record"
)

// readersAtOnce bounds how many partitions are read side by side: each Reader has connections of its own.
const readersAtOnce = 12

// Read prints what the topics hold, with a Reader for each partition that has records. args: TOPIC...
func Read(ctx context.Context, out *record.Printer, servers string, topics []string) error {
	client := &kafka.Client{Addr: kafka.TCP(strings.Split(servers, ",")...)}
	ends, err := ends(ctx, client, topics)
	if err != nil {
		return err
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
		slot = make(chan struct{}, readersAtOnce)
	)
	for topic, partitions := range ends {
		for _, p := range partitions {
			if p.LastOffset == 0 {
				continue
			}
			slot <- struct{}{}
			wg.Go(func() {
				defer func() { <-slot }()
				if err := read(ctx, out, strings.Split(servers, ","), topic, p); err != nil {
					mu.Lock()
					errs = append(errs, fmt.Errorf("%s/%d: %w", topic, p.Partition, err))
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

func ends(ctx context.Context, client *kafka.Client, topics []string) (map[string][]kafka.PartitionOffsets, error) {
	metadata, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: topics})
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	asked := map[string][]kafka.OffsetRequest{}
	for _, topic := range metadata.Topics {
		if topic.Error != nil {
			return nil, fmt.Errorf("metadata of %s: %w", topic.Name, topic.Error)
		}
		for _, p := range topic.Partitions {
			asked[topic.Name] = append(asked[topic.Name], kafka.LastOffsetOf(p.ID))
		}
	}
	answer, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: asked})
	if err != nil {
		return nil, fmt.Errorf("ends: %w", err)
	}
	for topic, partitions := range answer.Topics {
		for _, p := range partitions {
			if p.Error != nil {
				return nil, fmt.Errorf("end of %s/%d: %w", topic, p.Partition, p.Error)
			}
		}
	}
	return answer.Topics, nil
}

func read(ctx context.Context, out *record.Printer, servers []string, topic string, p kafka.PartitionOffsets) error {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: servers, Topic: topic, Partition: p.Partition, MaxWait: 100 * time.Millisecond,
	})
	defer reader.Close()
	for {
		m, err := reader.ReadMessage(ctx)
		if err != nil {
			return err
		}
		read := record.Read{Topic: m.Topic, Partition: int32(m.Partition), Offset: m.Offset, Timestamp: m.Time.UnixMilli(),
			Key: m.Key, Value: m.Value}
		for _, h := range m.Headers {
			read.Headers = append(read.Headers, [2][]byte{[]byte(h.Key), h.Value})
		}
		out.Print(read)
		if m.Offset >= p.LastOffset-1 {
			return nil
		}
	}
}
