// Package kafkago writes, reads and administers topics with segmentio/kafka-go.
package kafkago

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"wadi/integration/clients/go/record"
)

var codecs = map[string]kafka.Compression{
	"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

// Write sends the records of stdin with a Writer (acks=all, hashed keys) and prints a delivery report for each. args:
// TOPIC CODEC. A Writer of kafka-go is never idempotent.
func Write(ctx context.Context, out *record.Printer, servers string, args []string) error {
	records, err := record.Parse(os.Stdin)
	if err != nil {
		return err
	}
	writer := &kafka.Writer{
		Addr: kafka.TCP(strings.Split(servers, ",")...), Topic: args[0], Compression: codecs[args[1]],
		Balancer: &kafka.Hash{}, RequiredAcks: kafka.RequireAll,
		// Small batches, as with the other clients.
		BatchSize: 50, BatchTimeout: 5 * time.Millisecond,
		Completion: func(messages []kafka.Message, err error) {
			for _, m := range messages {
				stored := record.Stored{I: m.WriterData.(int), Partition: int32(m.Partition), Offset: m.Offset}
				if err != nil {
					stored.Error = err.Error()
				}
				out.Print(stored)
			}
		},
	}
	messages := make([]kafka.Message, len(records))
	for i, r := range records {
		messages[i] = kafka.Message{Key: r.Key, Value: r.Value, Time: time.UnixMilli(r.Timestamp), WriterData: i}
		for _, h := range r.Headers {
			messages[i].Headers = append(messages[i].Headers, kafka.Header{Key: h.Name, Value: h.Value})
		}
	}
	err = writer.WriteMessages(ctx, messages...)
	if closed := writer.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("writer: %w", err)
	}
	return nil
}
