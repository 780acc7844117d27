package journal

import (
	"context"
	"fmt"

	"wadi/internal/layout"
	"wadi/metadata/kv"
)

// Batch is what one watch response brings: whole entries in order, or an error that ended the watch.
type Batch struct {
	EtcdCluster uint64
	Entries     []Entry
	Err         error
}

// Watch streams the entries from revision `from` on. The channel closes after ctx ends or after a Batch with Err.
func (j *Journal) Watch(ctx context.Context, from int64) <-chan Batch {
	ctx, cancel := context.WithCancel(ctx)
	in := j.kv.Watch(ctx, WatchRequest(j.keys, from))
	out := make(chan Batch)
	go func() {
		defer close(out)
		defer cancel() // an error found here ends etcd's watch too
		for r := range in {
			b := Decode(j.keys, r)
			if b.Err == nil && len(b.Entries) == 0 {
				continue
			}
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
			if b.Err != nil {
				return
			}
		}
	}()
	return out
}

// WatchRequest is the watch on entries and head that Decode understands.
func WatchRequest(keys layout.Etcd, from int64) kv.WatchRequest {
	prefix := keys.JournalPrefix()
	return kv.WatchRequest{Key: prefix, End: kv.PrefixEnd(prefix), From: from, NoDelete: true}
}

// Decode pairs each entry of a response with the head put by the same revision. A revision that has one but not the
// other is ErrGap.
func Decode(keys layout.Etcd, r kv.WatchResponse) Batch {
	b := Batch{EtcdCluster: r.Header.ClusterID}
	if r.Err != nil {
		b.Err = fmt.Errorf("watch journal: %w", r.Err)
		return b
	}
	head := keys.Head()
	for i := 0; i < len(r.Events); {
		rev := r.Events[i].KV.ModRevision
		var e Entry
		for ; i < len(r.Events) && r.Events[i].KV.ModRevision == rev; i++ {
			x := &r.Events[i]
			if x.Delete {
				continue
			}
			if x.KV.Key == head {
				e.Head = x.KV.Version
				continue
			}
			session, seq, err := keys.ParseEntry(x.KV.Key)
			if err != nil {
				b.Err = fmt.Errorf("watch journal: %w", err)
				return b
			}
			e.Position, e.Session, e.Seq, e.Value = rev, session, seq, x.KV.Value
		}
		if e.Position == 0 && e.Head == 0 {
			continue // deletes only
		}
		if e.Position == 0 || e.Head == 0 {
			b.Err = fmt.Errorf("watch journal: revision %d without its head: %w", rev, ErrGap)
			return b
		}
		b.Entries = append(b.Entries, e)
	}
	return b
}
