package retention

import (
	"bytes"
	"context"
	"log/slog"
	"sync/atomic"

	"wadi/compactor/job"
	"wadi/internal/kafkaconfig"
	"wadi/internal/layout"
	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
)

const me layout.Session = 1

type tb interface {
	Helper()
	Errorf(string, ...any)
	Fatal(...any)
	Fatalf(string, ...any)
	Context() context.Context
}

// rig is a cluster of one State and a store in memory, driven by entries, and the task that works on it. Time stands
// still unless a test moves it.
type rig struct {
	tb
	s       *state.State
	store   *fault.Store
	env     *job.Env
	task    *Task
	now     int64
	clock   error
	configs map[uint64]kafkaconfig.Effective
	mine    func(uint64, uint32) bool

	seq, flush, merge uint64
	position          int64
	gets              atomic.Int64  // reads of the store
	commands          []*pb.Command // proposed by the task
	before            func()        // runs before the next command of the task lands
}

// forever keeps everything.
func forever() kafkaconfig.Effective {
	e := *kafkaconfig.Defaults
	e.RetentionMs = -1
	return e
}

func newRig(t tb, partitions ...uint32) *rig {
	r := &rig{tb: t, s: state.New(), position: 10, now: 1_000_000, configs: map[uint64]kafkaconfig.Effective{}}
	r.store = fault.New(mem.New())
	r.apply(nil, &pb.Command{Kind: &pb.Command_InitCluster{InitCluster: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}}},
		&pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}})
	for i, n := range partitions {
		r.apply(nil, &pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: string(rune('a' + i)), Partitions: n}}})
		r.configs[uint64(i+1)] = forever()
	}
	r.env = &job.Env{
		Session: r, Store: counted{r.store, r}, Objects: layout.NewObjects("c", 1), Log: slog.New(slog.DiscardHandler),
		Read: func(f func(*state.State)) { f(r.s) },
	}
	r.task = New(r.env, Config{Parallel: 1})
	r.mine = func(uint64, uint32) bool { return true }
	return r
}

// counted counts reads.
type counted struct {
	objstore.Store
	r *rig
}

func (c counted) Get(ctx context.Context, key string, off, n int64) ([]byte, error) {
	c.r.gets.Add(1)
	return c.Store.Get(ctx, key, off, n)
}

// Current and Propose implement job.Proposer: a command is applied at once.
func (r *rig) Current() (layout.Session, int32, bool) { return me, 1, true }

func (r *rig) Propose(p *session.Proposal) {
	if f := r.before; f != nil {
		r.before = nil
		f()
	}
	r.commands = append(r.commands, p.Command)
	result := r.entry(nil, p.Command)
	p.Done(session.Outcome{Position: r.position, Result: &result[0]})
	if err := r.s.Check(); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) entry(inline []byte, commands ...*pb.Command) []state.Result {
	r.Helper()
	r.seq++
	r.position += 2
	x := r.s.Apply(state.Entry{Position: r.position, Session: me, Seq: r.seq, Body: &pb.Entry{AtMs: r.now, Commands: commands, Inline: inline}})
	if x.Refused != state.OK {
		r.Fatalf("refused: %v", x.Refused)
	}
	return x.Commands
}

// apply is entry for commands that must be taken.
func (r *rig) apply(inline []byte, commands ...*pb.Command) []state.Result {
	r.Helper()
	list := r.entry(inline, commands...)
	for i, c := range list {
		if c.Code != state.OK {
			r.Fatalf("%v: %v", commands[i], c.Code)
		}
		for _, b := range c.Batches {
			if b.Code != state.OK {
				r.Fatalf("%v: %v", commands[i], b.Code)
			}
		}
	}
	return list
}

// set changes what a topic's configs mean, for the task alone.
func (r *rig) set(topic uint64, change func(*kafkaconfig.Effective)) {
	e := r.configs[topic]
	change(&e)
	r.configs[topic] = e
}

// append writes one batch, in an object of its own or in the entry.
func (r *rig) append(topic uint64, partition, records, size uint32, ts int64, inline bool) {
	r.Helper()
	k := &pb.AppendBatches{
		Topics: []uint64{topic}, Partitions: []uint32{partition}, Offsets: []uint64{0}, Runs: []uint32{1},
		ProducerIds: []int64{-1}, ProducerEpochs: []int32{-1}, Sequences: []int32{-1},
		Batches: []uint32{1}, Records: []uint32{records}, Bytes: []uint32{size}, MaxTimestamps: []int64{ts - r.now},
	}
	var data []byte
	if inline {
		data = make([]byte, size)
	} else {
		r.flush++
		k.Flush, k.Size = r.flush, uint64(size)
	}
	r.apply(data, &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: k}})
}

func (r *rig) part(topic uint64, partition uint32) *state.Partition {
	if t := r.s.TopicByNumber(topic); t != nil {
		return t.Partition(int32(partition))
	}
	return nil
}

func (r *rig) runs(p *state.Partition) (list []state.Run) {
	p.EachRun(func(x state.Run) { list = append(list, x) })
	return list
}

// merged puts one run of an object of its own in the place of those from index from to index to, excluded.
func (r *rig) merged(topic uint64, partition uint32, from, to int) {
	r.Helper()
	p := r.part(topic, partition)
	list := r.runs(p)[from:to]
	size, newest := uint64(0), int64(-1)
	for _, x := range list {
		size += uint64(x.Length)
		newest = max(newest, x.MaxTimestamp)
	}
	base, last := list[0].Base, list[len(list)-1].Last
	r.merge++
	r.apply(nil, &pb.Command{Kind: &pb.Command_ReplaceRuns{ReplaceRuns: &pb.ReplaceRuns{
		N: r.merge, Size: size, Topics: []uint64{topic}, Partitions: []uint32{partition}, Versions: []uint64{p.Version}, Bases: []int64{base},
		Lasts: []int64{last}, Runs: []uint32{1}, RunCounts: []uint64{uint64(last - base + 1)}, MaxTimestamps: []int64{newest}, Offsets: []uint64{0},
		Lengths: []uint32{uint32(size)},
	}}})
}

// fold writes a partition's manifest with its first n runs, each of a merged object of its own, behind what it holds.
func (r *rig) fold(topic uint64, partition uint32, n int) {
	r.Helper()
	p := r.part(topic, partition)
	var body bytes.Buffer
	w, err := manifest.NewWriter(&body, r.s.TopicByNumber(topic).ID, int32(partition))
	if err != nil {
		r.Fatal(err)
	}
	k := &pb.FoldRuns{Topic: topic, Partition: partition, Version: p.Version}
	var objects []manifest.Object
	put := func(x state.Run, o manifest.Object) {
		if k.Runs == 0 {
			k.First, k.MaxTimestamp = x.Base, x.MaxTimestamp
		}
		k.Last, k.MaxTimestamp = x.Last, max(k.MaxTimestamp, x.MaxTimestamp)
		k.Bytes += uint64(x.Length)
		k.Runs++
		if err := w.Run(x.Base, x.Last, x.MaxTimestamp, uint32(len(objects)), 0, x.Length); err != nil {
			r.Fatal(err)
		}
		objects = append(objects, o)
	}
	if m := p.Manifest; m != nil {
		k.Old, k.Released = m.Object, m.Released
		old := r.open(m.Object)
		list, err := old.RunsFrom(r.Context(), m.First, 1<<20)
		if err != nil {
			r.Fatal(err)
		}
		for _, x := range list {
			put(x.Run, x.Object)
		}
	}
	for _, x := range r.runs(p)[:n] {
		o, _ := r.s.Object(x.Place)
		put(x, manifest.Object{Number: x.Place, Session: o.Session, N: o.N, Size: o.Size, Introduced: o.Introduced})
	}
	for _, o := range objects {
		if err := w.Object(o); err != nil {
			r.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		r.Fatal(err)
	}
	r.merge++
	k.N, k.Size, k.Owned = r.merge, uint64(body.Len()), uint32(len(objects))
	if err := r.store.Put(r.Context(), r.env.Objects.Manifest(me, k.N), objstore.NewBody(body.Bytes())); err != nil {
		r.Fatal(err)
	}
	r.apply(nil, &pb.Command{Kind: &pb.Command_FoldRuns{FoldRuns: k}})
	if err := r.s.Check(); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) open(object uint64) *manifest.Reader {
	r.Helper()
	o, _ := r.s.Object(object)
	x, err := manifest.Open(r.Context(), r.store, o.Key(r.env.Objects), o.Size)
	if err != nil {
		r.Fatal(err)
	}
	return x
}

func (r *rig) view() *job.View {
	return &job.View{
		State: r.s.Freeze(), Now: r.now, Clock: r.clock, Mine: r.mine,
		Configs: func(t *state.Topic) *kafkaconfig.Effective { e := r.configs[t.Number]; return &e },
	}
}

// settle runs passes until there is no more to do.
func (r *rig) settle() {
	r.Helper()
	for n := 0; ; n++ {
		more, err := r.task.Pass(r.Context(), r.view())
		if err != nil {
			r.Fatal(err)
		}
		if !more {
			return
		}
		if n == 100 {
			r.Fatal("no end")
		}
	}
}

// sweep drops what State holds below log starts and of deleted topics.
func (r *rig) sweep() {
	for r.s.Unswept() > 0 {
		r.apply(nil, &pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: 7}}})
	}
}

func (r *rig) trim(topic uint64, partition uint32, start int64) {
	r.Helper()
	r.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_TrimPartitions{TrimPartitions: &pb.TrimPartitions{
		Topics: []uint64{topic}, Partitions: []uint32{partition}, Offsets: []int64{start},
	}}})
}

func (r *rig) startsAt(topic uint64, partition uint32, want int64) {
	r.Helper()
	if p := r.part(topic, partition); p.LogStart != want {
		r.Errorf("partition %d of topic %d starts at %d of %d, want %d", partition, topic, p.LogStart, p.Next, want)
	}
}

// transactional appends one batch of a transaction in the entry.
func (r *rig) transactional(topic uint64, partition, records, size uint32, ts, id int64, epoch int16, sequence int32) {
	r.Helper()
	r.apply(make([]byte, size), &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: &pb.AppendBatches{
		Topics: []uint64{topic}, Partitions: []uint32{partition}, Offsets: []uint64{0}, Runs: []uint32{1},
		ProducerIds: []int64{id}, ProducerEpochs: []int32{int32(epoch)}, Sequences: []int32{sequence}, Transactional: []uint32{2},
		Batches: []uint32{1}, Records: []uint32{records}, Bytes: []uint32{size}, MaxTimestamps: []int64{ts - r.now},
	}}})
}
