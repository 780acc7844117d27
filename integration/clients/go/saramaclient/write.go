package saramaclient

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"wadi/integration/clients/go/record"
)

// Write sends the records of stdin with an idempotent asynchronous producer (acks=all, one request in flight, as sarama
// demands) and prints a delivery report for each. args: TOPIC CODEC.
func Write(_ context.Context, out *record.Printer, servers string, args []string) error {
	records, err := record.Parse(os.Stdin)
	if err != nil {
		return err
	}
	config, err := newConfig()
	if err != nil {
		return err
	}
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Net.MaxOpenRequests = 1
	config.Producer.Compression = codecs[args[1]]
	config.Producer.Return.Successes = true
	// Small batches: every batch of a sequence counts.
	config.Producer.Flush.Frequency = 5 * time.Millisecond
	config.Producer.Flush.MaxMessages = 50
	producer, err := sarama.NewAsyncProducer(strings.Split(servers, ","), config)
	if err != nil {
		return fmt.Errorf("producer: %w", err)
	}
	go func() {
		for i, r := range records {
			producer.Input() <- message(args[0], i, r)
		}
	}()
	for range records {
		select {
		case m := <-producer.Successes():
			out.Print(record.Stored{I: m.Metadata.(int), Partition: m.Partition, Offset: m.Offset})
		case failed := <-producer.Errors():
			out.Print(record.Stored{I: failed.Msg.Metadata.(int), Error: failed.Err.Error()})
		}
	}
	// Not before: a producer that is being closed does not repeat what a broker refused for the moment.
	return producer.Close()
}

func message(topic string, i int, r record.Record) *sarama.ProducerMessage {
	m := &sarama.ProducerMessage{Topic: topic, Timestamp: time.UnixMilli(r.Timestamp), Metadata: i}
	// An Encoder that holds a nil slice is not a nil Encoder.
	if r.Key != nil {
		m.Key = sarama.ByteEncoder(r.Key)
	}
	if r.Value != nil {
		m.Value = sarama.ByteEncoder(r.Value)
	}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Name), Value: h.Value})
	}
	return m
}
