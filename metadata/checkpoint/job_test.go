package checkpoint

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	"wadi/metadata/kv/faultkv"
	"wadi/metadata/kv/memkv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
)

// Checkpoint after checkpoint: the archives hold every entry, each root leads to the digest of a straight replay, the
// journal is trimmed to the checkpoint before, old roots go, and inline data stays readable.
func TestCheckpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := startAgent(t, w.kv, w.objects, quick())
		defer a.stop()
		a.open()
		topic := a.topic("t")
		data := written{}
		bases := map[int64]bool{}
		var seen []*pb.Pointer
		for i := range 300 {
			a.inline(data, topic, fmt.Sprintf("%d %s", i, strings.Repeat("x", 200)))
			time.Sleep(50 * time.Millisecond)
			if root := w.past.audit(w.kv, w.objects); root != nil {
				bases[root.Base.Position] = true
				if p := pointerOf(t, w.kv); len(seen) == 0 || seen[len(seen)-1].Position != p.Position {
					seen = append(seen, p)
				}
			}
		}
		if len(seen) < 6 || len(bases) < 2 || len(bases) >= len(seen) {
			t.Fatalf("%d checkpoints, %d bases", len(seen), len(bases))
		}
		for i, p := range seen {
			var trim, compact int64
			if i > 0 {
				trim = seen[i-1].Position
			}
			if i > 1 {
				compact = seen[i-2].Position
			}
			if p.TrimPosition != trim || p.CompactRevision != compact || len(p.Kept) != min(i+1, 3) {
				t.Errorf("checkpoint %d: trim %d, want %d; compact %d, want %d; %d roots kept",
					i, p.TrimPosition, trim, p.CompactRevision, compact, len(p.Kept))
			}
		}
		time.Sleep(4 * time.Second) // the last one
		root := w.past.audit(w.kv, w.objects)
		p := pointerOf(t, w.kv)
		w.trimmedTo(t, p.TrimPosition)
		w.kv.Inspect(func(s *memkv.Store) {
			if s.CompactRevision() != p.CompactRevision {
				t.Errorf("compacted at %d, want %d", s.CompactRevision(), p.CompactRevision)
			}
		})
		// What the three kept roots and the runs need is there and nothing else is.
		want := map[string]bool{}
		for _, k := range p.Kept {
			r, err := ReadRoot(t.Context(), w.objects, k.Key)
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range objectsOf(k.Key, r) {
				want[key] = true
			}
		}
		a.view.Read(func(s *state.State) {
			s.EachObject(func(_ uint64, o state.Object) { want[o.Key(objectKeys)] = true })
			if s.ArchivedTo() != root.Position || s.InlineOutstanding() != 0 {
				t.Errorf("archived to %d of %d, %d bytes outstanding", s.ArchivedTo(), root.Position, s.InlineOutstanding())
			}
		})
		for _, key := range bucketKeys(t, w.objects) {
			if !want[key] {
				t.Errorf("%s is needed by nobody", key)
			}
			delete(want, key)
		}
		for key := range want {
			t.Errorf("%s is missing", key)
		}
		b := startAgent(t, w.kv, w.objects, quick())
		defer b.stop()
		b.open()
		data.readable(b)
	})
}

// trimmedTo checks that exactly the entries behind a position are in etcd.
func (w *world) trimmedTo(t *testing.T, position int64) {
	t.Helper()
	var have []string
	w.kv.Inspect(func(s *memkv.Store) {
		for _, k := range s.Keys() {
			if strings.HasPrefix(k, etcdKeys.JournalPrefix()) && k != etcdKeys.Head() {
				have = append(have, k)
			}
		}
	})
	w.past.catchUp()
	var want []string
	for _, e := range w.past.entries {
		if e.Position > position {
			want = append(want, etcdKeys.Entry(e.Session, e.Seq))
		}
	}
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("etcd has %d entries, want the %d behind %d", len(have), len(want), position)
	}
}

// An idle cluster: after its last checkpoint the job neither asks the object store for anything nor writes to etcd.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		objects := fault.New(w.objects)
		a := startAgent(t, w.kv, objects, quick())
		b := startAgent(t, w.kv, objects, quick())
		defer a.stop()
		defer b.stop()
		a.open()
		b.open()
		a.topic("t")
		time.Sleep(10 * time.Second)
		if pointerOf(t, w.kv) == nil {
			t.Fatal("no checkpoint")
		}
		rev := func() (n int64) { w.kv.Inspect(func(s *memkv.Store) { n = s.Revision() }); return n }
		calls, revision := objects.Calls(), rev()
		time.Sleep(10 * time.Minute)
		if objects.Calls() != calls || rev() != revision {
			t.Errorf("%d object requests and %d etcd writes in 10 idle minutes", objects.Calls()-calls, rev()-revision)
		}
	})
}

// Two agents: the job moves with the lease, the new holder knows what is left to do, and what the old one left behind goes.
func TestTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		objects := fault.New(w.objects)
		a := startAgent(t, w.kv, objects, quick())
		a.open()
		topic := a.topic("t")
		b := startAgent(t, w.kv, w.objects, quick())
		defer b.stop()
		b.open()
		data := written{}
		for range 40 {
			a.inline(data, topic, strings.Repeat("a", 300))
			time.Sleep(100 * time.Millisecond)
		}
		first := pointerOf(t, w.kv)
		if first == nil {
			t.Fatal("no checkpoint")
		}
		// The holder's roots do not come through any more: archives without a root.
		objects.Script(fault.Fault{Op: fault.Put, Key: "/root/", Times: -1, Do: fault.FailBefore(nil)})
		for range 60 {
			a.inline(data, topic, strings.Repeat("b", 300))
			time.Sleep(100 * time.Millisecond)
		}
		old, _, _ := a.session.Current()
		a.stop()
		time.Sleep(8 * time.Second)
		b.do(&pb.Command{Kind: &pb.Command_CloseSession{CloseSession: &pb.CloseSession{Session: int64(old)}}})
		time.Sleep(8 * time.Second)
		root := w.past.audit(w.kv, w.objects)
		if root.Position <= first.Position {
			t.Fatal("no checkpoint by the second agent")
		}
		b.view.Read(func(s *state.State) {
			if s.InlineOutstanding() != 0 || len(s.PendingMarks()) != 0 {
				t.Errorf("%d bytes outstanding, marks %v", s.InlineOutstanding(), s.PendingMarks())
			}
		})
		w.noOrphans(t, b)
		data.readable(b)
	})
}

// The holder lives but its way to the object store does not: another agent gets the job, and keeps it.
func TestHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		objects := fault.New(w.objects)
		a := startAgent(t, w.kv, objects, quick())
		defer a.stop()
		a.open()
		topic := a.topic("t")
		data := written{}
		a.inline(data, topic, "one")
		time.Sleep(5 * time.Second)
		b := startAgent(t, w.kv, w.objects, quick())
		defer b.stop()
		b.open()
		objects.Script(fault.Fault{Op: fault.Put, Times: -1, Do: fault.FailBefore(nil)})
		first := pointerOf(t, w.kv)
		for range 60 {
			b.inline(data, topic, "two")
			time.Sleep(time.Second)
		}
		p := pointerOf(t, w.kv)
		if p.Position == first.Position {
			t.Fatal("no checkpoint since the holder's store is away")
		}
		own, _, _ := b.session.Current()
		if name, err := objectKeys.ParseCheckpoint(p.Root); err != nil || name.Session != own {
			t.Errorf("the last root is %s, the second agent is %v", p.Root, own)
		}
		w.past.audit(w.kv, w.objects)
		time.Sleep(5 * time.Second)
		b.view.Read(func(s *state.State) {
			if s.InlineOutstanding() != 0 {
				t.Errorf("%d bytes outstanding", s.InlineOutstanding())
			}
		})
		data.readable(b)
	})
}

// noOrphans checks that every checkpoint object is one that a kept root or a run needs.
func (w *world) noOrphans(t *testing.T, a *agent) {
	t.Helper()
	want := map[string]bool{}
	for _, k := range pointerOf(t, w.kv).Kept {
		r, err := ReadRoot(t.Context(), w.objects, k.Key)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range objectsOf(k.Key, r) {
			want[key] = true
		}
	}
	a.view.Read(func(s *state.State) {
		s.EachObject(func(_ uint64, o state.Object) { want[o.Key(objectKeys)] = true })
	})
	for _, key := range bucketKeys(t, w.objects) {
		if !want[key] {
			t.Errorf("%s is needed by nobody", key)
		}
	}
}

// A holder died between its pointer and its Archived: the next one proposes it before anything else.
func TestMissingArchivedIsProposed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		k := faultkv.New(w.kv)
		a := startAgent(t, k, w.objects, quick())
		a.open()
		topic := a.topic("t")
		data := written{}
		a.inline(data, topic, "inline")
		// After the pointer nothing more gets into the journal.
		moved := false
		k.Add(faultkv.Rule{Op: faultkv.Txn, Times: -1, Action: faultkv.FailBefore, Match: func(c faultkv.Call) bool {
			for _, op := range c.Txn.Then {
				if moved && op.Key == etcdKeys.Head() {
					return true
				}
				moved = moved || op.Key == etcdKeys.Checkpoint() && len(op.Value) > 0
			}
			return false
		}})
		time.Sleep(4 * time.Second)
		if pointerOf(t, w.kv) == nil {
			t.Fatal("no checkpoint")
		}
		a.view.Read(func(s *state.State) {
			if s.ArchivedTo() != 0 {
				t.Fatal("the Archived came through")
			}
		})
		a.stop()
		b := startAgent(t, w.kv, w.objects, Limits{
			JournalBytes: 1 << 30, Interval: time.Hour, BaseBytes: 1 << 30, KeepRoots: 3, Retry: time.Second, TrimPause: 10 * time.Millisecond,
		})
		defer b.stop()
		b.open()
		data.readable(b) // State has no archive for it yet, the root loaded has
		time.Sleep(2 * time.Second)
		b.view.Read(func(s *state.State) {
			if p := pointerOf(t, w.kv).Position; s.ArchivedTo() != p {
				t.Errorf("archived to %d, the checkpoint is at %d", s.ArchivedTo(), p)
			}
		})
		data.readable(b)
	})
}

// The answer to a step of a session that is over moves nothing: not with the old holder's pointer, not with the new one's.
func TestAnswerOfALostSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		objects := fault.New(w.objects)
		a := startAgent(t, w.kv, objects, quick())
		defer a.stop()
		first := a.open()
		topic := a.topic("t")
		data := written{}
		a.inline(data, topic, "one")
		time.Sleep(4 * time.Second)
		// The root of the next checkpoint hangs while the session is replaced and goes on.
		release := make(chan struct{})
		h := objects.Script(fault.Fault{Op: fault.Put, Key: "/root/", Do: fault.Hook(func(ctx context.Context, _ fault.Call) error {
			<-release
			return nil
		}, nil)})
		a.inline(data, topic, "two")
		time.Sleep(4 * time.Second)
		if h.Fired() != 1 {
			t.Fatal("nothing hangs")
		}
		if err := w.kv.Revoke(t.Context(), int64(first)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if second := a.open(); second == first {
			t.Fatal("the session was not replaced")
		}
		a.inline(data, topic, "three")
		time.Sleep(10 * time.Second)
		p := pointerOf(t, w.kv)
		close(release)
		time.Sleep(10 * time.Second)
		if now := pointerOf(t, w.kv); now.Position < p.Position {
			t.Fatalf("the pointer went back from %d to %d", p.Position, now.Position)
		}
		w.past.audit(w.kv, w.objects)
		data.readable(a)
	})
}

// The object store is away for long: attempts become rare, and share one archive when it is back.
func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		objects := fault.New(w.objects)
		limits := quick()
		limits.Interval = 10 * time.Second
		a := startAgent(t, w.kv, objects, limits)
		defer a.stop()
		a.open()
		topic := a.topic("t")
		data := written{}
		a.inline(data, topic, "one")
		away := objects.Script(fault.Fault{Op: fault.Put, Times: -1, Do: fault.FailBefore(objstore.ErrThrottled)})
		time.Sleep(10 * time.Minute)
		marks := 0
		a.view.Read(func(s *state.State) { marks = len(s.PendingMarks()) })
		if n := away.Fired(); marks < 30 || marks > 90 || n > marks {
			t.Errorf("%d marks and %d requests in ten minutes", marks, n)
		}
		away.Disarm()
		time.Sleep(30 * time.Second)
		root := w.past.audit(w.kv, w.objects)
		if root == nil || len(root.Archives) != 1 {
			t.Fatalf("root %v", root)
		}
		data.readable(a)
		a.view.Read(func(s *state.State) {
			if len(s.PendingMarks()) != 0 || s.InlineOutstanding() != 0 {
				t.Errorf("marks %v, %d bytes outstanding", s.PendingMarks(), s.InlineOutstanding())
			}
		})
	})
}

// Sessions of others: what an unknown or a live session wrote is not touched.
func TestCleanTouchesOwnAndClosedOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		put := func(s layout.Session, n int64) string {
			key := objectKeys.Checkpoint(layout.Archive, n, s, 0)
			if err := w.objects.Put(t.Context(), key, objstore.NewBody([]byte("x"))); err != nil {
				t.Fatal(err)
			}
			return key
		}
		b := startAgent(t, w.kv, w.objects, Limits{Interval: time.Hour, JournalBytes: 1 << 40, Retry: time.Hour, TrimPause: time.Hour})
		live := b.open()
		c := startAgent(t, w.kv, w.objects, Limits{Interval: time.Hour, JournalBytes: 1 << 40, Retry: time.Hour, TrimPause: time.Hour})
		closed := c.open()
		c.stop()
		b.do(&pb.Command{Kind: &pb.Command_CloseSession{CloseSession: &pb.CloseSession{Session: int64(closed)}}})
		unknownKey, liveKey, closedKey := put(99, 1), put(live, 1), put(closed, 1)
		// The job is free; its session lives.
		if _, err := w.kv.Txn(t.Context(), kv.Txn{Then: []kv.Op{kv.Delete(etcdKeys.Job(jobName))}}); err != nil {
			t.Fatal(err)
		}
		a := startAgent(t, w.kv, w.objects, quick())
		a.open()
		time.Sleep(5 * time.Second)
		keys := bucketKeys(t, w.objects)
		if !slices.Contains(keys, unknownKey) || !slices.Contains(keys, liveKey) || slices.Contains(keys, closedKey) {
			t.Errorf("left: %v", keys)
		}
		a.stop()
		b.stop()
	})
}

// Trimming deletes nothing behind the position, in whatever order sessions and sequences lie, and resumes where it was.
func TestTrim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		jrnl := journal.New(w.kv, etcdKeys)
		var sessions []layout.Session
		revs := map[layout.Session]int64{}
		for range 150 {
			lease, err := w.kv.Grant(t.Context(), 3600)
			if err != nil {
				t.Fatal(err)
			}
			id := layout.Session(lease)
			sessions = append(sessions, id)
			revs[id] = registerSession(t, w.kv, id)
		}
		var positions []int64
		for seq := uint64(1); seq <= 12; seq++ {
			for _, id := range sessions {
				pos, err := jrnl.Append(t.Context(), journal.Append{Session: id, Revision: revs[id], Seq: seq, Value: []byte{0x08, 1}})
				if err != nil {
					t.Fatal(err)
				}
				positions = append(positions, pos)
			}
		}
		k := faultkv.New(w.kv)
		j := NewSteps(JobOptions{KV: k, Keys: etcdKeys})
		j.hold.job.Revision = 0 // nobody has the job: its key does not exist
		target := positions[len(positions)*2/3+70]
		steps := 0
		for more := true; more; steps++ {
			var err error
			if more, err = j.Trim(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			if steps > 100 {
				t.Fatal("no end")
			}
		}
		var left []int64
		anchor, err := jrnl.Anchor(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := int64(slices.Index(positions, target) + 1)
		rest, err := jrnl.Since(t.Context(), anchor, target, n)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range rest {
			left = append(left, e.Position)
		}
		if !slices.Equal(left, positions[n:]) {
			t.Errorf("%d entries left, want %d", len(left), len(positions)-int(n))
		}
		w.kv.Inspect(func(s *memkv.Store) {
			entries := 0
			for _, key := range s.Keys() {
				if _, _, err := etcdKeys.ParseEntry(key); err == nil {
					entries++
				}
			}
			if entries != len(left) {
				t.Errorf("%d entries in etcd, %d behind the position", entries, len(left))
			}
		})
		ranges := 0
		for _, line := range k.Transcript() {
			if strings.HasPrefix(line, "range") {
				ranges++
			}
		}
		if ranges > 4*len(sessions) {
			t.Errorf("%d listings for %d sessions", ranges, len(sessions))
		}
		// Not the holder any more: nothing goes.
		j.hold.job.Revision = 12345
		if _, err := j.Trim(t.Context(), positions[len(positions)-1]); err == nil {
			t.Error("trimmed without the job")
		}
	})
}
