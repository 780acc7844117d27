package killpoint

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	topic     = "t"
	producers = 4
)

// place is where a record lies.
type place struct {
	partition int32
	offset    int64
}

// load is the producers' and a reader's work, and what they saw.
type load struct {
	address string
	done    chan struct{} // closed to stop producing
	work    sync.WaitGroup
	sizes   func(*rand.Rand) int

	mu struct {
		sync.Mutex
		sent  int
		acked map[string]place // by identity
		errs  []error
		read  map[place]string // identities, by the reader that runs along

		churned int // topics that were created, written to and deleted
	}
}

// startLoad starts idempotent producers that go on through any number of crashes, each with records of its own for all
// partitions, and a reader that follows.
func startLoad(t *testing.T, address string, sizes func(*rand.Rand) int) *load {
	t.Helper()
	l := &load{address: address, done: make(chan struct{}), sizes: sizes}
	l.mu.acked, l.mu.read = map[string]place{}, map[place]string{}
	for i := range producers {
		c := l.client(t, kgo.ProducerLinger(time.Duration(i)*2*time.Millisecond))
		l.work.Go(func() { l.produce(i, c) })
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	reader := l.client(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	go l.follow(ctx, reader)
	return l
}

// client is a client as an application has it, but one that asks again soon, and does not take a server that dies under
// its first request for one that wants a password.
func (l *load) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(l.address), kgo.AllowAutoTopicCreation(), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.AlwaysRetryEOF(),
		kgo.RetryBackoffFn(func(int) time.Duration { return 30 * time.Millisecond }), kgo.RequestRetries(1 << 20),
		kgo.MetadataMinAge(100 * time.Millisecond), kgo.UnknownTopicRetries(-1), kgo.RetryTimeout(5 * time.Minute),
		kgo.FetchMaxWait(500 * time.Millisecond), kgo.DialTimeout(2 * time.Second),
	}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// window is how many records of a producer wait for their answer at most.
const window = 40

func (l *load) produce(id int, c *kgo.Client) {
	random := rand.New(rand.NewPCG(uint64(id), 7))
	slots := make(chan struct{}, window)
	var answers sync.WaitGroup
	for n := 0; ; n++ {
		select {
		case <-l.done:
			answers.Wait()
			return
		case slots <- struct{}{}:
		}
		name := fmt.Sprintf("%d/%d/", id, n)
		value := append([]byte(name), make([]byte, l.sizes(random))...)
		for i := len(name); i+8 <= len(value); i += 8 {
			binary.LittleEndian.PutUint64(value[i:], random.Uint64())
		}
		answers.Add(1)
		l.mu.Lock()
		l.mu.sent++
		l.mu.Unlock()
		key := strconv.Itoa(random.IntN(1000))
		c.Produce(context.Background(), &kgo.Record{Topic: topic, Key: []byte(key), Value: value}, func(r *kgo.Record, err error) {
			l.mu.Lock()
			if err != nil {
				l.mu.errs = append(l.mu.errs, fmt.Errorf("record %s: %w", name, err))
			} else {
				l.mu.acked[identity(r.Value)] = place{r.Partition, r.Offset}
			}
			l.mu.Unlock()
			<-slots
			answers.Done()
		})
		if random.IntN(2) == 0 {
			time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond) // the load is to be steady, not heavy
		}
	}
}

// identity stands for a value: its producer, its number and a hash of all of it. A run holds many values.
func identity(value []byte) string {
	parts := strings.SplitN(string(value[:min(len(value), 30)]), "/", 3)
	h := fnv.New64a()
	h.Write(value)
	return fmt.Sprintf("%s/%016x", strings.Join(parts[:min(len(parts), 2)], "/"), h.Sum64())
}

// follow reads along. What it reads must be what is there in the end.
func (l *load) follow(ctx context.Context, c *kgo.Client) {
	for ctx.Err() == nil {
		c.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			at := place{r.Partition, r.Offset}
			l.mu.Lock()
			if old, ok := l.mu.read[at]; ok {
				l.mu.errs = append(l.mu.errs, fmt.Errorf("%v was read as %s and then as %s", at, old, identity(r.Value)))
			}
			l.mu.read[at] = identity(r.Value)
			l.mu.Unlock()
		})
	}
}

// churn creates topics, writes to them and deletes them, until producing ends. Whether a request that meets a kill does
// what it says is not known; a topic that exists already, or no more, is as good as one created, or deleted.
func (l *load) churn(t *testing.T) {
	c := l.client(t)
	admin := kadm.NewClient(c)
	l.work.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-l.done:
				return
			default:
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			name := fmt.Sprintf("churn-%d", n)
			_, err := admin.CreateTopic(ctx, 2, 1, nil, name)
			if err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
				for i := range 10 {
					r := &kgo.Record{Topic: name, Partition: int32(i % 2), Value: make([]byte, 100+i*1000)}
					if err = c.ProduceSync(ctx, r).FirstErr(); err != nil {
						break
					}
				}
			}
			if err == nil {
				_, err = admin.DeleteTopic(ctx, name)
			}
			cancel()
			l.mu.Lock()
			if err == nil || errors.Is(err, kerr.UnknownTopicOrPartition) {
				l.mu.churned++
			}
			l.mu.Unlock()
		}
	})
}

// hasChurned: a topic came and went.
func (l *load) hasChurned() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.churned > 0
}

// begun waits until every producer has had an answer.
func (l *load) begun(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		seen := map[byte]bool{}
		for name := range l.mu.acked {
			seen[name[0]] = true
		}
		return len(seen) == producers
	}, patience, 10*time.Millisecond)
}

// answered is how many records were acknowledged until now.
func (l *load) answered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.mu.acked)
}

// stop ends producing and waits for the answer to everything.
func (l *load) stop(t *testing.T) {
	t.Helper()
	close(l.done)
	answered := make(chan struct{})
	go func() { l.work.Wait(); close(answered) }()
	select {
	case <-answered:
	case <-time.After(patience):
		l.mu.Lock()
		defer l.mu.Unlock()
		t.Fatalf("%d records sent, %d answered and %d errors long after the last kill", l.mu.sent, len(l.mu.acked), len(l.mu.errs))
	}
}

// verify reads everything back and compares it with what producers and reader saw.
func (l *load) verify(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, err := range l.mu.errs {
		if i == 10 {
			t.Errorf("%d more errors", len(l.mu.errs)-i)
			break
		}
		t.Error(err) // an idempotent producer needs no error for a server that comes back
	}
	log := readAll(t, l.client(t))
	if len(log) < len(l.mu.acked) {
		t.Errorf("%d records were acknowledged, %d are there", len(l.mu.acked), len(log))
	}
	at := make(map[string]place, len(log))
	for p, value := range log {
		if other, twice := at[value]; twice {
			t.Errorf("record %s lies at %v and at %v", value, p, other)
		}
		at[value] = p
	}
	wrong := 0
	for value, p := range l.mu.acked {
		if got, ok := at[value]; !ok || got != p {
			if wrong++; wrong <= 10 {
				t.Errorf("record %s was acknowledged at %v, and lies at %v (found: %v)", value, p, got, ok)
			}
		}
	}
	if wrong > 10 {
		t.Errorf("%d acknowledged records are lost or elsewhere", wrong)
	}
	for p, value := range l.mu.read {
		if log[p] != value {
			t.Errorf("a reader saw %s at %v, where %s lies", value, p, log[p])
		}
	}
	inOrder(t, log)
}

// readAll reads every partition from offset 0 to its end and checks that no offset is left out.
func readAll(t *testing.T, c *kgo.Client) map[place]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ends, err := kadm.NewClient(c).ListEndOffsets(ctx, topic)
	require.NoError(t, err)
	require.NoError(t, ends.Error())
	next, left := map[int32]int64{}, 0
	from := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		from[o.Partition] = kgo.NewOffset().At(0)
		if o.Offset > 0 {
			left++
		}
	})
	c.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	log := map[place]string{}
	for left > 0 {
		fetches := c.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			end, _ := ends.Lookup(topic, r.Partition)
			if r.Offset >= end.Offset {
				return
			}
			require.Equal(t, next[r.Partition], r.Offset, "partition %d", r.Partition)
			next[r.Partition]++
			log[place{r.Partition, r.Offset}] = identity(r.Value)
			if next[r.Partition] == end.Offset {
				left--
			}
		})
	}
	return log
}

// inOrder checks that each producer's records lie in each partition in the order in which they were sent.
func inOrder(t *testing.T, log map[place]string) {
	t.Helper()
	count := map[int32]int64{}
	for p := range log {
		count[p.partition]++
	}
	for partition, n := range count {
		last := map[string]int{}
		for offset := range n {
			parts := strings.SplitN(log[place{partition, offset}], "/", 3)
			require.Len(t, parts, 3)
			seq, err := strconv.Atoi(parts[1])
			require.NoError(t, err)
			if before, ok := last[parts[0]]; ok && seq <= before {
				t.Errorf("partition %d offset %d: record %d of producer %s behind its record %d", partition, offset, seq, parts[0], before)
			}
			last[parts[0]] = seq
		}
	}
}
