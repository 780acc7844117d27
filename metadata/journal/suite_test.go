package journal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"wadi/integration/etcd"
	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	"wadi/metadata/kv/etcdkv"
	"wadi/metadata/kv/faultkv"
	"wadi/metadata/kv/memkv"
	pb "wadi/metadata/metadatapb"
)

// place is a journal of its own in some etcd, with a decorator to make calls fail.
type place struct {
	*testing.T
	kv   *faultkv.KV
	bare kv.KV // without faults
	keys layout.Etcd
	j    *journal.Journal
}

// The suite runs on everything that keeps the contract of kv.KV.
func TestJournal(t *testing.T) {
	backends := []struct {
		name string
		open func(t *testing.T) kv.KV
	}{
		{"memkv", func(t *testing.T) kv.KV { return memkv.New(memkv.Config{}) }},
		{"faultkv", func(t *testing.T) kv.KV { return faultkv.New(memkv.New(memkv.Config{})) }},
		{"embedded etcd", func(t *testing.T) kv.KV {
			k, err := etcdkv.Embed(t.Context(), t.TempDir(), etcdkv.EmbedOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return k
		}},
		{"etcd process", func(t *testing.T) kv.KV { return etcd.Start(t, etcd.Options{}).Client() }},
	}
	cases := []struct {
		name string
		run  func(p *place)
	}{
		{"append", testAppend},
		{"session lost", testSessionLost},
		{"foreign entry", testForeign},
		{"unknown outcomes", testUnknown},
		{"trimmed entry is appended again", testAppendAfterTrim},
		{"anchor", testAnchor},
		{"since", testSince},
		{"since, trimmed", testSinceTrimmed},
		{"since, compacted", testSinceCompacted},
		{"watch", testWatch},
		{"watch ends", testWatchEnds},
		{"compaction under a slow watcher", testSlowWatcher},
		{"200 sessions", testManySessions},
	}
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			store := b.open(t)
			t.Cleanup(func() { _ = store.Close() })
			for i, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					p := &place{T: t, bare: store, kv: faultkv.New(store), keys: layout.NewEtcd(fmt.Sprintf("c%d", i))}
					p.j = journal.New(p.kv, p.keys)
					c.run(p)
				})
			}
		})
	}
}

type session struct {
	id  layout.Session
	rev int64
	seq uint64
}

// open registers a session as the session package does.
func (p *place) open() *session {
	p.Helper()
	lease, err := p.bare.Grant(p.Context(), 600)
	if err != nil {
		p.Fatal(err)
	}
	id := layout.Session(lease)
	res, err := p.bare.Txn(p.Context(), kv.Txn{Then: []kv.Op{kv.Put(p.keys.SessionKey(id), nil, lease)}})
	if err != nil {
		p.Fatal(err)
	}
	return &session{id: id, rev: res.Header.Revision}
}

func (s *session) entry(value string) journal.Append {
	return journal.Append{Session: s.id, Revision: s.rev, Seq: s.seq, Value: []byte(value)}
}

// append appends a session's next entry.
func (p *place) append(s *session, value string) int64 {
	p.Helper()
	s.seq++
	pos, err := p.j.Append(p.Context(), s.entry(value))
	if err != nil {
		p.Fatal(err)
	}
	return pos
}

func (p *place) head() journal.Head {
	p.Helper()
	h, err := p.j.Head(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	return h
}

func (p *place) anchor() journal.Anchor {
	p.Helper()
	a, err := p.j.Anchor(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	return a
}

func (p *place) since(after, head int64) []journal.Entry {
	p.Helper()
	list, err := p.j.Since(p.Context(), p.anchor(), after, head)
	if err != nil {
		p.Fatal(err)
	}
	return list
}

func (p *place) do(ops ...kv.Op) int64 {
	p.Helper()
	res, err := p.bare.Txn(p.Context(), kv.Txn{Then: ops})
	if err != nil {
		p.Fatal(err)
	}
	return res.Header.Revision
}

// gapless checks positions and heads of consecutive entries behind `after`.
func (p *place) gapless(list []journal.Entry, after, head int64) {
	p.Helper()
	for i, e := range list {
		if e.Position <= after || e.Head != head+int64(i)+1 {
			p.Fatalf("entry %d: position %d after %d, head %d after %d", i, e.Position, after, e.Head, head+int64(i))
		}
		after = e.Position
	}
}

const patience = 4 * time.Minute

// next is the watch's next batch.
func (p *place) next(w <-chan journal.Batch) journal.Batch {
	p.Helper()
	select {
	case b, ok := <-w:
		if !ok {
			p.Fatal("the watch is closed")
		}
		return b
	case <-time.After(patience):
		p.Fatal("nothing from the watch")
	}
	return journal.Batch{}
}

// collect reads n entries.
func (p *place) collect(w <-chan journal.Batch, n int) (list []journal.Entry) {
	p.Helper()
	for len(list) < n {
		b := p.next(w)
		if b.Err != nil {
			p.Fatal(b.Err)
		}
		if b.EtcdCluster == 0 {
			p.Fatal("no cluster id")
		}
		list = append(list, b.Entries...)
	}
	return list
}

func testAppend(p *place) {
	if h := p.head(); h.Version != 0 || h.Position != 0 || h.Revision == 0 || h.EtcdCluster == 0 {
		p.Errorf("head of nothing: %+v", h)
	}
	s := p.open()
	first := p.append(s, "a")
	if h := p.head(); h.Version != 1 || h.Position != first || h.Revision < first {
		p.Errorf("head %+v after the entry at %d", h, first)
	}
	// The identical call again: the same position and no second entry.
	for range 3 {
		if again, err := p.j.Append(p.Context(), s.entry("a")); err != nil || again != first {
			p.Fatalf("the same append again: %d, %v; it was at %d", again, err, first)
		}
	}
	second := p.append(s, "b")
	if second <= first || p.head().Version != 2 {
		p.Errorf("positions %d, %d, head %+v", first, second, p.head())
	}
	list := p.since(0, 0)
	p.gapless(list, 0, 0)
	if len(list) != 2 || string(list[1].Value) != "b" || list[1].Session != s.id || list[1].Seq != 2 {
		p.Errorf("%+v", list)
	}
}

func testSessionLost(p *place) {
	s := p.open()
	p.append(s, "a")
	p.do(kv.Delete(p.keys.SessionKey(s.id)))
	s.seq++
	if _, err := p.j.Append(p.Context(), s.entry("b")); !errors.Is(err, journal.ErrSessionLost) {
		p.Fatalf("a deleted session: %v", err)
	}
	// The same key by somebody else is not the session.
	p.do(kv.Put(p.keys.SessionKey(s.id), nil, 0))
	if _, err := p.j.Append(p.Context(), s.entry("b")); !errors.Is(err, journal.ErrSessionLost) {
		p.Fatalf("a session of another create revision: %v", err)
	}
	if err := p.bare.Revoke(p.Context(), int64(s.id)); err != nil {
		p.Fatal(err)
	}
	// What is there stays there, and is found.
	s.seq = 1
	if _, err := p.j.Append(p.Context(), s.entry("a")); err != nil {
		p.Errorf("an entry appended before the session was lost: %v", err)
	}
	if p.head().Version != 1 {
		p.Errorf("head %+v", p.head())
	}
}

func testForeign(p *place) {
	s := p.open()
	p.append(s, "a")
	if _, err := p.j.Append(p.Context(), s.entry("other")); !errors.Is(err, journal.ErrForeign) {
		p.Fatalf("%v", err)
	}
	if list := p.since(0, 0); len(list) != 1 || string(list[0].Value) != "a" {
		p.Errorf("%+v", list)
	}
}

// A call without an answer may have appended or not; the identical call again tells, and never appends twice.
func testUnknown(p *place) {
	s := p.open()
	for _, action := range []faultkv.Action{faultkv.FailBefore, faultkv.LoseAnswer} {
		for _, cause := range []error{kv.ErrUnavailable, kv.ErrNoSpace} {
			p.kv.Add(faultkv.Rule{Op: faultkv.Txn, Times: 2, Action: action, Err: cause})
			s.seq++
			before := p.head()
			for range 2 {
				if _, err := p.j.Append(p.Context(), s.entry("x")); !errors.Is(err, cause) || kv.Definite(err) {
					p.Fatalf("%v", err)
				}
			}
			between := p.head()
			pos, err := p.j.Append(p.Context(), s.entry("x"))
			if err != nil {
				p.Fatal(err)
			}
			if p.head().Version != before.Version+1 || p.head().Position != pos || action == faultkv.LoseAnswer && between.Position != pos {
				p.Errorf("%v: position %d, heads %+v, %+v, %+v", action, pos, before, between, p.head())
			}
			p.kv.Clear()
		}
	}
	list := p.since(0, 0)
	p.gapless(list, 0, 0)
	if len(list) != 4 {
		p.Errorf("%d entries", len(list))
	}
}

// A repeat that lands after its entry was trimmed is an entry of its own: the head counts it, State ignores it.
func testAppendAfterTrim(p *place) {
	s := p.open()
	first := p.append(s, "a")
	p.append(s, "b")
	p.do(kv.Delete(p.keys.Entry(s.id, 1)))
	s.seq = 1
	again, err := p.j.Append(p.Context(), s.entry("a"))
	if err != nil || again <= first {
		p.Fatalf("%d, %v", again, err)
	}
	list := p.since(first, 1)
	p.gapless(list, first, 1)
	if len(list) != 2 || list[0].Seq != 2 || list[1].Seq != 1 {
		p.Errorf("%+v", list)
	}
}

func testAnchor(p *place) {
	s := p.open()
	p.append(s, "a")
	a := p.anchor()
	if a.Pointer != nil || len(a.Voids) != 0 || a.Head.Version != 1 {
		p.Fatalf("%+v", a)
	}
	pointer, err := proto.Marshal(&pb.Pointer{Position: 4, Head: 2, Root: "r"})
	if err != nil {
		p.Fatal(err)
	}
	rev := p.do(kv.Put(p.keys.Checkpoint(), pointer, 0), kv.Put(p.keys.Void(7), nil, 0), kv.Put(p.keys.Void(9), nil, 0))
	a = p.anchor()
	if a.Pointer.GetRoot() != "r" || a.PointerRevision != rev || len(a.Voids) != 2 || !a.Voids[7] || a.Head.Revision < rev {
		p.Errorf("%+v", a)
	}
	p.do(kv.Put(p.keys.Checkpoint(), []byte{0xff}, 0))
	if _, err := p.j.Anchor(p.Context()); err == nil {
		p.Error("a pointer that is garbage")
	}
}

// Many pages over several sessions, read at one revision while others append.
func testSince(p *place) {
	var sessions []*session
	for range 5 {
		sessions = append(sessions, p.open())
	}
	var middle int64
	for i := range 700 {
		pos := p.append(sessions[(i*i)%5], fmt.Sprint(i))
		if i == 299 {
			middle = pos
		}
	}
	a := p.anchor()
	for range 10 {
		p.append(sessions[0], "later")
	}
	list, err := p.j.Since(p.Context(), a, 0, 0)
	if err != nil {
		p.Fatal(err)
	}
	p.gapless(list, 0, 0)
	for i, e := range list {
		if string(e.Value) != fmt.Sprint(i) {
			p.Fatalf("entry %d is %q", i, e.Value)
		}
	}
	if len(list) != 700 {
		p.Errorf("%d entries", len(list))
	}
	if list, err = p.j.Since(p.Context(), a, middle, 300); err != nil || len(list) != 400 || list[0].Head != 301 {
		p.Errorf("behind the middle: %d, %v", len(list), err)
	}
	if list, err = p.j.Since(p.Context(), a, a.Head.Position, 700); err != nil || len(list) != 0 {
		p.Errorf("behind the end: %d, %v", len(list), err)
	}
	if _, err = p.j.Since(p.Context(), a, a.Head.Position, 701); !errors.Is(err, journal.ErrRolledBack) {
		p.Errorf("more than etcd counts: %v", err)
	}
}

func testSinceTrimmed(p *place) {
	s := p.open()
	var positions []int64
	for i := range 5 {
		positions = append(positions, p.append(s, fmt.Sprint(i)))
	}
	before := p.anchor()
	p.do(kv.Op{Kind: kv.OpDelete, Key: p.keys.Entry(s.id, 1), End: p.keys.Entry(s.id, 3)})
	if _, err := p.j.Since(p.Context(), p.anchor(), 0, 0); !errors.Is(err, journal.ErrGap) {
		p.Errorf("trimmed entries: %v", err)
	}
	if list := p.since(positions[1], 2); len(list) != 3 {
		p.Errorf("%d entries behind the trimmed ones", len(list))
	}
	// At the older revision they are all there.
	if list, err := p.j.Since(p.Context(), before, 0, 0); err != nil || len(list) != 5 {
		p.Errorf("at the anchor's revision: %d, %v", len(list), err)
	}
}

func testSinceCompacted(p *place) {
	s := p.open()
	p.append(s, "a")
	a := p.anchor()
	p.append(s, "b")
	if err := p.bare.Compact(p.Context(), p.append(s, "c")); err != nil {
		p.Fatal(err)
	}
	if _, err := p.j.Since(p.Context(), a, 0, 0); !errors.Is(err, journal.ErrGap) || !errors.Is(err, kv.ErrCompacted) {
		p.Errorf("%v", err)
	}
	if list := p.since(0, 0); len(list) != 3 {
		p.Errorf("%d entries with a new anchor", len(list))
	}
}

func testWatch(p *place) {
	s := p.open()
	first := p.append(s, "a")
	second := p.append(s, "b")
	old, live := p.j.Watch(p.Context(), first), p.j.Watch(p.Context(), second+1)
	p.do(kv.Put(p.keys.SessionKey(s.id), []byte("not an entry"), int64(s.id)), kv.Put(p.keys.Checkpoint(), nil, 0))
	p.do(kv.Delete(p.keys.Entry(s.id, 1))) // trimming is not seen
	for i := range 20 {
		p.append(s, fmt.Sprint(i))
	}
	all := p.collect(old, 22)
	p.gapless(all, 0, 0)
	if string(all[0].Value) != "a" || string(all[21].Value) != "19" || all[21].Seq != 22 || all[21].Session != s.id {
		p.Errorf("%+v", all)
	}
	p.gapless(p.collect(live, 20), second, 2)
}

func testWatchEnds(p *place) {
	s := p.open()
	pos := p.append(s, "a")
	ctx, cancel := context.WithCancel(p.Context())
	w := p.j.Watch(ctx, pos)
	p.collect(w, 1)
	cancel()
	for range w { // closes
	}
	if b := p.next(p.j.Watch(p.Context(), pos+1000)); !errors.Is(b.Err, kv.ErrFuture) {
		p.Errorf("from the future: %v", b.Err)
	}
	// An entry without its head, and a head without its entry, are gaps.
	for _, op := range []kv.Op{kv.Put(p.keys.Entry(s.id, 99), nil, 0), kv.Put(p.keys.Head(), nil, 0)} {
		rev := p.do(op)
		w := p.j.Watch(p.Context(), rev)
		if b := p.next(w); !errors.Is(b.Err, journal.ErrGap) {
			p.Errorf("%v: %v", op.Key, b.Err)
		}
		for range w { // closes
		}
	}
	rev := p.do(kv.Put(p.keys.JournalPrefix()+"what", nil, 0))
	if b := p.next(p.j.Watch(p.Context(), rev)); b.Err == nil {
		p.Errorf("a key that is no entry: %+v", b)
	}
}

// A watcher that does not read while its history is compacted hears of it, or gets everything; it never misses any.
func testSlowWatcher(p *place) {
	s := p.open()
	first := p.append(s, "0")
	w := p.j.Watch(p.Context(), first)
	var last int64
	big := string(make([]byte, 100<<10))
	for range 120 {
		last = p.append(s, big)
	}
	if err := p.bare.Compact(p.Context(), last); err != nil {
		p.Fatal(err)
	}
	var got []journal.Entry
	for len(got) < 121 {
		b := p.next(w)
		if b.Err != nil {
			if !errors.Is(b.Err, kv.ErrCompacted) {
				p.Fatal(b.Err)
			}
			break
		}
		got = append(got, b.Entries...)
	}
	p.gapless(got, 0, 0)
	if b := p.next(p.j.Watch(p.Context(), first)); !errors.Is(b.Err, kv.ErrCompacted) {
		p.Errorf("a watch from what is compacted: %v", b.Err)
	}
}

// 200 sessions append at once: every entry is there exactly once, positions and heads have no gap, and the watch brings
// what the listing has.
func testManySessions(p *place) {
	const sessions, each = 200, 5
	w := p.j.Watch(p.Context(), p.anchor().Head.Revision+1)
	all := make([]*session, sessions)
	for i := range all {
		all[i] = p.open()
	}
	positions := make([][]int64, sessions)
	errs := make([]error, sessions)
	var wg sync.WaitGroup
	for i, s := range all {
		wg.Go(func() {
			for n := range each {
				s.seq++
				a := s.entry(fmt.Sprint(i, n))
				pos, err := p.j.Append(p.Context(), a)
				if again, err2 := p.j.Append(p.Context(), a); err == nil && (err2 != nil || again != pos) {
					err = fmt.Errorf("again: %d, %w", again, err2)
				}
				if err != nil {
					errs[i] = err
					return
				}
				positions[i] = append(positions[i], pos)
			}
		})
	}
	seen := p.collect(w, sessions*each)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		p.Fatal(err)
	}
	list := p.since(0, 0)
	if len(list) != sessions*each || len(seen) != len(list) {
		p.Fatalf("%d listed, %d watched", len(list), len(seen))
	}
	p.gapless(list, 0, 0)
	for i, e := range list {
		if x := seen[i]; x.Position != e.Position || x.Head != e.Head || x.Session != e.Session || x.Seq != e.Seq ||
			string(x.Value) != string(e.Value) {
			p.Fatalf("watched %+v, listed %+v", x, e)
		}
	}
	found := map[int64]bool{}
	for _, e := range list {
		found[e.Position] = true
	}
	for i := range positions {
		for _, pos := range positions[i] {
			if !found[pos] {
				p.Errorf("the entry at %d is not there", pos)
			}
			delete(found, pos)
		}
	}
	if len(found) != 0 {
		p.Errorf("%d entries that nobody appended", len(found))
	}
}
