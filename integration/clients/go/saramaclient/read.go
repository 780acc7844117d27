package saramaclient

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/IBM/sarama"

	"wadi/integration/clients/go/record"
)

// Read prints what the topics hold, with a partition consumer for each partition that has records. args: TOPIC...
func Read(ctx context.Context, out *record.Printer, servers string, topics []string) error {
	config, err := newConfig()
	if err != nil {
		return err
	}
	client, err := sarama.NewClient(strings.Split(servers, ","), config)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	defer client.Close()
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	var (
		wg   sync.WaitGroup
		errs = make(chan error, 1) // the first one
	)
	for _, topic := range topics {
		partitions, err := consumer.Partitions(topic)
		if err != nil {
			return fmt.Errorf("partitions of %s: %w", topic, err)
		}
		for _, partition := range partitions {
			end, err := client.GetOffset(topic, partition, sarama.OffsetNewest)
			if err != nil {
				return fmt.Errorf("end of %s/%d: %w", topic, partition, err)
			}
			if end == 0 {
				continue
			}
			records, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
			if err != nil {
				return fmt.Errorf("consume %s/%d: %w", topic, partition, err)
			}
			wg.Go(func() {
				if err := drain(ctx, out, records, end); err != nil {
					select {
					case errs <- fmt.Errorf("%s/%d: %w", topic, partition, err):
					default:
					}
				}
			})
		}
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return consumer.Close()
	}
}

// drain prints the records before end.
func drain(ctx context.Context, out *record.Printer, records sarama.PartitionConsumer, end int64) error {
	defer records.AsyncClose()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-records.Errors():
			return err
		case m := <-records.Messages():
			read := record.Read{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Timestamp: m.Timestamp.UnixMilli(),
				Key: m.Key, Value: m.Value}
			for _, h := range m.Headers {
				read.Headers = append(read.Headers, [2][]byte{h.Key, h.Value})
			}
			out.Print(read)
			if m.Offset >= end-1 {
				return nil
			}
		}
	}
}
