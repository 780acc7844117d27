package gc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"wadi/compactor/job"
	"wadi/internal/layout"
	"wadi/metadata/kv"
	"wadi/metadata/kv/faultkv"
	"wadi/metadata/kv/memkv"
	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
)

var (
	etcdKeys   = layout.NewEtcd("demo")
	objectKeys = layout.NewObjects("demo", 1)
)

const (
	own   layout.Session = 1 // gc's
	grace                = 10 * time.Minute
)

// world is a cluster: a State that entries drive, a bucket, the pointer, and somebody who makes checkpoints.
type world struct {
	t        rapid.TB
	s        *state.State
	position int64
	ms       int64 // Unix
	now      time.Duration
	sessions map[layout.Session]*writer

	bucket *mem.Store
	skewed bool          // proposers' clocks differ
	ahead  time.Duration // of the store's clock, to what began before
	store  *fault.Store
	kv     *faultkv.KV
	roots  []*root // kept, newest last
	making *root
	base   int64
	sealed []*sealedArchive
	owners map[string][]manifest.Object // of manifests, by key

	propose func(p *session.Proposal) bool // takes a proposal in the usual way's place
	fuse    fuse
	closed  map[layout.Session]int64 // when, Unix ms
	task    *Task
	seen    struct {
		waiting                             map[Reason]int
		deleted, orphans, unknown, sessions int
	}
}

// writer is a session's agent.
type writer struct {
	id           layout.Session
	seq          uint64
	flush, merge uint64
}

// root is a checkpoint with the State at it.
type root struct {
	position, at int64
	base         int64 // position
	key          string
	needs        map[string]bool // keys that its State names
	archives     []*sealedArchive
}

type sealedArchive struct {
	ref      *pb.ArchiveRef
	recorded bool
}

func newWorld(t rapid.TB) *world {
	w := &world{
		t: t, s: state.New(), ms: 1_800_000_000_000, position: 10, sessions: map[layout.Session]*writer{}, bucket: mem.New(),
		owners: map[string][]manifest.Object{}, closed: map[layout.Session]int64{},
	}
	w.store = fault.New(guarded{w.bucket, w}, fault.WithTranscript(10_000))
	w.kv = faultkv.New(memkv.New(memkv.Config{}))
	w.sessions[own] = &writer{id: own}
	w.apply(own, &pb.Command{Kind: &pb.Command_InitCluster{InitCluster: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}}},
		open())
	w.start()
	return w
}

func open() *pb.Command {
	return &pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}}
}

// start begins a new gc process: it knows nothing.
func (w *world) start() {
	env := &job.Env{
		Session: proposer{w}, Store: dated{w.store, w}, Objects: objectKeys, Log: slog.New(slog.DiscardHandler),
		Barrier: func(context.Context) error { return nil }, Read: func(f func(*state.State)) { f(w.s) },
	}
	w.seen.waiting = map[Reason]int{}
	w.task = New(env, Config{
		Grace: grace, KV: asked{w.kv, w}, Keys: etcdKeys,
		Elapsed: func() time.Duration { return w.now }, Pause: func(_ context.Context, d time.Duration) error { w.now += d; return nil },
		Observe: Observe{
			Waiting:  func(r Reason, n int, _ int64) { w.seen.waiting[r] = n },
			Deleted:  func(n int, _ int64) { w.seen.deleted += n },
			Orphans:  func(n int) { w.seen.orphans += n },
			Unknown:  func(n int) { w.seen.unknown = n },
			Sessions: func(n int) { w.seen.sessions += n },
		},
	})
}

// proposer appends what gc proposes.
type proposer struct{ w *world }

func (p proposer) Current() (layout.Session, int32, bool) { return own, 0, true }

func (p proposer) Propose(x *session.Proposal) {
	if p.w.propose != nil && p.w.propose(x) {
		return
	}
	if p.w.fuse.burns() {
		x.Done(session.Outcome{Err: session.ErrNotProposed})
		return
	}
	res := p.w.apply(own, x.Command)
	if p.w.fuse.burns() {
		x.Done(session.Outcome{Err: session.ErrUnknown})
		return
	}
	x.Done(session.Outcome{Position: p.w.position, Result: &res[0]})
}

// apply appends an entry.
func (w *world) apply(id layout.Session, commands ...*pb.Command) []state.Result {
	w.t.Helper()
	return w.entry(id, &pb.Entry{AtMs: w.ms, Commands: commands})
}

func (w *world) entry(id layout.Session, body *pb.Entry) []state.Result {
	w.t.Helper()
	x := w.sessions[id]
	x.seq++
	w.position += 2
	value, err := proto.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := state.Decode(w.position, id, x.seq, value)
	if err != nil {
		w.t.Fatal(err)
	}
	r := w.s.Apply(e)
	if r.Refused != state.OK {
		w.t.Fatalf("refused: %v", r.Refused)
	}
	return r.Commands
}

func (w *world) open(id layout.Session) *writer {
	w.sessions[id] = &writer{id: id}
	w.apply(id, open())
	return w.sessions[id]
}

func (w *world) close(id layout.Session) {
	w.closed[id] = w.ms
	w.apply(own, &pb.Command{Kind: &pb.Command_CloseSession{CloseSession: &pb.CloseSession{Session: int64(id)}}})
}

func (w *world) topic(name string) uint64 {
	w.t.Helper()
	r := w.apply(own, &pb.Command{Base: w.position, Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: name, Partitions: 1}}})[0]
	if r.Code != state.OK {
		w.t.Fatal(r.Code)
	}
	return uint64(r.ID)
}

// deleteTopic deletes it and sweeps what it leaves in State.
func (w *world) deleteTopic(topic uint64) {
	w.apply(own, &pb.Command{Base: w.position, Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: topic}}})
	for w.apply(own, &pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: 1000}}})[0].ID > 0 {
	}
}

func (w *world) put(key string, bytes int) string {
	w.t.Helper()
	if err := w.bucket.Put(context.Background(), key, objstore.NewBody(make([]byte, bytes))); err != nil {
		w.t.Fatal(err)
	}
	return key
}

const size = 100 // of a flush, and of what it holds of a partition

// upload stores the next flush object of a session.
func (x *writer) upload(w *world) string {
	x.flush++
	return w.put(objectKeys.Flush(x.id, x.flush), size)
}

// write appends a batch: in the session's newest flush object, or inline.
func (x *writer) write(w *world, topic uint64, flush uint64) state.Result {
	w.t.Helper()
	k := &pb.AppendBatches{
		Flush: flush, Topics: []uint64{topic}, Partitions: []uint32{0}, Offsets: []uint64{0}, Runs: []uint32{1}, ProducerIds: []int64{-1},
		ProducerEpochs: []int32{-1}, Sequences: []int32{-1}, Batches: []uint32{1}, Records: []uint32{3}, Bytes: []uint32{size},
		MaxTimestamps: []int64{0},
	}
	body := &pb.Entry{AtMs: w.ms, Commands: []*pb.Command{{Kind: &pb.Command_AppendBatches{AppendBatches: k}}}}
	if flush == 0 {
		body.Inline = make([]byte, size)
	} else {
		k.Size = size
	}
	return w.entry(x.id, body)[0]
}

// flushed uploads and appends, and returns the object's key.
func (x *writer) flushed(w *world, topic uint64) string {
	w.t.Helper()
	key := x.upload(w)
	if r := x.write(w, topic, x.flush); r.Code != state.OK {
		w.t.Fatal(r.Code)
	}
	return key
}

// merged puts one merged object in the place of all runs of a topic; on a wrong version it is garbage at once.
func (x *writer) merged(w *world, topic uint64, version uint64) string {
	w.t.Helper()
	x.merge++
	key := w.put(objectKeys.Merged(x.id, x.merge), size)
	p := w.s.TopicByNumber(topic).Partition(0)
	first, last := int64(-1), int64(0)
	p.EachRun(func(r state.Run) {
		if first < 0 {
			first = r.Base
		}
		last = r.Last
	})
	if first < 0 {
		first = 0
	}
	w.apply(x.id, &pb.Command{Kind: &pb.Command_ReplaceRuns{ReplaceRuns: &pb.ReplaceRuns{
		N: x.merge, Size: size, Topics: []uint64{topic}, Partitions: []uint32{0}, Versions: []uint64{version}, Bases: []int64{first},
		Lasts: []int64{last}, Runs: []uint32{1}, RunCounts: []uint64{uint64(last-first) + 1}, MaxTimestamps: []int64{w.ms},
		Offsets: []uint64{0}, Lengths: []uint32{size},
	}}})
	return key
}

func (w *world) version(topic uint64) uint64 { return w.s.TopicByNumber(topic).Partition(0).Version }

// needs are the keys of objects that a State names.
func (w *world) needs(s *state.State) map[string]bool {
	keys := map[string]bool{}
	s.EachObject(func(_ uint64, o state.Object) {
		if o.Refs > 0 {
			keys[o.Key(objectKeys)] = true
		}
	})
	s.EachManifest(func(m state.Manifest) {
		o, _ := s.Object(m.Object)
		for _, x := range w.owners[o.Key(objectKeys)][m.Released:] {
			keys[x.Key(objectKeys)] = true
		}
	})
	return keys
}

// mark begins a checkpoint, with a base or without.
func (w *world) mark(base bool) {
	w.t.Helper()
	w.apply(own, &pb.Command{Kind: &pb.Command_Mark{Mark: &pb.Mark{}}})
	w.making = &root{
		position: w.position, base: w.base, at: w.ms, key: objectKeys.Checkpoint(layout.Root, w.position, own, 0), needs: w.needs(w.s),
	}
	if base {
		w.making.base = w.position
	}
	from := int64(0)
	for _, a := range w.sealed {
		from = max(from, a.ref.To)
	}
	w.making.archives = append(w.making.archives, &sealedArchive{ref: &pb.ArchiveRef{
		Object: &pb.ObjectRef{Key: objectKeys.Checkpoint(layout.Archive, w.position, own, 0)}, From: from, To: w.position,
		Session: int64(own), Head: w.position,
	}})
	for _, a := range w.sealed {
		if a.ref.To > w.making.base || !a.recorded {
			w.making.archives = append(w.making.archives, a)
		}
	}
}

// publish ends a checkpoint: the pointer keeps that many roots, and older ones that are wanted.
func (w *world) publish(keep int, wanted ...*root) {
	w.t.Helper()
	r := w.making
	w.making, w.base = nil, r.base
	w.put(r.archives[0].ref.Object.Key, size)
	w.sealed = append(w.sealed, r.archives[0])
	body := &pb.Root{Position: r.position, Head: r.position, Base: &pb.Base{Position: r.base}}
	for _, a := range r.archives {
		body.Archives = append(body.Archives, a.ref)
	}
	w.writeRoot(r.key, body)
	w.roots = append(w.roots, r)
	old := len(w.roots) - keep
	kept := w.roots[:0:0]
	for i, r := range w.roots {
		if i >= old || slices.Contains(wanted, r) {
			kept = append(kept, r)
		}
	}
	w.roots = kept
	p := &pb.Pointer{Position: r.position, Root: r.key}
	for _, k := range w.roots {
		p.Kept = append(p.Kept, &pb.KeptRoot{Position: k.position, Key: k.key, AtMs: k.at})
	}
	value, err := proto.Marshal(p)
	if err == nil {
		_, err = w.kv.Txn(context.Background(), kv.Txn{Then: []kv.Op{kv.Put(etcdKeys.Checkpoint(), value, 0)}})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// record tells State of the archives that it does not know.
func (w *world) record() {
	w.t.Helper()
	for _, a := range w.sealed {
		if a.recorded {
			continue
		}
		a.recorded = true
		if r := w.apply(own, &pb.Command{Kind: &pb.Command_Archived{Archived: &pb.Archived{
			From: a.ref.From, To: a.ref.To, Session: a.ref.Session, Head: a.ref.Head, Size: size,
		}}}); r[0].Code != state.OK {
			w.t.Fatal(r[0].Code)
		}
	}
}

func (w *world) checkpoint(base bool) {
	w.t.Helper()
	w.mark(base)
	w.publish(3)
	w.record()
}

// writeRoot stores a root object: see package checkpoint.
func (w *world) writeRoot(key string, r *pb.Root) {
	w.t.Helper()
	data, err := proto.Marshal(r)
	if err != nil {
		w.t.Fatal(err)
	}
	b := binary.BigEndian.AppendUint32([]byte("WADIROOT"), 1)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
	if err := w.bucket.Put(context.Background(), key, objstore.NewBody(append(b, data...))); err != nil {
		w.t.Fatal(err)
	}
}

// pass lets gc do one pass.
func (w *world) pass() (more bool, err error) {
	return w.task.Pass(context.Background(), &job.View{State: w.s.Freeze(), Now: w.ms})
}

// passes goes on until there is nothing left to do, and insists that nothing fails.
func (w *world) passes() (n int) {
	w.t.Helper()
	for n = 1; ; n++ {
		more, err := w.pass()
		if err != nil {
			w.t.Fatal(err)
		}
		if !more {
			return n
		}
		if n == 1000 {
			w.t.Fatal("no end")
		}
	}
}

// later lets time go by.
func (w *world) later(d time.Duration) { w.ms += d.Milliseconds() }

func (w *world) there(key string) bool {
	w.t.Helper()
	_, err := w.bucket.Get(context.Background(), key, 0, -1)
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		w.t.Fatal(err)
	}
	return err == nil
}

// expect checks which keys are in the bucket.
func (w *world) expect(want bool, keys ...string) {
	w.t.Helper()
	for _, key := range keys {
		if w.there(key) != want {
			w.t.Errorf("%s: in the bucket %t, want %t", key, !want, want)
		}
	}
}

// know checks which objects are in State's table.
func (w *world) knows(key string) (known bool) {
	w.s.EachObject(func(_ uint64, o state.Object) { known = known || o.Key(objectKeys) == key })
	return known
}

// archiveOf is the key of the archive that holds what was appended inline before the last checkpoint.
func (w *world) archiveOf(position int64) string {
	w.t.Helper()
	o, _, ok := w.s.Archive(position)
	if !ok {
		w.t.Fatalf("no archive holds position %d", position)
	}
	return o.Key(objectKeys)
}

// fold moves all runs of a topic, one merged object, into a manifest, behind what its manifest holds. It returns the key.
func (x *writer) fold(w *world, topic uint64) string {
	w.t.Helper()
	p := w.s.TopicByNumber(topic).Partition(0)
	var list []manifest.Object
	c := &pb.FoldRuns{Topic: topic, Version: p.Version, MaxTimestamp: w.ms}
	if m := p.Manifest; m != nil {
		o, _ := w.s.Object(m.Object)
		list = append(list, w.owners[o.Key(objectKeys)][m.Released:]...)
		c.Old, c.Released, c.First = m.Object, m.Released, m.First
	}
	p.EachRun(func(r state.Run) {
		o, _ := w.s.Object(r.Place)
		list = append(list, manifest.Object{
			Number: r.Place, Session: o.Session, N: o.N, Size: o.Size, Introduced: o.Introduced, First: r.Base, Last: r.Last, Bytes: int64(r.Length),
		})
	})
	var out bytes.Buffer
	mw, err := manifest.NewWriter(&out, [16]byte{1}, 0)
	for i, o := range list {
		err = errors.Join(err, mw.Run(o.First, o.Last, w.ms, uint32(i), 0, uint32(o.Bytes)))
		c.Bytes += uint64(o.Bytes)
		c.Last = o.Last
	}
	for _, o := range list {
		err = errors.Join(err, mw.Object(o))
	}
	_, cerr := mw.Close()
	x.merge++
	key := objectKeys.Manifest(x.id, x.merge)
	if err := errors.Join(err, cerr, w.bucket.Put(context.Background(), key, objstore.NewBody(out.Bytes()))); err != nil {
		w.t.Fatal(err)
	}
	w.owners[key] = list
	c.N, c.Size, c.Runs, c.Owned = x.merge, uint64(out.Len()), uint32(len(list)), uint32(len(list))
	if r := w.apply(x.id, &pb.Command{Kind: &pb.Command_FoldRuns{FoldRuns: c}}); r[0].Code != state.OK {
		w.t.Fatal(r[0].Code)
	}
	return key
}

// release makes what a loose manifest owns garbage.
func (x *writer) release(w *world, m state.Manifest) {
	w.t.Helper()
	o, _ := w.s.Object(m.Object)
	c := &pb.ReleaseObjects{Manifest: m.Object, Released: m.Released}
	for _, y := range w.owners[o.Key(objectKeys)][m.Released:] {
		c.Sessions, c.Ns, c.Sizes = append(c.Sessions, int64(y.Session)), append(c.Ns, y.N), append(c.Sizes, y.Size)
		c.Bytes, c.Introduced, c.Lasts = append(c.Bytes, uint64(y.Bytes)), append(c.Introduced, y.Introduced), append(c.Lasts, y.Last)
	}
	if r := w.apply(x.id, &pb.Command{Kind: &pb.Command_ReleaseObjects{ReleaseObjects: c}}); r[0].Code != state.OK {
		w.t.Fatal(r[0].Code)
	}
}

// lose makes the next proposal of gc end with an unknown outcome, applied or not.
func (w *world) lose(applied bool) {
	w.propose = func(p *session.Proposal) bool {
		w.propose = nil
		if applied {
			w.apply(own, p.Command)
		}
		p.Done(session.Outcome{Err: session.ErrUnknown})
		return true
	}
}

// firstTopic makes a topic once.
func (w *world) firstTopic() uint64 {
	var number uint64
	w.s.EachTopic(func(t *state.Topic) {
		if number == 0 {
			number = t.Number
		}
	})
	if number == 0 {
		return w.topic("first")
	}
	return number
}

// keys are those of the incarnation in the bucket.
func (w *world) keys() (keys []string) {
	w.t.Helper()
	for after := ""; ; after = keys[len(keys)-1] {
		list, err := w.bucket.List(context.Background(), objectKeys.Root(), after, 1000)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, o := range list {
			keys = append(keys, o.Key)
		}
		if len(list) < 1000 {
			return keys
		}
	}
}
