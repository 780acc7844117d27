package killpoint

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// retained is how many bytes of the topic "short" stay. By bytes, not by time: a slow machine writes less, too.
const retained = 400_000

// side is a topic that is written to beside the one that everything must stay of, by one producer, in order.
type side struct {
	topic string
	keys  int
	bytes int // of a value, at most
	mu    struct {
		sync.Mutex
		sent []sentRecord // acknowledged, in order
		errs []error
	}
}

type sentRecord struct {
	offset     int64
	key, value string
	tombstone  bool
}

// sides makes topics of one partition and writes to them: "table" is compacted by key, of "short" old records go, of "old"
// what forgetOld deletes.
func (l *load) sides(t *testing.T) (table, short *side) {
	t.Helper()
	c := l.client(t)
	admin := kadm.NewClient(c)
	create := func(name string, configs map[string]string) {
		set := map[string]*string{}
		for k, v := range configs {
			set[k] = kadm.StringPtr(v)
		}
		// The session lasts for a second: on a busy machine it is lost now and then, and what was asked for may be there.
		require.Eventually(t, func() bool {
			_, err := admin.CreateTopic(t.Context(), 1, 1, set, name)
			return err == nil || errors.Is(err, kerr.TopicAlreadyExists)
		}, patience, 50*time.Millisecond, "topic %s", name)
	}
	// It is compacted once so much is new that what is left of the rest has gone into a manifest before.
	create("table", map[string]string{
		"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.4", "segment.ms": "200", "delete.retention.ms": "500",
	})
	create("short", map[string]string{"retention.bytes": strconv.Itoa(retained)})
	create("old", nil)
	old := l.client(t)
	l.work.Go(func() { (&side{topic: "old", keys: 10, bytes: 2000}).write(l.done, old, 2) })
	table, short = &side{topic: "table", keys: 100, bytes: 2000}, &side{topic: "short", keys: 1000, bytes: 6000}
	for i, s := range []*side{table, short} {
		c := l.client(t, kgo.ProducerBatchCompression(kgo.NoCompression()))
		l.work.Go(func() { s.write(l.done, c, uint64(i)) })
	}
	return table, short
}

// forgetOld deletes the records of "old" again and again, until the end of ctx: what its manifest owns is released. The
// pauses grow: on a busy machine it takes more than two seconds until records are merged and folded into a manifest.
func (l *load) forgetOld(ctx context.Context, c *kgo.Client) {
	admin := kadm.NewClient(c)
	for pause := 2 * time.Second; ctx.Err() == nil; pause = min(2*pause, patience/4) {
		if ends, err := admin.ListEndOffsets(ctx, "old"); err == nil {
			_, _ = admin.DeleteRecords(ctx, ends.Offsets()) // an agent that is killed meanwhile is asked again
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (s *side) write(done chan struct{}, c *kgo.Client, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 11))
	slots := make(chan struct{}, window)
	var answers sync.WaitGroup
	defer answers.Wait()
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		case slots <- struct{}{}:
		}
		r := &kgo.Record{Topic: s.topic, Key: fmt.Append(nil, random.IntN(s.keys)), Value: fmt.Appendf(nil, "%d-%0*d", n, random.IntN(s.bytes), 0)}
		if random.IntN(10) == 0 {
			r.Value = nil
		}
		answers.Add(1)
		c.Produce(context.Background(), r, func(r *kgo.Record, err error) {
			s.mu.Lock()
			if err != nil {
				s.mu.errs = append(s.mu.errs, err)
			} else {
				s.mu.sent = append(s.mu.sent, sentRecord{r.Offset, string(r.Key), string(r.Value), r.Value == nil})
			}
			s.mu.Unlock()
			<-slots
			answers.Done()
		})
		time.Sleep(time.Duration(random.IntN(15)) * time.Millisecond) // the load is to be steady, not heavy
	}
}

// all reads the topic from its start to its end. What goes meanwhile may be missing at the front.
func (s *side) all(t *testing.T, c *kgo.Client) (start int64, list []*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	admin := kadm.NewClient(c)
	ends, err := admin.ListEndOffsets(ctx, s.topic)
	require.NoError(t, err)
	starts, err := admin.ListStartOffsets(ctx, s.topic)
	require.NoError(t, err)
	e, _ := ends.Lookup(s.topic, 0)
	b, _ := starts.Lookup(s.topic, 0)
	start, end := b.Offset, e.Offset
	if start == end {
		return start, nil
	}
	c.AddConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: {0: kgo.NewOffset().At(start)}})
	defer c.PurgeTopicsFromConsuming(s.topic)
	for next := start; next < end; {
		fetches := c.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			require.GreaterOrEqual(t, r.Offset, next)
			next = r.Offset + 1
			list = append(list, r)
		})
	}
	return start, list
}

// records are what was acknowledged, by offset.
func (s *side) records(t *testing.T) map[int64]sentRecord {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Empty(t, s.mu.errs)
	require.NotEmpty(t, s.mu.sent)
	by := map[int64]sentRecord{}
	for _, r := range s.mu.sent {
		by[r.offset] = r
	}
	require.Len(t, by, len(s.mu.sent), "two records of %s have one offset", s.topic)
	return by
}

// compacted checks that of each key the last record is there, unless it deletes the key (I16), that whatever is there lies
// where it was acknowledged, and that compaction has taken something.
func (s *side) compacted(t *testing.T, c *kgo.Client) {
	t.Helper()
	by := s.records(t)
	last := map[string]sentRecord{}
	for _, r := range by {
		if r.offset >= last[r.key].offset {
			last[r.key] = r
		}
	}
	_, list := s.all(t, c)
	for until := time.Now().Add(patience); len(list) == len(by); _, list = s.all(t, c) {
		require.True(t, time.Now().Before(until), "nothing was compacted")
		time.Sleep(50 * time.Millisecond)
	}
	require.Less(t, len(list), len(by))
	for _, r := range list {
		old, ok := by[r.Offset]
		if !ok || old.key != string(r.Key) || old.value != string(r.Value) || old.tombstone != (r.Value == nil) {
			t.Errorf("offset %d of %s holds key %s and %d bytes, it was acknowledged with %+v", r.Offset, s.topic, r.Key, len(r.Value), old)
		}
		if last[old.key].offset == r.Offset {
			delete(last, old.key)
		}
	}
	for key, r := range last {
		if !r.tombstone {
			t.Errorf("the last record of key %s, at offset %d of %s, is gone", key, r.offset, s.topic)
		}
	}
}

// retained checks that the newest records are there, as many as are to stay, and that something is gone.
func (s *side) retained(t *testing.T, c *kgo.Client) {
	t.Helper()
	by := s.records(t)
	// The compactor has been killed again and again, and may come to it only now.
	require.Eventually(t, func() bool {
		starts, err := kadm.NewClient(c).ListStartOffsets(t.Context(), s.topic)
		start, _ := starts.Lookup(s.topic, 0)
		return err == nil && start.Offset > 0
	}, patience, 50*time.Millisecond, "nothing has gone")
	start, list := s.all(t, c)
	require.NotZero(t, start)
	bytes := 0
	for i, r := range list {
		if i > 0 && r.Offset != list[i-1].Offset+1 {
			t.Errorf("offset %d of %s follows %d", r.Offset, s.topic, list[i-1].Offset)
		}
		if old, ok := by[r.Offset]; !ok || old.key != string(r.Key) || old.value != string(r.Value) {
			t.Errorf("offset %d of %s holds other bytes than were acknowledged", r.Offset, s.topic)
		}
		bytes += len(r.Key) + len(r.Value) + 100 // of its batch's head
	}
	require.Greater(t, bytes, retained, "too much has gone")
}
