package fsck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/bootstrap"
	"wadi/metadata/checkpoint"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// firstAnswer bounds the wait for an etcd that may not be there at all.
const firstAnswer = 15 * time.Second

// identity reads what etcd and the bucket are called.
func (c *checker) identity(ctx context.Context) error {
	first, cancel := context.WithTimeout(ctx, firstAnswer)
	defer cancel()
	got, err := c.o.KV.Range(first, kv.RangeRequest{Key: c.keys.Bootstrap()})
	if err != nil {
		return fmt.Errorf("read bootstrap key: %w", err)
	}
	if len(got.KVs) == 0 {
		return fmt.Errorf("%w: %q", ErrNoCluster, c.o.Cluster)
	}
	b := &pb.Bootstrap{}
	if err := proto.Unmarshal(got.KVs[0].Value, b); err != nil {
		return fmt.Errorf("bootstrap key of cluster %s: %w", c.o.Cluster, err)
	}
	c.objects = layout.NewObjects(c.o.Cluster, b.Incarnation)
	r := &c.mu.report
	r.Cluster, r.ClusterID, r.Incarnation = b.Cluster, b.ClusterId, b.Incarnation
	file := layout.ClusterFile(c.o.Cluster)
	data, err := c.o.Store.Get(ctx, file, 0, -1)
	if damage(err) {
		c.finding(Identity, file, "%v", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	var in bootstrap.Identity
	if err := json.Unmarshal(data, &in); err != nil {
		c.finding(Identity, file, "%v", err)
		return nil
	}
	if want := (bootstrap.Identity{Cluster: b.Cluster, ClusterID: b.ClusterId, Incarnation: b.Incarnation}); in != want {
		c.finding(Identity, file, "the bucket belongs to %+v, etcd to %+v", in, want)
	}
	return nil
}

// root is one kept root that could be read.
type root struct {
	kept *pb.KeptRoot
	root *pb.Root
}

// load reads pointer, roots, State at the newest root and the journal's tail, and applies that.
func (c *checker) load(ctx context.Context) error {
	var err error
	if c.anchor, err = c.journal.Anchor(ctx); err != nil {
		return err
	}
	s, head, err := c.loadCheckpoint(ctx)
	if err != nil || s == nil {
		return err
	}
	c.tail, err = c.journal.Since(ctx, c.anchor, s.Position(), head)
	if errors.Is(err, journal.ErrGap) || errors.Is(err, journal.ErrRolledBack) {
		c.finding(BadJournal, fmt.Sprintf("behind position %d", s.Position()), "%v", err)
		c.state = s // what the checkpoint holds can be checked all the same
		return nil
	}
	if err != nil {
		return err
	}
	c.count(func(n *Counts) { n.Entries += int64(len(c.tail)) })
	for _, e := range c.tail {
		if c.anchor.Voids[e.Position] {
			s.Void(e.Position)
			c.tailMs = append(c.tailMs, 0)
			continue
		}
		d, err := state.Decode(e.Position, e.Session, e.Seq, e.Value)
		if err != nil {
			c.finding(BadJournal, fmt.Sprintf("position %d", e.Position), "%v", err)
			break
		}
		s.Apply(d)
		c.tailMs = append(c.tailMs, d.Body.AtMs)
	}
	c.state = s
	c.mu.report.Position = s.Position()
	return nil
}

// loadCheckpoint loads State at the pointer, or at the newest kept root that still leads somewhere. It returns nil when
// none does.
func (c *checker) loadCheckpoint(ctx context.Context) (*state.State, int64, error) {
	p := c.anchor.Pointer
	if p == nil {
		return state.New(), 0, nil
	}
	c.mu.report.Checkpoint = p.Position
	if err := c.readRoots(ctx, p); err != nil {
		return nil, 0, err
	}
	for i := len(c.roots) - 1; i >= 0; i-- {
		r := c.roots[i]
		s, err := checkpoint.LoadRoot(ctx, c.o.Store, r.root)
		if damage(err) {
			c.finding(BadCheckpoint, r.kept.Key, "%v", err)
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		return s, r.root.Head, nil
	}
	return nil, 0, nil
}

// readRoots reads the kept roots and compares them with what the pointer says of them, and the newest with etcd.
func (c *checker) readRoots(ctx context.Context, p *pb.Pointer) error {
	named := false
	for _, k := range p.Kept {
		named = named || k.Key == p.Root
		r, err := checkpoint.ReadRoot(ctx, c.o.Store, k.Key)
		if damage(err) {
			c.finding(BadCheckpoint, k.Key, "%v", err)
			continue
		}
		if err != nil {
			return err
		}
		if r.Position != k.Position || r.Head != k.Head || k.Key == p.Root && string(r.Digest) != string(p.Digest) {
			c.finding(BadCheckpoint, k.Key, "it is at position %d, head %d; the pointer says %d, %d, or another digest",
				r.Position, r.Head, k.Position, k.Head)
			continue
		}
		if id := c.mu.report.ClusterID; r.ClusterId != id {
			c.finding(Identity, k.Key, "it belongs to cluster %s, not %s", r.ClusterId, id)
		}
		c.roots = append(c.roots, root{k, r})
	}
	if !named {
		c.finding(BadCheckpoint, p.Root, "the pointer names it but does not keep it")
	}
	c.count(func(n *Counts) { n.Roots = len(c.roots) })
	err := checkpoint.CheckRoots(ctx, c.o.KV, c.keys, c.o.Store, c.objects)
	if damage(err) {
		c.finding(BadCheckpoint, c.objects.CheckpointPrefix(layout.Root), "%v", err)
		return nil
	}
	return err
}

// digests compares what agents computed at a mark: with each other, and with the checkpoint that was made there. Agents
// that differ serve different offsets for the same records.
func (c *checker) digests(ctx context.Context) error {
	prefix := c.keys.DigestsPrefix()
	got, err := c.o.KV.Range(ctx, kv.RangeRequest{Key: prefix, End: kv.PrefixEnd(prefix)})
	if err != nil {
		return fmt.Errorf("read digests: %w", err)
	}
	type claim struct {
		digest string
		whose  string
	}
	at := map[int64]claim{}
	for _, r := range c.roots {
		at[r.root.Position] = claim{string(r.root.Digest), r.kept.Key}
	}
	for _, x := range got.KVs {
		d := &pb.MarkDigest{}
		if err := proto.Unmarshal(x.Value, d); err != nil {
			c.finding(BadState, x.Key, "its value cannot be read: %v", err)
			continue
		}
		other, ok := at[d.Position]
		if !ok {
			at[d.Position] = claim{string(d.Digest), x.Key}
		} else if other.digest != string(d.Digest) {
			c.finding(BadState, x.Key, "its digest at position %d is %x, that of %s is %x", d.Position, d.Digest, other.whose, other.digest)
		}
	}
	return nil
}
