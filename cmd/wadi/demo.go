package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	demoTopic      = "orders"
	demoPartitions = 3
	maxDemoRecords = 10_000
	demoLimit      = 3 * time.Minute
)

type demoOptions struct {
	records int
	http    string
	store   string
}

func (a *app) demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Write orders, read them back, show where their bytes lie",
		Long: "Create the topic orders with 3 partitions, write keyed records, read them back with a consumer group, and\n" +
			"show their offsets and where their bytes lie: in the journal or in an object.",
		Args: cobra.NoArgs,
		RunE: a.do(func(ctx context.Context, _ []string) error { return a.demo(ctx, o) }),
	}
	cmd.Flags().IntVar(&o.records, "records", 12, "number of records to write")
	cmd.Flags().StringVar(&o.http, "http", "127.0.0.1:9644", "operations address of an agent, which knows where bytes lie; empty to not ask")
	cmd.Flags().StringVar(&o.store, "store", "", "object store URL: also list the objects in it")
	return cmd
}

type demoReport struct {
	Topic   string       `json:"topic"`
	Records []jsonRecord `json:"records"`
	Places  []place      `json:"places"`
	Objects []object     `json:"objects,omitempty"`
	Notes   []string     `json:"notes,omitempty"` // what could not be found out, and why
}

func (a *app) demo(ctx context.Context, o demoOptions) error {
	if o.records < 1 || o.records > maxDemoRecords {
		return usagef("--records %d: must lie between 1 and %d", o.records, maxDemoRecords)
	}
	ctx, cancel := context.WithTimeout(ctx, demoLimit)
	defer cancel()
	client, err := a.connect(ctx, kgo.RecordDeliveryTimeout(deliveryLimit))
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	if err := demoCreate(ctx, adm); err != nil {
		return err
	}
	written, err := demoWrite(ctx, client, o.records)
	if err != nil {
		return err
	}
	read, err := a.demoRead(ctx, adm, written)
	if err != nil {
		return err
	}
	report := demoReport{Topic: demoTopic, Places: []place{}}
	for _, r := range read {
		report.Records = append(report.Records, newJSONRecord(r))
	}
	if o.http != "" {
		if report.Places, err = locateAll(ctx, o.http, demoTopic, spans(written)); err != nil {
			report.Notes = append(report.Notes, err.Error())
		}
	}
	if o.store != "" {
		if report.Objects, err = listObjects(ctx, o.store); err != nil {
			return err
		}
	}
	if a.json() {
		return a.printJSON(report)
	}
	return a.printDemo(report)
}

// demoCreate creates the topic. One that is there from an earlier run is used again.
func demoCreate(ctx context.Context, adm *kadm.Client) error {
	answer, err := adm.CreateTopic(ctx, demoPartitions, -1, nil, demoTopic)
	switch {
	case errors.Is(answer.Err, kerr.TopicAlreadyExists):
		return nil
	case answer.Err != nil:
		return topicError(demoTopic, answer.Err, answer.ErrMessage)
	case err != nil:
		return fmt.Errorf("topic %s was not created: %w", demoTopic, err)
	}
	return nil
}

// demoWrite writes the records and returns them with their offsets, by partition and offset.
func demoWrite(ctx context.Context, client *kgo.Client, n int) ([]*kgo.Record, error) {
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{
			Topic: demoTopic,
			Key:   []byte("customer-" + strconv.Itoa(i%5)),
			Value: fmt.Appendf(nil, `{"order":%d,"amount":%d}`, i+1, 5+i*37%95),
		}
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return nil, fmt.Errorf("topic %s: a record was not acknowledged: %w", demoTopic, err)
	}
	slices.SortFunc(records, byOffset)
	return records, nil
}

func byOffset(a, b *kgo.Record) int {
	if a.Partition != b.Partition {
		return int(a.Partition - b.Partition)
	}
	return int(min(1, max(-1, a.Offset-b.Offset)))
}

// span is a range of offsets of one partition.
type span struct{ first, end int64 }

// spans returns the range of the records of each partition.
func spans(records []*kgo.Record) map[int32]span {
	out := make(map[int32]span)
	for _, r := range records {
		s, ok := out[r.Partition]
		if !ok {
			s = span{r.Offset, r.Offset}
		}
		out[r.Partition] = span{min(s.first, r.Offset), max(s.end, r.Offset+1)}
	}
	return out
}

// demoRead reads back what was written, as the member of a consumer group that begins there, and compares it. Others may
// write to the topic at the same time: their records in between are passed over. The group is this run's own and goes
// with it.
func (a *app) demoRead(ctx context.Context, adm *kadm.Client, written []*kgo.Record) ([]*kgo.Record, error) {
	type at struct {
		partition int32
		offset    int64
	}
	want := make(map[at]*kgo.Record, len(written))
	for _, r := range written {
		want[at{r.Partition, r.Offset}] = r
	}
	r := groupReader{group: fmt.Sprintf("demo-%08x", rand.Uint32()), topic: demoTopic, reset: kgo.NewOffset().AtEnd()}
	begin := kadm.Offsets{}
	for p, s := range spans(written) {
		begin.AddOffset(demoTopic, p, s.first, -1)
	}
	if err := adm.CommitAllOffsets(ctx, r.group, begin); err != nil {
		return nil, groupError(r.group, err)
	}
	var read []*kgo.Record
	err := r.read(ctx, a, func(got *kgo.Record) error {
		w := want[at{got.Partition, got.Offset}]
		if w == nil {
			return nil
		}
		if !bytes.Equal(w.Key, got.Key) || !bytes.Equal(w.Value, got.Value) {
			return fmt.Errorf("topic %s, partition %d, offset %d: read %q=%q where %q=%q was acknowledged",
				demoTopic, got.Partition, got.Offset, got.Key, got.Value, w.Key, w.Value)
		}
		if read = append(read, got); len(read) == len(written) {
			return errStop
		}
		return nil
	}, func() error { return nil })
	if err != nil {
		return nil, err
	}
	if _, err := adm.DeleteGroup(ctx, r.group); err != nil {
		return nil, groupError(r.group, err)
	}
	if len(read) != len(written) {
		return nil, fmt.Errorf("topic %s: %d of %d acknowledged records were read back", demoTopic, len(read), len(written))
	}
	slices.SortFunc(read, byOffset)
	return read, nil
}
