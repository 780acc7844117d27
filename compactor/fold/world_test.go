package fold

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"

	"pgregory.net/rapid"

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

var keys = layout.NewObjects("test", 1)

// world is a State that entries drive, a store, and a naive memory of what was written: the bytes of each run as they
// lie in merged objects, by the offset that it began with.
type world struct {
	t        rapid.TB
	s        *state.State
	mem      *mem.Store
	store    *fault.Store
	task     *Task
	position int64
	seq      uint64
	flush    uint64
	compact  map[uint64]bool
	lose     func() (before, after bool) // of a proposal of the task
	logs     map[state.PartRef]*log
}

// log is one partition's, as whoever saw everything remembers it.
type log struct {
	written map[int64][]byte   // by first offset of a run
	aborted []state.AbortedTxn // all there ever were
}

func newWorld(t rapid.TB, c Config, partitions ...uint32) *world {
	w := &world{t: t, s: state.New(), mem: mem.New(), position: 10, compact: map[uint64]bool{}, logs: map[state.PartRef]*log{}}
	w.store = fault.New(w.mem)
	w.apply(&pb.Command{Kind: &pb.Command_InitCluster{InitCluster: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}}},
		&pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}})
	for i, n := range partitions {
		w.apply(&pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: string(rune('a' + i)), Partitions: n}}})
	}
	w.task = New(&job.Env{
		Session: w, Store: w.store, Objects: keys, Log: slog.New(slog.DiscardHandler),
		Barrier: func(context.Context) error { return nil }, Read: func(f func(*state.State)) { f(w.s) },
	}, c)
	return w
}

func (w *world) entry(commands ...*pb.Command) []state.Result {
	w.seq++
	w.position += 2
	x := w.s.Apply(state.Entry{Position: w.position, Session: me, Seq: w.seq, Body: &pb.Entry{AtMs: 1_000_000, Commands: commands}})
	if x.Refused != state.OK {
		w.t.Fatalf("refused: %v", x.Refused)
	}
	if err := w.s.Check(); err != nil {
		w.t.Fatal(err)
	}
	return x.Commands
}

// apply is entry for commands that must be taken.
func (w *world) apply(commands ...*pb.Command) []state.Result {
	w.t.Helper()
	list := w.entry(commands...)
	for i, c := range list {
		if c.Code != state.OK {
			w.t.Fatalf("%v: %v", commands[i], c.Code)
		}
		for _, b := range c.Batches {
			if b.Code != state.OK {
				w.t.Fatalf("%v: %v", commands[i], b.Code)
			}
		}
	}
	return list
}

// Current and Propose implement job.Proposer. A command is applied at once, unless it is lost before that; its answer may
// be lost after it.
func (w *world) Current() (layout.Session, int32, bool) { return me, 1, true }

func (w *world) Propose(p *session.Proposal) {
	before, after := false, false
	if w.lose != nil {
		before, after = w.lose()
	}
	if before {
		p.Done(session.Outcome{Err: session.ErrUnknown})
		return
	}
	result := w.entry(p.Command)
	if after {
		p.Done(session.Outcome{Err: session.ErrUnknown})
		return
	}
	p.Done(session.Outcome{Position: w.position, Result: &result[0]})
}

func (w *world) view() *job.View {
	return &job.View{
		State: w.s.Freeze(), Now: 1_000_000, Mine: func(uint64, uint32) bool { return true },
		Configs: func(t *state.Topic) *kafkaconfig.Effective {
			return &kafkaconfig.Effective{
				Compact: w.compact[t.Number], MinDirtyRatio: 0.5, SegmentMs: 1, SegmentBytes: 1 << 30, MaxCompactionLagMs: 1 << 40,
			}
		},
	}
}

func (w *world) partition(ref state.PartRef) *state.Partition {
	if t := w.s.TopicByNumber(ref.Topic); t != nil {
		return t.Partition(int32(ref.Partition))
	}
	return nil
}

func (w *world) log(ref state.PartRef) *log {
	if w.logs[ref] == nil {
		w.logs[ref] = &log{written: map[int64][]byte{}}
	}
	return w.logs[ref]
}

// append adds a run of n records in a flush object, in a producer's transaction when there is one.
func (w *world) append(ref state.PartRef, n uint32, p *state.Result, sequence int32) {
	w.t.Helper()
	k := &pb.AppendBatches{
		Topics: []uint64{ref.Topic}, Partitions: []uint32{ref.Partition}, Offsets: []uint64{0}, Runs: []uint32{1}, Batches: []uint32{1},
		Records: []uint32{n}, Bytes: []uint32{10 * n}, MaxTimestamps: []int64{int64(n)}, Size: uint64(10 * n),
		ProducerIds: []int64{-1}, ProducerEpochs: []int32{-1}, Sequences: []int32{-1},
	}
	if p != nil {
		k.ProducerIds, k.ProducerEpochs, k.Sequences, k.Transactional = []int64{p.ID}, []int32{int32(p.Epoch)}, []int32{sequence}, []uint32{2}
	}
	w.flush++
	k.Flush = w.flush
	w.apply(&pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: k}})
}

// merged writes the stretches of runs that each partition has below its last stable offset and not in merged objects, each
// run anew, into one object for all or, with alone, into one each.
func (w *world) merged(refs []state.PartRef, alone bool) { w.write(refs, alone, 0) }

// compacted writes the first n runs of a partition below its last stable offset, which has no manifest, anew into an
// object, as a compaction does that finds nothing that is replaced, or comes so far in a pass.
func (w *world) compacted(ref state.PartRef, n int) { w.write([]state.PartRef{ref}, true, n) }

func (w *world) write(refs []state.PartRef, alone bool, compact int) {
	compacted := compact > 0
	var k *pb.ReplaceRuns
	var data []byte
	flush := func() {
		if k == nil {
			return
		}
		k.Size = uint64(len(data))
		if err := w.mem.Put(context.Background(), keys.Merged(me, k.N), objstore.NewBody(data)); err != nil {
			w.t.Fatal(err)
		}
		w.apply(&pb.Command{Kind: &pb.Command_ReplaceRuns{ReplaceRuns: k}})
		k, data = nil, nil
	}
	for _, ref := range refs {
		p := w.partition(ref)
		if p == nil {
			continue
		}
		var runs []state.Run
		p.EachRun(func(r state.Run) {
			if (len(runs) < compact || !compacted && !r.Placed()) && r.Last < p.LSO() {
				runs = append(runs, r)
			}
		})
		if len(runs) == 0 {
			continue
		}
		if k == nil {
			name, err := w.task.env.Name()
			if err != nil {
				w.t.Fatal(err)
			}
			k = &pb.ReplaceRuns{N: name.N}
			data = []byte("a merged segment")
		}
		k.Topics, k.Partitions, k.Versions = append(k.Topics, ref.Topic), append(k.Partitions, ref.Partition), append(k.Versions, p.Version)
		k.Compacted = append(k.Compacted, compacted)
		if last := runs[len(runs)-1].Last; compacted { // State forgets them: their records and markers are gone
			w.log(ref).aborted = slices.DeleteFunc(w.log(ref).aborted, func(a state.AbortedTxn) bool { return a.Last >= runs[0].Base && a.Last < last })
		}
		k.Bases, k.Lasts, k.Runs = append(k.Bases, runs[0].Base), append(k.Lasts, runs[len(runs)-1].Last), append(k.Runs, uint32(len(runs)))
		for _, r := range runs {
			b := fmt.Appendf(nil, "topic %d partition %d offsets %d to %d;", ref.Topic, ref.Partition, r.Base, r.Last)
			w.log(ref).written[r.Base] = b
			k.RunCounts, k.MaxTimestamps = append(k.RunCounts, uint64(r.Last-r.Base+1)), append(k.MaxTimestamps, r.Base%7)
			k.Offsets, k.Lengths = append(k.Offsets, uint64(len(data))), append(k.Lengths, uint32(len(b)))
			data = append(data, b...)
		}
		if alone {
			flush()
		}
	}
	flush()
}

// release frees what a partition's manifest holds below the log start, as retention does.
func (w *world) release(ref state.PartRef) {
	if p := w.partition(ref); p != nil && p.Manifest != nil {
		w.releaseFrom(*p.Manifest, ref, p.LogStart)
	}
}

// releaseLoose frees what manifests hold that nobody reads.
func (w *world) releaseLoose() {
	var list []state.Manifest
	w.s.EachLoose(func(m state.Manifest) { list = append(list, m) })
	for _, m := range list {
		w.releaseFrom(m, state.PartRef{}, math.MaxInt64)
	}
}

func (w *world) releaseFrom(m state.Manifest, ref state.PartRef, below int64) {
	objects, err := w.open(m).ObjectsFrom(context.Background(), m.Released, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	k := &pb.ReleaseObjects{Manifest: m.Object, Topic: ref.Topic, Partition: ref.Partition, Released: m.Released}
	for _, o := range objects {
		if o.Last >= below {
			break
		}
		k.Sessions, k.Ns, k.Sizes = append(k.Sessions, int64(o.Session)), append(k.Ns, o.N), append(k.Sizes, o.Size)
		k.Bytes, k.Introduced, k.Lasts = append(k.Bytes, uint64(o.Bytes)), append(k.Introduced, o.Introduced), append(k.Lasts, o.Last)
	}
	if len(k.Ns) > 0 {
		w.apply(&pb.Command{Kind: &pb.Command_ReleaseObjects{ReleaseObjects: k}})
	}
}

// collect deletes all garbage from the store.
func (w *world) collect() {
	var numbers []uint64
	w.s.EachGarbage(func(n uint64, o state.Object) {
		numbers = append(numbers, n)
		if err := w.mem.Delete(context.Background(), []string{o.Key(keys)}); err != nil {
			w.t.Fatal(err)
		}
	})
	for some := range slices.Chunk(numbers, 1000) {
		w.apply(&pb.Command{Kind: &pb.Command_ForgetObjects{ForgetObjects: &pb.ForgetObjects{Objects: some}}})
	}
}

func (w *world) open(m state.Manifest) *manifest.Reader {
	o, ok := w.s.Object(m.Object)
	if !ok {
		w.t.Fatalf("manifest %+v has no object", m)
	}
	r, err := manifest.Open(context.Background(), w.mem, o.Key(keys), o.Size)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// check reads every partition from its log start on, through its manifest and State, and compares it with what was
// written: the same runs, bytes and aborted transactions, whatever was folded; and every merged object that the store
// holds is one that somebody refers to.
func (w *world) check() {
	ctx := context.Background()
	named := map[string]bool{}
	w.s.EachObject(func(_ uint64, o state.Object) { named[o.Key(keys)] = true })
	w.s.EachLoose(func(m state.Manifest) { w.owns(m, named) })
	for ref, l := range w.logs {
		p := w.partition(ref)
		if p == nil {
			continue
		}
		next := int64(-1)
		see := func(key string, r state.Run) {
			if next >= 0 && r.Base != next {
				w.t.Fatalf("%v: a run from %d to %d follows offset %d", ref, r.Base, r.Last, next)
			}
			if next = r.Last + 1; !r.Placed() || r.Last < p.LogStart {
				return
			}
			if got, err := w.mem.Get(ctx, key, int64(r.Offset), int64(r.Length)); err != nil || !bytes.Equal(got, l.written[r.Base]) {
				w.t.Fatalf("%v: offset %d: %q, %v; written was %q", ref, r.Base, got, err, l.written[r.Base])
			}
		}
		var aborted []state.AbortedTxn
		if m := p.Manifest; m != nil {
			x := w.open(*m)
			if err := x.Verify(ctx); err != nil {
				w.t.Fatal(err)
			}
			w.owns(*m, named)
			size := int64(0)
			err := x.EachRun(ctx, func(r manifest.Run) error {
				if r.Base >= m.First {
					size += int64(r.Length)
					see(r.Key(keys), r.Run)
				}
				return nil
			})
			if i := x.Info(); err != nil || next != m.Last+1 || size != m.Bytes || i.MaxTimestamp != m.MaxTimestamp || i.Topic != [16]byte(w.s.TopicByNumber(ref.Topic).ID) {
				w.t.Fatalf("%v: %v; %d bytes to offset %d, State says %+v, the manifest %+v", ref, err, size, next, *m, i)
			}
			if aborted, err = x.Aborted(ctx, 0, math.MaxInt64); err != nil {
				w.t.Fatal(err)
			}
		}
		p.EachRun(func(r state.Run) {
			o, _ := w.s.Object(r.Place)
			see(o.Key(keys), r)
		})
		if next >= 0 && next != p.Next {
			w.t.Fatalf("%v: runs end at %d, the log at %d", ref, next, p.Next)
		}
		p.EachAborted(func(a state.AbortedTxn) { aborted = append(aborted, a) })
		readable := func(list []state.AbortedTxn) []state.AbortedTxn {
			return slices.DeleteFunc(slices.Clone(list), func(a state.AbortedTxn) bool { return a.Last < p.LogStart })
		}
		if got, want := readable(aborted), readable(l.aborted); !slices.Equal(got, want) {
			w.t.Fatalf("%v from %d: aborted are %+v, not %+v", ref, p.LogStart, got, want)
		}
	}
	if w.s.Unswept() == 0 { // else a deleted topic may hold manifests that are not loose yet
		w.nothingLost(named)
	}
}

// owns notes the objects that a manifest owns still.
func (w *world) owns(m state.Manifest, named map[string]bool) {
	objects, err := w.open(m).ObjectsFrom(context.Background(), m.Released, math.MaxInt32)
	if err != nil || len(objects) != int(m.Owned-m.Released) {
		w.t.Fatalf("%v, %d objects of %+v", err, len(objects), m)
	}
	for _, o := range objects {
		if named[o.Key(keys)] {
			w.t.Fatalf("%s has two owners", o.Key(keys))
		}
		named[o.Key(keys)] = true
	}
}

// nothingLost fails when a merged object lies in the store that nobody would ever delete. Manifests whose proposal was
// lost are orphans of their session, and gc's.
func (w *world) nothingLost(named map[string]bool) {
	list, err := w.mem.List(context.Background(), keys.Root(), "", 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range list {
		if _, err := keys.ParseMerged(o.Key); err == nil && !named[o.Key] {
			w.t.Fatalf("nobody owns %s", o.Key)
		}
	}
}
