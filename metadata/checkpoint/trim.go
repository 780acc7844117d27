package checkpoint

import (
	"context"
	"fmt"

	"wadi/internal/layout"
	"wadi/metadata/kv"
)

const (
	trimAtOnce = 500 // keys per delete request: more stall appends (measured: 500 cost 3 to 20 ms)
	trimOps    = 100 // operations in one: etcd takes at most 128
)

// trimmer deletes journal entries up to a position, some in each step. Keys are sorted by session and sequence, not by
// position; within a session both rise together. So it goes from session to session, deletes the head of each in ranges,
// and remembers where it was: a step costs what it deletes, whatever stays.
type trimmer struct {
	position int64
	key      string // where the next step starts; "" = at the front
}

// step deletes at most trimAtOnce entries if the guard holds. more tells that some may be left.
func (t *trimmer) step(
	ctx context.Context, store kv.KV, keys layout.Etcd, position int64, guard kv.Compare,
) (more bool, err error) {
	if position == 0 {
		return false, nil
	}
	if t.position != position {
		*t = trimmer{position: position}
	}
	key, end := max(t.key, keys.JournalPrefix()), keys.Head()
	var ops []kv.Op
	for n := 0; !more; {
		// Linearizable: an older listing could name a key that was deleted and put again since, by an append whose answer
		// took that long.
		res, err := store.Range(ctx, kv.RangeRequest{Key: key, End: end, Limit: trimAtOnce, KeysOnly: true})
		if err != nil {
			return false, fmt.Errorf("trim: %w", err)
		}
		if len(res.KVs) == 0 {
			break
		}
		session, seq, err := keys.ParseEntry(res.KVs[0].Key)
		if err != nil {
			return false, fmt.Errorf("trim: %w", err)
		}
		// The longest row of one session's entries without a hole that are old enough.
		old := 0
		for old < len(res.KVs) && n+old < trimAtOnce {
			x := res.KVs[old]
			if x.ModRevision > position || x.Key != keys.Entry(session, seq+uint64(old)) {
				break
			}
			old++
		}
		if old == 0 {
			key = keys.Entry(session+1, 0) // the rest of this session is younger
			t.key = key
			continue
		}
		last := res.KVs[old-1].Key
		ops = append(ops, kv.Op{Kind: kv.OpDelete, Key: res.KVs[0].Key, End: last + "\x00"})
		n += old
		if key = last + "\x00"; old < len(res.KVs) && res.KVs[old].ModRevision > position {
			key = keys.Entry(session+1, 0)
		}
		more = n == trimAtOnce || len(ops) == trimOps
	}
	if len(ops) > 0 {
		res, err := store.Txn(ctx, kv.Txn{If: []kv.Compare{guard}, Then: ops})
		if err != nil {
			return false, fmt.Errorf("trim: %w", err)
		}
		if !res.Succeeded {
			return false, fmt.Errorf("trim: %w", ErrHeld)
		}
	}
	if !more {
		*t = trimmer{}
	}
	return more, nil
}
