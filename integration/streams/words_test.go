package streams

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// words are what lines are made of.
var words = strings.Fields("wadi river bed water rain dune palm date well spring souk caravan camel salt tent moon star sand wind stone")

// lines writes lines until it is told to stop, and counts their words.
type lines struct {
	stop   context.CancelFunc
	done   chan struct{}
	err    error
	counts map[string]int // read them after finish
}

// stuck is when a wait for counts is given up.
const stuck = 4 * time.Minute

// lineEvery is the pause between lines.
const lineEvery = 5 * time.Millisecond

// write sends lines of 1 to 4 words, idempotently.
func write(ctx context.Context, t *testing.T, servers []string, topic string) *lines {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(servers...), kgo.DefaultProduceTopic(topic), kgo.MetadataMinAge(250*time.Millisecond),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.MaxBufferedRecords(1000))
	if err != nil {
		t.Fatal(err)
	}
	writing, stop := context.WithCancel(ctx)
	l := &lines{stop: stop, done: make(chan struct{}), counts: map[string]int{}}
	var once sync.Once
	random := rand.New(rand.NewPCG(3, 5))
	go func() {
		defer close(l.done)
		defer cl.Close()
		tick := time.NewTicker(lineEvery)
		defer tick.Stop()
		for writing.Err() == nil {
			line := make([]string, 1+random.IntN(4))
			for i := range line {
				line[i] = words[random.IntN(len(words))]
				l.counts[line[i]]++
			}
			cl.Produce(ctx, kgo.StringRecord(strings.Join(line, " ")), func(_ *kgo.Record, err error) {
				if err != nil {
					once.Do(func() { l.err = err })
				}
			})
			select {
			case <-tick.C:
			case <-writing.Done():
			}
		}
		if err := cl.Flush(ctx); err != nil {
			once.Do(func() { l.err = err })
		}
	}()
	t.Cleanup(func() { l.stop(); <-l.done })
	return l
}

// finish waits until all lines are acknowledged and returns how often each word was written.
func (l *lines) finish(t *testing.T) map[string]int {
	t.Helper()
	l.stop()
	<-l.done
	if l.err != nil {
		t.Fatalf("a line was not stored: %v", l.err)
	}
	return l.counts
}

// output follows the counts that the application commits.
type output struct {
	mu     sync.Mutex
	counts map[string][]int // of each word, in the order of the log
	total  int
	wrong  []string
}

// follow reads the output at read_committed until the test ends.
func follow(ctx context.Context, t *testing.T, servers []string, topic string, partitions int32) *output {
	t.Helper()
	from := map[int32]kgo.Offset{}
	for p := range partitions {
		from[p] = kgo.NewOffset().At(0)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(servers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.MetadataMinAge(250*time.Millisecond), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		t.Fatal(err)
	}
	o := &output{counts: map[string][]int{}}
	reading, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for reading.Err() == nil {
			fetches := cl.PollFetches(reading)
			o.take(reading, fetches)
		}
	}()
	t.Cleanup(func() { stop(); <-done; cl.Close() })
	return o
}

func (o *output) take(ctx context.Context, fetches kgo.Fetches) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fetches.EachError(func(_ string, p int32, err error) {
		if ctx.Err() == nil {
			o.wrong = append(o.wrong, fmt.Sprintf("partition %d: %v", p, err))
		}
	})
	fetches.EachRecord(func(r *kgo.Record) {
		count, err := strconv.Atoi(string(r.Value))
		if err != nil {
			o.wrong = append(o.wrong, fmt.Sprintf("%q: %v", r.Value, err))
		}
		o.counts[string(r.Key)] = append(o.counts[string(r.Key)], count)
		o.total++
	})
}

func (o *output) seen() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.total
}

// grows waits until so many counts more have come.
func (o *output) grows(ctx context.Context, t *testing.T, what string, by int) {
	t.Helper()
	o.reaches(ctx, t, what, o.seen()+by)
}

func (o *output) reaches(ctx context.Context, t *testing.T, what string, want int) {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, stuck)
	defer cancel()
	for o.seen() < want {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %d counts, want %d", what, o.seen(), want)
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Logf("%s: %d counts after %.1f s", what, want, time.Since(began).Seconds())
}

// judge holds the output against what was written: of each word every count from 1 on, once and in order. A record that
// is processed twice, or not, breaks that.
func (o *output) judge(t *testing.T, written map[string]int) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, text := range o.wrong {
		t.Error(text)
	}
	for _, word := range slices.Sorted(maps.Keys(written)) {
		if got := o.counts[word]; !slices.Equal(got, upTo(written[word])) {
			t.Errorf("%q was written %d times; its counts are %v", word, written[word], got)
		}
	}
	if len(o.counts) != len(written) {
		t.Errorf("%d words counted, %d written", len(o.counts), len(written))
	}
}

func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i + 1
	}
	return list
}
