package checkpoint

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	"wadi/metadata/kv/memkv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/metadata/view"
	"wadi/objstore"
	"wadi/objstore/mem"
)

const cluster = "demo"

var (
	etcdKeys   = layout.NewEtcd(cluster)
	objectKeys = layout.NewObjects(cluster, 1)
)

const ttl = 5 * time.Second

// quick are limits at which a checkpoint takes seconds and a base comes with every other one.
func quick() Limits {
	return Limits{
		JournalBytes: 64 << 10, Interval: 2 * time.Second, BaseBytes: 24 << 10, KeepRoots: 3, Retry: 200 * time.Millisecond,
		TrimPause: 10 * time.Millisecond,
	}
}

// agent is all of an agent that checkpoints need: a session, a view and the job.
type agent struct {
	t       *testing.T
	session *session.Session
	view    *view.View
	job     *Job
	reader  *Reader
	ctx     context.Context
	cancel  context.CancelFunc
	ended   chan struct{}
}

func startAgent(t *testing.T, store kv.KV, objects objstore.Store, limits Limits) *agent {
	t.Helper()
	a := &agent{t: t, ended: make(chan struct{})}
	log := slog.New(slog.DiscardHandler)
	jrnl := journal.New(store, etcdKeys)
	a.reader = NewReader(objects, objectKeys, ReadsAhead)
	a.session = session.New(session.Options{
		Config: session.Config{
			TTL: ttl, Init: &pb.InitCluster{ClusterId: "id", Incarnation: 1, FeatureLevel: 1}, MinFeatureLevel: 1, MaxFeatureLevel: 1,
		},
		KV: store, Keys: etcdKeys, Journal: jrnl, Info: &pb.SessionInfo{}, Log: log,
	})
	a.job = NewJob(JobOptions{
		KV: store, Keys: etcdKeys, Store: objects, Objects: objectKeys, Cluster: cluster, Journal: jrnl, Session: a.session,
		Log: log, TTL: ttl, Limits: limits,
	})
	a.view = view.NewView(view.Config{
		Limits: view.LimitsFor(ttl), Journal: jrnl, Checkpoints: a.reader, Observers: []view.Observer{a.session, a.job},
	})
	a.job.Follow(a.view)
	ctx, cancel := context.WithCancel(t.Context())
	a.ctx, a.cancel = ctx, cancel
	done := make(chan error, 3)
	go func() { done <- a.view.Run(ctx) }()
	go func() { done <- a.session.Run(ctx) }()
	go func() { done <- a.job.Run(ctx) }()
	go func() {
		defer close(a.ended)
		for range 3 {
			if err := <-done; err != nil {
				t.Errorf("agent: %v", err)
			}
		}
	}()
	return a
}

// stop ends the agent at once: what is under way is cut off. Its lease is revoked, as if it had expired.
func (a *agent) stop() {
	a.cancel()
	<-a.ended
}

// open waits for the session.
func (a *agent) open() layout.Session {
	a.t.Helper()
	for range 1000 {
		if id, _, open := a.session.Current(); open || a.ctx.Err() != nil {
			return id
		}
		time.Sleep(20 * time.Millisecond)
	}
	a.t.Fatal("no session in 20 s")
	return 0
}

// do appends a command and insists on it.
func (a *agent) do(cmd *pb.Command) (id int64) {
	a.t.Helper()
	for range 100 {
		code := state.OK
		err := a.session.Do(a.t.Context(), cmd, func(o session.Outcome) { code, id = o.Result.Code, o.Result.ID })
		if err == nil {
			if code != state.OK && code != state.TopicExists {
				a.t.Fatalf("%v: %v", cmd, code)
			}
			return id
		}
		if a.ctx.Err() != nil {
			return 0 // it died
		}
		time.Sleep(100 * time.Millisecond)
	}
	a.t.Fatalf("%v: never done", cmd)
	return 0
}

func (a *agent) topic(name string) uint64 {
	a.t.Helper()
	return uint64(a.do(&pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: name, Partitions: 1}}}))
}

// written remembers inline data by the position of its entry.
type written map[int64]string

// inline appends a batch of inline data. Where the outcome stays unknown nothing is remembered.
func (a *agent) inline(w written, topic uint64, data string) {
	a.t.Helper()
	done := make(chan session.Outcome, 1)
	a.session.Propose(&session.Proposal{
		Command: &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: &pb.AppendBatches{
			Topics: []uint64{topic}, Partitions: []uint32{0}, Offsets: []uint64{0}, Runs: []uint32{1}, ProducerIds: []int64{-1},
			ProducerEpochs: []int32{-1}, Sequences: []int32{-1}, Batches: []uint32{1}, Records: []uint32{1},
			Bytes: []uint32{uint32(len(data))}, MaxTimestamps: []int64{time.Now().UnixMilli()},
		}}},
		Inline: [][]byte{[]byte(data)},
		Done: func(o session.Outcome) {
			if o.Err == nil && o.Result.Batches[0].Code != state.OK {
				o.Err = fmt.Errorf("batch: %v", o.Result.Batches[0].Code)
			}
			o.Result = nil
			done <- o
		},
	})
	if o := <-done; o.Err == nil {
		w[o.Position] = data
	}
}

// pointer is what etcd's pointer says, nil when there is none.
func pointerOf(t *testing.T, store kv.KV) *pb.Pointer {
	t.Helper()
	a, err := journal.New(store, etcdKeys).Anchor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a.Pointer
}

// history keeps every entry ever appended, by a watch of its own: the straight replay.
type history struct {
	t       *testing.T
	entries []journal.Entry
	st      *state.State
	digests map[int64]state.Digest
	cancel  context.CancelFunc
	batches chan journal.Batch // large: the watch is read at once, or compaction would overtake it
}

func follow(t *testing.T, store kv.KV) *history {
	ctx, cancel := context.WithCancel(t.Context())
	h := &history{t: t, st: state.New(), digests: map[int64]state.Digest{}, cancel: cancel}
	h.batches = make(chan journal.Batch, 100_000)
	go func() {
		for b := range journal.New(store, etcdKeys).Watch(ctx, 1) {
			h.batches <- b
		}
	}()
	return h
}

// catchUp takes what was appended so far.
func (h *history) catchUp() {
	h.t.Helper()
	for {
		synctest.Wait()
		select {
		case b := <-h.batches:
			if b.Err != nil {
				h.t.Fatalf("the straight replay: %v", b.Err)
			}
			for _, e := range b.Entries {
				if e.Head != int64(len(h.entries))+1 {
					h.t.Fatalf("head %d is the %dth entry", e.Head, len(h.entries)+1)
				}
				d, err := state.Decode(e.Position, e.Session, e.Seq, e.Value)
				if err != nil {
					h.t.Fatal(err)
				}
				h.st.Apply(d)
				h.digests[e.Position] = h.st.Digest()
				h.entries = append(h.entries, e)
			}
		default:
			return
		}
	}
}

// audit checks the checkpoint that the pointer names against the straight replay, and returns its root.
func (h *history) audit(store kv.KV, objects objstore.Store) *pb.Root {
	h.t.Helper()
	h.catchUp()
	ctx := h.t.Context()
	p := pointerOf(h.t, store)
	if p == nil {
		return nil
	}
	root, err := ReadRoot(ctx, objects, p.Root)
	if err != nil {
		h.t.Fatal(err)
	}
	want := h.digests[p.Position]
	if string(p.Digest) != string(want[:]) || root.Position != p.Position || root.Head != p.Head {
		h.t.Fatalf("the pointer at %d is not that of a straight replay", p.Position)
	}
	s, err := LoadRoot(ctx, objects, root)
	if err != nil {
		h.t.Fatal(err)
	}
	if s.Digest() != want || s.Position() != p.Position {
		h.t.Fatalf("the root leads to position %d, not to %d with the pointer's digest", s.Position(), p.Position)
	}
	if err := s.Check(); err != nil {
		h.t.Fatal(err)
	}
	for _, k := range p.Kept {
		kept, err := ReadRoot(ctx, objects, k.Key)
		if err != nil {
			h.t.Fatalf("kept root: %v", err)
		}
		if s, err := LoadRoot(ctx, objects, kept); err != nil || s.Digest() != h.digests[k.Position] {
			h.t.Fatalf("kept root at %d: %v", k.Position, err)
		}
		if err := VerifyBase(ctx, objects, kept.Base); err != nil { // recomputes the content hash
			h.t.Fatal(err)
		}
	}
	for _, a := range root.Archives {
		h.archiveHolds(objects, a)
	}
	// etcd still has every entry behind the checkpoint before this one.
	anchor, err := journal.New(store, etcdKeys).Anchor(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	after, afterHead := p.TrimPosition, int64(0)
	for _, e := range h.entries {
		if e.Position <= after {
			afterHead = e.Head
		}
	}
	rest, err := journal.New(store, etcdKeys).Since(ctx, anchor, after, afterHead)
	if err != nil || len(rest) != len(h.entries)-int(afterHead) {
		h.t.Fatalf("the journal behind %d: %d entries, %v", after, len(rest), err)
	}
	return root
}

// archiveHolds checks that an archive holds every entry of its range, byte for byte.
func (h *history) archiveHolds(objects objstore.Store, a *pb.ArchiveRef) {
	h.t.Helper()
	var want []journal.Entry
	for _, e := range h.entries {
		if e.Position > a.From && e.Position <= a.To {
			want = append(want, e)
		}
	}
	n := 0
	from, to, err := EachEntry(h.t.Context(), objects, a.Object.Key, a.Object.Size, func(e journal.Entry) error {
		if n >= len(want) || e.Position != want[n].Position || e.Head != want[n].Head || e.Session != want[n].Session ||
			e.Seq != want[n].Seq || string(e.Value) != string(want[n].Value) {
			return fmt.Errorf("entry %d of the archive is not the journal's", n)
		}
		n++
		return nil
	})
	if err != nil || n != len(want) || from != a.From || to != a.To || a.Entries != int64(n) {
		h.t.Fatalf("archive (%d,%d]: %d of %d entries, %v", a.From, a.To, n, len(want), err)
	}
}

// readable checks that all inline data can be read by a fresh view: from memory or from archives.
func (w written) readable(a *agent) {
	a.t.Helper()
	for position, data := range w {
		entry := a.view.Inline(position)
		if entry == nil {
			var key string
			var size uint64
			a.view.Read(func(s *state.State) {
				if o, _, ok := s.Archive(position); ok {
					key, size = o.Key(objectKeys), o.Size
				}
			})
			var err error
			if entry, err = a.reader.Inline(a.t.Context(), key, size, position); err != nil {
				a.t.Fatalf("inline data of position %d: %v", position, err)
			}
		}
		if string(entry) != data {
			a.t.Fatalf("inline data of position %d: %q, want %q", position, entry, data)
		}
	}
}

func bucketKeys(t *testing.T, objects objstore.Store) (keys []string) {
	t.Helper()
	list, err := objects.List(t.Context(), layout.ClusterPrefix(cluster), "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list {
		keys = append(keys, o.Key)
	}
	return keys
}

// world is an etcd, a bucket and a straight replay.
type world struct {
	kv      *memkv.KV
	objects *mem.Store
	past    *history
}

func newWorld(t *testing.T) *world {
	w := &world{kv: memkv.New(memkv.Config{}), objects: mem.New()}
	t.Cleanup(func() { _ = w.kv.Close() })
	w.past = follow(t, w.kv)
	t.Cleanup(w.past.cancel)
	return w
}
