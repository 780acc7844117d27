// Package hour runs an agent's metadata, ingest and checkpoints for an hour of virtual time.
package hour

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wadi/agent/api"
	"wadi/agent/ingest"
	"wadi/internal/batch"
	"wadi/internal/kafkaconfig"
	"wadi/internal/layout"
	"wadi/metadata/checkpoint"
	"wadi/metadata/journal"
	"wadi/metadata/kv/memkv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/metadata/view"
	"wadi/objstore"
	"wadi/objstore/mem"
)

const (
	perSecond = 100
	maxDB     = 64 << 20
)

// TestAnHourOfSmallProduces: 100 produces a second, one after the other, each a journal entry of its own. etcd's database
// stays small, State grows by runs alone, and the requests to the object store are those of the checkpoints.
func TestAnHourOfSmallProduces(t *testing.T) {
	length := time.Hour
	if testing.Short() {
		length = 5 * time.Minute
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		a := start(t, ctx)
		topic := a.createTopic(t, ctx)
		var before map[string]int64
		largest := int64(0)
		produced := int64(0)
		for began := time.Now(); time.Since(began) < length; {
			for range perSecond {
				a.produce(t, ctx, topic)
				produced++
				time.Sleep(time.Second / perSecond)
			}
			status, err := a.kv.Status(ctx)
			if err != nil {
				t.Fatal(err)
			}
			largest = max(largest, status.DBSize)
			if produced == 10*perSecond {
				before = a.size()
			}
		}
		after := a.size()
		runs := int64(0)
		a.view.Read(func(s *state.State) { runs = int64(s.RunCount()) })
		if runs != produced {
			t.Errorf("%d runs for %d produces", runs, produced)
		}
		if largest > maxDB {
			t.Errorf("etcd's database reached %d bytes, at most %d are allowed", largest, maxDB)
		}
		for class, n := range after {
			grown := n - before[class]
			switch class {
			case "runs":
				if per := grown / (produced - 10*perSecond); per > 64 {
					t.Errorf("%d bytes of State per run, at most 64 are allowed", per)
				}
			case "objects": // the archives that runs lie in: one per checkpoint
				if checkpoints := int64(length/(30*time.Second)) + 2; grown > 72*checkpoints {
					t.Errorf("objects grew by %d bytes over %d checkpoints", grown, checkpoints)
				}
			default:
				if grown != 0 {
					t.Errorf("State grew by %d bytes of %s", grown, class)
				}
			}
		}
		// An archive and a root per checkpoint, a base now and then, what cleans up after them; nothing per produce.
		checkpoints := int64(length/(30*time.Second)) + 2
		if n := a.requests.Load(); n > 12*checkpoints {
			t.Errorf("%d object requests over %d checkpoints", n, checkpoints)
		}
		head, err := a.journal.Head(ctx)
		if err != nil || head.Version > produced+2*checkpoints+10 {
			t.Errorf("%d journal entries for %d produces: %v", head.Version, produced, err)
		}
		t.Logf("%d produces in %v: %d object requests, %d entries, etcd at most %d bytes, State %v",
			produced, length, a.requests.Load(), head.Version, largest, after)
		cancel()
		a.done.Wait()
	})
}

// agent is the part of an agent below the Kafka protocol, on memory.
type agent struct {
	kv       *memkv.KV
	journal  *journal.Journal
	requests *atomic.Int64 // to the object store
	view     *view.View
	session  *session.Session
	ingest   *ingest.Ingest
	done     *sync.WaitGroup
}

func start(t *testing.T, ctx context.Context) *agent {
	t.Helper()
	const cluster = "hour"
	keys, objects := layout.NewEtcd(cluster), layout.NewObjects(cluster, 1)
	store := counting{mem.New(), new(atomic.Int64)}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	a := &agent{kv: memkv.New(memkv.Config{}), requests: store.requests, done: &sync.WaitGroup{}}
	j := journal.New(a.kv, keys)
	a.journal = j
	a.session = session.New(session.Options{
		Config: session.Config{
			TTL: 5 * time.Second, Init: &pb.InitCluster{ClusterId: "hour", Incarnation: 1, FeatureLevel: state.MaxFeatureLevel},
			MinFeatureLevel: state.MinFeatureLevel, MaxFeatureLevel: state.MaxFeatureLevel,
		},
		KV: a.kv, Keys: keys, Journal: j, Info: &pb.SessionInfo{}, Log: log,
		OnOpened: func(id layout.Session, _ int32) { a.ingest.Opened(id, objects, "hour") },
		OnLost:   func(id layout.Session) { a.ingest.Lost(id) },
	})
	job := checkpoint.NewJob(checkpoint.JobOptions{
		KV: a.kv, Keys: keys, Store: store, Objects: objects, Cluster: cluster, Journal: j, Session: a.session, Log: log,
		TTL: 5 * time.Second, Limits: checkpoint.DefaultLimits(),
	})
	a.view = view.NewView(view.Config{
		Limits: view.LimitsFor(5 * time.Second), Journal: j, Checkpoints: checkpoint.NewReader(store, objects, checkpoint.ReadsAhead),
		Observers: []view.Observer{a.session, late{a}, job},
	})
	job.Follow(a.view)
	a.ingest = ingest.New(ingest.Options{
		Config: ingest.Config{
			FlushBytes: 8 << 20, FlushInterval: 250 * time.Millisecond, InlineMaxBytes: 16 << 10, InlineBudget: 1 << 20,
			MaxOutstanding: 64 << 20, MaxBuffered: 256 << 20,
		},
		View: a.view, Proposer: a.session, Store: store, Log: log,
	})
	for _, run := range []func(context.Context) error{a.view.Run, a.session.Run, a.ingest.Run, job.Run} {
		a.done.Go(func() {
			if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	for {
		changed := a.session.Changed()
		if _, _, open := a.session.Current(); open {
			return a
		}
		<-changed
	}
}

// counting counts requests.
type counting struct {
	objstore.Store
	requests *atomic.Int64
}

func (c counting) Put(ctx context.Context, key string, body objstore.Body) error {
	c.requests.Add(1)
	return c.Store.Put(ctx, key, body)
}

func (c counting) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	c.requests.Add(1)
	return c.Store.Get(ctx, key, off, length)
}

func (c counting) Delete(ctx context.Context, keys []string) error {
	c.requests.Add(1)
	return c.Store.Delete(ctx, keys)
}

// late lets ingest, which is made after the view, hear of its entries.
type late struct{ a *agent }

func (l late) Applied(e journal.Entry, body *pb.Entry, res *state.Results) {
	l.a.ingest.Applied(e, body, res)
}
func (l late) Replaced(s *state.State) { l.a.ingest.Replaced(s) }

func (a *agent) createTopic(t *testing.T, ctx context.Context) (number uint64) {
	t.Helper()
	err := a.session.Do(ctx, &pb.Command{Kind: &pb.Command_CreateTopic{
		CreateTopic: &pb.CreateTopic{Name: "small", Partitions: 10},
	}}, func(o session.Outcome) { number = uint64(o.Result.ID) })
	if err != nil || number == 0 {
		t.Fatal(number, err)
	}
	return number
}

// produce sends one batch and waits for its answer.
func (a *agent) produce(t *testing.T, ctx context.Context, topic uint64) {
	t.Helper()
	var b batch.Builder
	b.Reset(batch.NoProducer(batch.None))
	now := time.Now().UnixMilli()
	if err := b.Append(batch.Record{Timestamp: now, Value: make([]byte, 200)}); err != nil {
		t.Fatal(err)
	}
	records, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	call := &api.ProduceCall{
		Acks: -1, Timeout: time.Minute, Done: func() { close(done) },
		Parts: []api.ProducePart{{
			Topic: topic, Partition: int32(now % 10), Records: records,
			Config: kafkaconfig.Defaults,
		}},
	}
	a.ingest.Produce(ctx, call)
	<-done
	if err := call.Parts[0].Err; err != nil {
		t.Fatal(err)
	}
}

func (a *agent) size() (size map[string]int64) {
	a.view.Read(func(s *state.State) { size = s.Size() })
	return size
}
