package sim

import (
	"context"

	"wadi/metadata/fsck"
	"wadi/metadata/kv"
)

// plainEtcd reads without faults and without time, for the checks.
type plainEtcd struct {
	kv.KV // panics: nothing is written
	w     *World
}

func (p plainEtcd) Txn(_ context.Context, t kv.Txn) (kv.TxnResult, error) { return p.w.etcd.Txn(t) }

func (p plainEtcd) Range(_ context.Context, r kv.RangeRequest) (kv.RangeResult, error) {
	return p.w.etcd.Range(r)
}

func (p plainEtcd) Status(context.Context) (kv.Status, error) { return p.w.etcd.Status(), nil }

// fsck lets the product's own check look at everything. What hung for longer than the grace it may find as of a session
// that State does not know any more.
func (w *World) fsck() {
	r, err := fsck.Run(background, fsck.Options{KV: plainEtcd{w: w}, Store: plainBucket{w.bucket, w.wall()}, Cluster: clusterName, Reads: 1})
	if err != nil {
		w.violated("fsck: %v", err)
		return
	}
	for _, f := range r.Findings {
		if id, _, _, ok := w.oracle.compactions.nameOf(f.Subject); ok && w.oracle.compactions.late(f.Subject, id) && f.Kind == fsck.UnknownSession {
			continue
		}
		w.violated("fsck: %s", f)
	}
}
