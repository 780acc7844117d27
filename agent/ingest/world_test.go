package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wadi/agent/api"
	"wadi/internal/batch"
	"wadi/internal/kafkaconfig"
	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/kv/memkv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/metadata/view"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
	"wadi/objstore/steady"
)

// world is an agent below the Kafka protocol: a real journal, session and view in memory, and an object store with
// faults.
type world struct {
	t       *testing.T
	ctx     context.Context
	stop    context.CancelFunc
	kv      *memkv.KV
	store   *fault.Store
	appends atomic.Int64
	view    *view.View
	session *session.Session
	ingest  *Ingest
	done    sync.WaitGroup
	topic   uint64
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func newWorld(t *testing.T, cfg Config, opts ...fault.Option) *world {
	return newSteadyWorld(t, cfg, steady.ForS3(), opts...)
}

func newSteadyWorld(t *testing.T, cfg Config, calls steady.Config, opts ...fault.Option) *world {
	w := &world{t: t, kv: memkv.New(memkv.Config{}), store: fault.New(mem.New(), append(opts, fault.WithTranscript(1000))...)}
	w.ctx, w.stop = context.WithCancel(context.Background())
	keys, objects := layout.NewEtcd("test"), layout.NewObjects("test", 1)
	j := journal.New(w.kv, keys)
	w.session = session.New(session.Options{
		Config: session.Config{
			TTL: 5 * time.Second, Init: &pb.InitCluster{ClusterId: "test", Incarnation: 1, FeatureLevel: state.MaxFeatureLevel},
			MinFeatureLevel: state.MinFeatureLevel, MaxFeatureLevel: state.MaxFeatureLevel,
		},
		KV: w.kv, Keys: keys, Journal: j, Info: &pb.SessionInfo{}, Log: quiet,
		OnAppend: func(time.Duration, error) { w.appends.Add(1) },
		OnOpened: func(id layout.Session, _ int32) { w.ingest.Opened(id, objects, "test") },
		OnLost:   func(id layout.Session) { w.ingest.Lost(id) },
	})
	w.view = view.NewView(view.Config{
		Limits: view.LimitsFor(5 * time.Second), Journal: j, Observers: []view.Observer{w.session, observer{w}},
	})
	w.ingest = New(Options{
		Config: cfg, View: w.view, Proposer: w.session, Store: steady.New(w.store, calls), Log: quiet,
	})
	for _, run := range []func(context.Context) error{w.view.Run, w.session.Run, w.ingest.Run} {
		w.done.Go(func() {
			if err := run(w.ctx); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	w.waitOpen(0)
	err := w.session.Do(w.ctx, &pb.Command{Kind: &pb.Command_CreateTopic{
		CreateTopic: &pb.CreateTopic{Name: "t", Partitions: 100},
	}}, func(o session.Outcome) { w.topic = uint64(o.Result.ID) })
	if err != nil {
		t.Fatal(err)
	}
	w.appends.Store(0)
	w.store.TakeTranscript()
	return w
}

// waitOpen waits for a session other than old.
func (w *world) waitOpen(old layout.Session) {
	for {
		changed := w.session.Changed()
		if id, _, open := w.session.Current(); open && id != old {
			return
		}
		<-changed
	}
}

func (w *world) close() {
	w.stop()
	w.done.Wait()
}

type observer struct{ w *world }

func (o observer) Applied(e journal.Entry, body *pb.Entry, res *state.Results) {
	o.w.ingest.Applied(e, body, res)
}
func (o observer) Replaced(s *state.State) { o.w.ingest.Replaced(s) }

func records(t testing.TB, size int) []byte {
	var b batch.Builder
	b.Reset(batch.NoProducer(batch.None))
	if err := b.Append(batch.Record{Timestamp: time.Now().UnixMilli(), Value: make([]byte, size)}); err != nil {
		t.Fatal(err)
	}
	data, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// sent is a produce call under way.
type sent struct {
	*api.ProduceCall
	done  chan struct{}
	times atomic.Int32
}

// send starts a produce call of one batch.
func (w *world) send(conn uint64, partition int32, size int) *sent {
	return w.sendBatch(conn, partition, records(w.t, size), false)
}

func (w *world) sendBatch(conn uint64, partition int32, data []byte, joins bool) *sent {
	s := &sent{done: make(chan struct{})}
	s.ProduceCall = &api.ProduceCall{
		Conn: conn, Acks: -1, Timeout: time.Minute, JoinsTxn: joins,
		Parts: []api.ProducePart{{
			Topic: w.topic, Partition: partition, Records: data, Config: kafkaconfig.Defaults,
		}},
		Done: func() {
			if s.times.Add(1) == 1 {
				close(s.done)
			}
		},
	}
	w.ingest.Produce(w.ctx, s.ProduceCall)
	return s
}

func (s *sent) wait() *api.ProducePart {
	<-s.done
	return &s.Parts[0]
}

// next is the partition's next offset.
func (w *world) next(partition int32) (n int64) {
	w.view.Read(func(s *state.State) { n = s.TopicByNumber(w.topic).Partition(partition).Next })
	return n
}

// calls is the store's transcript: operation, last part of the key, outcome.
func (w *world) calls() string {
	var lines []string
	for _, r := range w.store.TakeTranscript() {
		lines = append(lines, fmt.Sprintf("%s %s %s", r.Op, r.Key[strings.LastIndex(r.Key, "/")+1:], r.Outcome))
	}
	return strings.Join(lines, "\n")
}
