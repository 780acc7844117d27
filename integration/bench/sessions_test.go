package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/objstore/fault"
	"wadi/objstore/steady"
)

// quietPolls is how long a consumer reads nothing, in BenchmarkQuietConsumer.
const quietPolls = 5 * time.Second

// polls counts the Fetch requests of a client and their bytes.
type polls struct{ requests, out, in atomic.Int64 }

func (p *polls) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, n int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.Fetch) {
		p.requests.Add(1)
		p.out.Add(int64(n))
	}
}

func (p *polls) OnBrokerRead(_ kgo.BrokerMetadata, key int16, n int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.Fetch) {
		p.in.Add(int64(n))
	}
}

// BenchmarkQuietConsumer is a consumer of many partitions to which nobody writes: what one of its polls
// takes on the wire, and in CPU time of the agent beyond what it uses without them. It polls up to a hundred times a
// second, so that there is something to measure; consumers ask twice or less. With fetch sessions (KIP-227) and without.
func BenchmarkQuietConsumer(b *testing.B) {
	for _, peer := range []struct {
		name  string
		start func(*testing.B) target
	}{{"wadi dev", dev}, {"Apache Kafka", apacheKafka}} {
		b.Run(peer.name, func(b *testing.B) {
			t := peer.start(b)
			for _, n := range []int{10, 100, 1000} {
				createTopic(b, t, fmt.Sprint("quiet-", n), int32(n))
			}
			time.Sleep(5 * time.Second) // what creating so many asks for
			before := cpuSeconds(b, t.process.Pid())
			time.Sleep(2 * quietPolls)
			without := (cpuSeconds(b, t.process.Pid()) - before) / 2
			for _, n := range []int{10, 100, 1000} {
				b.Run(fmt.Sprint(n, "/in a session"), func(b *testing.B) { quietConsumer(b, t, n, without) })
				b.Run(fmt.Sprint(n, "/alone"), func(b *testing.B) { quietConsumer(b, t, n, without, kgo.DisableFetchSessions()) })
			}
		})
	}
}

// quietConsumer measures one, of a target that uses so much CPU time in quietPolls without it.
func quietConsumer(b *testing.B, t target, partitions int, without float64, opts ...kgo.Opt) {
	for b.Loop() {
		offsets := map[int32]kgo.Offset{}
		for i := range partitions {
			offsets[int32(i)] = kgo.NewOffset().AtStart()
		}
		var p polls
		c := client(b, t, append(opts, kgo.WithHooks(&p), kgo.FetchMaxWait(10*time.Millisecond),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{fmt.Sprint("quiet-", partitions): offsets}))...)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				c.PollFetches(ctx)
			}
		}()
		time.Sleep(2 * time.Second)
		n, out, in := p.requests.Load(), p.out.Load(), p.in.Load()
		cpu := cpuSeconds(b, t.process.Pid())
		time.Sleep(quietPolls)
		cpu = cpuSeconds(b, t.process.Pid()) - cpu
		n, out, in = p.requests.Load()-n, p.out.Load()-out, p.in.Load()-in
		cancel()
		<-done
		c.Close()
		b.ReportMetric(float64(out)/float64(n), "B-asked/poll")
		b.ReportMetric(float64(in)/float64(n), "B-answered/poll")
		b.ReportMetric(float64(n)/quietPolls.Seconds(), "polls/s")
		b.ReportMetric((cpu-without)/float64(n)*1e6, "cpu-us/poll")
	}
}

// BenchmarkIdleSession is one poll with nothing to tell, from request to answer, as a client on the same machine sees
// it: with a session of many partitions, and without one; answered at once, and after a millisecond in which nothing
// came. Allocations and CPU time are the agent's and, little, this client's.
func BenchmarkIdleSession(b *testing.B) {
	t := onS3Profile(b, fault.S3(), 1, steady.ForS3())
	for _, n := range []int{10, 1000, 10000} {
		topic := fmt.Sprint("idle-", n)
		createTopic(b, t, topic, int32(n))
		all := kmsg.NewPtrFetchRequest()
		all.SetVersion(12)
		all.MinBytes, all.MaxBytes = 1, 50<<20
		in := kmsg.NewFetchRequestTopic()
		in.Topic = topic
		for i := range n {
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition, p.PartitionMaxBytes = int32(i), 1<<20
			in.Partitions = append(in.Partitions, p)
		}
		all.Topics = append(all.Topics, in)
		b.Run(fmt.Sprint(n, "/in a session"), func(b *testing.B) {
			c := raw(b, t)
			all.SessionID, all.SessionEpoch = 0, 0
			opened := all.ResponseKind().(*kmsg.FetchResponse)
			if err := opened.ReadFrom(c.ask(all)[1:]); err != nil || opened.SessionID == 0 {
				b.Fatalf("session %d: %v", opened.SessionID, err)
			}
			next := kmsg.NewPtrFetchRequest()
			next.SetVersion(12)
			next.MinBytes, next.MaxBytes, next.SessionID, next.SessionEpoch = 1, 50<<20, opened.SessionID, 0
			for _, wait := range []int32{0, 1} {
				b.Run(fmt.Sprint("wait ", wait), func(b *testing.B) {
					next.MaxWaitMillis = wait
					c.measure(b, func() *kmsg.FetchRequest {
						next.SessionEpoch++
						return next
					})
				})
			}
		})
		b.Run(fmt.Sprint(n, "/alone"), func(b *testing.B) {
			all.SessionID, all.SessionEpoch = 0, -1
			c := raw(b, t)
			for _, wait := range []int32{0, 1} {
				b.Run(fmt.Sprint("wait ", wait), func(b *testing.B) {
					all.MaxWaitMillis = wait
					c.measure(b, func() *kmsg.FetchRequest { return all })
				})
			}
		})
	}
}

// connection is a client that does nothing but ask.
type connection struct {
	b         *testing.B
	nc        net.Conn
	out       []byte
	in        []byte
	formatted *kmsg.RequestFormatter
}

func raw(b *testing.B, t target) *connection {
	nc, err := net.Dial("tcp", t.address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	return &connection{b: b, nc: nc, in: make([]byte, 1<<20), formatted: kmsg.NewRequestFormatter(kmsg.FormatterClientID("bench"))}
}

// ask returns the reply behind its correlation id, until the next one.
func (c *connection) ask(req kmsg.Request) []byte {
	c.out = c.formatted.AppendRequest(c.out[:0], req, 1)
	if _, err := c.nc.Write(c.out); err != nil {
		c.b.Fatal(err)
	}
	if _, err := io.ReadFull(c.nc, c.in[:4]); err != nil {
		c.b.Fatal(err)
	}
	n := binary.BigEndian.Uint32(c.in)
	if _, err := io.ReadFull(c.nc, c.in[4:4+n]); err != nil {
		c.b.Fatal(err)
	}
	return c.in[8 : 4+n]
}

func (c *connection) measure(b *testing.B, next func() *kmsg.FetchRequest) {
	b.ReportAllocs()
	n, out, in, cpu := 0, 0, 0, cpuSeconds(b, os.Getpid())
	for b.Loop() {
		reply := c.ask(next())
		if code := binary.BigEndian.Uint16(reply[5:]); code != 0 { // behind the header's tags and the throttle time
			b.Fatalf("error %d", code)
		}
		in += len(reply) + 8
		out += len(c.out)
		n++
	}
	b.ReportMetric((cpuSeconds(b, os.Getpid())-cpu)/float64(n)*1e6, "cpu-us/op")
	b.ReportMetric(float64(out)/float64(n), "B-asked/op")
	b.ReportMetric(float64(in)/float64(n), "B-answered/op")
}
