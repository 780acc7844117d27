package session

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// world is a journal, its State and a core between them, with every request and every answer under the test's control.
type world struct {
	t   *rapid.T
	now Instant
	c   *Core
	st  *state.State

	keys    map[layout.Session]int64 // create revisions
	entries map[string]bool
	log     []logged
	seen    int // entries of the log that the view has applied
	rev     int64
	nextID  layout.Session
	looked  bool // who was there before

	pending []func(fate) // requests under way; each answers the core
	fates   map[string]error
	done    map[string]int
	applied map[string]int // names of the proposals that State applied
}

type logged struct {
	a        journal.Append
	position int64
}

// fate is what happens to a request.
type fate int

const (
	answered   fate = iota
	lostBefore      // unknown: it had no effect
	lostAfter       // unknown: it had its effect
	denied          // refused for good
)

func newWorld(t *rapid.T) *world {
	w := &world{
		t: t, st: state.New(), keys: map[layout.Session]int64{predecessor: 1, stranger: 2}, rev: 2, entries: map[string]bool{}, fates: map[string]error{},
		done: map[string]int{}, applied: map[string]int{},
	}
	w.c = NewCore(Config{
		TTL: ttl, Init: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}, MinFeatureLevel: 1, MaxFeatureLevel: 1,
		Address: "a:1", Place: "p",
	}, w)
	w.c.Start(w.now)
	return w
}

var errUnknownFate = fmt.Errorf("no answer: %w", kv.ErrUnavailable)

// Look finds two before this process, one of them at its place.
func (w *world) Look() {
	w.pending = append(w.pending, func(f fate) {
		switch f {
		case answered:
			w.looked = true
			w.c.Looked(w.now, []Found{{Session: predecessor, Place: "p"}, {Session: stranger, Place: "q"}}, nil)
		case denied:
			w.c.Looked(w.now, nil, kv.ErrDenied)
		default:
			w.c.Looked(w.now, nil, errUnknownFate)
		}
	})
}

const (
	predecessor layout.Session = 5000
	stranger    layout.Session = 5001
)

func (w *world) Grant(time.Duration) {
	w.pending = append(w.pending, func(f fate) {
		if f != answered {
			w.c.Granted(w.now, 0, errUnknownFate)
			return
		}
		w.nextID++
		w.c.Granted(w.now, w.nextID, nil)
	})
}

func (w *world) Register(id layout.Session, stale []layout.Session) {
	if len(stale) > maxTried {
		w.t.Fatalf("%d stale keys", len(stale))
	}
	w.pending = append(w.pending, func(f fate) {
		switch f {
		case lostBefore:
			w.c.Registered(w.now, id, Registration{}, errUnknownFate)
			return
		case denied:
			w.c.Registered(w.now, id, Registration{}, kv.ErrDenied)
			return
		}
		if w.keys[id] == 0 {
			w.rev++
			w.keys[id] = w.rev
			for _, old := range stale {
				delete(w.keys, old)
			}
		}
		if f == lostAfter {
			w.c.Registered(w.now, id, Registration{}, errUnknownFate)
			return
		}
		r := Registration{Revision: w.keys[id], At: w.rev}
		for other, revision := range w.keys {
			if revision != 0 {
				r.Listed = append(r.Listed, other)
			}
		}
		slices.Sort(r.Listed)
		w.c.Registered(w.now, id, r, nil)
	})
}

func (w *world) Append(a journal.Append) {
	w.pending = append(w.pending, func(f fate) {
		var err error
		key := fmt.Sprint(a.Session, a.Seq)
		switch {
		case f == lostBefore:
			err = errUnknownFate
		case f == denied:
			err = kv.ErrDenied
		case w.entries[key]:
		case w.keys[a.Session] != a.Revision:
			err = journal.ErrSessionLost
		default:
			w.rev++
			w.entries[key] = true
			w.log = append(w.log, logged{a, w.rev})
		}
		if f == lostAfter {
			err = errUnknownFate
		}
		w.c.Appended(w.now, a.Session, a.Seq, w.rev, err)
	})
}

func (w *world) KeepAlive(id layout.Session) {
	sent := w.now.Mono
	w.pending = append(w.pending, func(f fate) {
		switch {
		case f != answered:
			w.c.KeptAlive(w.now, id, sent, errUnknownFate)
		case w.keys[id] == 0 && w.rev > 0 && id != w.nextID:
			w.c.KeptAlive(w.now, id, sent, kv.ErrLeaseNotFound)
		default:
			w.c.KeptAlive(w.now, id, sent, nil)
		}
	})
}

func (w *world) Done(p *Proposal, o Outcome) {
	if p.Done != nil {
		p.Done(o)
	}
}
func (w *world) Opened(layout.Session, int32) {}
func (w *world) Lost(layout.Session, error)   {}

func (w *world) propose(name string, control bool) {
	w.c.Propose(w.now, &Proposal{
		Command: &pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: name, Partitions: 1}}},
		Control: control,
		Done: func(o Outcome) {
			w.done[name]++
			w.fates[name] = o.Err
		},
	})
}

// view applies the next entry of the log; the core hears of it unless the view jumps.
func (w *world) view(silent bool) {
	if w.seen == len(w.log) {
		return
	}
	l := w.log[w.seen]
	w.seen++
	d, err := state.Decode(l.position, l.a.Session, l.a.Seq, l.a.Value)
	if err != nil {
		w.t.Fatal(err)
	}
	res := w.st.Apply(d)
	for i, r := range res.Commands {
		if c := d.Body.Commands[i].GetCreateTopic(); c != nil && r.Code == state.OK {
			w.applied[c.Name]++
		}
	}
	if !silent {
		w.c.Applied(w.now, l.a.Session, l.a.Seq, journal.Checksum(l.a.Value), res)
	}
}

func (w *world) jump() {
	for w.seen < len(w.log) {
		w.view(true)
	}
	id, _, _ := w.c.Session()
	v, known := w.st.Session(id)
	w.c.Replaced(w.now, v.LastSeq, v.NodeID, known, v.Closed != 0)
}

func (w *world) tick(d time.Duration) {
	w.now.Mono += d
	w.now.Wall += d.Milliseconds()
	w.c.Tick(w.now)
}

func (w *world) answer(i int, f fate) {
	req := w.pending[i]
	w.pending = slices.Delete(w.pending, i, i+1)
	req(f)
}

// Whatever the order of events: every proposal ends exactly once; one that ended well was applied exactly once; one that
// was not proposed was never applied and never will be; and once faults stop, a session opens and works again within
// seconds. It is the only one of this process that State has open then, and always the same node; nobody who is at another
// place was touched.
func TestOutcomesAreTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		count := 0
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			switch rapid.IntRange(0, 11).Draw(t, "event") {
			case 0, 1, 2:
				count++
				w.propose(fmt.Sprintf("t%d", count), rapid.Bool().Draw(t, "control"))
			case 3, 4, 5, 6:
				if n := len(w.pending); n > 0 {
					f := rapid.SampledFrom([]fate{answered, answered, answered, answered, lostBefore, lostAfter, denied}).Draw(t, "fate")
					w.answer(rapid.IntRange(0, n-1).Draw(t, "which"), f)
				}
			case 7, 8:
				w.view(false)
			case 9:
				w.tick(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			case 10:
				if rapid.IntRange(0, 3).Draw(t, "loss") == 0 {
					id, _, _ := w.c.Session()
					delete(w.keys, id) // the lease ended
					if rapid.Bool().Draw(t, "told") && id != 0 {
						w.c.KeptAlive(w.now, id, w.now.Mono, kv.ErrLeaseNotFound)
					}
				}
			case 11:
				if rapid.IntRange(0, 3).Draw(t, "jumps") == 0 {
					w.jump()
				}
			}
		}
		// Faults stop.
		w.propose("after", false)
		healed := w.now.Mono
		settled := func() bool {
			_, _, open := w.c.Session()
			return open && w.c.Idle() && w.seen == len(w.log)
		}
		for !settled() || w.fates["after"] != nil {
			if settled() { // it met a session that was gone already
				delete(w.done, "after")
				w.propose("after", false)
			}
			for len(w.pending) > 0 {
				w.answer(0, answered)
			}
			for w.seen < len(w.log) {
				w.view(false)
			}
			w.tick(10 * time.Millisecond)
			if w.now.Mono-healed > 10*time.Second {
				t.Fatalf("no session that works 10 s after the last fault; phase %d", w.c.phase)
			}
		}
		open := 0
		w.st.EachSession(func(_ layout.Session, v state.Session) {
			if v.Closed == 0 {
				open++
			}
		})
		if _, node, _ := w.c.Session(); open != 1 || node != 0 || w.keys[stranger] == 0 || (w.keys[predecessor] == 0) != w.looked {
			t.Fatalf("%d sessions are open, this one is node %d; keys %v, looked %v", open, node, w.keys, w.looked)
		}
		names := []string{"after"}
		for i := range count {
			names = append(names, fmt.Sprintf("t%d", i+1))
		}
		for _, name := range names {
			err := w.fates[name]
			switch {
			case w.done[name] != 1:
				t.Fatalf("%s ended %d times", name, w.done[name])
			case err == nil && w.applied[name] != 1:
				t.Fatalf("%s ended well and was applied %d times", name, w.applied[name])
			case errors.Is(err, ErrNotProposed) && w.applied[name] != 0:
				t.Fatalf("%s was not proposed (%v) but applied", name, err)
			case err != nil && !errors.Is(err, ErrNotProposed) && !errors.Is(err, ErrUnknown):
				t.Fatalf("%s: %v", name, err)
			case w.applied[name] > 1:
				t.Fatalf("%s was applied %d times", name, w.applied[name])
			}
		}
	})
}
