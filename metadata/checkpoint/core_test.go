package checkpoint

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	pb "wadi/metadata/metadatapb"
)

// script records what a core asks for.
type script struct {
	words   []string
	next    Written
	last    Last
	dropped []*pb.KeptRoot
}

func (s *script) say(format string, args ...any) {
	s.words = append(s.words, fmt.Sprintf(format, args...))
}

func (s *script) Acquire()       { s.say("acquire") }
func (s *script) Mark(base bool) { s.say("mark(%v)", base) }
func (s *script) Write(last Last) {
	s.last = last
	s.say("write")
}
func (s *script) Point(last Last, next Written) {
	s.last, s.next = last, next
	s.say("point")
}
func (s *script) Record(*pb.Root)     { s.say("record") }
func (s *script) Trim(position int64) { s.say("trim(%d)", position) }
func (s *script) Compact(rev int64)   { s.say("compact(%d)", rev) }
func (s *script) Clean(dropped []*pb.KeptRoot, _ Written, sweep bool) {
	s.dropped = dropped
	s.say("clean(%d,%v)", len(dropped), sweep)
}

var coreLimits = Limits{
	JournalBytes: 1000, Interval: 30 * time.Second, BaseBytes: 5000, KeepRoots: 3, Retry: 2 * time.Second, TrimPause: 20 * time.Millisecond,
}

// rig steps a core by hand.
type rig struct {
	t   *testing.T
	out *script
	c   *Core
	now time.Duration
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, out: &script{}}
	r.c = NewCore(coreLimits, r.out)
	return r
}

// holder has acquired the job over a checkpoint at position 100, or none.
func holder(t *testing.T, last Last) *rig {
	r := newRig(t)
	r.c.Opened(0)
	r.tick(0)
	r.expect("acquire")
	r.c.Acquired(r.now, last, nil)
	if last.Root != nil {
		r.expect("record")
		r.c.Recorded(r.now, nil)
		r.c.Trimmed(r.now, false, nil)
		r.c.Compacted(r.now, nil)
		r.expect(fmt.Sprintf("trim(%d)", last.Pointer.TrimPosition), fmt.Sprintf("compact(%d)", last.Pointer.CompactRevision), "clean(0,true)")
		r.c.Cleaned(r.now, false, nil)
	}
	return r
}

func (r *rig) tick(d time.Duration) {
	r.now += d
	r.c.Tick(r.now)
}

func (r *rig) expect(want ...string) {
	r.t.Helper()
	if got := strings.Join(r.out.words, " "); got != strings.Join(want, " ") {
		r.t.Fatalf("effects: %q, want %q", got, strings.Join(want, " "))
	}
	r.out.words = nil
}

func (r *rig) seen(position int64, size int, dirty bool) {
	r.c.Seen(r.now, Entry{Position: position, Size: size, Dirty: dirty})
}

// checkpoint makes a whole one at a position, with nothing amiss.
func (r *rig) checkpoint(position int64) {
	r.t.Helper()
	r.c.Seen(r.now, Entry{Position: position, Size: 4, Mark: true})
	r.c.Marked(r.now, nil)
	w := writtenAt(position)
	r.c.Wrote(r.now, w, nil)
	r.c.Pointed(r.now, position+1, nil)
	r.c.Seen(r.now, Entry{Position: position + 2, Size: 40, Archived: position})
	r.c.Recorded(r.now, nil)
	r.c.Trimmed(r.now, false, nil)
	r.c.Compacted(r.now, nil)
	r.c.Cleaned(r.now, false, nil)
}

func writtenAt(position int64) Written {
	return Written{
		Pointer: &pb.Pointer{Position: position, Head: position / 10, Root: fmt.Sprintf("root-%d", position)},
		Root:    &pb.Root{Position: position, Base: &pb.Base{Position: position, Parts: []*pb.ObjectRef{{Size: 100}}}},
	}
}

func lastAt(position int64) Last {
	w := writtenAt(position)
	w.Pointer.TrimPosition, w.Pointer.CompactRevision = position-50, position-80
	w.Pointer.Kept = []*pb.KeptRoot{{Position: position, Key: w.Pointer.Root}}
	return Last{Pointer: w.Pointer, Revision: position + 1, Root: w.Root}
}

func TestStepsOfACheckpoint(t *testing.T) {
	r := holder(t, Last{})
	r.seen(10, 50, true)
	r.tick(coreLimits.Interval - 1)
	r.expect()
	r.tick(1)
	r.expect("mark(true)")
	r.c.Seen(r.now, Entry{Position: 20, Size: 4, Mark: true})
	r.c.Marked(r.now, nil)
	r.expect("write")
	r.c.Wrote(r.now, writtenAt(20), nil)
	r.expect("point")
	if n := r.out.next.Pointer; n.TrimPosition != 0 || n.CompactRevision != 0 || len(n.Kept) != 1 || n.Kept[0].Key != "root-20" {
		t.Errorf("the first pointer: %v", n)
	}
	r.c.Pointed(r.now, 21, nil)
	r.expect("record")
	r.c.Recorded(r.now, nil)
	r.expect("trim(0)")
	r.c.Trimmed(r.now, false, nil)
	r.expect("compact(0)")
	r.c.Compacted(r.now, nil)
	r.expect("clean(0,true)")
	r.c.Cleaned(r.now, false, nil)
	if !r.c.Holder() {
		t.Error("not the holder")
	}
	r.c.Seen(r.now, Entry{Position: 22, Size: 40, Archived: 20})
	r.tick(time.Hour)
	r.expect() // clean
	r.seen(30, 1, true)
	r.tick(coreLimits.Interval)
	r.expect("mark(false)")
}

func TestDueByBytes(t *testing.T) {
	r := holder(t, lastAt(100))
	r.c.Seen(r.now, Entry{Position: 110, Size: 5000}) // not dirty: marks and Archived alone
	r.tick(time.Minute)
	r.expect()
	r.seen(120, 1, true)
	r.tick(time.Millisecond)
	r.expect("mark(true)") // 5 KB since the base of 100 bytes
	r = holder(t, lastAt(100))
	r.seen(110, 999, true)
	r.tick(time.Millisecond)
	r.expect()
	r.seen(120, 1, true)
	r.tick(time.Millisecond)
	r.expect("mark(false)")
}

// What comes behind the mark belongs to the next checkpoint, whenever the proposer hears of the mark.
func TestAccountIsKeptByMarks(t *testing.T) {
	r := holder(t, lastAt(100))
	r.seen(110, 10, true)
	r.tick(coreLimits.Interval)
	r.expect("mark(false)")
	r.c.Seen(r.now, Entry{Position: 120, Size: 4, Mark: true})
	r.seen(121, 7, true) // before Marked
	since := r.now
	r.c.Marked(r.now, nil)
	r.tick(time.Second)
	r.c.Wrote(r.now, writtenAt(120), nil)
	r.c.Pointed(r.now, 122, nil)
	r.c.Seen(r.now, Entry{Position: 123, Size: 40, Archived: 120})
	r.c.Recorded(r.now, nil)
	r.c.Trimmed(r.now, false, nil)
	r.c.Compacted(r.now, nil)
	r.c.Cleaned(r.now, false, nil)
	r.out.words = nil
	r.tick(since + coreLimits.Interval - 1 - r.now)
	r.expect()
	r.tick(1)
	r.expect("mark(false)")
}

// An agent without the job keeps the same account: taking the job over it knows what is left.
func TestAccountWithoutTheJob(t *testing.T) {
	r := newRig(t)
	r.seen(10, 400, true)
	r.c.Seen(r.now, Entry{Position: 20, Size: 4, Mark: true})
	r.seen(25, 300, true)
	r.c.Seen(r.now, Entry{Position: 30, Size: 40, Archived: 20})
	r.c.Opened(r.now)
	r.tick(0)
	r.c.Acquired(r.now, lastAt(20), nil)
	if r.c.all.bytes != 340 || !r.c.all.dirty {
		t.Errorf("account %+v", r.c.all)
	}
	// An archive that ends before the newest mark settles nothing.
	r.c.Seen(r.now, Entry{Position: 40, Size: 4, Mark: true})
	r.c.Seen(r.now, Entry{Position: 50, Size: 4, Mark: true})
	r.c.Seen(r.now, Entry{Position: 60, Size: 40, Archived: 40})
	if !r.c.all.dirty {
		t.Error("settled by an older mark's archive")
	}
	r.c.Seen(r.now, Entry{Position: 70, Size: 40, Archived: 50})
	if r.c.all.dirty {
		t.Error("not settled")
	}
}

func TestKeepsAndDropsRoots(t *testing.T) {
	r := holder(t, Last{})
	for i := int64(1); i <= 5; i++ {
		r.seen(100*i-1, 2000, true)
		r.tick(time.Millisecond)
		r.checkpoint(100 * i)
	}
	p := r.out.next.Pointer
	if p.Position != 500 || p.TrimPosition != 400 || p.CompactRevision != 300 || len(p.Kept) != 3 || p.Kept[0].Position != 300 {
		t.Errorf("pointer %v", p)
	}
	if len(r.out.dropped) != 1 || r.out.dropped[0].Key != "root-200" {
		t.Errorf("dropped %v", r.out.dropped)
	}
}

func TestBaseDue(t *testing.T) {
	last := lastAt(100)
	last.Root.Base.Parts[0].Size = 30_000 // half of it counts
	last.Root.Archives = []*pb.ArchiveRef{
		{To: 100, Object: &pb.ObjectRef{Size: 1 << 30}}, // before the base: kept for State alone
		{From: 100, To: 200, Object: &pb.ObjectRef{Size: 14_000}},
	}
	r := holder(t, last)
	r.seen(210, 999, true)
	r.tick(coreLimits.Interval)
	r.expect("mark(false)")
	last.Root.Archives[1].Object.Size++
	r = holder(t, last)
	r.seen(210, 999, true)
	r.seen(211, 1, true)
	r.tick(coreLimits.Interval)
	r.expect("mark(true)")
}

func TestTrimGoesOn(t *testing.T) {
	r := newRig(t)
	r.c.Opened(0)
	r.tick(0)
	r.c.Acquired(r.now, lastAt(100), nil)
	r.c.Recorded(r.now, nil)
	r.expect("acquire", "record", "trim(50)")
	r.c.Trimmed(r.now, true, nil)
	r.tick(coreLimits.TrimPause - 1)
	r.expect()
	r.tick(1)
	r.expect("trim(50)")
	r.tick(time.Second)
	r.expect() // one request at a time
	r.c.Trimmed(r.now, false, nil)
	r.expect("compact(20)")
}

// Whatever step fails, the job is asked for again and a whole checkpoint follows; the pauses grow.
func TestEveryStepFails(t *testing.T) {
	fail := errors.New("failed")
	steps := []func(r *rig, err error){
		func(r *rig, err error) { r.c.Marked(r.now, err) },
		func(r *rig, err error) { r.c.Wrote(r.now, writtenAt(200), err) },
		func(r *rig, err error) { r.c.Pointed(r.now, 201, err) },
		func(r *rig, err error) { r.c.Recorded(r.now, err) },
		func(r *rig, err error) { r.c.Trimmed(r.now, false, err) },
		func(r *rig, err error) { r.c.Compacted(r.now, err) },
	}
	for bad := range steps {
		r := holder(t, lastAt(100))
		r.seen(110, 1000, true)
		r.tick(time.Millisecond)
		var pauses []time.Duration
		for range 8 {
			r.out.words = nil
			for i := 0; i <= bad; i++ {
				var err error
				if i == bad {
					err = fail
				}
				steps[i](r, err)
			}
			r.out.words = nil
			began := r.now
			for len(r.out.words) == 0 {
				r.tick(100 * time.Millisecond)
			}
			pauses = append(pauses, r.now-began)
			r.expect("acquire")
			r.c.Acquired(r.now, lastAt(100), nil)
			r.c.Recorded(r.now, nil)
			r.c.Trimmed(r.now, false, nil)
			r.c.Compacted(r.now, nil)
			r.out.words = nil
			if bad > 2 {
				break // the pointer moved: what follows starts from it
			}
			r.c.phase, r.c.at = resting, r.now // not Cleaned: the failures count on
			r.tick(time.Millisecond)
			r.expect("mark(false)")
		}
		if pauses[0] < coreLimits.Retry || bad <= 2 && (pauses[7] < coreLimits.Interval || pauses[7] > coreLimits.Interval+time.Second) {
			t.Errorf("step %d: pauses %v", bad, pauses)
		}
	}
	r := holder(t, lastAt(100))
	r.seen(110, 1000, true)
	r.tick(time.Millisecond)
	r.checkpointButClean(200)
	r.c.Cleaned(r.now, false, fail)
	r.seen(210, 1000, true)
	r.tick(time.Millisecond)
	r.out.words = nil
	r.tick(coreLimits.Retry)
	r.expect("mark(false)")
	r.checkpointButClean(300)
	if last := r.out.words[len(r.out.words)-1]; last != "clean(0,true)" {
		t.Errorf("after a cleaning that failed: %s", last)
	}
}

func (r *rig) checkpointButClean(position int64) {
	r.t.Helper()
	r.c.Seen(r.now, Entry{Position: position, Size: 4, Mark: true})
	r.c.Marked(r.now, nil)
	r.c.Wrote(r.now, writtenAt(position), nil)
	r.c.Pointed(r.now, position+1, nil)
	r.c.Seen(r.now, Entry{Position: position + 2, Size: 40, Archived: position})
	r.c.Recorded(r.now, nil)
	r.c.Trimmed(r.now, false, nil)
	r.c.Compacted(r.now, nil)
}

func TestHeldByAnother(t *testing.T) {
	r := newRig(t)
	r.c.Opened(0)
	r.tick(0)
	for range 20 { // the pause does not grow: the job may become free at any time
		r.expect("acquire")
		r.c.Acquired(r.now, Last{}, ErrHeld)
		r.tick(coreLimits.Retry - 1)
		r.expect()
		r.tick(1)
	}
	if r.c.Holder() {
		t.Error("holder")
	}
}

// Positions only grow: a checkpoint that is not newer than the pointer's does not get the pointer.
func TestOlderCheckpointIsNotPointedTo(t *testing.T) {
	r := holder(t, lastAt(100))
	r.seen(110, 1000, true)
	r.tick(time.Millisecond)
	r.c.Marked(r.now, nil)
	r.out.words = nil
	r.c.Wrote(r.now, writtenAt(100), nil)
	r.expect()
	r.tick(coreLimits.Retry)
	r.expect("acquire")
}

// Answers that come when nobody waits for them do nothing.
func TestAnswersOutOfTurn(t *testing.T) {
	r := holder(t, lastAt(100))
	r.c.Marked(r.now, nil)
	r.c.Wrote(r.now, writtenAt(300), nil)
	r.c.Pointed(r.now, 301, nil)
	r.c.Recorded(r.now, nil)
	r.c.Trimmed(r.now, true, nil)
	r.c.Compacted(r.now, nil)
	r.c.Cleaned(r.now, false, errors.New("late"))
	r.c.Acquired(r.now, Last{}, errors.New("late"))
	r.tick(time.Millisecond)
	r.expect()
	r.c.Lost(r.now)
	r.tick(time.Hour)
	r.expect()
	if r.c.Holder() {
		t.Error("holder without a session")
	}
}
