package view

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// script records what a core asks for, one word per effect.
type script struct {
	words    []string
	gen      uint64
	loadFrom int64
	outcomes map[uint64]error
	done     map[uint64]int
}

func (s *script) say(format string, args ...any) {
	s.words = append(s.words, fmt.Sprintf(format, args...))
}

func (s *script) Load(after, afterHead int64) {
	s.loadFrom = after
	s.say("load(%d,%d)", after, afterHead)
}
func (s *script) Watch(gen uint64, from int64) {
	s.gen = gen
	s.say("watch(%d)", from)
}
func (s *script) ReadHead()                         { s.say("head") }
func (s *script) Applying(journal.Entry, *pb.Entry) {}
func (s *script) Applied(e journal.Entry, _ *pb.Entry, _ *state.Results) {
	s.say("applied(%d)", e.Position)
}
func (s *script) Replaced()         { s.say("replaced") }
func (s *script) Stopped(err error) { s.say("stopped") }
func (s *script) BarrierDone(id uint64, err error) {
	s.outcomes[id] = err
	s.done[id]++
	if err != nil {
		s.say("failed(%d)", id)
		return
	}
	s.say("passed(%d)", id)
}

const (
	writer layout.Session = 0x77
	etcdID uint64         = 5
)

// past builds entries as one session appends them: entry i at position 10*i, the i-th of all.
func past(t testing.TB, n int) []journal.Entry {
	t.Helper()
	var list []journal.Entry
	for i := 1; i <= n; i++ {
		cmds := []*pb.Command{{Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{}}}}
		if i == 1 {
			cmds = []*pb.Command{
				{Kind: &pb.Command_InitCluster{InitCluster: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}}},
				{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}},
			}
		}
		value, err := proto.Marshal(&pb.Entry{AtMs: int64(i), Commands: cmds})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, journal.Entry{Position: int64(10 * i), Head: int64(i), Session: writer, Seq: uint64(i), Value: value})
	}
	return list
}

func replay(t testing.TB, entries []journal.Entry) *state.State {
	t.Helper()
	s := state.New()
	for _, e := range entries {
		d, err := state.Decode(e.Position, e.Session, e.Seq, e.Value)
		if err != nil {
			t.Fatal(err)
		}
		s.Apply(d)
	}
	return s
}

// rig steps a core by hand.
type rig struct {
	t   *testing.T
	out *script
	c   *Core
	now time.Duration
	all []journal.Entry
}

var limits = Limits{Behind: 300 * time.Millisecond, CutOff: 900 * time.Millisecond, Pulse: time.Second}

func newRig(t *testing.T, entries int) *rig {
	r := &rig{t: t, out: &script{outcomes: map[uint64]error{}, done: map[uint64]int{}}, all: past(t, entries)}
	r.c = NewCore(limits, r.out, &sync.Mutex{})
	r.c.Start(0)
	return r
}

// started has loaded the first n entries.
func started(t *testing.T, n, all int) *rig {
	r := newRig(t, all)
	r.loaded(n)
	r.out.words = nil
	return r
}

func (r *rig) anchor(n int) journal.Anchor {
	return journal.Anchor{Head: r.headAt(n)}
}

// headAt is the head when n entries were appended; etcd's revision is a little further.
func (r *rig) headAt(n int) journal.Head {
	return journal.Head{EtcdCluster: etcdID, Revision: int64(10*n + 3), Version: int64(n), Position: int64(10 * n)}
}

func (r *rig) loaded(n int) {
	first := int(r.c.Head())
	r.c.Loaded(r.now, Loaded{Anchor: r.anchor(n), Entries: r.all[first:n]})
}

func (r *rig) watch(entries ...journal.Entry) {
	r.c.WatchBatch(r.now, r.out.gen, journal.Batch{EtcdCluster: etcdID, Entries: entries})
}

func (r *rig) watchError(err error) {
	r.c.WatchBatch(r.now, r.out.gen, journal.Batch{Err: err})
}

func (r *rig) head(n int) { r.c.HeadRead(r.now, r.headAt(n), nil) }

func (r *rig) tick(after time.Duration) {
	r.now += after
	r.c.Tick(r.now)
}

// expect checks what was asked for since the last call.
func (r *rig) expect(want ...string) {
	r.t.Helper()
	if got := strings.Join(r.out.words, " "); got != strings.Join(want, " ") {
		r.t.Fatalf("effects: %q, want %q", got, strings.Join(want, " "))
	}
	r.out.words = nil
}

func (r *rig) health(want Health) {
	r.t.Helper()
	if h, err := r.c.Health(); h != want {
		r.t.Fatalf("health %v (%v), want %v", h, err, want)
	}
}

// same checks that State is that of a straight replay.
func (r *rig) same(n int) {
	r.t.Helper()
	want := replay(r.t, r.all[:n])
	if r.c.State().Digest() != want.Digest() || r.c.State().Position() != want.Position() || r.c.Head() != int64(n) {
		r.t.Fatalf("position %d, head %d: not the state of %d entries", r.c.State().Position(), r.c.Head(), n)
	}
}

func (r *rig) stopped(target error) {
	r.t.Helper()
	h, err := r.c.Health()
	if h != Stopped || !errors.Is(err, target) {
		r.t.Fatalf("health %v: %v, want stopped by %v", h, err, target)
	}
}

func TestStart(t *testing.T) {
	r := newRig(t, 5)
	r.expect("load(0,0)")
	r.health(Loading)
	r.loaded(3)
	r.expect("applied(10)", "applied(20)", "applied(30)", "watch(34)")
	r.health(Current)
	r.same(3)
	r.watch(r.all[3], r.all[4])
	r.expect("applied(40)", "applied(50)")
	r.same(5)
}

// Lost, late, repeated and reordered watch events (DESIGN section 3, "Views").
func TestWatchEvents(t *testing.T) {
	t.Run("repeated", func(t *testing.T) {
		r := started(t, 2, 5)
		r.watch(r.all[2])
		r.watch(r.all[1], r.all[2], r.all[3])
		r.watch(r.all[3])
		r.expect("applied(30)", "applied(40)")
		r.same(4)
	})
	t.Run("lost", func(t *testing.T) {
		r := started(t, 2, 5)
		r.watch(r.all[3])
		r.expect("load(20,2)")
		r.watch(r.all[2], r.all[3]) // of the watch that was given up
		r.expect()
		r.same(2)
		r.loaded(4)
		r.expect("applied(30)", "applied(40)", "watch(44)")
		r.same(4)
	})
	t.Run("reordered", func(t *testing.T) {
		r := started(t, 2, 5)
		r.watch(r.all[3], r.all[2])
		r.expect("load(20,2)")
		r.loaded(5)
		r.same(5)
	})
	t.Run("late", func(t *testing.T) {
		r := started(t, 2, 5)
		old := r.out.gen
		r.watchError(kv.ErrUnavailable)
		r.tick(time.Second)
		r.expect("watch(21)", "head")
		r.c.WatchBatch(r.now, old, journal.Batch{Entries: r.all[2:3]})
		r.expect()
		r.watch(r.all[2])
		r.expect("applied(30)")
	})
	t.Run("half a gap", func(t *testing.T) {
		// The entries before the hole count, those behind it do not.
		r := started(t, 1, 5)
		r.watch(r.all[1], r.all[3])
		r.expect("applied(20)", "load(20,2)")
		r.same(2)
	})
	t.Run("the pairing broke", func(t *testing.T) {
		r := started(t, 2, 3)
		r.watchError(fmt.Errorf("revision 30: %w", journal.ErrGap))
		r.expect("load(20,2)")
	})
}

// After a gap nothing is answered before the journal was read again.
func TestGapHoldsBarriers(t *testing.T) {
	r := started(t, 2, 5)
	r.c.Barrier(r.now, 1)
	r.expect("head")
	r.watch(r.all[3])
	r.expect("load(20,2)")
	r.head(2) // the barrier's read was before the entries that are missing: its own target is applied
	r.expect()
	r.c.Barrier(r.now, 2)
	r.head(4)
	r.loaded(4)
	r.expect("head", "applied(30)", "applied(40)", "watch(44)", "passed(1)", "passed(2)")
}

func TestBarrier(t *testing.T) {
	t.Run("waits for the head's entry", func(t *testing.T) {
		r := started(t, 2, 5)
		r.c.Barrier(r.now, 1)
		r.head(4)
		r.expect("head")
		r.watch(r.all[2])
		r.expect("applied(30)")
		r.watch(r.all[3])
		r.expect("applied(40)", "passed(1)")
	})
	t.Run("a read under way proves nothing", func(t *testing.T) {
		r := started(t, 2, 5)
		r.c.Barrier(r.now, 1)
		r.c.Barrier(r.now, 2)
		r.c.Barrier(r.now, 3)
		r.expect("head")
		r.head(2) // may have been read before 2 and 3 were asked for
		r.expect("passed(1)", "head")
		r.head(2)
		r.expect("passed(2)", "passed(3)") // one read for both
	})
	t.Run("dropped", func(t *testing.T) {
		r := started(t, 2, 5)
		r.c.Barrier(r.now, 1)
		r.c.Barrier(r.now, 2)
		r.c.DropBarrier(1)
		r.c.DropBarrier(2)
		r.head(4)
		r.c.DropBarrier(3)
		r.watch(r.all[2], r.all[3])
		if len(r.out.done) != 0 {
			t.Fatalf("ended: %v", r.out.done)
		}
		r.c.Barrier(r.now, 4)
		r.head(5)
		r.c.DropBarrier(4)
		r.watch(r.all[4])
		if len(r.out.done) != 0 {
			t.Fatalf("ended: %v", r.out.done)
		}
	})
	t.Run("read fails", func(t *testing.T) {
		r := started(t, 2, 5)
		r.c.Barrier(r.now, 1)
		r.c.Barrier(r.now, 2)
		r.c.HeadRead(r.now, journal.Head{}, kv.ErrUnavailable)
		r.expect("head", "failed(1)", "head")
		if !errors.Is(r.out.outcomes[1], ErrUnreachable) || !errors.Is(r.out.outcomes[1], kv.ErrUnavailable) {
			t.Errorf("%v", r.out.outcomes[1])
		}
		r.head(2)
		r.expect("passed(2)")
	})
	t.Run("while loading", func(t *testing.T) {
		r := newRig(t, 3)
		r.c.Barrier(r.now, 1)
		r.head(2)
		r.expect("load(0,0)", "head")
		r.loaded(3)
		r.expect("applied(10)", "applied(20)", "applied(30)", "watch(34)", "passed(1)")
	})
	t.Run("of a stopped view", func(t *testing.T) {
		r := started(t, 2, 2)
		r.c.Barrier(r.now, 1)
		r.watchError(kv.ErrFuture)
		r.c.Barrier(r.now, 2)
		r.expect("head", "failed(1)", "stopped", "failed(2)")
	})
}

// The head's answer is as old as the read: what was applied since it began may be newer, and is no rollback.
func TestHeadReadIsOvertaken(t *testing.T) {
	r := started(t, 2, 5)
	r.c.Barrier(r.now, 1)
	r.watch(r.all[2], r.all[3]) // appended after the read was answered, delivered before the answer
	r.head(2)
	r.health(Current)
	r.expect("head", "applied(30)", "applied(40)", "passed(1)")
	r.same(4)
}

func TestRollback(t *testing.T) {
	cases := map[string]func(r *rig){
		"head counts less": func(r *rig) { r.head(3) },
		"revision below": func(r *rig) {
			h := r.headAt(4)
			h.Revision = 39
			r.c.HeadRead(r.now, h, nil)
		},
		"another etcd": func(r *rig) {
			h := r.headAt(4)
			h.EtcdCluster++
			r.c.HeadRead(r.now, h, nil)
		},
		"watch from the future": func(r *rig) { r.watchError(fmt.Errorf("watch: %w", kv.ErrFuture)) },
		"at a reload": func(r *rig) {
			r.watchError(kv.ErrCompacted)
			r.c.Loaded(r.now, Loaded{Anchor: r.anchor(3)})
		},
		"another etcd at a reload": func(r *rig) {
			r.watchError(kv.ErrCompacted)
			a := r.anchor(4)
			a.Head.EtcdCluster++
			r.c.Loaded(r.now, Loaded{Anchor: a})
		},
		"checkpoint older than State": func(r *rig) {
			r.watchError(kv.ErrCompacted)
			r.c.Loaded(r.now, Loaded{Anchor: r.anchor(4), State: replay(r.t, r.all[:3]), Head: 3})
		},
		"the listing found less": func(r *rig) {
			r.watchError(kv.ErrCompacted)
			r.c.LoadFailed(r.now, fmt.Errorf("since: %w", journal.ErrRolledBack))
		},
	}
	for name, f := range cases {
		t.Run(name, func(t *testing.T) {
			r := started(t, 4, 5)
			r.c.Barrier(r.now, 7)
			f(r)
			r.stopped(journal.ErrRolledBack)
			if r.out.done[7] != 1 || !errors.Is(r.out.outcomes[7], journal.ErrRolledBack) {
				t.Errorf("the barrier: %d, %v", r.out.done[7], r.out.outcomes[7])
			}
			_, err := r.c.Health()
			if !strings.Contains(err.Error(), "rolled back") || !strings.Contains(err.Error(), "`wadi recover`") {
				t.Errorf("the sentence: %v", err)
			}
			r.out.words = nil
			r.watch(r.all[4]) // nothing goes on
			r.tick(time.Minute)
			r.loaded(4)
			r.c.LoadFailed(r.now, errors.New("late"))
			r.head(4)
			r.expect()
			r.same(4)
		})
	}
}

func TestBehind(t *testing.T) {
	r := started(t, 2, 6)
	r.c.Barrier(r.now, 1)
	r.head(3)
	r.tick(limits.Behind)
	r.health(Current)
	r.expect("head")
	r.tick(1)
	r.health(Behind)
	r.expect("watch(21)")
	r.tick(limits.Behind - 1)
	r.expect()
	r.tick(2)
	r.expect("load(20,2)")
	r.health(Behind)
	r.loaded(2) // the entry is still not there; what came behind it neither
	r.expect("watch(24)")
	r.health(Behind)
	r.tick(1)
	r.expect()
	r.tick(limits.Behind) // and once more, no sooner
	r.expect("load(20,2)")
	r.loaded(4)
	r.expect("applied(30)", "applied(40)", "watch(44)", "passed(1)")
	r.health(Current)
}

func TestPulseAndCutOff(t *testing.T) {
	r := started(t, 2, 2)
	r.tick(limits.Pulse)
	r.expect("head")
	r.tick(limits.Pulse)
	r.expect() // one read at a time
	r.health(CutOff)
	r.c.HeadRead(r.now, journal.Head{}, kv.ErrUnavailable)
	r.expect("head")
	r.health(CutOff)
	r.head(2)
	r.health(Current)
	r.tick(limits.Pulse / 2)
	r.expect()
	r.tick(limits.Pulse)
	r.expect("head")
}

// A compacted watch keeps State when it is newer than the checkpoint; else State is replaced.
func TestCompactedWatch(t *testing.T) {
	r := started(t, 2, 6)
	r.watchError(fmt.Errorf("watch: %w", kv.ErrCompacted))
	r.expect("load(20,2)")
	r.loaded(3)
	r.expect("applied(30)", "watch(34)")
	r.watchError(fmt.Errorf("watch: %w", kv.ErrCompacted))
	r.c.Loaded(r.now, Loaded{Anchor: r.anchor(6), State: replay(t, r.all[:5]), Head: 5, Entries: r.all[5:6]})
	r.expect("load(30,3)", "replaced", "applied(60)", "watch(64)")
	r.same(6)
}

func TestLoadFailures(t *testing.T) {
	r := newRig(t, 3)
	r.expect("load(0,0)")
	var waited []time.Duration
	for range 9 {
		r.c.LoadFailed(r.now, kv.ErrUnavailable)
		began := r.now
		for len(r.out.words) == 0 {
			r.tick(10 * time.Millisecond)
		}
		r.expect("load(0,0)")
		waited = append(waited, r.now-began)
	}
	if !slices.IsSorted(waited) || waited[0] > 200*time.Millisecond || waited[8] > 5*time.Second || waited[8] < time.Second {
		t.Errorf("pauses %v", waited)
	}
	r.loaded(3)
	r.health(Current)
	r.same(3)
	// Once caught up, a failed reload goes on by the watch, which finds out whether it is still needed.
	r.out.words = nil
	r.watchError(journal.ErrGap)
	r.c.LoadFailed(r.now, journal.ErrGap)
	r.tick(time.Second)
	r.expect("load(30,3)", "watch(31)")
}

func TestPermanentFailures(t *testing.T) {
	for _, target := range []error{journal.ErrRolledBack, state.ErrUndecodable, state.ErrBase} {
		r := newRig(t, 3)
		r.c.LoadFailed(r.now, fmt.Errorf("load: %w", target))
		r.stopped(target)
	}
	r := started(t, 2, 3)
	bad := r.all[2]
	bad.Value = []byte("not an entry")
	r.watch(bad)
	r.stopped(state.ErrUndecodable)
	r.same(2)
}

func TestVoid(t *testing.T) {
	r := newRig(t, 4)
	a := r.anchor(4)
	a.Voids = map[int64]bool{30: true}
	r.c.Loaded(r.now, Loaded{Anchor: a, Entries: r.all})
	r.health(Current)
	want := replay(t, r.all[:2])
	want.Void(30)
	d, err := state.Decode(r.all[3].Position, r.all[3].Session, r.all[3].Seq, r.all[3].Value)
	if err != nil {
		t.Fatal(err)
	}
	want.Apply(d)
	if r.c.State().Digest() != want.Digest() || r.c.Head() != 4 {
		t.Error("the voided entry was not passed over")
	}
}
