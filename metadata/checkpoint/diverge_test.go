package checkpoint

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/kv"
	"wadi/metadata/kv/memkv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

func TestOwnDigests(t *testing.T) {
	var own ownDigests
	digest := func(n int64) (d state.Digest) { d[0] = byte(n); return d }
	pointer := func(position int64, d state.Digest) *pb.Pointer { return &pb.Pointer{Position: position, Digest: d[:]} }
	for p := int64(1); p <= keptDigests+10; p++ {
		own.keep(p, digest(p))
	}
	if err := own.compare(pointer(keptDigests, digest(keptDigests))); err != nil {
		t.Error(err)
	}
	if err := own.compare(pointer(keptDigests, digest(1))); !errors.Is(err, ErrDiverged) {
		t.Errorf("another digest: %v", err)
	}
	if err := own.compare(pointer(1, digest(2))); err != nil {
		t.Errorf("a mark that is forgotten: %v", err)
	}
	if len(own.at) != keptDigests || len(own.order) != keptDigests {
		t.Errorf("%d digests are kept", len(own.at))
	}
}

// openSession is a Proposer that has a session and proposes nothing.
type openSession struct{}

func (openSession) Current() (layout.Session, int32, bool) { return 77, 0, true }
func (openSession) Do(context.Context, *pb.Command, func(session.Outcome)) error {
	return session.ErrNotProposed
}

// An agent whose State was another one at the pointer's mark hears of it when it asks for the job.
func TestDivergedAgentIsTold(t *testing.T) {
	store := memkv.New(memkv.Config{})
	digest := state.Digest{1}
	value, err := proto.Marshal(&pb.Pointer{Position: 5, Digest: digest[:], Root: "none"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Txn(t.Context(), kv.Txn{Then: []kv.Op{
		kv.Put(etcdKeys.Checkpoint(), value, 0), kv.Put(etcdKeys.Job(jobName), []byte("another"), 0),
	}}); err != nil {
		t.Fatal(err)
	}
	for own, want := range map[state.Digest]error{{1}: ErrHeld, {2}: ErrDiverged} {
		s := NewSteps(JobOptions{KV: store, Keys: etcdKeys, Session: openSession{}})
		s.digests.keep(5, own)
		if _, err := s.Acquire(t.Context()); !errors.Is(err, want) {
			t.Errorf("own digest %x: %v, want %v", own[:1], err, want)
		}
	}
}
