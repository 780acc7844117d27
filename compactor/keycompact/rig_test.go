package keycompact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"wadi/compactor/job"
	"wadi/internal/batch"
	"wadi/internal/kafkaconfig"
	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
)

var objects = layout.NewObjects("test", 1)

const topic = uint64(1)

// rig is a task on a State that tests move by hand, and a store in memory. It is the task's session, too.
type rig struct {
	t        failer
	s        *state.State
	mem      *mem.Store
	store    *fault.Store
	env      *job.Env
	task     *Task
	cfg      Config
	configs  kafkaconfig.Effective
	now      int64
	clock    error
	position int64
	session  layout.Session
	seq      map[layout.Session]uint64
	flush    uint64
	entries  map[int64][]byte // inline bytes
	merges   uint64
	foreign  bool              // other processes work on the partitions
	meddle   func()            // called once, before a proposal lands
	lose     int               // the next proposal is lost: 1 after it took effect, 2 before
	lost     func()            // called then
	taken    func(*pb.Command) // called with commands of the task that State took

	meddleAfter, loseAfter int // so many proposals before that
}

// failer is a test, or a run of a property.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

const begun = int64(1_000_000_000_000)

func newRig(t failer, partitions int, cfg Config) *rig {
	r := &rig{
		t: t, s: state.New(), mem: mem.New(), cfg: cfg, now: begun, seq: map[layout.Session]uint64{}, entries: map[int64][]byte{},
		configs: kafkaconfig.Effective{
			Compact: true, SegmentMs: 1000, SegmentBytes: 1 << 30, MaxCompactionLagMs: 1 << 62, DeleteRetentionMs: 5000,
		},
	}
	r.store = fault.New(r.mem)
	r.restart()
	r.do(&pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: "t", Partitions: uint32(partitions)}}})
	return r
}

// restart is another process with a session of its own.
func (r *rig) restart() {
	r.session++
	r.flush = 0
	cmds := []*pb.Command{{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}}}
	if r.position == 0 {
		cmds = append([]*pb.Command{{Kind: &pb.Command_InitCluster{
			InitCluster: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}}}}, cmds...)
	}
	r.do(cmds...)
	r.env = &job.Env{
		Session: r, Store: r.store, Archives: r, Objects: objects, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Inline: func(position int64) []byte { return r.entries[position] },
		Read:   func(f func(*state.State)) { f(r.s) },
	}
	r.task = New(r.env, r.cfg)
}

func (r *rig) Inline(context.Context, string, uint64, int64) ([]byte, error) {
	return nil, objstore.ErrNotFound
}

func (r *rig) apply(inline []byte, cmds ...*pb.Command) []state.Result {
	r.position += 2
	r.seq[r.session]++
	if len(inline) > 0 {
		r.entries[r.position] = inline
	}
	res := r.s.Apply(state.Entry{Position: r.position, Session: r.session, Seq: r.seq[r.session],
		Body: &pb.Entry{AtMs: r.now, Commands: cmds, Inline: inline}})
	if res.Refused != state.OK {
		r.t.Fatalf("entry refused: %v", res.Refused)
	}
	return res.Commands
}

// do applies commands that State must take.
func (r *rig) do(cmds ...*pb.Command) {
	for _, c := range r.apply(nil, cmds...) {
		if c.Code != state.OK {
			r.t.Fatalf("command refused: %v", c.Code)
		}
	}
}

func (r *rig) Current() (layout.Session, int32, bool) { return r.session, 1, true }

// Propose implements job.Proposer.
func (r *rig) Propose(p *session.Proposal) {
	lose := r.lose
	if r.loseAfter > 0 {
		lose = 0
		r.loseAfter--
	}
	if lose > 0 {
		r.lose = 0
		if r.lost != nil {
			r.lost()
		}
	}
	if lose == 2 {
		p.Done(session.Outcome{Err: session.ErrUnknown})
		return
	}
	if f := r.meddle; f != nil {
		if r.meddleAfter--; r.meddleAfter < 0 {
			r.meddle, r.meddleAfter = nil, 0
			f()
		}
	}
	res := r.apply(nil, p.Command)
	if err := r.s.Check(); err != nil {
		r.t.Fatal(err)
	}
	if r.taken != nil && res[0].Code == state.OK {
		r.taken(p.Command)
	}
	if lose == 1 {
		p.Done(session.Outcome{Err: session.ErrUnknown})
		return
	}
	p.Done(session.Outcome{Position: r.position, Result: &res[0]})
}

// view is what a pass sees now.
func (r *rig) view() *job.View {
	return &job.View{
		State: r.s.Freeze(), Now: r.now, Clock: r.clock,
		Mine:    func(uint64, uint32) bool { return !r.foreign },
		Configs: func(*state.Topic) *kafkaconfig.Effective { return &r.configs },
	}
}

// pass runs one pass.
func (r *rig) pass() (more bool, err error) { return r.task.Pass(context.Background(), r.view()) }

// settle passes until there is nothing to do.
func (r *rig) settle() {
	r.t.Helper()
	for i := 0; ; i++ {
		more, err := r.pass()
		if err != nil {
			r.t.Fatal(err)
		}
		if !more && len(Plan(r.view(), readable(r.env, r.s))) == 0 {
			return
		}
		if i > 1000 { // a pass may be as short as a run
			r.t.Fatalf("no end: %+v", Plan(r.view(), readable(r.env, r.s)))
		}
	}
}

func (r *rig) part(partition int32) *state.Partition {
	return r.s.TopicByNumber(topic).Partition(partition)
}

// producer is a transactional one as a client sees it.
type producer struct {
	name  string
	id    int64
	epoch int16
	seqs  map[int32]int32
}

func (r *rig) producer(name string) *producer {
	r.do(&pb.Command{Base: r.position, Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{TransactionalId: name, TimeoutMs: 60_000}}})
	p := &producer{name: name}
	r.refresh(p)
	return p
}

func (r *rig) refresh(p *producer) {
	t := r.s.Txn(p.name)
	p.id, p.epoch, p.seqs = t.ProducerID, t.Epoch, map[int32]int32{}
}

func (r *rig) end(p *producer, commit bool) {
	r.do(&pb.Command{Base: r.position, Kind: &pb.Command_EndTxn{
		EndTxn: &pb.EndTxn{ProducerId: p.id, ProducerEpoch: int32(p.epoch), Commit: commit, Bump: true}}})
	r.refresh(p)
}

// kv is a record to write: no value is a tombstone.
type kv struct{ key, value string }

func tombstone(key string) kv { return kv{key, ""} }

// write appends a batch, in p's transaction if there is one, and returns its first offset.
func (r *rig) write(p *producer, partition int32, codec batch.Codec, inline bool, records ...kv) int64 {
	r.t.Helper()
	opts, txn := batch.NoProducer(codec), uint32(0)
	if p != nil {
		opts = batch.BuildOptions{Codec: codec, ProducerID: p.id, ProducerEpoch: p.epoch, BaseSequence: p.seqs[partition], Transactional: true}
		txn = 2
		p.seqs[partition] += int32(len(records))
	}
	var w batch.Builder
	w.Reset(opts)
	for i, x := range records {
		rec := batch.Record{Timestamp: r.now - int64(len(records)-i), Key: []byte(x.key)}
		if x.value != "" {
			rec.Value = []byte(x.value)
		}
		if err := w.Append(rec); err != nil {
			r.t.Fatal(err)
		}
	}
	data, err := w.Build(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	b := batch.Batch(data)
	a := &pb.AppendBatches{
		Topics: []uint64{topic}, Partitions: []uint32{uint32(partition)}, Offsets: []uint64{0}, Runs: []uint32{1},
		ProducerIds: []int64{opts.ProducerID}, ProducerEpochs: []int32{int32(opts.ProducerEpoch)}, Sequences: []int32{opts.BaseSequence},
		Batches: []uint32{1}, Records: []uint32{uint32(len(records))}, Bytes: []uint32{uint32(len(b))},
		MaxTimestamps: []int64{b.MaxTimestamp() - r.now}, Transactional: []uint32{txn},
	}
	cmd := &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: a}}
	var res []state.Result
	if inline {
		res = r.apply(data, cmd)
	} else {
		r.flush++
		a.Flush, a.Size = r.flush, uint64(len(b))
		if err := r.mem.Put(context.Background(), objects.Flush(r.session, r.flush), objstore.NewBody(data)); err != nil {
			r.t.Fatal(err)
		}
		res = r.apply(nil, cmd)
	}
	if res[0].Code != state.OK || res[0].Batches[0].Code != state.OK {
		r.t.Fatalf("append refused: %+v", res[0])
	}
	return res[0].Batches[0].Base
}

// merge is what another process does: runs from one offset to another become one run.
func (r *rig) merge(partition int32, first, last int64) {
	r.t.Helper()
	var data []byte
	newest := int64(-1 << 62)
	for _, b := range r.stored(partition) {
		if b.BaseOffset() >= first && b.LastOffset() <= last {
			data, newest = append(data, b...), max(newest, b.MaxTimestamp())
		}
	}
	defer r.away()()
	if err := r.mem.Put(context.Background(), objects.Merged(elsewhere, r.merges), objstore.NewBody(data)); err != nil {
		r.t.Fatal(err)
	}
	r.do(&pb.Command{Kind: &pb.Command_ReplaceRuns{ReplaceRuns: &pb.ReplaceRuns{
		N: r.merges, Size: uint64(len(data)), Topics: []uint64{topic}, Partitions: []uint32{uint32(partition)},
		Versions: []uint64{r.part(partition).Version}, Bases: []int64{first}, Lasts: []int64{last}, Runs: []uint32{1},
		RunCounts: []uint64{uint64(last - first + 1)}, MaxTimestamps: []int64{newest}, Offsets: []uint64{0}, Lengths: []uint32{uint32(len(data))},
	}}})
}

// elsewhere is another process' session.
const elsewhere layout.Session = 1 << 40

// away lets another process act, with its next object, until the function that it returns is called.
func (r *rig) away() (back func()) {
	mine := r.session
	r.session = elsewhere
	r.merges++
	if r.merges == 1 {
		r.do(&pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}})
	}
	return func() { r.session = mine }
}

// stored are a partition's batches as they lie in its runs, in order, each valid and where State says.
func (r *rig) stored(partition int32) []batch.Batch {
	r.t.Helper()
	var list []batch.Batch
	p := r.part(partition)
	visit := func(key string, x state.Run) {
		if x.Marker() {
			list = append(list, x.MarkerBatch().AppendTo(nil))
			return
		}
		data := r.bytesOf(key, x)
		next, newest := x.Base, int64(-1<<62)
		for len(data) > 0 {
			b, rest, err := batch.Split(data)
			if err != nil {
				r.t.Fatal(err)
			}
			data = rest
			if !x.Placed() {
				b.SetBaseOffset(next)
			}
			if _, err := batch.Validate(b, batch.Rules{Stored: true, AllowZstd: true, AllowControl: true}); err != nil {
				r.t.Fatalf("batch at offset %d: %v", b.BaseOffset(), err)
			}
			if b.BaseOffset() < next || b.LastOffset() > x.Last || b.NumRecords() == 0 {
				r.t.Fatalf("run %d..%d: batch %d..%d of %d records where %d is due", x.Base, x.Last, b.BaseOffset(), b.LastOffset(), b.NumRecords(), next)
			}
			next, newest = b.LastOffset()+1, max(newest, b.MaxTimestamp())
			list = append(list, b)
		}
		if next != x.Last+1 && x.Base >= p.CompactedTo {
			r.t.Fatalf("run %d..%d ends at %d", x.Base, x.Last, next-1)
		}
		if newest != x.MaxTimestamp {
			r.t.Fatalf("run %d..%d: newest is %d, State says %d", x.Base, x.Last, newest, x.MaxTimestamp)
		}
	}
	for _, x := range r.folded(partition) {
		visit(x.Key(objects), x.Run)
	}
	p.EachRun(func(x state.Run) {
		o, ok := r.s.Object(x.Place)
		if !ok && !x.Inline() && !x.Marker() {
			r.t.Fatalf("object %d is not in State", x.Place)
		}
		visit(o.Key(objects), x)
	})
	return list
}

func (r *rig) bytesOf(key string, x state.Run) []byte {
	if x.Inline() {
		return append([]byte(nil), r.entries[int64(x.Place)][x.Offset:x.Offset+x.Length]...)
	}
	data, err := r.mem.Get(context.Background(), key, int64(x.Offset), int64(x.Length))
	if err != nil {
		r.t.Fatal(err)
	}
	return data
}

// seen is a record as a reader sees it.
type seen struct {
	offset int64
	key    string
	value  string
	tomb   bool
}

func (x seen) String() string { return fmt.Sprintf("%d:%s=%s", x.offset, x.key, x.value) }

// committed is what a reader of committed records gets from an offset on, as clients filter: by the list of aborted
// transactions that State gives, in which a marker ends one.
func (r *rig) committed(partition int32, from int64) []seen {
	p := r.part(partition)
	list := r.stored(partition)
	var out []seen
	for len(list) > 0 && list[0].LastOffset() < from {
		list = list[1:]
	}
	if len(list) == 0 {
		return nil
	}
	pending := append(r.foldedAborted(partition, from, p.LSO()-1), p.Aborted(from, p.LSO()-1, nil)...)
	aborting := map[int64]bool{}
	for _, b := range list {
		if b.BaseOffset() >= p.LSO() {
			break
		}
		rest := pending[:0:0]
		for _, a := range pending {
			if a.First <= b.LastOffset() {
				aborting[a.ProducerID] = true
			} else {
				rest = append(rest, a)
			}
		}
		pending = rest
		if b.Control() {
			it := b.Iter()
			if rec, ok := it.Next(); ok && rec.Key[3] == 0 {
				delete(aborting, b.ProducerID())
			}
			it.Close()
			continue
		}
		if b.Transactional() && aborting[b.ProducerID()] {
			continue
		}
		it := b.Iter()
		for rec, ok := it.Next(); ok; rec, ok = it.Next() {
			if rec.Offset >= max(from, p.LogStart) {
				out = append(out, seen{rec.Offset, string(rec.Key), string(rec.Value), rec.Value == nil})
			}
		}
		if err := it.Err(); err != nil {
			r.t.Fatal(err)
		}
		it.Close()
	}
	return out
}

var errClock = errors.New("no clock")

// objects is how many objects State knows.
func (r *rig) objects() (n int) {
	r.s.EachObject(func(uint64, state.Object) { n++ })
	return n
}

func (r *rig) trim(partition int32, to int64) {
	r.do(&pb.Command{Base: r.position, Kind: &pb.Command_TrimPartitions{
		TrimPartitions: &pb.TrimPartitions{Topics: []uint64{topic}, Partitions: []uint32{uint32(partition)}, Offsets: []int64{to}}}})
}

func (r *rig) sweep() { r.do(&pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: 1000}}}) }
