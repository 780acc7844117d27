package checker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	h "wadi/integration/history"
)

// client makes a franz-go client with a line of its own.
func (r *run) client(name string, opts ...kgo.Opt) (*kgo.Client, *line, error) {
	l := r.net.line()
	cl, err := kgo.NewClient(append(r.options(name, l), opts...)...)
	if err != nil {
		return nil, nil, fmt.Errorf("client %s: %w", name, err)
	}
	return cl, l, nil
}

// options are those of all clients. They give requests up soon, so that what is held back is sent again while it is.
func (r *run) options(name string, l *line) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(r.net.addresses...), kgo.ClientID(name), kgo.Dialer(l.dial), kgo.AlwaysRetryEOF(),
		kgo.MetadataMinAge(250 * time.Millisecond), kgo.MetadataMaxAge(10 * time.Second),
		kgo.RetryBackoffFn(func(try int) time.Duration { return time.Duration(min(try, 5)) * 50 * time.Millisecond }),
		kgo.RequestRetries(1 << 20), kgo.RetryTimeout(30 * time.Second), kgo.RequestTimeoutOverhead(4 * time.Second),
		kgo.ProduceRequestTimeout(3 * time.Second), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.FetchMaxWait(300 * time.Millisecond), kgo.MaxBufferedRecords(500), kgo.UnknownTopicRetries(-1),
		kgo.WithLogger(r.logger(name)),
	}
}

// random is a source of its own for each name of a run.
func (r *run) random(name string) *rand.Rand {
	f := fnv.New64a()
	f.Write([]byte(name))
	return rand.New(rand.NewPCG(r.o.Seed, f.Sum64()))
}

// pause waits, or returns false when the context ends.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// sender records what one instance of a client sends.
type sender struct {
	r      *run
	who    string
	n      int
	random *rand.Rand
	large  int // one of so many records is large enough for a flush to become an object
}

// record makes a record whose value nobody else has, and records the attempt.
func (s *sender) record(txn int64, topic string, partition int32, source string) *kgo.Record {
	s.n++
	rec := &kgo.Record{
		Topic: topic, Partition: partition, Key: []byte(s.who), Value: fmt.Appendf(nil, "%s/%d", s.who, s.n),
		Timestamp: time.UnixMilli(time.Now().UnixMilli()),
		Headers:   []kgo.RecordHeader{{Key: "n", Value: []byte{byte(s.n)}}},
	}
	if s.large > 0 && s.random.IntN(s.large) == 0 {
		pad := make([]byte, 0, 6<<10) // nothing that compresses
		for len(pad) < cap(pad) {
			pad = binary.LittleEndian.AppendUint64(pad, s.random.Uint64())
		}
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: "pad", Value: pad})
	}
	s.r.rec.Add(h.Fact{
		Kind: h.Attempt, Who: s.who, Txn: txn, Topic: topic, Partition: partition, Value: string(rec.Value), Sum: sum(rec),
		Timestamp: rec.Timestamp.UnixMilli(), Source: source,
	})
	return rec
}

// answered records how a send ended.
func (s *sender) answered(txn int64, rec *kgo.Record, err error) {
	f := h.Fact{
		Kind: h.Ack, Who: s.who, Txn: txn, Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Value: string(rec.Value),
	}
	if err != nil {
		f.Kind, f.Outcome, f.Error, f.Offset = h.Fail, h.Unknown, err.Error(), -1
	}
	s.r.rec.Add(f)
}

func sum(rec *kgo.Record) uint64 {
	headers := make([]h.Header, len(rec.Headers))
	for i, x := range rec.Headers {
		headers[i] = h.Header{Key: x.Key, Value: x.Value}
	}
	return h.Sum(rec.Key, rec.Value, headers)
}

// read records what a consumer got.
func (r *run) read(who string, txn, poll int64, committed bool, broker string, rec *kgo.Record) {
	r.rec.Add(h.Fact{
		Kind: h.Read, Who: who, Txn: txn, Poll: poll, Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset,
		Value: string(rec.Value), Sum: sum(rec), Timestamp: rec.Timestamp.UnixMilli(), Committed: committed, Broker: broker,
	})
}

// note keeps what helps who reads a dump.
func (r *run) note(who, format string, args ...any) {
	r.rec.Add(h.Fact{Kind: h.Note, Who: who, Error: fmt.Sprintf(format, args...)})
}

// fetched notes what a poll had to complain about. Deadlines and closed clients are no complaints.
func (r *run) fetched(who string, fetches kgo.Fetches) {
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, context.Canceled) || errors.Is(e.Err, kgo.ErrClientClosed) {
			continue
		}
		if errors.Is(e.Err, kerr.OffsetOutOfRange) {
			r.rec.Add(h.Fact{Kind: h.OutOfRange, Who: who, Topic: e.Topic, Partition: e.Partition, Error: e.Err.Error()})
			continue
		}
		r.note(who, "poll %s/%d: %v", e.Topic, e.Partition, e.Err)
	}
}
