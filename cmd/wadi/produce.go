package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// deliveryLimit is how long one record may wait for its acknowledgement, retries included.
const deliveryLimit = time.Minute

type produceOptions struct {
	topic        string
	partition    int32
	compression  string
	headers      []string
	keySeparator string
	verbose      bool
}

func (a *app) produceCommand() *cobra.Command {
	var o produceOptions
	cmd := &cobra.Command{
		Use:   "produce",
		Short: "Write the lines of standard input as records",
		Long:  "Write each line of standard input as a record, acknowledged by all and without duplicates. Prints the offsets.",
		Args:  cobra.NoArgs,
		RunE:  a.do(func(ctx context.Context, _ []string) error { return a.produce(ctx, o) }),
	}
	f := cmd.Flags()
	f.StringVar(&o.topic, "topic", "", "topic to write to (required)")
	f.Int32Var(&o.partition, "partition", -1, "partition to write to; -1 goes by the key's hash")
	f.StringVar(&o.compression, "compression", "none", "none, gzip, snappy, lz4 or zstd")
	f.StringArrayVar(&o.headers, "header", nil, "header KEY=VALUE of every record, repeatable")
	f.StringVar(&o.keySeparator, "key-separator", "", "what separates key and value in a line (default: no keys)")
	f.BoolVar(&o.verbose, "verbose", false, "print partition and offset of every record")
	return cmd
}

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func (o produceOptions) clientOptions() ([]kgo.Opt, error) {
	codec, ok := codecs[o.compression]
	switch {
	case o.topic == "":
		return nil, usagef("--topic is required")
	case !ok:
		return nil, usagef("--compression %q: there are none, gzip, snappy, lz4 and zstd", o.compression)
	case o.partition < -1:
		return nil, usagef("--partition %d: must not be negative", o.partition)
	}
	opts := []kgo.Opt{
		kgo.DefaultProduceTopic(o.topic),
		kgo.AllowAutoTopicCreation(),
		kgo.ProducerBatchCompression(codec),
		kgo.RecordDeliveryTimeout(deliveryLimit),
	}
	if o.partition >= 0 {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	return opts, nil
}

// partitionThere refuses a partition that a topic has not. A topic that there is not may be created by the first record.
func (o produceOptions) partitionThere(ctx context.Context, adm *kadm.Client) error {
	if o.partition < 0 {
		return nil
	}
	there, err := partitionsOf(ctx, adm, o.topic)
	switch {
	case kerr.IsRetriable(err):
		return nil // the client tries again
	case err == nil && !slices.Contains(there, o.partition):
		return noPartition(o.topic, o.partition)
	}
	return err
}

func (a *app) produce(ctx context.Context, o produceOptions) error {
	opts, err := o.clientOptions()
	if err != nil {
		return err
	}
	given, err := pairs("--header", o.headers)
	if err != nil {
		return err
	}
	var headers []kgo.RecordHeader
	for _, h := range given {
		headers = append(headers, kgo.RecordHeader{Key: h.key, Value: []byte(h.value)})
	}
	client, err := a.connect(ctx, opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := o.partitionThere(ctx, kadm.NewClient(client)); err != nil {
		return err
	}
	// The first failure ends ctx, so that nothing more is read or sent.
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	report := &produceReport{app: a, topic: o.topic, verbose: o.verbose}
	report.mu.ranges = make(map[int32]*producedRange)
	err = eachLine(ctx, a.in, func(number int, line []byte) error {
		record := &kgo.Record{Value: line, Partition: o.partition, Headers: headers}
		if o.keySeparator != "" {
			key, value, ok := bytes.Cut(line, []byte(o.keySeparator))
			if !ok {
				return fmt.Errorf("line %d has no %q", number, o.keySeparator)
			}
			record.Key, record.Value = key, value
		}
		// Produce waits when too much is buffered; that bounds the memory.
		client.Produce(ctx, record, func(r *kgo.Record, err error) {
			if err := report.done(r, err); err != nil {
				fail(err)
			}
		})
		return nil
	})
	// Lines before a bad one are complete records: they are still sent. A record whose outcome is unknown is retried
	// beyond deliveryLimit, so the wait has a bound of its own.
	flushCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliveryLimit+retryTimeout)
	defer cancel()
	flushErr := client.Flush(flushCtx)
	if cause := context.Cause(ctx); cause != nil {
		err, flushErr = cause, nil
	}
	return errors.Join(err, flushErr, report.print())
}

// producedRange is what one partition acknowledged.
type producedRange struct {
	Partition int32 `json:"partition"`
	First     int64 `json:"first"`
	Last      int64 `json:"last"`
	Records   int   `json:"records"`
}

type produceSummary struct {
	Topic      string          `json:"topic"`
	Records    int             `json:"records"`
	Failed     int             `json:"failed,omitempty"`
	Partitions []producedRange `json:"partitions"`
}

// produceReport collects acknowledgements. Memory is by partition, not by record.
type produceReport struct {
	app     *app
	topic   string
	verbose bool

	mu struct {
		sync.Mutex
		failed int
		ranges map[int32]*producedRange
	}
}

type producedRecord struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// done takes one record's outcome. It returns the error that should end the run.
func (p *produceReport) done(r *kgo.Record, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.mu.failed++
		return fmt.Errorf("topic %s: a record was not acknowledged: %w", p.topic, err)
	}
	known := p.mu.ranges[r.Partition]
	if known == nil {
		known = &producedRange{Partition: r.Partition, First: r.Offset}
		p.mu.ranges[r.Partition] = known
	}
	known.First = min(known.First, r.Offset)
	known.Last = max(known.Last, r.Offset)
	known.Records++
	switch {
	case !p.verbose:
		return nil
	case p.app.json():
		return p.app.printJSON(producedRecord{p.topic, r.Partition, r.Offset})
	default:
		return p.app.printf("partition %d offset %d\n", r.Partition, r.Offset)
	}
}

// print writes the summary.
func (p *produceReport) print() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := produceSummary{Topic: p.topic, Failed: p.mu.failed, Partitions: []producedRange{}}
	for _, partition := range sortedKeys(p.mu.ranges) {
		s.Records += p.mu.ranges[partition].Records
		s.Partitions = append(s.Partitions, *p.mu.ranges[partition])
	}
	if p.app.json() {
		return p.app.printJSON(s)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s to %s\n", plural(s.Records, "record"), s.Topic)
	for _, r := range s.Partitions {
		fmt.Fprintf(&b, "  partition %d: offsets %d to %d\n", r.Partition, r.First, r.Last)
	}
	return p.app.printf("%s", b.String())
}
