package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"wadi/integration/history/plain"
	"wadi/internal/batch"
)

// Roamer is one idempotent producer that keeps five batches on their way and sends each try of each of them to an agent
// of its own choice, until one acknowledges it. Whatever happens to agents and answers meanwhile, its batches must lie
// one behind the other in the order of their sequences. It knows better than any real client where that goes wrong,
// because it is alone on its partition and so can tell each batch's offset beforehand.
type Roamer struct {
	Acks    *plain.Pulse
	History *plain.History

	t       testing.TB
	topic   Topic
	raw     []*Raw
	pid     int64
	epoch   int16
	stop    context.CancelFunc
	running sync.WaitGroup

	mu struct {
		sync.Mutex
		random *rand.Rand
		tries  int
		end    int64 // what is acknowledged below it, all of it or not
	}
}

const (
	roamInFlight = 5
	roamTry      = 2 * time.Second // how long a try may take
	roamGiveUp   = 60 * time.Second
)

// Roam starts a producer on partition 0 of a topic that nobody else writes to.
func Roam(t testing.TB, c *Cluster, topic Topic, seed uint64) *Roamer {
	t.Helper()
	r := &Roamer{
		Acks: plain.NewPulse(), History: plain.New(), t: t, topic: topic,
	}
	r.mu.random = rand.New(rand.NewPCG(seed, 0))
	for _, a := range c.Agents {
		r.raw = append(r.raw, NewRaw(t, a))
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	t.Cleanup(func() {
		stop()
		r.running.Wait()
	})
	var err error
	if r.pid, r.epoch, err = r.raw[0].ProducerID(ctx); err != nil {
		t.Fatal(err)
	}
	r.running.Go(func() { r.run(ctx) })
	return r
}

func (r *Roamer) run(ctx context.Context) {
	// The window moves with its oldest batch, as State remembers the last five only.
	var window []chan struct{}
	var sequence int32
	for n := 0; ctx.Err() == nil; n++ {
		if len(window) == roamInFlight {
			<-window[0]
			window = window[1:]
		}
		size := 1 + n%3
		records := make([]batch.Record, size)
		sent := make([]*plain.Send, size)
		for i := range records {
			records[i] = batch.Record{Value: fmt.Appendf(nil, "roam-%d-%d", n, i), Timestamp: time.Now().UnixMilli()}
			sent[i] = r.History.Attempt("roamer", r.topic.Log(0), plain.Record{Value: records[i].Value})
		}
		data, err := r.build(sequence, records)
		if err != nil {
			r.t.Error(err)
			return
		}
		done, base := make(chan struct{}), int64(sequence)
		window = append(window, done)
		sequence += int32(size)
		r.running.Go(func() {
			defer close(done)
			r.deliver(data, base, sent)
		})
		time.Sleep(5 * time.Millisecond)
	}
}

func (r *Roamer) build(sequence int32, records []batch.Record) ([]byte, error) {
	var b batch.Builder
	b.Reset(batch.BuildOptions{ProducerID: r.pid, ProducerEpoch: r.epoch, BaseSequence: sequence})
	for _, x := range records {
		if err := b.Append(x); err != nil {
			return nil, err
		}
	}
	return b.Build(nil)
}

// deliver tries until the batch is acknowledged, also when the roamer is told to stop: it leaves no gap behind.
func (r *Roamer) deliver(data []byte, base int64, sent []*plain.Send) {
	var last error
	for began := time.Now(); time.Since(began) < roamGiveUp; {
		r.mu.Lock()
		raw := r.raw[r.mu.random.IntN(len(r.raw))]
		r.mu.tries++
		r.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), roamTry)
		offset, err := raw.Produce(ctx, r.topic, 0, data, roamTry)
		cancel()
		if err == nil {
			if offset != base {
				r.t.Errorf("sequence %d was acknowledged at offset %d by %s", base, offset, raw.name)
			}
			for i, s := range sent {
				s.Acked(offset + int64(i))
			}
			r.Acks.Beat()
			r.mu.Lock()
			r.mu.end = max(r.mu.end, base+int64(len(sent)))
			r.mu.Unlock()
			return
		}
		last = err
		time.Sleep(10 * time.Millisecond)
	}
	r.t.Errorf("sequence %d was not taken within %v: %v", base, roamGiveUp, last)
}

// Finish stops, waits for all acknowledgements, reads everything back from every agent, and judges.
func (r *Roamer) Finish() plain.Verdict {
	r.t.Helper()
	r.stop()
	r.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var drains []*plain.Reader
	for _, raw := range r.raw {
		reader := r.History.Reader("the last reader of " + raw.name)
		drains = append(drains, reader)
		for next := int64(0); next < r.mu.end; {
			fp, err := raw.Fetch(ctx, r.topic, 0, next, time.Second)
			if err == nil {
				err = fp.Err
			}
			if err != nil && passes(ctx, err) {
				continue
			}
			if err != nil {
				r.t.Errorf("read the roamer's partition at %d through %s: %v", next, raw.name, err)
				break
			}
			for _, x := range fp.Records {
				reader.Read(r.topic.Log(0), x.Offset, plain.Record{Key: x.Key, Value: x.Value})
				next = x.Offset + 1
			}
		}
	}
	v := r.History.Judge(drains...)
	if err := v.Err(); err != nil {
		r.t.Error(err)
	}
	return v
}

// Tries is how many requests were sent so far.
func (r *Roamer) Tries() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.tries
}
