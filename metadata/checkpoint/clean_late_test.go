package checkpoint

import (
	"context"
	"testing"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/mem"
)

// ownSession proposes nothing; it only knows who it is.
type ownSession layout.Session

func (s ownSession) Current() (layout.Session, int32, bool) { return layout.Session(s), 0, true }
func (s ownSession) Do(context.Context, *pb.Command, func(session.Outcome)) error {
	return session.ErrNotProposed
}

type emptyView struct{}

func (emptyView) Read(f func(*state.State)) { f(state.New()) }
func (emptyView) Freeze() *state.State      { return state.New() }
func (emptyView) EtcdCluster() uint64       { return 1 }

// A sweep that began in a session that is over goes on while the agent's next session makes a checkpoint. It does not
// know that checkpoint, and must leave it alone (found by the simulator: the root that the pointer names was deleted).
func TestCleanLeavesNewerCheckpointsAlone(t *testing.T) {
	const own = layout.Session(7)
	store := mem.New()
	j := NewSteps(JobOptions{Store: store, Objects: objectKeys, Session: ownSession(own)})
	j.Follow(emptyView{})
	write := func(head int64) string {
		t.Helper()
		data, err := encodeRoot(&pb.Root{Head: head, Position: head, Base: &pb.Base{}})
		if err != nil {
			t.Fatal(err)
		}
		key := objectKeys.Checkpoint(layout.Root, head, own, 0)
		if err := store.Put(t.Context(), key, objstore.NewBody(data)); err != nil {
			t.Fatal(err)
		}
		return key
	}
	left, known, newer := write(3), write(10), write(20)
	next := Written{Pointer: &pb.Pointer{Position: 10, Head: 10, Root: known, Kept: []*pb.KeptRoot{{Position: 10, Head: 10, Key: known}}}}
	again, err := j.Clean(t.Context(), nil, next, true)
	if err != nil || !again {
		t.Errorf("again is %t, error %v; the newer root is to be looked at again", again, err)
	}
	for key, want := range map[string]bool{left: false, known: true, newer: true} {
		if _, err := store.Get(t.Context(), key, 0, -1); (err == nil) != want {
			t.Errorf("%s is there: %t, want %t", key, err == nil, want)
		}
	}
}
