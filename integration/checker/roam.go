package checker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/internal/batch"

	h "wadi/integration/history"
)

// roamer (F17) is an idempotent producer made by hand. It has five batches on their way, sends each to brokers of its own
// choice until one acknowledges it, and some to two at once: two brokers take batches of one producer for one partition.
type roamer struct {
	r       *run
	who     string
	brokers []*direct
	pid     int64
	epoch   int16

	mu struct {
		sync.Mutex
		random *rand.Rand
	}
}

const (
	roamInFlight = 5
	roamTry      = 3 * time.Second
	roamFault    = "F17 one partition at two agents"
)

func (r *run) roam(ctx context.Context) {
	x := &roamer{r: r, who: "roamer"}
	x.mu.random = r.random(x.who)
	for i := range r.net.addresses {
		d, err := r.direct(fmt.Sprintf("%s-%c", x.who, 'A'+i), i)
		if err != nil {
			r.fail(err)
			return
		}
		defer d.close()
		x.brokers = append(x.brokers, d)
	}
	for ctx.Err() == nil {
		if x.open(ctx) {
			x.life(ctx)
		}
		pause(ctx, 200*time.Millisecond)
	}
}

// open gets a producer id.
func (x *roamer) open(ctx context.Context) bool {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.ProducerID, req.ProducerEpoch = -1, -1
	resp, err := x.pick().do(ctx, req)
	if err != nil {
		return false
	}
	got := resp.(*kmsg.InitProducerIDResponse)
	x.pid, x.epoch = got.ProducerID, got.ProducerEpoch
	return got.ErrorCode == 0
}

func (x *roamer) pick() *direct {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.brokers[x.mu.random.IntN(len(x.brokers))]
}

// life sends until the context ends or a batch is given up, which leaves a gap that no later batch passes.
func (x *roamer) life(ctx context.Context) {
	s := &sender{r: x.r, who: fmt.Sprintf("%s-%d", x.who, x.pid), random: x.r.random(fmt.Sprint(x.who, x.pid))}
	partition := x.r.roams.partitions - 1
	stopped, giveUp := context.WithCancel(ctx)
	defer giveUp()
	var window []chan struct{}
	var all sync.WaitGroup
	for sequence := int32(0); stopped.Err() == nil; {
		if len(window) == roamInFlight {
			<-window[0]
			window = window[1:]
		}
		size := 1 + s.random.IntN(3)
		var values []string
		var b batch.Builder
		b.Reset(batch.BuildOptions{ProducerID: x.pid, ProducerEpoch: x.epoch, BaseSequence: sequence})
		for range size {
			rec := s.record(0, x.r.roams.name, partition, "")
			var headers []batch.Header
			for _, f := range rec.Headers {
				headers = append(headers, batch.Header{Key: []byte(f.Key), Value: f.Value})
			}
			if err := b.Append(batch.Record{Key: rec.Key, Value: rec.Value, Timestamp: rec.Timestamp.UnixMilli(), Headers: batch.NewHeaders(headers...)}); err != nil {
				x.r.fail(err)
				return
			}
			values = append(values, string(rec.Value))
		}
		data, err := b.Build(nil)
		if err != nil {
			x.r.fail(err)
			return
		}
		sequence += int32(size)
		twice := s.random.IntN(4) == 0
		done := make(chan struct{})
		window = append(window, done)
		all.Go(func() {
			defer close(done)
			if !x.deliver(data, partition, values, twice) {
				giveUp()
			}
		})
		pause(ctx, time.Duration(s.random.IntN(40))*time.Millisecond)
	}
	all.Wait()
}

// deliver tries until the batch is acknowledged; twice at two brokers at once.
func (x *roamer) deliver(data []byte, partition int32, values []string, twice bool) bool {
	if twice && len(x.brokers) > 1 {
		x.r.start(roamFault, values[0])
		var both sync.WaitGroup
		var acks [2]bool
		first := x.pick()
		second := x.brokers[(first.broker+1)%len(x.brokers)]
		both.Go(func() { acks[0] = x.try(first, data, partition, values) })
		both.Go(func() { acks[1] = x.try(second, data, partition, values) })
		both.Wait()
		x.r.stop(roamFault, values[0], acks[0] && acks[1], "")
		if acks[0] || acks[1] {
			return true
		}
	}
	for began := time.Now(); time.Since(began) < patience && x.r.sending.Err() == nil; {
		if x.try(x.pick(), data, partition, values) {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, v := range values {
		x.r.rec.Add(h.Fact{Kind: h.Fail, Who: x.who, Value: v, Outcome: h.Unknown, Error: "given up", Offset: -1})
	}
	return false
}

// try sends the batch once. Whoever acknowledges it names its offset; a duplicate that nobody knows the offset of any more
// is as good as acknowledged.
func (x *roamer) try(d *direct, data []byte, partition int32, values []string) bool {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, int32(roamTry/time.Millisecond)
	t, p := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	t.Topic, t.TopicID = x.r.roams.name, x.r.roams.id
	p.Partition, p.Records = partition, data
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := d.do(x.r.sending, req)
	if err != nil {
		return false
	}
	got := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	switch err := kerr.ErrorForCode(got.ErrorCode); err {
	case nil:
	case kerr.DuplicateSequenceNumber:
		return true
	default:
		return false
	}
	for i, v := range values {
		x.r.rec.Add(h.Fact{
			Kind: h.Ack, Who: x.who, Broker: d.name(), Topic: x.r.roams.name, Partition: partition, Offset: got.BaseOffset + int64(i), Value: v,
		})
	}
	return true
}
