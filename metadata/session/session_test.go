package session_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	"wadi/metadata/kv/faultkv"
	"wadi/metadata/kv/memkv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/metadata/view"
)

const ttl = 5 * time.Second

var keys = layout.NewEtcd("demo")

// agent is a session with the view that brings its results.
type agent struct {
	t      *testing.T
	s      *session.Session
	view   *view.View
	kv     *faultkv.KV
	cancel context.CancelFunc
	done   chan error
	lost   chan layout.Session
}

func start(t *testing.T, m *memkv.KV) *agent { return startAt(t, m, "") }

func startAt(t *testing.T, m *memkv.KV, place string) *agent {
	a := &agent{t: t, kv: faultkv.New(m.Client()), done: make(chan error, 2), lost: make(chan layout.Session, 100)}
	jrnl := journal.New(a.kv, keys)
	a.s = session.New(session.Options{
		Config: session.Config{
			TTL: ttl, Init: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}, MinFeatureLevel: 1, MaxFeatureLevel: 1,
			Address: "a:1", Place: place,
		},
		KV: a.kv, Keys: keys, Journal: jrnl, Info: &pb.SessionInfo{Zone: "z", Place: place}, Log: slog.New(slog.DiscardHandler),
		OnLost: func(id layout.Session) { a.lost <- id },
	})
	a.view = view.NewView(view.Config{Limits: view.LimitsFor(ttl), Journal: jrnl, Observers: []view.Observer{a.s}})
	ctx, cancel := context.WithCancel(t.Context())
	a.cancel = cancel
	go func() { a.done <- a.view.Run(ctx) }()
	go func() { a.done <- a.s.Run(ctx) }()
	return a
}

func (a *agent) stop() {
	a.t.Helper()
	a.cancel()
	for range 2 {
		if err := <-a.done; err != nil {
			a.t.Error(err)
		}
	}
}

// open waits until a session is open and returns how long that took.
func (a *agent) open() (layout.Session, time.Duration) {
	a.t.Helper()
	began := time.Now()
	for time.Since(began) < time.Minute {
		changed := a.s.Changed()
		if id, _, open := a.s.Current(); open {
			return id, time.Since(began)
		}
		select {
		case <-changed:
		case <-time.After(time.Second):
		}
	}
	a.t.Fatal("no session in a minute")
	return 0, 0
}

func (a *agent) do() error {
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	return a.s.Do(ctx, &pb.Command{Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{}}}, func(session.Outcome) {})
}

func sessionKeys(m *memkv.KV) (list []string) {
	m.Inspect(func(s *memkv.Store) {
		for _, k := range s.Keys() {
			if strings.HasPrefix(k, keys.SessionsPrefix()) {
				list = append(list, k)
			}
		}
	})
	return list
}

func newKV(t *testing.T) *memkv.KV {
	m := memkv.New(memkv.Config{})
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newKV(t)
		a := start(t, m)
		id, took := a.open()
		if took > time.Second {
			t.Errorf("open after %v", took)
		}
		if got := sessionKeys(m); len(got) != 1 || got[0] != keys.SessionKey(id) {
			t.Errorf("keys %v", got)
		}
		for range 100 {
			if err := a.do(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Minute) // kept alive
		if now, _, open := a.s.Current(); now != id || !open || !a.s.Alive() || !a.s.Idle() {
			t.Errorf("session %v, open %v", now, open)
		}
		a.stop()
		if got := sessionKeys(m); len(got) != 0 {
			t.Errorf("left behind: %v", got)
		}
		m.Inspect(func(s *memkv.Store) {
			if _, any := s.NextExpiry(); any {
				t.Error("the lease was left behind")
			}
		})
		if err := a.do(); !errors.Is(err, session.ErrNotProposed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// Cut off for longer than the lease lives: replaced at run time, all keys tried are gone, and proposals are answered.
func TestReplacedAfterCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, action := range []faultkv.Action{faultkv.FailBefore, faultkv.LoseAnswer, faultkv.Hang, faultkv.HangAfter} {
			m := newKV(t)
			a := start(t, m)
			first, _ := a.open()
			for _, op := range []faultkv.Op{faultkv.Txn, faultkv.Grant, faultkv.KeepAlive, faultkv.Range} {
				a.kv.Add(faultkv.Rule{Op: op, Times: -1, Action: action})
			}
			answer := make(chan error, 1)
			go func() { answer <- a.do() }()
			time.Sleep(30 * time.Second)
			if action == faultkv.FailBefore || action == faultkv.Hang {
				if len(sessionKeys(m)) != 0 {
					t.Errorf("%v: keys %v", action, sessionKeys(m))
				}
			}
			a.kv.Clear()
			healed := time.Now()
			second, _ := a.open()
			for second == first && action != faultkv.LoseAnswer && time.Since(healed) < 5*time.Second {
				time.Sleep(100 * time.Millisecond)
				second, _ = a.open()
			}
			if took := time.Since(healed); took > 5*time.Second {
				t.Errorf("%v: a session %v after the end of the fault", action, took)
			}
			select {
			case err := <-answer:
				// A keep-alive whose answer is lost has renewed the lease all the same: then the entry is applied in the end.
				if err != nil && !errors.Is(err, session.ErrUnknown) && !errors.Is(err, session.ErrNotProposed) {
					t.Errorf("%v: %v", action, err)
				}
			case <-time.After(5 * time.Second):
				t.Errorf("%v: the proposal was never answered", action)
			}
			for end := time.Now().Add(10 * time.Second); ; {
				if err := a.do(); err == nil {
					break
				} else if time.Now().After(end) {
					t.Fatalf("%v: %v", action, err)
				}
				time.Sleep(100 * time.Millisecond)
			}
			id, _ := a.open()
			if got := sessionKeys(m); len(got) != 1 || got[0] != keys.SessionKey(id) {
				t.Errorf("%v: keys %v, the session is %v", action, got, id)
			}
			a.stop()
		}
	})
}

// The lease is revoked, or the key deleted, behind an idle agent's back.
func TestLostWithoutNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newKV(t)
		a, b := start(t, m), start(t, m)
		defer a.stop()
		defer b.stop()
		first, _ := a.open()
		b.open()
		if err := m.Revoke(t.Context(), int64(first)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(ttl)
		second, _ := a.open()
		if second == first {
			t.Fatal("the loss of the lease went unnoticed")
		}
		if _, err := m.Txn(t.Context(), kv.Txn{Then: []kv.Op{kv.Delete(keys.SessionKey(second))}}); err != nil {
			t.Fatal(err)
		}
		close := &pb.Command{Kind: &pb.Command_CloseSession{CloseSession: &pb.CloseSession{Session: int64(second)}}}
		if err := b.s.Do(t.Context(), close, func(session.Outcome) {}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(ttl)
		if third, _ := a.open(); third == second {
			t.Fatal("an idle agent goes on with a session that State closed")
		}
	})
}

// Proposals flow through faults of every kind: each is answered once, and what was told to be done is done.
func TestProposalsUnderFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newKV(t)
		a := start(t, m)
		a.open()
		for i, action := range []faultkv.Action{faultkv.FailBefore, faultkv.LoseAnswer, faultkv.Hang, faultkv.HangAfter, faultkv.Delay} {
			a.kv.Add(faultkv.Rule{Op: faultkv.Txn, Nth: 3 * (i + 1), Times: 2, Action: action, Delay: time.Second})
		}
		a.kv.Add(faultkv.Rule{Op: faultkv.Response, Nth: 10, Action: faultkv.Drop})
		a.kv.Add(faultkv.Rule{Op: faultkv.Response, Nth: 14, Action: faultkv.Repeat})
		names, outcomes := map[string]int{}, map[string]error{}
		for i := range 60 {
			name := fmt.Sprintf("t%d", i)
			answer := make(chan error, 2)
			a.s.Propose(&session.Proposal{
				Command: &pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: name, Partitions: 1}}},
				Done:    func(o session.Outcome) { answer <- o.Err },
			})
			select {
			case err := <-answer:
				outcomes[name] = err
				names[name]++
			case <-time.After(time.Minute):
				t.Fatalf("%s: no answer in a minute", name)
			}
			synctest.Wait()
			if len(answer) != 0 {
				t.Fatalf("%s: answered twice", name)
			}
		}
		if err := a.view.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.view.Read(func(s *state.State) {
			for name, err := range outcomes {
				exists := s.Topic(name) != nil
				if err == nil && !exists || errors.Is(err, session.ErrNotProposed) && exists {
					t.Errorf("%s: %v, exists %v", name, err, exists)
				}
			}
		})
		a.stop()
	})
}

// Draining keeps the lease and the key's create revision, so that what is proposed still goes.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newKV(t)
		a := start(t, m)
		id, _ := a.open()
		read := func() (kv.KeyValue, *pb.SessionInfo) {
			res, err := m.Range(t.Context(), kv.RangeRequest{Key: keys.SessionKey(id)})
			if err != nil || len(res.KVs) != 1 {
				t.Fatalf("%v, %v", res, err)
			}
			info := &pb.SessionInfo{}
			if err := proto.Unmarshal(res.KVs[0].Value, info); err != nil {
				t.Fatal(err)
			}
			return res.KVs[0], info
		}
		before, info := read()
		if info.Draining {
			t.Fatal("draining from the start")
		}
		if err := a.s.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		after, info := read()
		if !info.Draining || info.Zone != "z" || after.CreateRevision != before.CreateRevision || after.Lease != int64(id) {
			t.Errorf("%v, %+v after %+v", info, after, before)
		}
		if err := a.do(); err != nil {
			t.Errorf("a proposal while draining: %v", err)
		}
		// A session made from now on drains too.
		if err := m.Revoke(t.Context(), int64(id)); err != nil {
			t.Fatal(err)
		}
		<-a.lost
		id, _ = a.open()
		if _, info := read(); !info.Draining {
			t.Error("the next session does not drain")
		}
		a.stop()
	})
}

// Members are the registrations that etcd has; while it does not answer, those it had.
func TestMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newKV(t)
		k := faultkv.New(m.Client())
		changes := 0
		members := session.NewMembers(k, keys, slog.New(slog.DiscardHandler), func() { changes++ })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- members.Run(ctx) }()
		a, b := start(t, m), start(t, m)
		x, _ := a.open()
		y, _ := b.open()
		synctest.Wait()
		if all := members.All(); len(all) != 2 || all[x].Info.GetZone() != "z" || all[y].Session != y || changes == 0 {
			t.Errorf("%v after %d changes", all, changes)
		}
		since := members.All()[x].Since
		cut := k.Add(faultkv.Rule{Op: faultkv.Response, Times: 1, Action: faultkv.Cut})
		hang := k.Add(faultkv.Rule{Op: faultkv.Range, Times: -1, Action: faultkv.FailBefore})
		b.stop()
		time.Sleep(30 * time.Second)
		if cut.Hits() != 1 || len(members.All()) != 2 {
			t.Errorf("while etcd does not answer: %v", members.All())
		}
		hang.Remove()
		time.Sleep(5 * time.Second)
		if all := members.All(); len(all) != 1 || all[x].Since != since {
			t.Errorf("after it answers again: %v", all)
		}
		if gone, err := members.Gone(t.Context(), y); err != nil || !gone {
			t.Errorf("%v, %v", gone, err)
		}
		if gone, err := members.Gone(t.Context(), x); err != nil || gone {
			t.Errorf("%v, %v", gone, err)
		}
		a.stop()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestMembersOfASilentWatch: a watch that has died without a word is believed for a while only.
func TestMembersOfASilentWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newKV(t)
		k := faultkv.New(m.Client())
		k.Add(faultkv.Rule{Op: faultkv.Response, Times: -1, Action: faultkv.Hang})
		members := session.NewMembers(k, keys, slog.New(slog.DiscardHandler), nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- members.Run(ctx) }()
		synctest.Wait()
		a := start(t, m)
		a.open()
		if n := len(members.All()); n != 0 {
			t.Errorf("%d members through a silent watch", n)
		}
		time.Sleep(20 * time.Second)
		if n := len(members.All()); n != 1 {
			t.Errorf("%d members after 20 s", n)
		}
		a.stop()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestRegister(t *testing.T) {
	m := newKV(t)
	ctx := t.Context()
	lease := func() layout.Session {
		id, err := m.Grant(ctx, 60)
		if err != nil {
			t.Fatal(err)
		}
		return layout.Session(id)
	}
	one, two, three := lease(), lease(), lease()
	other := layout.Session(1)
	if _, err := m.Txn(ctx, kv.Txn{Then: []kv.Op{kv.Put(keys.SessionKey(other), nil, 0)}}); err != nil {
		t.Fatal(err)
	}
	first, err := session.Register(ctx, m, keys, one, &pb.SessionInfo{}, nil)
	if err != nil || first.At != first.Revision || !slices.Equal(first.Listed, []layout.Session{other, one}) {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := m.Txn(ctx, kv.Txn{Then: []kv.Op{kv.Delete(keys.SessionKey(other))}}); err != nil {
		t.Fatal(err)
	}
	again, err := session.Register(ctx, m, keys, one, &pb.SessionInfo{}, nil)
	if err != nil || again.Revision != first.Revision || again.At != first.At+1 || !slices.Equal(again.Listed, []layout.Session{one}) {
		t.Errorf("again: %+v, %v; it was %+v", again, err, first)
	}
	second, err := session.Register(ctx, m, keys, two, &pb.SessionInfo{}, []layout.Session{one, 99})
	if err != nil || !slices.Equal(second.Listed, []layout.Session{two}) {
		t.Fatalf("%+v, %v", second, err)
	}
	if got := sessionKeys(m); len(got) != 1 || got[0] != keys.SessionKey(two) {
		t.Errorf("keys %v", got)
	}
	if _, err := m.Txn(ctx, kv.Txn{Then: []kv.Op{kv.Put(keys.SessionKey(three), nil, 0)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := session.Register(ctx, m, keys, three, &pb.SessionInfo{}, nil); !errors.Is(err, session.ErrTaken) {
		t.Errorf("%v", err)
	}
	if _, err := session.Register(ctx, m, keys, 12345, &pb.SessionInfo{}, nil); !errors.Is(err, kv.ErrLeaseNotFound) {
		t.Errorf("%v", err)
	}
}

// TestRegisterKeepsAwayFromAForeignEtcd: an etcd that was wiped under a running agent gets no session, and so no entry.
func TestRegisterKeepsAwayFromAForeignEtcd(t *testing.T) {
	m := newKV(t)
	ctx := t.Context()
	id, err := m.Grant(ctx, 60)
	if err != nil {
		t.Fatal(err)
	}
	ours := kv.Compare{Key: keys.Bootstrap(), Target: kv.Version, Want: 1}
	register := func() error {
		_, err := session.Register(ctx, m, keys, layout.Session(id), &pb.SessionInfo{}, nil, ours)
		return err
	}
	if err := register(); !errors.Is(err, session.ErrNotOurs) || len(sessionKeys(m)) != 0 {
		t.Fatalf("%v; keys %v", err, sessionKeys(m))
	}
	if _, err := m.Txn(ctx, kv.Txn{Then: []kv.Op{kv.Put(keys.Bootstrap(), nil, 0)}}); err != nil {
		t.Fatal(err)
	}
	if err := register(); err != nil || len(sessionKeys(m)) != 1 {
		t.Fatalf("%v; keys %v", err, sessionKeys(m))
	}
}

// Who has drained closes the session itself: State has its node id free before the key is gone, and no other session is
// made. The next process at the address is the same node.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newKV(t)
		a := start(t, m)
		id, _ := a.open()
		_, node, _ := a.s.Current()
		a.s.Leave(t.Context())
		a.view.Read(func(st *state.State) {
			if v, _ := st.Session(id); v.Closed == 0 {
				t.Error("the session is open after its agent has left")
			}
		})
		if now, _, _ := a.s.Current(); now != id {
			t.Errorf("session %v follows %v", now, id)
		}
		a.stop()
		b := start(t, m)
		defer b.stop()
		b.open()
		if _, again, _ := b.s.Current(); again != node {
			t.Errorf("node %d comes back as %d", node, again)
		}
	})
}

// kill ends an agent so that nobody hears of it.
func (a *agent) kill() {
	for _, op := range []faultkv.Op{faultkv.Txn, faultkv.Range, faultkv.KeepAlive, faultkv.Grant, faultkv.Revoke} {
		a.kv.Add(faultkv.Rule{Op: op, Times: -1, Action: faultkv.FailBefore})
	}
	a.stop()
}

// A process that is killed and comes back is the same node as soon as it has a session, if it is known that the one before
// is dead, by its place or as its lease is over. Else it is another one, and the session before, which may live, is left
// alone.
func TestComesBack(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after string
		pause         time.Duration
		same          bool
	}{
		{"at its place", "here", "here", 0, true},
		{"somewhere else", "here", "there", 0, false},
		{"nobody knows where", "", "", 0, false},
		{"later, without anybody who saw it go", "", "", time.Minute, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newKV(t)
				a := startAt(t, m, c.before)
				id, _ := a.open()
				_, node, _ := a.s.Current()
				a.kill()
				time.Sleep(c.pause)
				b := startAt(t, m, c.after)
				defer b.stop()
				now, took := b.open()
				if took > time.Second {
					t.Errorf("open after %v", took)
				}
				if _, again, _ := b.s.Current(); (again == node) != c.same {
					t.Errorf("node %d comes back as %d", node, again)
				}
				b.view.Read(func(st *state.State) {
					if v, _ := st.Session(id); (v.Closed != 0) != c.same {
						t.Errorf("the session before: %+v", v)
					}
				})
				want := []string{keys.SessionKey(now)}
				if !c.same {
					want = []string{keys.SessionKey(id), keys.SessionKey(now)}
				}
				if got := sessionKeys(m); !slices.Equal(got, want) {
					t.Errorf("keys %v, want %v", got, want)
				}
			})
		})
	}
}

// An agent that lost its session is the same node in the next one.
func TestSameNodeInTheNextSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newKV(t)
		a := start(t, m)
		defer a.stop()
		id, _ := a.open()
		_, node, _ := a.s.Current()
		if err := m.Revoke(t.Context(), int64(id)); err != nil {
			t.Fatal(err)
		}
		if lost := <-a.lost; lost != id {
			t.Fatalf("lost %v", lost)
		}
		a.open()
		if _, again, _ := a.s.Current(); again != node {
			t.Errorf("node %d goes on as %d", node, again)
		}
	})
}

// Two changes of a registration at a time are both there in the end, whichever is put last.
func TestChangesAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newKV(t)
		a := start(t, m)
		id, _ := a.open()
		slow := a.kv.Add(faultkv.Rule{Op: faultkv.Txn, Nth: 1, Action: faultkv.Delay, Delay: time.Second})
		done := make(chan error, 1)
		go func() { done <- a.s.Change(t.Context(), func(info *pb.SessionInfo) { info.Zone = "other" }) }()
		synctest.Wait()
		if err := a.s.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if slow.Hits() == 0 {
			t.Fatal("nothing was slow")
		}
		res, err := m.Range(t.Context(), kv.RangeRequest{Key: keys.SessionKey(id)})
		if err != nil || len(res.KVs) != 1 {
			t.Fatalf("%v, %v", res, err)
		}
		info := &pb.SessionInfo{}
		if err := proto.Unmarshal(res.KVs[0].Value, info); err != nil {
			t.Fatal(err)
		}
		if !info.Draining || info.Zone != "other" {
			t.Errorf("the registration says %v", info)
		}
		a.stop()
	})
}
