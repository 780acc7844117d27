package view_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	"wadi/metadata/kv/faultkv"
	"wadi/metadata/kv/memkv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/metadata/view"
)

var keys = layout.NewEtcd("demo")

// bench is an etcd, a writer that appends to the journal, and what a straight replay makes of it.
type bench struct {
	t       *testing.T
	mem     *memkv.KV
	kv      *faultkv.KV
	session layout.Session
	rev     int64
	seq     uint64
	st      *state.State
	digests map[int64]state.Digest
	head    int64
	last    int64
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, mem: memkv.New(memkv.Config{}), st: state.New(), digests: map[int64]state.Digest{0: state.New().Digest()}}
	b.kv = faultkv.New(b.mem.Client())
	t.Cleanup(func() { _ = b.kv.Close(); _ = b.mem.Close() })
	lease, err := b.mem.Grant(t.Context(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	b.session = layout.Session(lease)
	res, err := b.mem.Txn(t.Context(), kv.Txn{Then: []kv.Op{kv.Put(keys.SessionKey(b.session), nil, lease)}})
	if err != nil {
		t.Fatal(err)
	}
	b.rev = res.Header.Revision
	b.append("",
		&pb.Command{Kind: &pb.Command_InitCluster{InitCluster: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}}},
		&pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}})
	return b
}

func (b *bench) append(inline string, cmds ...*pb.Command) int64 {
	b.t.Helper()
	b.seq++
	value, err := proto.Marshal(&pb.Entry{AtMs: time.Now().UnixMilli(), Commands: cmds, Inline: []byte(inline)})
	if err != nil {
		b.t.Fatal(err)
	}
	pos, err := journal.New(b.mem, keys).Append(b.t.Context(), journal.Append{Session: b.session, Revision: b.rev, Seq: b.seq, Value: value})
	if err != nil {
		b.t.Fatal(err)
	}
	d, err := state.Decode(pos, b.session, b.seq, value)
	if err != nil {
		b.t.Fatal(err)
	}
	b.st.Apply(d)
	b.digests[pos] = b.st.Digest()
	b.head++
	b.last = pos
	return pos
}

func producer() *pb.Command {
	return &pb.Command{Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{}}}
}

func topic(name string) *pb.Command {
	return &pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: name, Partitions: 2}}}
}

func batch(topic uint64, partition uint32, size int) *pb.Command {
	return &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: &pb.AppendBatches{
		Topics: []uint64{topic}, Partitions: []uint32{partition}, Offsets: []uint64{0}, Runs: []uint32{1}, ProducerIds: []int64{-1},
		ProducerEpochs: []int32{-1}, Sequences: []int32{-1}, Batches: []uint32{1}, Records: []uint32{1}, Bytes: []uint32{uint32(size)},
		MaxTimestamps: []int64{0},
	}}}
}

// checkpoints stands in for the bucket: states by position.
type checkpoints struct {
	mu     sync.Mutex
	states map[int64]*state.State
	fail   error
	loads  int
}

func (c *checkpoints) Load(ctx context.Context, p *pb.Pointer) (*state.State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loads++
	if c.fail != nil {
		return nil, c.fail
	}
	s, ok := c.states[p.Position]
	if !ok {
		return nil, fmt.Errorf("no checkpoint at %d", p.Position)
	}
	return s, nil
}

// checkpoint puts a pointer to the present state and trims everything before it.
func (b *bench) checkpoint(c *checkpoints, trim bool) {
	b.t.Helper()
	copied := state.NewLoader()
	if err := b.st.EncodeBase(func(r []byte) error { return copied.Add(append([]byte(nil), r...)) }); err != nil {
		b.t.Fatal(err)
	}
	s, err := copied.State()
	if err != nil {
		b.t.Fatal(err)
	}
	c.mu.Lock()
	c.states[b.last] = s
	c.mu.Unlock()
	digest := b.st.Digest()
	p, err := proto.Marshal(&pb.Pointer{Position: b.last, Head: b.head, Digest: digest[:], Root: "root"})
	if err != nil {
		b.t.Fatal(err)
	}
	ops := []kv.Op{kv.Put(keys.Checkpoint(), p, 0)}
	if trim {
		ops = append(ops, kv.Op{Kind: kv.OpDelete, Key: keys.JournalPrefix(), End: keys.Head()})
	}
	if _, err := b.mem.Txn(b.t.Context(), kv.Txn{Then: ops}); err != nil {
		b.t.Fatal(err)
	}
	if trim {
		if err := b.mem.Compact(b.t.Context(), b.last); err != nil && !errors.Is(err, kv.ErrCompacted) {
			b.t.Fatal(err)
		}
	}
}

type running struct {
	*view.View
	cancel context.CancelFunc
	err    chan error
}

const ttl = 3 * time.Second

func (b *bench) start(c *checkpoints, observers ...view.Observer) *running {
	if c == nil {
		c = &checkpoints{}
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	r := &running{cancel: cancel, err: make(chan error, 1), View: view.NewView(view.Config{
		Limits: view.LimitsFor(ttl), Journal: journal.New(b.kv, keys), Checkpoints: c, Observers: observers,
	})}
	go func() { r.err <- r.Run(ctx) }()
	return r
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := <-r.err; err != nil {
		t.Fatal(err)
	}
}

func (b *bench) current(r *running) {
	b.t.Helper()
	if err := r.Barrier(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	r.Read(func(s *state.State) {
		if s.Position() != b.last || s.Digest() != b.st.Digest() {
			b.t.Fatalf("position %d of %d, or another digest", s.Position(), b.last)
		}
	})
	synctest.Wait() // the report follows the barrier's answer
	if h, err := r.Health(); h != view.Current || err != nil {
		b.t.Fatalf("health %v, %v", h, err)
	}
}

func TestFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r := b.start(nil)
		<-r.Ready()
		for range 50 {
			b.append("", producer())
			b.current(r)
		}
		r.stop(t)
		if err := r.Barrier(t.Context()); !errors.Is(err, view.ErrStopped) {
			t.Errorf("a barrier after the end: %v", err)
		}
	})
}

// Whatever a watch does to its events, State is always that of a straight replay, and catches up when faults stop.
func TestWatchFaults(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			rnd := rand.New(rand.NewPCG(seed, 1))
			b := newBench(t)
			c := &checkpoints{states: map[int64]*state.State{}}
			r := b.start(c)
			same := func() {
				r.Read(func(s *state.State) {
					if s.Digest() != b.digests[s.Position()] {
						t.Fatalf("not the straight replay's digest at %d", s.Position())
					}
				})
			}
			for range 60 {
				switch rnd.IntN(8) {
				case 0:
					b.kv.Add(faultkv.Rule{
						Op: faultkv.Response, Nth: 1 + rnd.IntN(3), Times: 1 + rnd.IntN(3), Delay: time.Duration(rnd.IntN(3000)) * time.Millisecond,
						Action: []faultkv.Action{faultkv.Drop, faultkv.Repeat, faultkv.Swap, faultkv.Delay, faultkv.Cut, faultkv.Hang}[rnd.IntN(6)],
					})
				case 1:
					b.kv.Add(faultkv.Rule{
						Op: []faultkv.Op{faultkv.Range, faultkv.Txn, faultkv.Watch}[rnd.IntN(3)], Times: 1 + rnd.IntN(3), Action: faultkv.FailBefore,
					})
				case 2:
					if err := b.mem.Compact(t.Context(), b.last); err != nil && !errors.Is(err, kv.ErrCompacted) {
						t.Fatal(err)
					}
				case 3:
					if rnd.IntN(3) == 0 {
						b.checkpoint(c, rnd.IntN(2) == 0)
					}
				default:
					for range 1 + rnd.IntN(5) {
						b.append("", producer())
					}
				}
				time.Sleep(time.Duration(rnd.IntN(700)) * time.Millisecond)
				same()
			}
			b.kv.Clear()
			b.append("", producer())
			healed := time.Now()
			for {
				same()
				if h, _ := r.Health(); h == view.Current {
					done := false
					r.Read(func(s *state.State) { done = s.Position() == b.last })
					if done {
						break
					}
				}
				if time.Since(healed) > 15*time.Second {
					h, err := r.Health()
					t.Fatalf("not caught up after 15 s: %v, %v", h, err)
				}
				time.Sleep(50 * time.Millisecond)
			}
			b.current(r)
			r.stop(t)
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// A barrier passes only what was appended before it, and many share a read of the head.
func TestBarriers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r := b.start(nil)
		defer r.stop(t)
		<-r.Ready()
		slow := b.kv.Add(faultkv.Rule{Op: faultkv.Response, Times: -1, Action: faultkv.Delay, Delay: 500 * time.Millisecond})
		far := b.kv.Add(faultkv.Rule{Op: faultkv.Range, Times: -1, Action: faultkv.Delay, Delay: 10 * time.Millisecond})
		pos := b.append("", producer())
		b.kv.Reset()
		began, waiting := time.Now(), make(chan error, 20)
		for range 20 {
			go func() {
				err := r.Barrier(t.Context())
				if err == nil {
					r.Read(func(s *state.State) {
						if s.Position() < pos {
							err = fmt.Errorf("passed at %d", s.Position())
						}
					})
				}
				waiting <- err
			}()
		}
		for range 20 {
			if err := <-waiting; err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(began); d < 400*time.Millisecond {
			t.Errorf("passed after %v", d)
		}
		reads := 0
		for _, line := range b.kv.Transcript() {
			if len(line) > 5 && line[:5] == "range" {
				reads++
			}
		}
		if reads > 2 { // one that was under way for the first, one for all who came meanwhile
			t.Errorf("%d reads of the head for 20 barriers", reads)
		}
		slow.Remove()
		far.Remove()
		// A caller that goes away, and an etcd that does not answer.
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		hang := b.kv.Add(faultkv.Rule{Op: faultkv.Range, Times: -1, Action: faultkv.Hang})
		if err := r.Barrier(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if err := r.Barrier(t.Context()); !errors.Is(err, view.ErrUnreachable) {
			t.Errorf("%v", err)
		}
		time.Sleep(2 * ttl)
		if h, _ := r.Health(); h != view.CutOff {
			t.Errorf("health %v", h)
		}
		hang.Remove()
		time.Sleep(2 * ttl)
		b.current(r)
	})
}

// Loading fails for a while: the reason is told, and the view recovers by itself.
func TestLoadRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		c := &checkpoints{states: map[int64]*state.State{}}
		b.checkpoint(c, true)
		b.append("", producer())
		away := errors.New("the bucket is away")
		c.fail = away
		r := b.start(c)
		defer r.stop(t)
		time.Sleep(time.Minute)
		if h, err := r.Health(); h != view.Loading || !errors.Is(err, away) {
			t.Errorf("health %v, %v", h, err)
		}
		c.mu.Lock()
		if c.loads < 10 || c.loads > 80 {
			t.Errorf("%d attempts in a minute", c.loads)
		}
		c.fail = nil
		c.mu.Unlock()
		time.Sleep(5 * time.Second)
		b.current(r)
	})
}

// What no repetition heals ends Run with the reason.
func TestStops(t *testing.T) {
	t.Run("rolled back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			var snap *memkv.Snapshot
			b.mem.Inspect(func(s *memkv.Store) { snap = s.Snapshot() })
			r := b.start(nil)
			<-r.Ready()
			for range 5 {
				b.append("", producer())
			}
			b.current(r)
			b.mem.Inspect(func(s *memkv.Store) { s.Restore(time.Now(), snap) })
			err := <-r.err
			if !errors.Is(err, journal.ErrRolledBack) {
				t.Fatalf("%v", err)
			}
			if h, why := r.Health(); h != view.Stopped || !errors.Is(why, journal.ErrRolledBack) {
				t.Errorf("health %v, %v", h, why)
			}
		})
	})
	t.Run("another etcd", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			r := b.start(nil)
			<-r.Ready()
			b.mem.Inspect(func(s *memkv.Store) { s.SetClusterID(77) })
			if err := <-r.err; !errors.Is(err, journal.ErrRolledBack) {
				t.Fatalf("%v", err)
			}
		})
	})
}

type wakes struct{ n atomic.Int32 }

func (w *wakes) wake() { w.n.Add(1) }

func (w *wakes) took() int { synctest.Wait(); return int(w.n.Swap(0)) }

// A poll wakes for its own partitions, once per entry, and not after it has left.
func TestSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r := b.start(nil)
		defer r.stop(t)
		b.append("", topic("one"), topic("two"))
		b.current(r)
		var p0, both, other wakes
		leave := r.Subscribe([]view.PartitionRef{{Topic: 1, Partition: 0}}, p0.wake)
		r.Subscribe([]view.PartitionRef{{Topic: 1, Partition: 0}, {Topic: 1, Partition: 1}}, both.wake)
		r.Subscribe([]view.PartitionRef{{Topic: 2, Partition: 0}}, other.wake)
		expect := func(what string, a, b, c int) {
			t.Helper()
			if x, y, z := p0.took(), both.took(), other.took(); x != a || y != b || z != c {
				t.Errorf("%s: woken %d %d %d times, want %d %d %d", what, x, y, z, a, b, c)
			}
		}
		b.append("", producer())
		b.current(r)
		expect("nothing appended", 0, 0, 0)
		b.append("xxxx", batch(1, 0, 4))
		b.current(r)
		expect("partition 0", 1, 1, 0)
		b.append("xxxx", batch(1, 0, 4), batch(1, 1, 4), batch(1, 0, 4))
		b.current(r)
		expect("both, in one entry", 1, 1, 0)
		b.append("", &pb.Command{Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: 2}}})
		b.current(r)
		expect("the topic deleted", 0, 0, 1)
		leave()
		leave()
		b.append("xxxx", batch(1, 0, 4))
		b.current(r)
		expect("after leaving", 0, 1, 0)
	})
}

type replaced struct{ times, applied int }

func (x *replaced) Applied(journal.Entry, *pb.Entry, *state.Results) { x.applied++ }
func (x *replaced) Replaced(*state.State)                            { x.times++ }

// A view that fell behind the trimmed part jumps: observers and all polls hear of it.
func TestJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		c := &checkpoints{states: map[int64]*state.State{}}
		o := &replaced{}
		r := b.start(c, o)
		defer r.stop(t)
		<-r.Ready()
		var w wakes
		r.Subscribe([]view.PartitionRef{{Topic: 1, Partition: 0}}, w.wake)
		b.kv.Add(faultkv.Rule{Op: faultkv.Response, Times: 1, Action: faultkv.Hang})
		b.append("", producer())
		b.append("", producer())
		b.checkpoint(c, true)
		b.append("", producer())
		time.Sleep(10 * time.Second)
		b.current(r)
		if o.times != 1 || o.applied != 2 || w.took() != 1 {
			t.Errorf("replaced %d times, %d entries heard of, woken %d times", o.times, o.applied, w.took())
		}
	})
}

// Inline bytes stay until an archive holds them, and then as long as there is room.
func TestInline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r := b.start(nil)
		defer r.stop(t)
		b.append("", topic("one"))
		var positions []int64
		data := string(make([]byte, 200<<10))
		for range 400 { // 80 MB
			positions = append(positions, b.append(data, batch(1, 0, len(data))))
		}
		b.current(r)
		for _, p := range positions {
			if len(r.Inline(p)) != len(data) {
				t.Fatalf("inline data of %d: %d bytes, with no archive", p, len(r.Inline(p)))
			}
		}
		mark := b.append("", &pb.Command{Kind: &pb.Command_Mark{Mark: &pb.Mark{}}})
		b.append("", &pb.Command{Kind: &pb.Command_Archived{Archived: &pb.Archived{To: mark, Session: int64(b.session), Head: 9, Size: 1 << 30}}})
		b.current(r)
		held := 0
		for i, p := range positions {
			if r.Inline(p) != nil {
				held += len(data)
			} else if i > 0 && r.Inline(positions[i-1]) != nil {
				t.Fatal("a younger one went before an older one")
			}
		}
		if held > 64<<20 || held < 60<<20 {
			t.Errorf("%d bytes held of what archives hold", held)
		}
		if r.Inline(mark) != nil || r.Inline(1<<40) != nil {
			t.Error("inline data from nowhere")
		}
	})
}
