package memkv

import (
	"bytes"
	"fmt"

	"wadi/metadata/kv"
)

// Txn applies t. An error means that nothing was written.
func (s *Store) Txn(t kv.Txn) (kv.TxnResult, error) {
	if err := s.check(t); err != nil {
		return kv.TxnResult{}, err
	}
	if cost := max(putBytes(t.Then), putBytes(t.Else)); !s.size.admit(cost, s.opts.QuotaBytes) {
		return kv.TxnResult{}, fmt.Errorf("memkv: txn: %w", kv.ErrNoSpace)
	}
	res := kv.TxnResult{Succeeded: true}
	for _, c := range t.If {
		if !s.holds(c) {
			res.Succeeded = false
			break
		}
	}
	ops := t.Then
	if !res.Succeeded {
		ops = t.Else
	}
	// etcd checks the branch taken before it runs any of it, so that a dead lease in the last op undoes nothing.
	for _, op := range ops {
		if op.Kind == kv.OpPut && op.Lease != 0 && !s.leases.has(op.Lease) {
			return kv.TxnResult{}, fmt.Errorf("memkv: txn: put %q: %w", op.Key, kv.ErrLeaseNotFound)
		}
	}
	w := s.begin()
	for _, op := range ops {
		switch op.Kind {
		case kv.OpPut:
			w.put(op.Key, op.Value, op.Lease)
		case kv.OpDelete:
			res.Deleted += w.deleteRange(op.Key, op.End)
		case kv.OpGet:
			res.Gets = append(res.Gets, s.read(op.Key, op.End, w.rev, op.Limit, false).KVs)
		}
	}
	w.commit()
	res.Header = s.Header()
	return res, nil
}

// check refuses what etcd's front end refuses, for both branches, whichever would run.
func (s *Store) check(t kv.Txn) error {
	if n := max(len(t.If), len(t.Then), len(t.Else)); n > s.opts.MaxTxnOps {
		return fmt.Errorf("memkv: txn of %d ops: %w", n, kv.ErrTooLarge)
	}
	var size int64
	for _, c := range t.If {
		if c.Key == "" {
			return fmt.Errorf("memkv: compare of an empty key: %w", ErrInvalid)
		}
		if c.Target < kv.CreateRevision || c.Target > kv.Version {
			return fmt.Errorf("memkv: compare target %d: %w", c.Target, ErrInvalid)
		}
		size += int64(len(c.Key)) + 16
	}
	for _, ops := range [][]kv.Op{t.Then, t.Else} {
		if err := checkOps(ops); err != nil {
			return err
		}
		for _, op := range ops {
			size += int64(len(op.Key)+len(op.End)+len(op.Value)) + 16
		}
	}
	if size > s.opts.MaxRequestBytes {
		return fmt.Errorf("memkv: txn of %d bytes: %w", size, kv.ErrTooLarge)
	}
	return nil
}

// checkOps refuses a branch that writes a key twice, by two puts or by a put and a delete, in any order. etcd means to do
// the same but overlooks deletes that end at "\x00", and then changes a key twice at one revision.
func checkOps(ops []kv.Op) error {
	puts := make(map[string]struct{}, len(ops))
	for _, op := range ops {
		if op.Key == "" {
			return fmt.Errorf("memkv: op on an empty key: %w", ErrInvalid)
		}
		switch op.Kind {
		case kv.OpPut:
			if _, dup := puts[op.Key]; dup {
				return fmt.Errorf("memkv: key %q put twice: %w", op.Key, ErrInvalid)
			}
			puts[op.Key] = struct{}{}
		case kv.OpGet, kv.OpDelete:
		default:
			return fmt.Errorf("memkv: op kind %d: %w", op.Kind, ErrInvalid)
		}
	}
	if len(puts) == 0 {
		return nil
	}
	for _, op := range ops {
		if op.Kind != kv.OpDelete {
			continue
		}
		if op.End == "" {
			if _, dup := puts[op.Key]; dup {
				return fmt.Errorf("memkv: key %q put and deleted: %w", op.Key, ErrInvalid)
			}
			continue
		}
		for key := range puts {
			if inRange(key, op.Key, op.End) {
				return fmt.Errorf("memkv: a key of [%q, %q) put and deleted: %w", op.Key, op.End, ErrInvalid)
			}
		}
	}
	return nil
}

func (s *Store) holds(c kv.Compare) bool {
	var have int64
	if h, ok := s.keys.Get(&keyHistory{key: c.Key}); ok {
		if cur := h.newest(); cur != nil {
			switch c.Target {
			case kv.CreateRevision:
				have = cur.kv.CreateRevision
			case kv.ModRevision:
				have = cur.kv.ModRevision
			case kv.Version:
				have = cur.kv.Version
			}
		}
	}
	return have == c.Want
}

// writer collects the changes of one revision. Reads at its rev see them; the store's revision moves on commit, and only
// when something changed.
type writer struct {
	s       *Store
	rev     int64
	changed bool
}

func (s *Store) begin() *writer { return &writer{s: s, rev: s.rev + 1} }

func (w *writer) put(key string, value []byte, lease int64) {
	h, ok := w.s.keys.Get(&keyHistory{key: key})
	if !ok {
		h = &keyHistory{key: key}
		w.s.keys.ReplaceOrInsert(h)
	}
	c := &change{kv: kv.KeyValue{
		Key: h.key, Value: bytes.Clone(value), CreateRevision: w.rev, ModRevision: w.rev, Version: 1, Lease: lease,
	}}
	if old := h.newest(); old != nil {
		c.kv.CreateRevision, c.kv.Version = old.kv.CreateRevision, old.kv.Version+1
		w.s.leases.detach(old.kv.Lease, key)
	}
	w.s.leases.attach(lease, h.key)
	w.record(h, c)
}

func (w *writer) deleteRange(key, end string) (n int64) {
	var doomed []*keyHistory // collected first: the tree must not change under its iterator
	w.s.ascend(key, end, func(h *keyHistory) bool {
		if h.newest() != nil {
			doomed = append(doomed, h)
		}
		return true
	})
	for _, h := range doomed {
		w.s.leases.detach(h.newest().kv.Lease, h.key)
		w.record(h, &change{del: true, kv: kv.KeyValue{Key: h.key, ModRevision: w.rev}})
	}
	return int64(len(doomed))
}

func (w *writer) record(h *keyHistory, c *change) {
	h.changes = append(h.changes, c)
	w.s.log.add(c)
	w.s.size.grow(c.bytes())
	w.changed = true
}

func (w *writer) commit() {
	if w.changed {
		w.s.rev = w.rev
	}
}
