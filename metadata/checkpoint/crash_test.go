package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/kv"
	"wadi/metadata/kv/faultkv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
)

// jobCall picks the calls that checkpoints make of etcd.
func jobCall(c faultkv.Call) bool {
	switch c.Op {
	case faultkv.Compact:
		return true
	case faultkv.Range: // the listing for an archive, or for a trim
		return c.Range.End == etcdKeys.Head()
	case faultkv.Txn:
		for _, op := range c.Txn.Then {
			switch {
			case op.Key == etcdKeys.Job(jobName), op.Key == etcdKeys.Checkpoint() && op.Kind == kv.OpPut, op.Kind == kv.OpDelete,
				strings.HasPrefix(op.Key, etcdKeys.DigestsPrefix()):
				return true
			}
			if _, _, err := etcdKeys.ParseEntry(op.Key); err == nil && op.Kind == kv.OpPut {
				e := &pb.Entry{}
				if proto.Unmarshal(op.Value, e) == nil && len(e.Commands) > 0 &&
					(e.Commands[0].GetMark() != nil || e.Commands[0].GetArchived() != nil) {
					return true
				}
			}
		}
	}
	return false
}

// cell is one kind of fault of the matrix.
type cell struct {
	name  string
	dies  bool
	store func(die func()) fault.Effect
	kv    faultkv.Action
}

var errDead = errors.New("the agent died here")

var cells = []cell{
	{name: "store fails before", store: func(func()) fault.Effect { return fault.FailBefore(nil) }},
	{name: "store fails after", store: func(func()) fault.Effect { return fault.FailAfter(nil) }},
	{name: "dies before a store call", dies: true, store: func(die func()) fault.Effect {
		return fault.Hook(func(context.Context, fault.Call) error { die(); return errDead }, nil)
	}},
	{name: "dies after a store call", dies: true, store: func(die func()) fault.Effect {
		return fault.Hook(nil, func(context.Context, fault.Call) error { die(); return errDead })
	}},
	{name: "etcd fails before", kv: faultkv.FailBefore},
	{name: "etcd's answer is lost", kv: faultkv.LoseAnswer},
	{name: "dies before an etcd call", dies: true, kv: faultkv.FailBefore},
	{name: "dies after an etcd call", dies: true, kv: faultkv.LoseAnswer},
}

// TestCrashMatrix lets the nth call of a row of checkpoints fail, or be where the agent dies, before its effect and
// after it, until there is no nth call. Afterwards a fresh view loads what a straight replay leads to, a fresh job goes
// on, and no inline data is lost.
func TestCrashMatrix(t *testing.T) {
	for _, c := range cells {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				fired := false
				synctest.Test(t, func(t *testing.T) { fired = c.run(t, n) })
				if t.Failed() {
					t.Fatalf("at call %d", n)
				}
				if !fired {
					if n < 20 {
						t.Errorf("only %d calls", n-1)
					}
					return
				}
			}
		})
	}
}

func (c cell) run(t *testing.T, n int) (fired bool) {
	w := newWorld(t)
	objects, k := fault.New(w.objects), faultkv.New(w.kv.Client())
	k.Add(faultkv.Rule{Op: faultkv.Revoke, Times: -1, Action: faultkv.FailBefore}) // who dies revokes nothing
	var a *agent
	die := func() {
		if c.dies {
			a.cancel()
		}
	}
	var hits func() int
	if c.store != nil {
		hits = objects.Script(fault.Fault{Nth: n, Do: c.store(die)}).Fired
	} else {
		seen, hit := 0, 0
		match := func(call faultkv.Call) bool {
			if !jobCall(call) {
				return false
			}
			if seen++; seen != n {
				return false
			}
			hit++
			if c.kv == faultkv.FailBefore {
				die()
			} else if c.dies {
				go func() { time.Sleep(time.Nanosecond); die() }()
			}
			return true
		}
		for _, op := range []faultkv.Op{faultkv.Txn, faultkv.Range, faultkv.Compact} {
			k.Add(faultkv.Rule{Op: op, Times: -1, Action: c.kv, Match: match})
		}
		hits = func() int { return hit }
	}
	a = startAgent(t, k, objects, quick())
	data := written{}
	a.open()
	topic := a.topic("t")
	for i := 0; i < 12 && a.ctx.Err() == nil; i++ {
		a.inline(data, topic, fmt.Sprintf("%d %s", i, strings.Repeat("x", 2000)))
		time.Sleep(1100 * time.Millisecond)
	}
	a.stop()
	w.aftermath(t, data)
	return hits() > 0
}

// aftermath starts a fresh agent and checks everything.
func (w *world) aftermath(t *testing.T, data written) {
	t.Helper()
	w.past.audit(w.kv, w.objects)
	var objects objstore.Store = w.objects
	b := startAgent(t, w.kv, objects, quick())
	defer b.stop()
	own := b.open()
	time.Sleep(ttl + time.Second) // the dead one's lease, and with it the job
	var dead []layout.Session
	b.view.Read(func(s *state.State) {
		s.EachSession(func(id layout.Session, v state.Session) {
			if id != own && v.Closed == 0 {
				dead = append(dead, id)
			}
		})
	})
	for _, id := range dead {
		b.do(&pb.Command{Kind: &pb.Command_CloseSession{CloseSession: &pb.CloseSession{Session: int64(id)}}})
	}
	b.inline(data, b.topic("t"), "after")
	if err := b.view.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.past.catchUp()
	b.view.Read(func(s *state.State) {
		if s.Digest() != w.past.digests[s.Position()] {
			t.Fatalf("the fresh view is not at the straight replay's digest at %d", s.Position())
		}
	})
	data.readable(b)
	time.Sleep(5 * time.Second)
	b.inline(data, b.topic("t"), "after that") // another checkpoint, after the dead one's session was closed
	time.Sleep(5 * time.Second)
	root := w.past.audit(w.kv, w.objects)
	b.view.Read(func(s *state.State) {
		if root == nil || s.InlineOutstanding() != 0 || s.ArchivedTo() != root.Position || len(s.PendingMarks()) != 0 {
			t.Fatalf("no complete checkpoint: %v, %d bytes outstanding, marks %v", root, s.InlineOutstanding(), s.PendingMarks())
		}
	})
	w.trimmedTo(t, pointerOf(t, w.kv).TrimPosition)
	w.noOrphans(t, b)
	data.readable(b)
}
