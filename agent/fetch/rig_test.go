package fetch

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"wadi/agent/api"
	"wadi/internal/batch"
	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/metadata/view"
	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
)

const alice layout.Session = 0xa

var objects = layout.NewObjects("test", 1)

// fakeView is a State that tests move by hand. What is appended while it is held back shows with the next barrier.
type fakeView struct {
	mu       sync.RWMutex
	s        *state.State
	position int64
	seq      uint64
	inline   map[int64][]byte
	heldBack bool
	later    []func()
	health   view.Health
	lag      time.Duration
	barrier  error
	barriers int

	subs struct {
		sync.Mutex
		wakes map[int]func()
		next  int
	}
}

func (v *fakeView) Read(f func(*state.State)) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	f(v.s)
}

func (v *fakeView) Barrier(ctx context.Context) error {
	v.mu.Lock()
	v.barriers++
	err, later := v.barrier, v.later
	if err == nil {
		v.later, v.heldBack = nil, false
	}
	v.mu.Unlock()
	if err != nil {
		return err
	}
	for _, f := range later {
		f()
	}
	return ctx.Err()
}

func (v *fakeView) Inline(position int64) []byte {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.inline[position]
}

func (v *fakeView) Health() (view.Health, error) { return v.health, nil }
func (v *fakeView) Lag() time.Duration           { return v.lag }

// Subscribe wakes whoever waits after every entry: what more than the contract asks for must do no harm.
func (v *fakeView) Subscribe(_ []view.PartitionRef, wake func()) func() {
	v.subs.Lock()
	defer v.subs.Unlock()
	v.subs.next++
	id := v.subs.next
	v.subs.wakes[id] = wake
	return func() {
		v.subs.Lock()
		defer v.subs.Unlock()
		delete(v.subs.wakes, id)
	}
}

func (v *fakeView) waiting() int {
	v.subs.Lock()
	defer v.subs.Unlock()
	return len(v.subs.wakes)
}

// rig is a Log on a fakeView and a store in memory.
type rig struct {
	t      testing.TB
	v      *fakeView
	mem    *mem.Store
	store  *fault.Store
	log    *Log
	topic  uint64
	flush  uint64
	merges uint64
	alarm  []string
}

func newRig(t testing.TB, partitions int, cache int64) *rig {
	r := &rig{t: t, mem: mem.New(), v: &fakeView{s: state.New(), inline: map[int64][]byte{}, health: view.Current}}
	r.v.subs.wakes = map[int]func(){}
	r.store = fault.New(r.mem, fault.WithTranscript(10_000))
	r.log = New(Options{
		View: r.v, Store: r.store, Archives: r, Objects: func() layout.Objects { return objects }, CacheBytes: cache,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), OnMissing: func(key string) { r.alarm = append(r.alarm, key) },
	})
	r.apply(nil,
		&pb.Command{Kind: &pb.Command_InitCluster{InitCluster: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}}},
		&pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}})
	r.apply(nil, &pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: "t", Partitions: uint32(partitions)}}})
	r.topic = 1
	return r
}

// apply appends an entry; while the view is held back it is applied by the next barrier.
func (r *rig) apply(inline []byte, commands ...*pb.Command) {
	v := r.v
	do := func() {
		v.mu.Lock()
		v.position += 2
		v.seq++
		if len(inline) > 0 {
			v.inline[v.position] = inline
		}
		res := v.s.Apply(state.Entry{
			Position: v.position, Session: alice, Seq: v.seq, Body: &pb.Entry{AtMs: 1_000_000, Commands: commands, Inline: inline},
		})
		bad := res.Refused
		for _, c := range res.Commands {
			bad = max(bad, c.Code)
		}
		v.mu.Unlock()
		if bad != state.OK {
			r.t.Errorf("entry refused: %s", bad)
		}
		v.subs.Lock()
		var wakes []func()
		for _, w := range v.subs.wakes {
			wakes = append(wakes, w)
		}
		v.subs.Unlock()
		for _, w := range wakes {
			w()
		}
	}
	v.mu.Lock()
	if v.heldBack {
		v.later = append(v.later, do)
		v.mu.Unlock()
		return
	}
	v.mu.Unlock()
	do()
}

// part is some batches of one partition.
type part struct {
	partition int32
	batches   [][]byte
}

func command(flush, size uint64, parts []part, at uint64) (*pb.Command, []byte) {
	a := &pb.AppendBatches{Flush: flush, Size: size}
	var data []byte
	last := int64(1_000_000) // the entry's at_ms
	for _, p := range parts {
		a.Topics, a.Partitions = append(a.Topics, 1), append(a.Partitions, uint32(p.partition))
		a.Offsets, a.Runs = append(a.Offsets, at+uint64(len(data))), append(a.Runs, 1)
		a.ProducerIds, a.ProducerEpochs = append(a.ProducerIds, -1), append(a.ProducerEpochs, -1)
		a.Sequences, a.Batches = append(a.Sequences, -1), append(a.Batches, uint32(len(p.batches)))
		for _, b := range p.batches {
			x := batch.Batch(b)
			a.Records, a.Bytes = append(a.Records, uint32(x.NumRecords())), append(a.Bytes, uint32(len(b)))
			a.MaxTimestamps = append(a.MaxTimestamps, x.MaxTimestamp()-last)
			last = x.MaxTimestamp()
			data = append(data, b...)
		}
	}
	return &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: a}}, data
}

// inline appends batches in the journal.
func (r *rig) inline(parts ...part) {
	cmd, data := command(0, 0, parts, 0)
	r.apply(data, cmd)
}

// object appends batches in an object and returns its key.
func (r *rig) object(parts ...part) string {
	r.flush++
	const head = 16
	cmd, data := command(r.flush, 0, parts, head)
	data = append(make([]byte, head), data...)
	cmd.GetAppendBatches().Size = uint64(len(data))
	key := objects.Flush(alice, r.flush)
	if err := r.mem.Put(context.Background(), key, objstore.NewBody(data)); err != nil {
		r.t.Fatal(err)
	}
	r.apply(nil, cmd)
	return key
}

// Inline implements Archives: the bytes of entries that the view forgot.
func (r *rig) Inline(_ context.Context, key string, _ uint64, position int64) ([]byte, error) {
	r.v.mu.RLock()
	defer r.v.mu.RUnlock()
	if data, ok := r.v.inline[-position]; ok {
		return append([]byte(nil), data...), nil
	}
	return nil, objstore.ErrNotFound
}

// forget moves the inline bytes out of the view's memory, into what the archives hold.
func (r *rig) forget() {
	r.v.mu.Lock()
	defer r.v.mu.Unlock()
	for p, data := range r.v.inline {
		if p > 0 {
			delete(r.v.inline, p)
			r.v.inline[-p] = data
		}
	}
}

// records is a batch with a record per timestamp, each with a value of some bytes.
func records(t testing.TB, size int, times ...int64) []byte {
	var b batch.Builder
	b.Reset(batch.NoProducer(batch.None))
	for i, ts := range times {
		value := make([]byte, size)
		for j := range value {
			value[j] = byte(ts) + byte(i) + byte(j)
		}
		if err := b.Append(batch.Record{Timestamp: ts, Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	data, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// one is a batch of one record.
func one(t testing.TB, size int) []byte { return records(t, size, 1_000_000) }

// call is a fetch under way.
type call struct {
	*api.FetchCall
	done   chan struct{}
	cancel context.CancelFunc
}

type at struct {
	partition int32
	offset    int64
	max       int
}

func (r *rig) start(change func(*api.FetchCall), parts ...at) *call {
	ctx, cancel := context.WithCancel(context.Background())
	c := &call{done: make(chan struct{}), cancel: cancel, FetchCall: &api.FetchCall{
		MinBytes: 1, MaxBytes: 50 << 20, Drain: context.Background(),
	}}
	c.Done = func() { close(c.done) } // a second call panics
	for _, p := range parts {
		if p.max == 0 {
			p.max = 1 << 20
		}
		c.Parts = append(c.Parts, api.FetchPart{Topic: r.topic, Partition: p.partition, Offset: p.offset, MaxBytes: p.max})
	}
	if change != nil {
		change(c.FetchCall)
	}
	r.log.Fetch(ctx, c.FetchCall)
	return c
}

func (r *rig) fetch(change func(*api.FetchCall), parts ...at) *call {
	c := r.start(change, parts...)
	<-c.done
	return c
}

func (c *call) waits() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// offsets are the base offsets of the batches returned for a part.
func (c *call) offsets(t testing.TB, i int) []int64 {
	var list []int64
	for _, chunk := range c.Parts[i].Records {
		for rest := chunk; len(rest) > 0; {
			b, tail, err := batch.Split(rest)
			if err != nil {
				t.Fatalf("half a batch: %v", err)
			}
			if b.CRC() != b.ComputeCRC() || b.PartitionLeaderEpoch() != 0 {
				t.Fatal("bad batch")
			}
			list = append(list, b.BaseOffset())
			rest = tail
		}
	}
	return list
}

var errDown = errors.New("etcd is down")
