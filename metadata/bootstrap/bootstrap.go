// Package bootstrap ties one etcd key space to one bucket prefix, once (DESIGN section 3.3). The decision is made in
// etcd; cluster.json in the bucket repeats it, so that neither can be swapped for another without a word.
package bootstrap

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
	"wadi/objstore"
)

// ErrMismatch: etcd and the bucket do not belong together. Nothing heals it but a person.
var ErrMismatch = errors.New("etcd and object store do not belong together")

// Identity is what a cluster is called for good.
type Identity struct {
	Cluster     string `json:"cluster"`
	ClusterID   string `json:"cluster_id"` // 22 characters of URL-safe base64, as Kafka's
	Incarnation uint32 `json:"incarnation"`
}

// Run returns the cluster's identity, deciding it when etcd and the bucket prefix are both empty. It may run in any
// number of processes at once. An error that does not wrap ErrMismatch may be tried again.
func Run(ctx context.Context, store kv.KV, keys layout.Etcd, objects objstore.Store, cluster string) (Identity, error) {
	for attempt := 0; ; attempt++ {
		id, found, err := look(ctx, store, keys, objects, cluster)
		if err != nil || found {
			return id, err
		}
		if attempt == 3 {
			return Identity{}, fmt.Errorf("bootstrap of cluster %s does not settle", cluster)
		}
		if err := decide(ctx, store, keys, cluster); err != nil {
			return Identity{}, err
		}
	}
}

// seen is what etcd and the bucket hold.
type seen struct {
	bootstrap *Identity
	journal   bool // head, an entry or a checkpoint pointer is there
	file      *Identity
	objects   bool // anything under the cluster's prefix
}

func look(
	ctx context.Context, store kv.KV, keys layout.Etcd, objects objstore.Store, cluster string,
) (id Identity, found bool, err error) {
	// etcd first: a journal that it shows was begun after cluster.json was written.
	s, err := lookEtcd(ctx, store, keys)
	if err != nil {
		return id, false, err
	}
	if err := s.lookBucket(ctx, objects, cluster); err != nil {
		return id, false, err
	}
	if s.bootstrap == nil && (s.file != nil || s.objects) {
		// Another process may have decided and written between the two reads. What it wrote it decided in etcd before.
		again, err := lookEtcd(ctx, store, keys)
		if err != nil {
			return id, false, err
		}
		if again.bootstrap != nil {
			return id, false, nil // look again, at what it has written by now
		}
	}
	switch {
	case s.bootstrap == nil && s.file != nil:
		return id, false, fmt.Errorf("%w: the bucket holds cluster %q (id %s), etcd knows no such cluster; point the agent "+
			"at the etcd of that cluster, or rebuild it from the bucket with `wadi recover`",
			ErrMismatch, s.file.Cluster, s.file.ClusterID)
	case s.bootstrap == nil && s.journal:
		return id, false, fmt.Errorf("%w: etcd holds a journal under %s but no bootstrap key; it was damaged", ErrMismatch, keys.Root())
	case s.bootstrap == nil && s.objects:
		return id, false, fmt.Errorf("%w: etcd is empty but the bucket prefix %s is not; use an empty prefix or the cluster's own etcd",
			ErrMismatch, layout.ClusterPrefix(cluster))
	case s.bootstrap == nil:
		return id, false, nil
	case s.file == nil && s.journal:
		return id, false, fmt.Errorf("%w: etcd holds cluster %q (id %s) with a journal, but the bucket has no %s; point the agent at "+
			"the cluster's own bucket", ErrMismatch, s.bootstrap.Cluster, s.bootstrap.ClusterID, layout.ClusterFile(cluster))
	case s.file == nil:
		return *s.bootstrap, true, writeFile(ctx, objects, *s.bootstrap)
	case *s.file != *s.bootstrap:
		return id, false, fmt.Errorf("%w: etcd holds cluster %q (id %s, incarnation %d), the bucket %q (id %s, incarnation %d)",
			ErrMismatch, s.bootstrap.Cluster, s.bootstrap.ClusterID, s.bootstrap.Incarnation,
			s.file.Cluster, s.file.ClusterID, s.file.Incarnation)
	}
	return *s.bootstrap, true, nil
}

func lookEtcd(ctx context.Context, store kv.KV, keys layout.Etcd) (seen, error) {
	journal := keys.JournalPrefix()
	res, err := store.Txn(ctx, kv.Txn{Then: []kv.Op{
		kv.Get(keys.Bootstrap()),
		{Kind: kv.OpGet, Key: journal, End: kv.PrefixEnd(journal), Limit: 1},
		kv.Get(keys.Head()),
		kv.Get(keys.Checkpoint()),
	}})
	if err != nil {
		return seen{}, fmt.Errorf("read bootstrap key: %w", err)
	}
	s := seen{journal: len(res.Gets[1])+len(res.Gets[2])+len(res.Gets[3]) > 0}
	if b := res.Gets[0]; len(b) == 1 {
		m := &pb.Bootstrap{}
		if err := proto.Unmarshal(b[0].Value, m); err != nil {
			return seen{}, fmt.Errorf("%w: bootstrap key: %w", ErrMismatch, err)
		}
		s.bootstrap = &Identity{Cluster: m.Cluster, ClusterID: m.ClusterId, Incarnation: m.Incarnation}
	}
	return s, nil
}

func (s *seen) lookBucket(ctx context.Context, objects objstore.Store, cluster string) error {
	data, err := objects.Get(ctx, layout.ClusterFile(cluster), 0, -1)
	switch {
	case errors.Is(err, objstore.ErrNotFound):
	case err != nil:
		return fmt.Errorf("read %s: %w", layout.ClusterFile(cluster), err)
	default:
		s.file = &Identity{}
		if err := json.Unmarshal(data, s.file); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrMismatch, layout.ClusterFile(cluster), err)
		}
	}
	list, err := objects.List(ctx, layout.ClusterPrefix(cluster), "", 1)
	if err != nil {
		return fmt.Errorf("list %s: %w", layout.ClusterPrefix(cluster), err)
	}
	s.objects = len(list) > 0
	return nil
}

// decide puts the bootstrap key unless somebody else does first; the caller looks again in any case.
func decide(ctx context.Context, store kv.KV, keys layout.Etcd, cluster string) error {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return fmt.Errorf("make a cluster id: %w", err)
	}
	value, err := proto.Marshal(&pb.Bootstrap{
		ClusterId: base64.RawURLEncoding.EncodeToString(id[:]), Incarnation: 1, Cluster: cluster,
	})
	if err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	_, err = store.Txn(ctx, kv.Txn{
		If:   []kv.Compare{{Key: keys.Bootstrap(), Target: kv.CreateRevision, Want: 0}},
		Then: []kv.Op{kv.Put(keys.Bootstrap(), value, 0)},
	})
	if err != nil {
		return fmt.Errorf("put bootstrap key: %w", err)
	}
	return nil
}

// writeFile writes exactly what etcd says; every process that writes it writes the same bytes.
func writeFile(ctx context.Context, objects objstore.Store, id Identity) error {
	data, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("cluster.json: %w", err)
	}
	err = objects.Put(ctx, layout.ClusterFile(id.Cluster), objstore.NewBody(data))
	if errors.Is(err, objstore.ErrExists) {
		return fmt.Errorf("%w: %s appeared with other content: %w", ErrMismatch, layout.ClusterFile(id.Cluster), err)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", layout.ClusterFile(id.Cluster), err)
	}
	return nil
}
