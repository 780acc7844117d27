package record

import (
	"bufio"
	"context"
	"io"
	"slices"
	"time"
)

// Event is what a member of a consumer group reports.
//
//	assigned   its partitions from now on, after each change
//	record     a record that it processes
//	committed  the offset of a partition that the group has stored
type Event struct {
	Event      string  `json:"event"`
	Partitions []int32 `json:"partitions,omitempty"` // of assigned
	Partition  int32   `json:"partition"`            // of record and committed
	Offset     int64   `json:"offset"`
	Value      string  `json:"value,omitempty"` // of record
}

// Assigned reports an assignment.
func (p *Printer) Assigned(partitions []int32) {
	slices.Sort(partitions)
	p.Print(Event{Event: "assigned", Partitions: partitions})
}

// Processed reports a record.
func (p *Printer) Processed(partition int32, offset int64, value []byte) {
	p.Print(Event{Event: "record", Partition: partition, Offset: offset, Value: string(value)})
}

// Committed reports a committed offset: that of the next record.
func (p *Printer) Committed(partition int32, offset int64) {
	p.Print(Event{Event: "committed", Partition: partition, Offset: offset})
}

// What members are configured with, where a client can be.
const (
	SessionTimeout    = 6 * time.Second // the least that Kafka's defaults allow
	HeartbeatInterval = 300 * time.Millisecond
	MetadataAge       = 500 * time.Millisecond // how soon new partitions are noticed
)

// Orders reads what a member is told on in, a word per line: "replay" is called in its turn, "leave" or the end of in
// cancel the context.
func Orders(ctx context.Context, in io.Reader, replay func()) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		lines := bufio.NewScanner(in)
		for lines.Scan() && lines.Text() != "leave" {
			if lines.Text() == "replay" {
				replay()
			}
		}
	}()
	return ctx
}

// Pause keeps a member whose group cannot be reached from asking all the time.
func Pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(100 * time.Millisecond):
	}
}
