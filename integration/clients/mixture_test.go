package clients

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"wadi/integration/binary"
)

// mixture is a topic with transactions of several producers side by side, and what became of each record. It runs in one
// goroutine: the same seed mixes alike.
type mixture struct {
	t         *testing.T
	ctx       context.Context
	b         broker
	topic     string
	outside   *kgo.Client // of transactions
	writers   []*mixer
	records   int
	committed []placed // with those outside of transactions
	aborted   []placed
	markers   int // of partitions in transactions that ended
}

const (
	mixturePartitions = 3
	mixtureTimeout    = 10 * time.Minute // of transactions: those that are left open stay so
)

// mixer is a producer of a mixture and the records of its open transaction.
type mixer struct {
	begin func() error
	send  func(partition int32, values ...string) ([]placed, error)
	end   func(commit bool) error
	open  bool
	now   []placed
}

// newMixture makes a topic and four producers, two for each version of the transaction protocol: franz-go speaks the
// first one to a broker of version 3.9, as librdkafka does to any.
func newMixture(ctx context.Context, t *testing.T, b broker) *mixture {
	t.Helper()
	run := rand.Uint32()
	m := &mixture{t: t, ctx: ctx, b: b, topic: fmt.Sprintf("mixture-%08x", run)}
	if err := createTopic(ctx, b.bootstrap, m.topic, mixturePartitions); err != nil {
		t.Fatal(err)
	}
	m.outside = m.client()
	for i, versions := range []*kversion.Versions{kversion.V3_9_0(), kversion.Stable()} {
		cl := m.client(kgo.TransactionalID(fmt.Sprintf("mixture-%08x-%d", run, i)), kgo.MaxVersions(versions), kgo.TransactionTimeout(mixtureTimeout))
		m.writers = append(m.writers, &mixer{begin: cl.BeginTransaction, send: m.sender(cl), end: func(commit bool) error {
			return cl.EndTransaction(ctx, kgo.TransactionEndTry(commit))
		}})
	}
	for _, c := range transactionals {
		binary.Need(t, c.Check())
		x := startTransactors(t, c, b.bootstrap).producer(ctx, t, fmt.Sprintf("mixture-%08x-%s", run, c.Name()), mixtureTimeout)
		m.writers = append(m.writers, &mixer{
			begin: func() error { x.do("begin"); return nil },
			send: func(partition int32, values ...string) ([]placed, error) {
				return x.send(m.topic, partition, values...), nil
			},
			end: func(commit bool) error {
				x.do(map[bool]string{true: "commit", false: "abort"}[commit])
				return nil
			},
		})
	}
	return m
}

func (m *mixture) client(opts ...kgo.Opt) *kgo.Client {
	m.t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(m.b.bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(cl.Close)
	return cl
}

// sender sends with a client and returns the places.
func (m *mixture) sender(cl *kgo.Client) func(int32, ...string) ([]placed, error) {
	return func(partition int32, values ...string) ([]placed, error) {
		var records []*kgo.Record
		for _, value := range values {
			records = append(records, &kgo.Record{Topic: m.topic, Partition: partition, Value: []byte(value)})
		}
		if err := cl.ProduceSync(m.ctx, records...).FirstErr(); err != nil {
			return nil, err
		}
		var stored []placed
		for _, r := range records {
			stored = append(stored, placed{r.Partition, r.Offset, string(r.Value)})
		}
		return stored, nil
	}
}

func (m *mixture) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// mix has writers chosen at random begin, send and end, then ends what is open.
func (m *mixture) mix(random *rand.Rand, steps int) {
	m.t.Helper()
	for range steps {
		w := m.writers[random.IntN(len(m.writers))]
		switch choice := random.IntN(12); {
		case choice == 0:
			m.plain(random.Int32N(mixturePartitions))
		case !w.open:
			m.begin(w)
			fallthrough
		case choice < 9:
			m.send(w, random.Int32N(mixturePartitions), 1+random.IntN(3), random.IntN(8) == 0)
		default:
			m.finish(w, random.IntN(3) > 0)
		}
	}
	for _, w := range m.writers {
		if w.open {
			m.finish(w, random.IntN(2) > 0)
		}
	}
}

func (m *mixture) begin(w *mixer) {
	m.t.Helper()
	m.must(w.begin())
	w.open, w.now = true, nil
}

func (m *mixture) send(w *mixer, partition int32, n int, big bool) {
	m.t.Helper()
	values := make([]string, n)
	for i := range values {
		if values[i] = m.value(); big {
			values[i] = large(values[i])
		}
	}
	stored, err := w.send(partition, values...)
	m.must(err)
	w.now = append(w.now, stored...)
}

func (m *mixture) value() string {
	m.records++
	return fmt.Sprint("m", m.records)
}

func (m *mixture) finish(w *mixer, commit bool) {
	m.t.Helper()
	m.must(w.end(commit))
	w.open = false
	var touched [mixturePartitions]int
	for _, r := range w.now {
		touched[r.partition] = 1
	}
	for _, n := range touched {
		m.markers += n
	}
	if commit {
		m.committed = append(m.committed, w.now...)
	} else {
		m.aborted = append(m.aborted, w.now...)
	}
}

// plain writes outside of transactions.
func (m *mixture) plain(partitions ...int32) {
	m.t.Helper()
	for _, p := range partitions {
		stored, err := m.sender(m.outside)(p, m.value())
		m.must(err)
		m.committed = append(m.committed, stored...)
	}
}

// open leaves two transactions open on partitions 0 and 1; behind their first records lie committed and aborted ones, and
// records outside of transactions.
func (m *mixture) open() {
	m.t.Helper()
	for i, w := range m.writers {
		m.begin(w)
		for p := range int32(mixturePartitions) {
			if i >= 2 || p < 2 {
				m.send(w, p, 1, false)
			}
		}
	}
	m.finish(m.writers[2], true)
	m.finish(m.writers[3], false)
	m.settle()
	m.plain(0, 1, 2)
}

// settle waits until every marker is there.
func (m *mixture) settle() {
	m.t.Helper()
	want := int64(m.markers + len(m.visible("read_uncommitted")))
	admin := kadm.NewClient(m.outside)
	m.b.shows(m.ctx, m.t, "every marker of the mixture", func() (bool, string) {
		ends, err := admin.ListEndOffsets(m.ctx, m.topic)
		m.must(err)
		var sum int64
		ends.Each(func(end kadm.ListedOffset) { sum += end.Offset })
		return sum == want, fmt.Sprintf("%d of %d offsets", sum, want)
	})
}

// end ends the two.
func (m *mixture) end() {
	m.t.Helper()
	m.finish(m.writers[0], true)
	m.finish(m.writers[1], false)
	m.settle()
}

// visible is what a reader must find at an isolation level.
func (m *mixture) visible(isolation string) []placed {
	records := slices.Clone(m.committed)
	for _, w := range m.writers {
		if !w.open {
			continue
		}
		if isolation == "read_uncommitted" {
			records = append(records, w.now...)
			continue
		}
		for _, first := range w.now {
			records = slices.DeleteFunc(records, func(r placed) bool {
				return r.partition == first.partition && r.offset > first.offset
			})
		}
	}
	if isolation == "read_uncommitted" {
		records = append(records, m.aborted...)
	}
	return records
}

// marker is the offset of a marker in the middle of the log. Each partition in a transaction has one, at an offset of its
// own, and nothing else has offsets.
func (m *mixture) marker() int64 {
	m.t.Helper()
	all := inOrder(m.visible("read_uncommitted"))
	var found []int64
	next := map[int32]int64{}
	for _, r := range all {
		for ; next[r.partition] < r.offset; next[r.partition]++ {
			found = append(found, next[r.partition])
		}
		next[r.partition]++
	}
	if len(found) != m.markers {
		m.t.Errorf("%d offsets without a record, want %d markers", len(found), m.markers)
	}
	slices.Sort(found)
	middle := found[len(found)/2]
	for partition, end := range next {
		if middle >= end {
			m.t.Fatalf("the marker at %d lies behind the end of partition %d, %d", middle, partition, end)
		}
	}
	return middle
}
