package compaction

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"wadi/integration/binary"
	"wadi/integration/kafka"
)

func TestMain(m *testing.M) {
	code := m.Run()
	binary.Cleanup()
	os.Exit(code)
}

// segment is how long Kafka writes to one segment at least.
const segment = 2 * time.Second

// keepTombs is how long tombstones are kept, and longer than all is written, compacted and looked at in: Wadi compacts
// meanwhile, and what it drops before Kafka begins would differ; so would nothing, once both have dropped all. Where a
// machine takes longer than the one, it is the next.
var keepTombs = []time.Duration{5 * time.Second, 20 * time.Second, 2 * time.Minute}

// Apache Kafka keeps its last segment as it is and cleans when something is written after segment.ms; Wadi waits for
// nothing. Below the record that makes Kafka begin a new segment both leave the same: of each key the last committed
// record, and no tombstone that both have met delete.retention.ms before (KIP-534).
func TestLeavesWhatApacheKafkaLeaves(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	broker := kafka.Start(t)
	address := fmt.Sprintf("127.0.0.1:%d", binary.FreePort(t))
	dir := t.TempDir()
	binary.Start(t, binary.Spec{
		Env: []string{"WADI_COMPACTOR_INTERVAL=300ms", binary.LongSession}, Name: "wadi dev", Path: binary.Path(t), Ready: "ready", Dir: dir,
		Args: []string{"dev", "--listen", address, "--data-dir", filepath.Join(dir, "data"), "--http", ""},
	})
	both := []*side{{name: "Apache Kafka", address: broker.Address}, {name: "Wadi", address: address}}
	for _, s := range both {
		s.dial(t)
		// Apache Kafka makes its internal topics with the first transaction, which takes longer than all others together.
		s.create(ctx, t, "warm", keepTombs[0])
		require.NoError(t, s.write(ctx, "warm", 1, 4, 0))
	}
	// The cleaner looks for work every 15 s else.
	_, err := both[0].admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "log.cleaner.backoff.ms", Value: kadm.StringPtr("200")}})
	require.NoError(t, err)

	for i, keep := range keepTombs {
		if compacted(ctx, t, both, fmt.Sprint("table-", i), keep) {
			return
		}
	}
	t.Fatalf("it takes longer than %v", keepTombs[len(keepTombs)-1])
}

// compacted has a topic compacted on both sides, while tombstones are kept and after that; false when it all took longer than
// they are kept.
func compacted(ctx context.Context, t *testing.T, both []*side, name string, keep time.Duration) bool {
	t.Helper()
	for _, s := range both {
		s.create(ctx, t, name, keep)
	}
	began := time.Now()
	tail := same(ctx, t, both, name, 1, 5)
	t.Logf("written in %.1f s", time.Since(began).Seconds())
	if time.Since(began) >= keep {
		return false
	}
	first := agree(ctx, t, both, name, tail)
	tombs := 0
	for _, x := range first {
		if x.tomb {
			tombs++
		}
	}
	if tombs == 0 && time.Since(began) >= keep {
		t.Logf("compacted and looked at in %.1f s", time.Since(began).Seconds())
		return false
	}
	require.Positive(t, tombs, "tombstones stay at first")
	require.Less(t, len(first), 60)
	time.Sleep(keep - segment)
	tail = same(ctx, t, both, name, 2, 0)
	for _, x := range agree(ctx, t, both, name, tail) {
		require.False(t, x.tomb, "%v", x)
	}
	return true
}

// side is one of the two.
type side struct {
	name, address string
	client        *kgo.Client
	admin         *kadm.Client
}

func (s *side) dial(t *testing.T) {
	t.Helper()
	var err error
	s.client, err = kgo.NewClient(kgo.SeedBrokers(s.address))
	require.NoError(t, err)
	t.Cleanup(s.client.Close)
	s.admin = kadm.NewClient(s.client)
}

func (s *side) create(ctx context.Context, t *testing.T, name string, keep time.Duration) {
	t.Helper()
	configs := map[string]*string{}
	for k, v := range map[string]string{
		"cleanup.policy": "compact", "segment.ms": fmt.Sprint(segment.Milliseconds()), "min.cleanable.dirty.ratio": "0.01",
		"delete.retention.ms": fmt.Sprint(keep.Milliseconds()),
	} {
		configs[k] = kadm.StringPtr(v)
	}
	_, err := s.admin.CreateTopic(ctx, 1, 1, configs, name)
	require.NoError(t, err)
}

// same writes the same records to both sides, in the same batches, some in transactions; then, after segment.ms, one more,
// whose offset it returns. One record in so many is a tombstone, none with 0.
func same(ctx context.Context, t *testing.T, both []*side, name string, seed uint64, tombstones int) (tail int64) {
	t.Helper()
	var all errgroup.Group
	for _, s := range both {
		all.Go(func() error { return s.write(ctx, name, seed, 60, tombstones) })
	}
	require.NoError(t, all.Wait())
	time.Sleep(segment + 100*time.Millisecond)
	var offsets []int64
	for _, s := range both {
		r := s.client.ProduceSync(ctx, &kgo.Record{Topic: name, Key: fmt.Appendf(nil, "tail %d", seed), Value: []byte("x")})
		require.NoError(t, r.FirstErr())
		offsets = append(offsets, r[0].Record.Offset)
	}
	require.Equal(t, offsets[0], offsets[1], "the same was written")
	return offsets[0]
}

func (s *side) write(ctx context.Context, name string, seed uint64, batches, tombstones int) error {
	plain, err := kgo.NewClient(kgo.SeedBrokers(s.address), kgo.DefaultProduceTopic(name), kgo.DisableIdempotentWrite(),
		kgo.RequiredAcks(kgo.LeaderAck()), kgo.ProducerBatchCompression(kgo.GzipCompression()))
	if err != nil {
		return err
	}
	defer plain.Close()
	txn, err := kgo.NewClient(kgo.SeedBrokers(s.address), kgo.DefaultProduceTopic(name), kgo.TransactionalID(fmt.Sprint(name, seed)),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	if err != nil {
		return err
	}
	defer txn.Close()
	random := rand.New(rand.NewPCG(seed, 7))
	for n := range batches {
		var list []*kgo.Record
		for i := range 1 + random.IntN(5) {
			r := &kgo.Record{Key: fmt.Appendf(nil, "key %d", random.IntN(30))}
			if tombstones == 0 || random.IntN(tombstones) > 0 {
				r.Value = fmt.Appendf(nil, "%d/%d/%d", seed, n, i)
			}
			list = append(list, r)
		}
		switch random.IntN(4) {
		case 0, 1:
			if err = txn.BeginTransaction(); err == nil {
				err = txn.ProduceSync(ctx, list...).FirstErr()
			}
			if err == nil {
				err = txn.EndTransaction(ctx, kgo.TransactionEndTry(random.IntN(2) == 0))
			}
			if err == nil {
				err = s.stable(ctx, name)
			}
		default:
			err = plain.ProduceSync(ctx, list...).FirstErr()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// stable waits until no transaction is open: Apache Kafka writes the marker when the client has been told that it ended.
func (s *side) stable(ctx context.Context, name string) error {
	for {
		ends, err := s.admin.ListEndOffsets(ctx, name)
		if err != nil {
			return err
		}
		committed, err := s.admin.ListCommittedOffsets(ctx, name)
		if err != nil {
			return err
		}
		end, _ := ends.Lookup(name, 0)
		stable, _ := committed.Lookup(name, 0)
		if stable.Offset >= end.Offset {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// record is what is compared.
type record struct {
	offset     int64
	key, value string
	tomb       bool
}

// agree waits until both sides hold the same below an offset, every key once, and returns it.
func agree(ctx context.Context, t *testing.T, both []*side, name string, below int64) []record {
	t.Helper()
	begin := time.Now()
	for {
		a, b := both[0].read(ctx, t, name, below), both[1].read(ctx, t, name, below)
		keys := map[string]bool{}
		for _, x := range a {
			keys[x.key] = true
		}
		if slices.Equal(a, b) && len(keys) == len(a) {
			t.Logf("%d records of %d offsets are left on both sides after %.1f s", len(a), below, time.Since(begin).Seconds())
			return a
		}
		if time.Since(begin) > 4*time.Minute {
			require.Equal(t, a, b, "%d keys", len(keys))
			t.Fatalf("%d records of %d keys", len(a), len(keys))
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// read is all records below an offset, whatever they are of.
func (s *side) read(ctx context.Context, t *testing.T, name string, below int64) (list []record) {
	t.Helper()
	s.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().At(0)}})
	defer s.client.PurgeTopicsFromConsuming(name)
	for {
		fetches := s.client.PollFetches(ctx)
		require.NoError(t, fetches.Err(), s.name)
		over := false
		fetches.EachRecord(func(r *kgo.Record) {
			if over = over || r.Offset >= below; !over {
				list = append(list, record{r.Offset, string(r.Key), string(r.Value), r.Value == nil})
			}
		})
		if over {
			return list
		}
	}
}
