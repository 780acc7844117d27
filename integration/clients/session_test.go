package clients

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// TestGroupTransactSession: members of franz-go's GroupTransactSession carry records from one topic to another, each in a
// transaction with its offset, while a member comes and goes and transactions are aborted for no reason. Every record
// arrives, and none twice.
func TestGroupTransactSession(t *testing.T) {
	t.Parallel()
	b := oneBroker(t)
	ctx := b.context(t, patience)
	b.waitFor(ctx, t, transactionAPIs...)
	for name, versions := range map[string]*kversion.Versions{"version 1": kversion.V3_9_0(), "version 2": kversion.Stable()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			carry(ctx, t, b, kgo.MaxVersions(versions))
		})
	}
}

// carrier is what the members of a group carry.
type carrier struct {
	t                *testing.T
	ctx              context.Context
	b                broker
	versions         kgo.Opt
	name, in, out    string
	members          atomic.Int32 // that were started
	written, carried atomic.Int64
	aborts           atomic.Int64
}

const carriedPartitions = 4

func carry(ctx context.Context, t *testing.T, b broker, versions kgo.Opt) {
	run := fmt.Sprintf("%08x", rand.Uint32())
	c := &carrier{t: t, ctx: ctx, b: b, versions: versions, name: "carry-" + run, in: "carry-in-" + run, out: "carry-out-" + run}
	for _, topic := range []string{c.in, c.out} {
		if err := createTopic(ctx, b.bootstrap, topic, carriedPartitions); err != nil {
			t.Fatal(err)
		}
	}
	writing, enough := context.WithCancel(ctx)
	var writer sync.WaitGroup
	writer.Go(func() { c.write(writing) })

	first := c.join()
	c.more("one member", 200)
	second := c.join()
	first.works()
	second.works()
	c.more("two members", 200)
	first.leave()
	c.more("the other one", 200)
	first = c.join()
	first.works()
	second.works()
	c.more("two members again", 200)
	enough()
	writer.Wait()
	eventually(ctx, t, "everything is committed", func() (bool, string) {
		var committed int64
		offsets, err := kadm.NewClient(first.session.Client()).FetchOffsets(ctx, c.name)
		if err != nil {
			return false, err.Error()
		}
		offsets.Each(func(o kadm.OffsetResponse) { committed += o.At })
		return committed == c.written.Load(), fmt.Sprintf("%d of %d", committed, c.written.Load())
	})
	second.leave()
	first.leave()
	t.Logf("%d records; %d transactions were aborted", c.written.Load(), c.aborts.Load())
	if c.aborts.Load() == 0 {
		t.Error("no transaction was aborted")
	}
	c.arrived()
}

// write fills the topic until ctx ends.
func (c *carrier) write(ctx context.Context) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.b.bootstrap), kgo.DefaultProduceTopic(c.in), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		c.t.Error(err)
		return
	}
	defer cl.Close()
	for n := 0; ctx.Err() == nil; n++ {
		if err := cl.ProduceSync(c.ctx, kgo.StringRecord(fmt.Sprint(n))).FirstErr(); err != nil {
			c.t.Error(err)
			return
		}
		c.written.Store(int64(n) + 1)
		time.Sleep(2 * time.Millisecond) // the load, not a wait for anything
	}
}

// more waits until so many records more are carried.
func (c *carrier) more(by string, n int64) {
	c.t.Helper()
	want := c.carried.Load() + n
	eventually(c.ctx, c.t, fmt.Sprintf("%d records more, by %s", n, by), func() (bool, string) {
		return c.carried.Load() >= want, fmt.Sprintf("%d of %d", c.carried.Load(), want)
	})
}

// arrived holds the output against the input.
func (c *carrier) arrived() {
	c.t.Helper()
	// A last record for readers to stop at: there may be a marker behind the others.
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.b.bootstrap), kgo.DefaultProduceTopic(c.out), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	for p := range int32(carriedPartitions) {
		if err := cl.ProduceSync(c.ctx, &kgo.Record{Partition: p, Value: []byte("end")}).FirstErr(); err != nil {
			c.t.Fatal(err)
		}
	}
	read, err := franz{}.ReadAt(c.ctx, "read_committed", c.b.bootstrap, []string{c.out})
	if err != nil {
		c.t.Fatal(err)
	}
	got, want := map[string]int{}, map[string]int{"end": carriedPartitions}
	for _, r := range read {
		got[string(r.Value)]++
	}
	for n := range c.written.Load() {
		want[fmt.Sprint(n)] = 1
	}
	if maps.Equal(got, want) {
		return
	}
	var wrong []string
	for _, value := range slices.Sorted(maps.Keys(want)) {
		if got[value] != want[value] {
			wrong = append(wrong, fmt.Sprintf("%s %d times", value, got[value]))
		}
	}
	c.t.Errorf("%d values instead of %d; wrong: %v", len(got), len(want), wrong)
}
