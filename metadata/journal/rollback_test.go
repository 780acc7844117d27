package journal_test

import (
	"errors"
	"testing"
	"time"

	"wadi/integration/etcd"
	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	"wadi/metadata/kv/faultkv"
	"wadi/metadata/kv/memkv"
)

// F13: etcd comes back from an older backup. A listing and a watch from where a view stood say so.
func TestRolledBack(t *testing.T) {
	t.Run("memkv", func(t *testing.T) {
		m := memkv.New(memkv.Config{})
		t.Cleanup(func() { _ = m.Close() })
		var snap *memkv.Snapshot
		rolledBack(t, m,
			func() { m.Inspect(func(s *memkv.Store) { snap = s.Snapshot() }) },
			func() { m.Inspect(func(s *memkv.Store) { s.Restore(time.Now(), snap) }) })
	})
	t.Run("etcd process", func(t *testing.T) {
		s := etcd.Start(t, etcd.Options{})
		var dir string
		rolledBack(t, s.Client(),
			func() { s.Stop(); dir = s.Backup(); s.Restart() },
			func() { s.Stop(); s.Rollback(dir); s.Restart() })
	})
}

func rolledBack(t *testing.T, store kv.KV, backup, restore func()) {
	p := &place{T: t, bare: store, kv: faultkv.New(store), keys: layout.NewEtcd("rolled")}
	p.j = journal.New(p.kv, p.keys)
	s := p.open()
	for range 5 {
		p.append(s, "kept")
	}
	backup()
	p.reachable()
	for range 5 {
		p.append(s, "lost")
	}
	seen := p.head()
	restore()
	p.reachable()
	now := p.head()
	if now.Version != 5 || now.EtcdCluster != seen.EtcdCluster || now.Revision >= seen.Revision {
		t.Fatalf("head %+v after %+v: not rolled back", now, seen)
	}
	if _, err := p.j.Since(t.Context(), p.anchor(), seen.Position, seen.Version); !errors.Is(err, journal.ErrRolledBack) {
		t.Errorf("a listing: %v", err)
	}
	if b := p.next(p.j.Watch(t.Context(), seen.Position+1)); !errors.Is(b.Err, kv.ErrFuture) {
		t.Errorf("a watch: %v", b.Err)
	}
	// The same sequence may come again with another value: it is not taken for the lost one.
	s.seq = 5
	pos := p.append(s, "other")
	if _, err := p.j.Append(t.Context(), journal.Append{Session: s.id, Revision: s.rev, Seq: 6, Value: []byte("lost")}); !errors.Is(err, journal.ErrForeign) {
		t.Errorf("the lost entry again, at %d: %v", pos, err)
	}
}

// reachable waits until etcd answers again.
func (p *place) reachable() {
	p.Helper()
	for end := time.Now().Add(patience); ; {
		if _, err := p.j.Head(p.Context()); err == nil {
			return
		} else if time.Now().After(end) {
			p.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
