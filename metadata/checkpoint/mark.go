package checkpoint

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// markState is what was kept of the mark that this agent proposed last.
type markState struct {
	sync.Mutex
	wanted  bool // a mark of ours is on its way
	base    bool // with a snapshot
	entry   int64
	head    int64
	etcd    uint64
	digest  state.Digest
	frozen  *state.State // nil without base
	pending []int64      // State's pending marks at the mark
	atMs    int64        // of the mark's entry
	level   uint32
	id      string
	incarn  uint32
	session layout.Session
	taken   chan struct{} // closed and replaced when entry changes
}

// Observe takes what a checkpoint needs of an entry that was just applied: what the core is to hear of it, and after a
// mark the digest to show, if this agent has a session.
func (j *Steps) Observe(e journal.Entry, body *pb.Entry, res *state.Results) (seen Entry, digest *OwnDigest) {
	seen = Entry{Position: e.Position, Size: len(e.Value)}
	for i, c := range body.Commands {
		ok := i < len(res.Commands) && res.Commands[i].Code == state.OK
		switch k := c.GetKind().(type) {
		case *pb.Command_Mark:
			seen.Mark = seen.Mark || ok
		case *pb.Command_Archived:
			if ok {
				seen.Archived = k.Archived.To
			}
		default:
			seen.Dirty = true
		}
	}
	if seen.Mark {
		digest = j.marked(e, body)
	}
	return seen, digest
}

// Forget lets go of the snapshot of a checkpoint that will not be.
func (j *Steps) Forget() {
	j.mark.Lock()
	defer j.mark.Unlock()
	j.mark.frozen = nil
}

// OwnDigest is what a session shows of State at a mark.
type OwnDigest struct {
	Session  layout.Session
	Position int64
	Digest   state.Digest
}

// marked records the digest at a mark and, when it is ours, what the checkpoint needs of State there.
func (j *Steps) marked(e journal.Entry, body *pb.Entry) *OwnDigest {
	own, _, open := j.o.Session.Current()
	m := &j.mark
	m.Lock()
	defer m.Unlock()
	ours := m.wanted && e.Session == own
	var digest state.Digest
	j.view.Read(func(s *state.State) {
		digest = s.Digest()
		if ours {
			m.pending, m.level, m.id, m.incarn = s.PendingMarks(), s.FeatureLevel(), s.ClusterID(), s.Incarnation()
		}
	})
	if ours {
		m.entry, m.head, m.digest, m.session, m.atMs, m.frozen = e.Position, e.Head, digest, own, body.AtMs, nil
		m.etcd = j.view.EtcdCluster()
		if m.base {
			m.frozen = j.view.Freeze() // only then: what is shared with a snapshot is copied at its next change
		}
		close(m.taken)
		m.taken = make(chan struct{})
	}
	j.digests.keep(e.Position, digest)
	if !open {
		return nil
	}
	return &OwnDigest{Session: own, Position: e.Position, Digest: digest}
}

// PutDigest shows an agent's digest at a mark to the others.
func (j *Steps) PutDigest(ctx context.Context, d *OwnDigest) error {
	value, err := proto.Marshal(&pb.MarkDigest{Position: d.Position, Digest: d.Digest[:]})
	if err == nil {
		_, err = j.o.KV.Txn(ctx, kv.Txn{Then: []kv.Op{kv.Put(j.o.Keys.Digest(d.Session), value, int64(d.Session))}})
	}
	if err != nil {
		return fmt.Errorf("record digest: %w", err)
	}
	return nil
}

// Mark proposes a mark and waits until Observe has taken what the checkpoint needs there: with base, a snapshot.
func (j *Steps) Mark(ctx context.Context, base bool) error {
	m := &j.mark
	m.Lock()
	m.wanted, m.base, m.entry = true, base, 0
	m.Unlock()
	var position int64
	err := j.o.Session.Do(ctx, &pb.Command{Kind: &pb.Command_Mark{Mark: &pb.Mark{}}}, func(o session.Outcome) {
		position = o.Position
	})
	if err == nil {
		err = m.wait(ctx, position)
	}
	m.Lock()
	m.wanted = false
	m.Unlock()
	return err
}

// wait waits until the observer has taken what it needs at the mark: it hears of the entry right after the proposer.
func (m *markState) wait(ctx context.Context, position int64) error {
	for {
		m.Lock()
		entry, taken := m.entry, m.taken
		m.Unlock()
		if entry == position {
			return nil
		}
		select {
		case <-taken:
		case <-ctx.Done():
			return fmt.Errorf("mark at position %d: %w", position, ctx.Err())
		}
	}
}
