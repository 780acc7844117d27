package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"wadi/integration/history/plain"
)

// LoadOptions shape a Load. Zero values take the defaults that the fields name.
type LoadOptions struct {
	Producers int           // 3
	Every     time.Duration // a record of each producer, 10 ms
	// Large of that many records is of 24 KiB, so that flushes become objects too; 0 takes 8, -1 none.
	Large int
	// Defaults leaves the clients' settings alone. Otherwise they ask for metadata again after 250 ms at the earliest,
	// where franz-go waits for 5 s, so that what is measured is the cluster's share of a wait.
	Defaults bool
	// NoAgentReaders leaves the readers of single agents out.
	NoAgentReaders bool
}

// Load is clients at work: idempotent franz-go producers with their defaults, a franz-go consumer by assignment that
// goes where the metadata sends it, and one reader for each agent that asks this agent alone. Everything is recorded.
type Load struct {
	History *plain.History
	Topic   Topic
	c       *Cluster
	t       testing.TB
	o       LoadOptions

	producers []*producer
	reads     []*plain.Pulse // of each partition
	consumed  sync.Map       // partition -> next offset of the consumer
	stop      context.CancelFunc
	stopReads context.CancelFunc
	running   sync.WaitGroup
	reading   sync.WaitGroup
}

type producer struct {
	name   string
	client *kgo.Client
	acks   []*plain.Pulse // of each partition
}

func pulses(n int32) []*plain.Pulse {
	list := make([]*plain.Pulse, n)
	for i := range list {
		list[i] = plain.NewPulse()
	}
	return list
}

// StartLoad creates nothing: the topic is there. It ends with Finish, or with the test.
func StartLoad(c *Cluster, topic Topic, o LoadOptions) *Load {
	c.t.Helper()
	if o.Producers == 0 {
		o.Producers = 3
	}
	if o.Every == 0 {
		o.Every = 10 * time.Millisecond
	}
	if o.Large == 0 {
		o.Large = 8
	}
	l := &Load{History: plain.New(), Topic: topic, c: c, t: c.t, o: o, reads: pulses(topic.Partitions)}
	sending, stop := context.WithCancel(context.Background())
	reading, stopReads := context.WithCancel(context.Background())
	l.stop, l.stopReads = stop, stopReads
	c.t.Cleanup(func() {
		stop()
		stopReads()
		for _, p := range l.producers {
			p.client.Close() // fails what is still buffered, so that nobody waits for it
		}
		l.running.Wait()
		l.reading.Wait()
	})
	l.reading.Add(1)
	go l.consume(reading)
	if !o.NoAgentReaders {
		for _, a := range c.Agents {
			raw, reader := NewRaw(c.t, a), l.History.Reader("the reader of "+a.Name)
			for i := range topic.Partitions {
				l.reading.Go(func() { l.follow(reading, raw, reader, i) })
			}
		}
	}
	for i := range o.Producers {
		l.produce(sending, fmt.Sprintf("p%d", i))
	}
	return l
}

func (l *Load) client(name string, opts ...kgo.Opt) (*kgo.Client, error) {
	opts = append(opts, kgo.SeedBrokers(l.c.Addresses()...), kgo.ClientID(name), kgo.WithLogger(logOf(l.t, name)))
	if !l.o.Defaults {
		opts = append(opts, kgo.MetadataMinAge(250*time.Millisecond))
	}
	return kgo.NewClient(opts...)
}

func (l *Load) produce(ctx context.Context, name string) {
	client, err := l.client(name, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(1000))
	if err != nil {
		l.t.Fatal(err)
	}
	p := &producer{name: name, client: client, acks: pulses(l.Topic.Partitions)}
	l.producers = append(l.producers, p)
	l.running.Go(func() {
		tick := time.NewTicker(l.o.Every)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			l.send(ctx, p, n)
		}
	})
}

// send hands a record to the client's buffer; it waits only while that is full.
func (l *Load) send(ctx context.Context, p *producer, n int) {
	value := fmt.Sprintf("%s-%06d", p.name, n)
	if l.o.Large > 0 && n%l.o.Large == 0 {
		value += strings.Repeat(".", 24<<10)
	}
	r := &kgo.Record{
		Topic: l.Topic.Name, Partition: int32(n) % l.Topic.Partitions, Key: []byte(p.name), Value: []byte(value),
		Timestamp: time.UnixMilli(time.Now().UnixMilli()),
		Headers:   []kgo.RecordHeader{{Key: "n", Value: []byte{byte(n)}}},
	}
	sent := l.History.Attempt(p.name, l.Topic.Log(r.Partition), Recorded(r))
	p.client.Produce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) {
		if err != nil {
			sent.Unknown()
			if ctx.Err() == nil {
				l.t.Errorf("%s: %v", value[:min(len(value), 20)], err)
			}
			return
		}
		sent.Acked(r.Offset)
		p.acks[r.Partition].Beat()
	})
}

// consume is a client as applications have it.
func (l *Load) consume(ctx context.Context) {
	defer l.reading.Done()
	from := map[int32]kgo.Offset{}
	for i := range l.Topic.Partitions {
		from[i] = kgo.NewOffset().At(0)
	}
	client, err := l.client("consumer", kgo.FetchMaxWait(500*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.Topic.Name: from}))
	if err != nil {
		l.t.Error(err)
		return
	}
	defer client.Close()
	reader := l.History.Reader("the consumer")
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		for _, e := range fetches.Errors() {
			l.t.Errorf("consumer: %s/%d: %v", e.Topic, e.Partition, e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			reader.Read(l.Topic.Log(r.Partition), r.Offset, Recorded(r))
			l.consumed.Store(r.Partition, r.Offset+1)
			l.reads[r.Partition].Beat()
		})
	}
}

// follow reads one partition from one agent for as long as it answers, and goes on when it does again.
func (l *Load) follow(ctx context.Context, raw *Raw, reader *plain.Reader, partition int32) {
	log := l.Topic.Log(partition)
	for next := int64(0); ctx.Err() == nil; {
		fp, err := raw.Fetch(ctx, l.Topic, partition, next, 500*time.Millisecond)
		if err != nil || fp.Err != nil {
			if fp.Err != nil && isOutOfRange(fp.Err) {
				reader.OutOfRange(log, next, fp.LogStartOffset)
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		reader.Marks(log, fp.LogStartOffset, fp.LastStableOffset, fp.HighWatermark)
		for _, r := range fp.Records {
			reader.Read(log, r.Offset, Recorded(r))
			next = r.Offset + 1
		}
	}
}

// Stalls are the longest times since the last call in which a producer had no acknowledgement from a partition, and the
// consumer no record of one.
func (l *Load) Stalls() (acks, reads plain.Gap) {
	for _, p := range l.producers {
		acks = longest(acks, p.acks)
	}
	return acks, longest(reads, l.reads)
}

func longest(g plain.Gap, list []*plain.Pulse) plain.Gap {
	for _, x := range list {
		if other := x.Take(); other.Length > g.Length {
			g = other
		}
	}
	return g
}

// Flowing waits until every producer has had an acknowledgement from every partition since the call, and the consumer a
// record of it.
func (l *Load) Flowing(within time.Duration) {
	l.t.Helper()
	began := time.Now()
	wait := func(who string, list []*plain.Pulse) {
		for i, x := range list {
			for x.Since() > time.Since(began) {
				if time.Since(began) > within {
					l.t.Fatalf("%s: nothing of partition %d within %v", who, i, within)
				}
				time.Sleep(2 * time.Millisecond)
			}
		}
	}
	for _, p := range l.producers {
		wait(p.name, p.acks)
	}
	wait("the consumer", l.reads)
}

// Finish ends the producers, waits for all their answers, reads everything back from every agent, and judges.
func (l *Load) Finish() plain.Verdict {
	l.t.Helper()
	l.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	l.running.Wait()
	for _, p := range l.producers {
		if err := p.client.Flush(ctx); err != nil {
			l.t.Errorf("%s still waits for %d answers: %v", p.name, p.client.BufferedProduceRecords(), err)
		}
	}
	var drains []*plain.Reader
	for _, a := range l.c.Agents {
		drains = append(drains, l.drain(ctx, a))
	}
	l.caughtUp(ctx)
	l.stopReads()
	l.reading.Wait()
	v := l.History.Judge(drains...)
	if err := v.Err(); err != nil {
		l.t.Error(err)
	}
	return v
}

// passes waits a moment when an error is one that clients ask again after, as while an agent whose session a busy machine
// has ended opens another.
func passes(ctx context.Context, err error) bool {
	return kerr.IsRetriable(err) && pause(ctx)
}

// pause waits a moment; false when there is no time left.
func pause(ctx context.Context) bool {
	select {
	case <-time.After(20 * time.Millisecond):
		return true
	case <-ctx.Done():
		return false
	}
}

// drain reads every partition from 0 to its end through one agent.
func (l *Load) drain(ctx context.Context, a *Agent) *plain.Reader {
	l.t.Helper()
	raw, reader := NewRaw(l.t, a), l.History.Reader("the last reader of "+a.Name)
	for i := range l.Topic.Partitions {
		log := l.Topic.Log(i)
		ask := l.History.Ask("the last reader of "+a.Name, log)
		end, err := raw.Latest(ctx, l.Topic, i)
		for err != nil && passes(ctx, err) {
			end, err = raw.Latest(ctx, l.Topic, i)
		}
		if err != nil {
			l.t.Errorf("end of %v: %v", log, err)
			continue
		}
		ask.Answer(end)
		for next := int64(0); next < end; {
			fp, err := raw.Fetch(ctx, l.Topic, i, next, time.Second)
			if err == nil {
				err = fp.Err
			}
			if err != nil && passes(ctx, err) {
				continue
			}
			if err != nil {
				l.t.Errorf("last read of %v at %d through %s: %v", log, next, a.Name, err)
				break
			}
			reader.Marks(log, fp.LogStartOffset, fp.LastStableOffset, fp.HighWatermark)
			for _, r := range fp.Records {
				reader.Read(log, r.Offset, Recorded(r))
				next = r.Offset + 1
			}
		}
	}
	return reader
}

// caughtUp waits until the consumer has everything that is acknowledged.
func (l *Load) caughtUp(ctx context.Context) {
	l.t.Helper()
	for i := range l.Topic.Partitions {
		for {
			next, _ := l.consumed.LoadOrStore(i, int64(0))
			if next.(int64) > l.History.HighestAcked(l.Topic.Log(i)) {
				break
			}
			select {
			case <-time.After(10 * time.Millisecond):
				continue
			case <-ctx.Done():
				l.t.Errorf("the consumer is stuck at offset %d of %d; %d is acknowledged",
					next, i, l.History.HighestAcked(l.Topic.Log(i)))
			}
			break
		}
	}
}
