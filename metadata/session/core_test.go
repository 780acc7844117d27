package session

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// script records what a core asks for.
type script struct {
	words    []string
	appends  []journal.Append
	stale    []layout.Session
	lost     error
	outcomes map[string]error
	results  map[string]int64 // ID of the result
	done     map[string]int
}

func (s *script) say(format string, args ...any) {
	s.words = append(s.words, fmt.Sprintf(format, args...))
}

func (s *script) Look()               { s.say("look") }
func (s *script) Grant(time.Duration) { s.say("grant") }
func (s *script) Register(id layout.Session, stale []layout.Session) {
	s.stale = append([]layout.Session(nil), stale...)
	s.say("register(%d)", int64(id))
}
func (s *script) Append(a journal.Append) {
	s.appends = append(s.appends, a)
	s.say("append(%d/%d)", int64(a.Session), a.Seq)
}
func (s *script) KeepAlive(id layout.Session) { s.say("keepalive(%d)", int64(id)) }
func (s *script) Done(p *Proposal, o Outcome) {
	if p.Done == nil {
		return
	}
	p.Done(o)
}
func (s *script) Opened(id layout.Session, node int32) { s.say("opened(%d,%d)", int64(id), node) }
func (s *script) Lost(id layout.Session, err error) {
	s.lost = err
	s.say("lost(%d)", int64(id))
}

// rig steps a core by hand; applied entries are judged by a real State.
type rig struct {
	t        *testing.T
	out      *script
	c        *Core
	now      Instant
	st       *state.State
	position int64
	next     layout.Session
}

const ttl = 5 * time.Second

// at is a registration of which nothing but the key's create revision matters.
func at(revision int64) Registration { return Registration{Revision: revision} }

func newRig(t *testing.T) *rig {
	r := &rig{t: t, st: state.New(), out: &script{outcomes: map[string]error{}, results: map[string]int64{}, done: map[string]int{}}}
	r.now.Wall = 1_700_000_000_000
	r.c = NewCore(Config{
		TTL: ttl, Init: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}, MinFeatureLevel: 1, MaxFeatureLevel: 1,
	}, r.out)
	return r
}

// opened has session 1 open.
func opened(t *testing.T) *rig {
	r := newRig(t)
	r.c.Start(r.now)
	r.open()
	r.out.words = nil
	return r
}

// open answers from Grant on.
func (r *rig) open() {
	r.t.Helper()
	r.next++
	r.c.Granted(r.now, r.next, nil)
	r.c.Registered(r.now, r.next, at(100+int64(r.next)), nil)
	a := r.last()
	if a.Session != r.next || a.Seq != 1 {
		r.t.Fatalf("the first entry of session %d: %+v", r.next, a)
	}
	r.c.Appended(r.now, a.Session, a.Seq, r.position+1, nil)
	r.apply(a)
	if id, _, open := r.c.Session(); !open || id != r.next {
		r.t.Fatalf("session %v, open %v", id, open)
	}
}

func (r *rig) last() journal.Append { return r.out.appends[len(r.out.appends)-1] }

// apply lets State judge the entry and the core hear of it.
func (r *rig) apply(a journal.Append) *state.Results {
	r.t.Helper()
	r.position++
	d, err := state.Decode(r.position, a.Session, a.Seq, a.Value)
	if err != nil {
		r.t.Fatal(err)
	}
	res := r.st.Apply(d)
	r.c.Applied(r.now, a.Session, a.Seq, journal.Checksum(a.Value), res)
	return res
}

// ok appends and applies the entry in flight.
func (r *rig) ok() {
	r.t.Helper()
	a := r.last()
	r.c.Appended(r.now, a.Session, a.Seq, r.position+1, nil)
	r.apply(a)
}

func (r *rig) answer(err error) {
	a := r.last()
	r.c.Appended(r.now, a.Session, a.Seq, 0, err)
}

// proposal takes a producer id.
func (r *rig) proposal(name string) *Proposal {
	return &Proposal{
		Command: &pb.Command{Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{}}},
		Done: func(o Outcome) {
			r.out.done[name]++
			r.out.outcomes[name] = o.Err
			if o.Err == nil {
				r.out.results[name] = o.Result.ID
			}
			r.out.say("done(%s)", name)
		},
	}
}

func (r *rig) propose(names ...string) {
	for _, name := range names {
		r.c.Propose(r.now, r.proposal(name))
	}
}

func (r *rig) tick(after time.Duration) {
	r.now.Mono += after
	r.now.Wall += after.Milliseconds()
	r.c.Tick(r.now)
}

// until ticks until the core has asked for something else than keep-alives, which are answered. What it asked for before
// is forgotten.
func (r *rig) until() time.Duration {
	r.t.Helper()
	began := r.now.Mono
	r.out.words = nil
	for range 1000 {
		r.tick(10 * time.Millisecond)
		for len(r.out.words) > 0 && strings.HasPrefix(r.out.words[0], "keepalive") {
			id, _, _ := r.c.Session()
			r.c.KeptAlive(r.now, id, r.now.Mono, nil)
			r.out.words = r.out.words[1:]
		}
		if len(r.out.words) > 0 {
			return r.now.Mono - began
		}
	}
	r.t.Fatal("nothing happened in 10 s")
	return 0
}

func (r *rig) expect(want ...string) {
	r.t.Helper()
	if got := strings.Join(r.out.words, " "); got != strings.Join(want, " ") {
		r.t.Fatalf("effects: %q, want %q", got, strings.Join(want, " "))
	}
	r.out.words = nil
}

func (r *rig) outcome(name string, want error) {
	r.t.Helper()
	if r.out.done[name] != 1 {
		r.t.Fatalf("%s: Done was called %d times", name, r.out.done[name])
	}
	if err := r.out.outcomes[name]; !errors.Is(err, want) {
		r.t.Fatalf("%s: %v, want %v", name, err, want)
	}
}

func TestOpening(t *testing.T) {
	r := newRig(t)
	r.propose("early") // waits for the session
	r.c.Start(r.now)
	r.expect("grant")
	r.c.Granted(r.now, 7, nil)
	r.expect("register(7)")
	r.c.Registered(r.now, 7, at(40), nil)
	r.expect("append(7/1)")
	if a := r.last(); a.Revision != 40 {
		t.Errorf("create revision %d", a.Revision)
	}
	e := &pb.Entry{}
	if err := proto.Unmarshal(r.last().Value, e); err != nil {
		t.Fatal(err)
	}
	if len(e.Commands) != 2 || e.Commands[0].GetInitCluster() == nil || e.Commands[1].GetOpenSession() == nil || e.AtMs != r.now.Wall {
		t.Errorf("the first entry: %v", e)
	}
	r.ok()
	r.expect("opened(7,0)", "append(7/2)")
	r.ok()
	r.outcome("early", nil)
	if id, node, open := r.c.Session(); id != 7 || node != 0 || !open {
		t.Errorf("session %v, node %d, %v", id, node, open)
	}
}

func TestGrantFails(t *testing.T) {
	r := newRig(t)
	r.c.Start(r.now)
	var last time.Duration
	for range 10 {
		r.out.words = nil
		r.c.Granted(r.now, 0, kv.ErrUnavailable)
		pause := r.until()
		r.expect("grant")
		if pause < last || pause > 3*time.Second {
			t.Fatalf("pause %v after %v", pause, last)
		}
		last = pause
	}
	if last < time.Second {
		t.Errorf("the longest pause is %v", last)
	}
	r.open()
}

func TestRegisterUnknownOutcome(t *testing.T) {
	r := newRig(t)
	r.c.Start(r.now)
	r.c.Granted(r.now, 7, nil)
	r.out.words = nil
	r.c.Registered(r.now, 7, at(0), kv.ErrUnavailable)
	r.until()
	r.expect("register(7)")
	r.tick(time.Second) // one at a time
	if strings.Contains(strings.Join(r.out.words, " "), "register") {
		t.Fatalf("effects %v", r.out.words)
	}
	r.out.words = nil
	r.c.Registered(r.now, 7, at(41), nil)
	r.expect("append(7/1)")
	r.c.Registered(r.now, 7, at(41), nil) // the answer to the first attempt, after all
	r.expect()
}

// A registration is sent again only after an answer, also when earlier steps had failed.
func TestRegisterOnceAfterFailures(t *testing.T) {
	r := newRig(t)
	r.c.Start(r.now)
	r.c.Granted(r.now, 0, kv.ErrUnavailable)
	r.until()
	r.out.words = nil
	r.c.Granted(r.now, 7, nil)
	r.tick(10 * time.Millisecond)
	r.tick(time.Second)
	r.expect("register(7)")
}

func TestRegisterRefused(t *testing.T) {
	for _, refusal := range []error{ErrTaken, kv.ErrLeaseNotFound, kv.ErrDenied} {
		r := newRig(t)
		r.c.Start(r.now)
		r.c.Granted(r.now, 7, nil)
		r.out.words = nil
		r.c.Registered(r.now, 7, at(0), refusal)
		r.expect("lost(7)")
		r.until()
		r.expect("grant")
		r.next = 7
		r.open()
	}
}

// Registering deletes every session key that this process may have written, also after several losses in a row.
func TestStaleKeys(t *testing.T) {
	r := newRig(t)
	r.c.Start(r.now)
	for _, id := range []layout.Session{7, 8} {
		r.c.Granted(r.now, id, nil)
		r.c.Registered(r.now, id, at(0), kv.ErrUnavailable) // may have been written
		r.c.KeptAlive(r.now, id, r.now.Mono, kv.ErrLeaseNotFound)
		r.until()
	}
	r.c.Granted(r.now, 9, nil)
	if fmt.Sprint(r.out.stale) != fmt.Sprint([]layout.Session{7, 8}) {
		t.Fatalf("stale %v", r.out.stale)
	}
	r.next = 8
	r.c.Registered(r.now, 9, at(50), nil)
	r.ok()
	r.c.KeptAlive(r.now, 9, r.now.Mono, kv.ErrLeaseNotFound)
	r.until()
	r.c.Granted(r.now, 10, nil)
	if fmt.Sprint(r.out.stale) != fmt.Sprint([]layout.Session{9}) {
		t.Fatalf("stale %v after a registration that deleted the others", r.out.stale)
	}
}

// A process that serves clients looks once who was there before. Those at its place are over and go with its first
// registration; of the others it knows nothing. It asks until it is told, or told that it may not know.
func TestLook(t *testing.T) {
	before := []Found{{5, "a:1", "here"}, {6, "a:1", "there"}, {3, "b:1", "here"}, {4, "a:1", ""}}
	for _, c := range []struct {
		place string
		err   error
		want  string
	}{
		{"here", nil, "[5 3]"}, {"", nil, "[]"}, {"elsewhere", nil, "[]"}, {"here", kv.ErrDenied, "[]"},
	} {
		r := newRig(t)
		r.c.cfg.Address, r.c.cfg.Place = "a:1", c.place
		r.c.Start(r.now)
		r.expect("look")
		r.tick(10 * time.Second)
		r.expect() // an answer comes
		last := time.Duration(0)
		for range 8 {
			r.c.Looked(r.now, nil, kv.ErrUnavailable)
			pause := r.until()
			r.expect("look")
			if pause < last || pause > 3*time.Second {
				t.Fatalf("pause %v after %v", pause, last)
			}
			last = pause
		}
		found := before
		if c.err != nil {
			found = nil
		}
		r.c.Looked(r.now, found, c.err)
		r.c.Looked(r.now, before, nil) // an answer to an earlier question
		r.expect("grant")
		r.c.Granted(r.now, 7, nil)
		r.expect("register(7)")
		if got := fmt.Sprint(ids(r.out.stale)); got != c.want {
			t.Errorf("place %q, %v: stale %v, want %v", c.place, c.err, got, c.want)
		}
		r.c.Registered(r.now, 7, at(40), nil)
		r.expect("append(7/1)")
		r.ok()
		r.c.KeptAlive(r.now, 7, r.now.Mono, kv.ErrLeaseNotFound)
		r.until()
		r.expect("grant") // and does not look again
		r.c.Granted(r.now, 8, nil)
		if got := fmt.Sprint(ids(r.out.stale)); got != "[7]" {
			t.Errorf("the next session finds %v stale", got)
		}
	}
}

func ids(list []layout.Session) []int64 {
	all := []int64{}
	for _, id := range list {
		all = append(all, int64(id))
	}
	return all
}

// OpenSession says who was registered when the key was put, unless too many were.
func TestOpeningSaysWhoIsRegistered(t *testing.T) {
	many := make([]layout.Session, maxListed+1)
	for i := range many {
		many[i] = layout.Session(i + 1)
	}
	for _, c := range []struct {
		listed []layout.Session
		at     int64
		want   int
	}{
		{[]layout.Session{3, 7}, 40, 2}, {many, 0, 0}, {many[:maxListed], 40, maxListed},
	} {
		r := newRig(t)
		r.position = 50
		r.c.Start(r.now)
		r.c.Granted(r.now, 7, nil)
		r.c.Registered(r.now, 7, Registration{Revision: 39, At: 40, Listed: c.listed}, nil)
		e := &pb.Entry{}
		if err := proto.Unmarshal(r.last().Value, e); err != nil {
			t.Fatal(err)
		}
		o := e.Commands[1].GetOpenSession()
		if o.ListedAt != c.at || len(o.Listed) != c.want {
			t.Errorf("%d are listed at %d, want %d at %d", len(o.Listed), o.ListedAt, c.want, c.at)
		}
		r.out.words = nil
		r.ok()
		r.expect("opened(7,0)")
	}
}

// Who opens a session without finding this one registered has closed it, if it was there before.
func TestClosedByWhoDidNotFindIt(t *testing.T) {
	for _, c := range []struct {
		at     int64
		listed []int64
		lost   bool
	}{
		{0, nil, false}, {100, []int64{9}, false}, {101, []int64{1, 9}, false}, {101, []int64{9}, true}, {500, []int64{2}, true},
	} {
		r := opened(t) // with a key of revision 101
		r.c.Listed(r.now, c.at, c.listed)
		if lost := len(r.out.words) == 1 && r.out.words[0] == "lost(1)"; lost != c.lost {
			t.Errorf("listed at %d: %v: %v", c.at, c.listed, r.out.words)
		}
	}
	r := newRig(t)
	r.c.Start(r.now)
	r.out.words = nil
	r.c.Listed(r.now, 100, []int64{9}) // there is no session yet
	r.expect()
}

// However often registering fails, the next attempt still fits a transaction (etcd: 128 operations).
func TestStaleKeysAreBounded(t *testing.T) {
	r := newRig(t)
	r.c.Start(r.now)
	for id := layout.Session(1); id < 300; id++ {
		r.c.Granted(r.now, id, nil)
		if n := len(r.out.stale); n > 100 {
			t.Fatalf("%d stale keys", n)
		}
		r.c.Registered(r.now, id, at(0), kv.ErrUnavailable)
		r.c.Registered(r.now, id, at(0), kv.ErrDenied)
		r.until()
	}
}

func TestGroupCommit(t *testing.T) {
	r := opened(t)
	r.propose("a")
	r.expect("append(1/2)")
	r.propose("b", "c")
	control := r.proposal("control")
	control.Control = true
	r.c.Propose(r.now, control)
	r.propose("d")
	r.expect() // one entry in flight
	r.ok()
	r.expect("append(1/3)", "done(a)")
	r.ok()
	r.expect("done(control)", "done(b)", "done(c)", "done(d)")
	if !r.c.Idle() {
		t.Error("not idle")
	}
	if r.out.results["control"] != r.out.results["a"]+1 || r.out.results["d"] != r.out.results["a"]+4 {
		t.Errorf("producer ids %v", r.out.results)
	}
}

func sized(name string, n int, r *rig) *Proposal {
	p := r.proposal(name)
	p.Command = &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: &pb.AppendBatches{Topics: []uint64{1}, Offsets: []uint64{0}}}}
	p.Inline = [][]byte{make([]byte, n)}
	return p
}

func TestEntrySizes(t *testing.T) {
	r := opened(t)
	r.propose("first")
	for i := range 10 {
		r.c.Propose(r.now, sized(fmt.Sprintf("s%d", i), 20<<10, r))
	}
	r.c.Propose(r.now, sized("big", 250<<10, r))
	r.c.Propose(r.now, sized("small", 10, r))
	r.c.Propose(r.now, sized("largest", journal.Max-64, r))
	r.c.Propose(r.now, sized("over", journal.Max, r))
	r.outcome("over", ErrTooLarge)
	var sizes []int
	for !r.c.Idle() {
		r.ok()
		sizes = append(sizes, len(r.last().Value))
	}
	for i, n := range sizes {
		if n > journal.Max {
			t.Errorf("entry %d has %d bytes", i, n)
		}
	}
	// 3 of 20 KiB in an entry; what is larger than the target goes alone, what follows it keeps its place.
	if want := 1 + 4 + 1 + 1 + 1; len(r.out.appends)-1 != want {
		t.Errorf("%d entries, want %d: %v", len(r.out.appends)-1, want, sizes)
	}
	for name := range r.out.done {
		if name != "over" {
			r.outcome(name, nil)
		}
	}
}

func TestQueueBounds(t *testing.T) {
	r := newRig(t)
	for range maxQueuedCommands {
		r.propose("fits")
	}
	r.propose("one more")
	r.outcome("one more", ErrBusy)
	if r.out.done["fits"] != 0 {
		t.Error("a queued command ended")
	}
	r = newRig(t)
	for range maxQueuedBytes / (200 << 10) {
		r.c.Propose(r.now, sized("fits", 200<<10, r))
	}
	r.c.Propose(r.now, sized("no", 200<<10, r))
	r.outcome("no", ErrBusy)
}

// A view that does not come along must not let entries that wait for their results pile up.
func TestResultsOutstandingAreBounded(t *testing.T) {
	r := opened(t)
	n := 0
	for range 2 * maxWaiting {
		before := len(r.out.appends)
		r.propose("p")
		if len(r.out.appends) == before {
			break
		}
		a := r.last()
		r.c.Appended(r.now, a.Session, a.Seq, int64(a.Seq)*10, nil)
		n++
	}
	if n != maxWaiting {
		t.Fatalf("%d entries wait for their results", n)
	}
	for _, a := range r.out.appends[1:] {
		r.apply(a)
	}
	r.ok()
	if !r.c.Idle() || r.out.done["p"] != maxWaiting+1 {
		t.Errorf("idle %v, %d done", r.c.Idle(), r.out.done["p"])
	}
}

// Inline offsets count from the entry's inline bytes, the first timestamp from the entry's time.
func TestEncoding(t *testing.T) {
	r := opened(t)
	r.propose("first")
	command := func(first int64, offsets ...uint64) *pb.Command {
		return &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: &pb.AppendBatches{
			Offsets: offsets, MaxTimestamps: []int64{first, 5},
		}}}
	}
	a, b, c := r.proposal("a"), r.proposal("b"), r.proposal("c")
	a.Command, a.Inline = command(r.now.Wall+3, 0, 4), [][]byte{[]byte("aaaa"), []byte("AA")}
	b.Command = command(r.now.Wall-7, 0, 9) // of a flush object: its own offsets
	b.Command.GetAppendBatches().Flush = 1
	c.Command, c.Inline = command(r.now.Wall, 0, 2), [][]byte{[]byte("cc"), []byte("C")}
	for _, p := range []*Proposal{a, b, c} {
		r.c.Propose(r.now, p)
	}
	r.ok()
	e := &pb.Entry{}
	if err := proto.Unmarshal(r.last().Value, e); err != nil {
		t.Fatal(err)
	}
	if string(e.Inline) != "aaaaAAccC" {
		t.Errorf("inline %q", e.Inline)
	}
	for i, want := range []struct {
		offsets []uint64
		times   []int64
	}{{[]uint64{0, 4}, []int64{3, 5}}, {[]uint64{0, 9}, []int64{-7, 5}}, {[]uint64{6, 8}, []int64{0, 5}}} {
		got := e.Commands[i].GetAppendBatches()
		if fmt.Sprint(got.Offsets, got.MaxTimestamps) != fmt.Sprint(want.offsets, want.times) {
			t.Errorf("command %d: %v %v, want %v", i, got.Offsets, got.MaxTimestamps, want)
		}
	}
}

func TestProposalOfAnOlderSession(t *testing.T) {
	r := opened(t)
	p := r.proposal("mine")
	p.Session = 1
	r.c.Propose(r.now, p)
	old := r.proposal("old")
	old.Session = 99
	r.c.Propose(r.now, old)
	r.outcome("old", ErrNotProposed)
	r.ok()
	r.outcome("mine", nil)
	r.c.KeptAlive(r.now, 1, r.now.Mono, kv.ErrLeaseNotFound)
	gone := r.proposal("gone")
	gone.Session = 1
	r.c.Propose(r.now, gone)
	r.outcome("gone", ErrNotProposed)
}

// What no State could decode must not get into the journal: every view would stop at it.
func TestMalformedCommands(t *testing.T) {
	r := opened(t)
	for name, cmd := range map[string]*pb.Command{
		"nothing": nil, "no kind": {}, "not text": {Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: "\xff"}}},
	} {
		p := r.proposal(name)
		p.Command = cmd
		r.c.Propose(r.now, p)
		r.outcome(name, ErrNotProposed)
	}
	if len(r.out.appends) != 1 {
		t.Errorf("%d entries", len(r.out.appends))
	}
}

func TestAppendUnknown(t *testing.T) {
	for _, unknown := range []error{kv.ErrUnavailable, kv.ErrNoSpace, errors.New("whatever")} {
		r := opened(t)
		r.propose("a")
		first := r.last()
		for range 3 {
			r.out.words = nil
			r.answer(fmt.Errorf("append: %w", unknown))
			r.until()
			r.expect("append(1/2)")
		}
		if a := r.last(); string(a.Value) != string(first.Value) || a.Revision != first.Revision {
			t.Fatal("not the identical transaction")
		}
		r.tick(time.Second / 2) // sent again after an answer only
		r.ok()
		r.outcome("a", nil)
		if len(r.out.appends) != 5 {
			t.Errorf("%d appends", len(r.out.appends))
		}
	}
}

// The watch tells what an unknown outcome was, before or after the append's own answer.
func TestWatchTells(t *testing.T) {
	r := opened(t)
	r.propose("a")
	a := r.last()
	r.apply(a) // before the answer
	r.outcome("a", nil)
	r.propose("b")
	r.expect("append(1/2)", "done(a)", "append(1/3)")
	r.c.Appended(r.now, a.Session, a.Seq, 0, kv.ErrUnavailable) // the late answer is nobody's
	r.tick(time.Millisecond)
	r.expect()
	b := r.last()
	r.answer(kv.ErrUnavailable)
	r.apply(b)
	r.outcome("b", nil)
	for range 100 {
		r.tick(10 * time.Millisecond)
	}
	if len(r.out.appends) != 3 || !r.c.Idle() {
		t.Errorf("%d appends, idle %v", len(r.out.appends), r.c.Idle())
	}
	r.c.Applied(r.now, b.Session, b.Seq, journal.Checksum(b.Value), &state.Results{Repeat: true})
	if r.out.done["b"] != 1 {
		t.Error("a repeat ended the proposal again")
	}
}

// A seq is reused only when its one and only send was definitely refused.
func TestRefusedForGood(t *testing.T) {
	for _, refusal := range []error{kv.ErrTooLarge, kv.ErrDenied} {
		r := opened(t)
		r.propose("a")
		r.propose("b")
		r.answer(fmt.Errorf("append: %w", refusal))
		r.outcome("a", ErrNotProposed)
		r.expect("append(1/2)", "done(a)", "append(1/2)")
		r.ok()
		r.outcome("b", nil)

		r.propose("c")
		r.answer(kv.ErrUnavailable)
		r.until()
		r.answer(fmt.Errorf("append: %w", refusal)) // says nothing about the first send
		if r.out.done["c"] != 0 {
			t.Fatal("ended by the refusal of a repeat")
		}
		r.until()
		r.expect("append(1/3)")
		r.ok()
		r.outcome("c", nil)
	}
	r := newRig(t)
	r.c.Start(r.now)
	r.c.Granted(r.now, 7, nil)
	r.c.Registered(r.now, 7, at(40), nil)
	r.out.words = nil
	r.answer(kv.ErrDenied)
	r.expect("lost(7)")
}

func TestSessionLost(t *testing.T) {
	leaseGone := func(r *rig) { r.c.KeptAlive(r.now, 1, r.now.Mono, kv.ErrLeaseNotFound) }
	t.Run("before the send", func(t *testing.T) {
		r := opened(t)
		r.propose("sent")
		r.propose("queued")
		leaseGone(r)
		r.outcome("queued", ErrNotProposed)
		r.outcome("sent", ErrUnknown)
		r.propose("for the next")
		r.until()
		r.expect("grant")
		r.open()
		r.ok()
		r.outcome("for the next", nil)
	})
	t.Run("by the answer of the only send", func(t *testing.T) {
		r := opened(t)
		r.propose("a")
		r.answer(fmt.Errorf("append: %w", journal.ErrSessionLost))
		r.outcome("a", ErrNotProposed)
	})
	t.Run("by the answer of a repeat", func(t *testing.T) {
		r := opened(t)
		r.propose("a")
		r.answer(kv.ErrUnavailable)
		r.until()
		r.answer(journal.ErrSessionLost) // its key may have been trimmed
		r.outcome("a", ErrUnknown)
	})
	t.Run("lease gone after an unknown outcome", func(t *testing.T) {
		r := opened(t)
		r.propose("a")
		r.answer(kv.ErrUnavailable) // may be in the journal
		leaseGone(r)
		r.outcome("a", ErrUnknown)
	})
	t.Run("closed meanwhile, after an unknown outcome", func(t *testing.T) {
		r := opened(t)
		r.propose("a")
		r.answer(kv.ErrUnavailable)
		r.c.Replaced(r.now, 2, -1, true, true)
		r.outcome("a", ErrUnknown)
	})
	t.Run("after the send", func(t *testing.T) {
		r := opened(t)
		r.propose("a")
		a := r.last()
		r.c.Appended(r.now, a.Session, a.Seq, 9, nil)
		r.propose("b")
		r.answer(journal.ErrSessionLost)
		r.outcome("a", ErrUnknown)
		r.outcome("b", ErrNotProposed)
	})
	t.Run("foreign entry", func(t *testing.T) {
		r := opened(t)
		r.propose("a")
		r.answer(journal.ErrForeign)
		if err := r.out.outcomes["a"]; r.out.done["a"] != 1 || err == nil {
			t.Fatalf("%d, %v", r.out.done["a"], err)
		}
		r.until()
		r.expect("grant")
	})
	t.Run("before its OpenSession", func(t *testing.T) {
		r := newRig(t)
		r.propose("early")
		r.c.Start(r.now)
		r.c.Granted(r.now, 7, nil)
		r.c.Registered(r.now, 7, at(40), nil)
		r.answer(journal.ErrSessionLost)
		r.outcome("early", ErrNotProposed)
	})
}

// Regression R17: two processes append under one session. The second one's result is not taken for the first one's.
func TestForeignResult(t *testing.T) {
	r := opened(t)
	r.propose("a")
	other, err := proto.Marshal(&pb.Entry{AtMs: 1, Commands: []*pb.Command{{Kind: &pb.Command_InitProducer{}}}})
	if err != nil {
		t.Fatal(err)
	}
	a := r.last()
	r.apply(journal.Append{Session: a.Session, Seq: a.Seq, Value: other})
	if err := r.out.outcomes["a"]; r.out.done["a"] != 1 || err == nil {
		t.Fatalf("%d, %v", r.out.done["a"], err)
	}
	r.expect("append(1/2)", "done(a)", "lost(1)")
	r.until()
	r.expect("grant")
}

// State refuses the entry of a session that it has closed: nothing of it was applied.
func TestEntryRefused(t *testing.T) {
	r := opened(t)
	r.closeByOther(1)
	r.propose("a", "b")
	a := r.last()
	r.c.Appended(r.now, a.Session, a.Seq, r.position+1, nil)
	if res := r.apply(a); res.Refused != state.SessionNotOpen {
		t.Fatalf("%+v", res)
	}
	r.outcome("a", ErrNotProposed)
	if r.out.done["b"] != 1 || r.out.outcomes["b"] == nil {
		t.Errorf("b: %v", r.out.outcomes["b"])
	}
	r.until()
	r.expect("grant")
}

// closeByOther lets another session close one, as the janitor does.
func (r *rig) closeByOther(id layout.Session) {
	r.t.Helper()
	for seq, cmds := range [][]*pb.Command{
		{{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}}},
		{{Kind: &pb.Command_CloseSession{CloseSession: &pb.CloseSession{Session: int64(id)}}}},
	} {
		value, err := proto.Marshal(&pb.Entry{Commands: cmds})
		if err != nil {
			r.t.Fatal(err)
		}
		r.apply(journal.Append{Session: 0xff, Seq: uint64(seq + 1), Value: value})
	}
}

// An agent whose session others closed finds out without having anything to propose.
func TestClosedByOthers(t *testing.T) {
	r := opened(t)
	r.propose("waiting")
	r.answer(kv.ErrUnavailable)
	r.closeByOther(1)
	r.c.Closed(r.now, 99) // somebody else's
	r.out.words = nil
	r.c.Closed(r.now, 1)
	r.expect("done(waiting)", "lost(1)")
	r.outcome("waiting", ErrUnknown)
	r.until()
	r.expect("grant")
	r.open()
}

// An agent that State does not take must not fill the journal with attempts.
func TestOpenRefusedBacksOff(t *testing.T) {
	r := newRig(t)
	r.c.cfg.MinFeatureLevel, r.c.cfg.MaxFeatureLevel = 9, 9
	r.c.Start(r.now)
	var last time.Duration
	for id := layout.Session(1); id <= 8; id++ {
		r.c.Granted(r.now, id, nil)
		r.c.Registered(r.now, id, at(100), nil)
		r.ok()
		r.out.words = nil
		last = r.until()
		r.expect("grant")
	}
	if last < time.Second {
		t.Errorf("the eighth attempt after %v", last)
	}
}

// skip lets State judge entries of session 1 that the core never hears of.
func (r *rig) skip(seqs ...uint64) {
	for _, seq := range seqs {
		r.position++
		r.st.Apply(state.Entry{Position: r.position, Session: 1, Seq: seq, Body: &pb.Entry{}})
	}
}

func TestReplaced(t *testing.T) {
	t.Run("results skipped", func(t *testing.T) {
		r := opened(t)
		r.propose("waits")
		a := r.last()
		r.c.Appended(r.now, a.Session, a.Seq, 9, nil)
		r.propose("unknown")
		r.answer(kv.ErrUnavailable)
		r.propose("queued")
		r.skip(2, 3)
		r.c.Replaced(r.now, 3, 0, true, false)
		r.outcome("waits", ErrUnknown)
		r.outcome("unknown", ErrUnknown)
		r.ok()
		r.outcome("queued", nil)
	})
	t.Run("some results skipped", func(t *testing.T) {
		r := opened(t)
		r.propose("a")
		a := r.last()
		r.c.Appended(r.now, a.Session, a.Seq, 9, nil)
		r.propose("b")
		r.c.Replaced(r.now, 2, 0, true, false)
		r.outcome("a", ErrUnknown)
		if r.out.done["b"] != 0 {
			t.Fatal("b ended")
		}
		r.skip(a.Seq)
		r.ok()
		r.outcome("b", nil)
	})
	t.Run("nothing skipped", func(t *testing.T) {
		r := opened(t)
		r.propose("a")
		r.c.Replaced(r.now, 1, 0, true, false)
		r.ok()
		r.outcome("a", nil)
	})
	t.Run("the opening skipped", func(t *testing.T) {
		r := newRig(t)
		r.c.Start(r.now)
		r.c.Granted(r.now, 7, nil)
		r.c.Registered(r.now, 7, at(40), nil)
		r.out.words = nil
		r.c.Replaced(r.now, 0, 0, false, false) // not there yet
		r.expect()
		r.c.Replaced(r.now, 1, 4, true, false)
		r.expect("opened(7,4)")
		r.propose("a")
		r.expect("append(7/2)")
	})
	t.Run("closed or forgotten", func(t *testing.T) {
		for _, known := range []bool{true, false} {
			r := opened(t)
			r.propose("a")
			a := r.last()
			r.c.Appended(r.now, a.Session, a.Seq, 9, nil)
			r.propose("b")
			r.propose("c")
			r.out.words = nil
			r.c.Replaced(r.now, 0, -1, known, known)
			r.outcome("a", ErrUnknown)
			r.outcome("b", ErrUnknown)
			r.outcome("c", ErrNotProposed)
			r.until()
			r.expect("grant")
		}
	})
}

func TestKeepAlive(t *testing.T) {
	r := opened(t)
	if r.c.AliveUntil() != ttl {
		t.Errorf("alive until %v", r.c.AliveUntil())
	}
	r.tick(ttl/3 - 1)
	r.expect()
	r.tick(1)
	r.expect("keepalive(1)")
	r.tick(time.Second)
	r.expect() // one at a time
	r.c.KeptAlive(r.now, 1, ttl/3, nil)
	if r.c.AliveUntil() != ttl/3+ttl {
		t.Errorf("alive until %v: it counts from when the request was sent", r.c.AliveUntil())
	}
	r.tick(ttl / 3)
	r.expect("keepalive(1)")
	r.c.KeptAlive(r.now, 1, r.now.Mono, kv.ErrUnavailable)
	r.tick(ttl / 20)
	r.expect("keepalive(1)") // sooner after a failure
	r.c.KeptAlive(r.now, 99, r.now.Mono, kv.ErrLeaseNotFound)
	r.expect()
	r.c.KeptAlive(r.now, 1, r.now.Mono, kv.ErrLeaseNotFound)
	r.expect("lost(1)")
	if id, node, open := r.c.Session(); id != 0 || node != -1 || open {
		t.Errorf("session %v, node %d, %v", id, node, open)
	}
}

// A keep-alive whose answer never comes does not end the keep-alives: the loss of the lease would go unnoticed.
func TestKeepAliveAnswerLost(t *testing.T) {
	r := opened(t)
	r.tick(ttl / 3)
	r.expect("keepalive(1)")
	for range 100 {
		r.tick(100 * time.Millisecond)
		if len(r.out.words) > 0 {
			r.expect("keepalive(1)")
			r.c.KeptAlive(r.now, 1, r.now.Mono, kv.ErrLeaseNotFound)
			r.expect("lost(1)")
			return
		}
	}
	t.Fatal("no further keep-alive in 10 s")
}

func TestEnd(t *testing.T) {
	r := opened(t)
	r.propose("waits")
	a := r.last()
	r.c.Appended(r.now, a.Session, a.Seq, 9, nil)
	r.propose("sent")
	r.propose("queued")
	r.c.End(r.now)
	r.outcome("waits", ErrUnknown)
	r.outcome("sent", ErrUnknown)
	r.outcome("queued", ErrNotProposed)
	r.propose("late")
	r.outcome("late", ErrNotProposed)
	r.out.words = nil
	r.answer(nil)
	r.apply(r.last())
	r.c.KeptAlive(r.now, 1, r.now.Mono, kv.ErrLeaseNotFound)
	r.c.Replaced(r.now, 9, 0, true, true)
	r.c.End(r.now)
	r.tick(time.Hour)
	r.expect()
}
