package fetch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wadi/agent/api"
	"wadi/metadata/view"
)

// news is a FetchSession that a test moves by hand.
type news struct {
	mu      sync.Mutex
	topic   uint64
	all     []at // every partition
	touched []int
	over    bool // the session went on without this call
	wake    func()
	looks   []int // how many partitions each look was given
}

func (n *news) Parts(all bool) (parts []api.FetchPart, wait bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		return nil, false
	}
	for i, p := range n.all {
		if all || slices.Contains(n.touched, i) {
			parts = append(parts, api.FetchPart{Topic: n.topic, Partition: p.partition, Offset: p.offset, MaxBytes: 1 << 20})
		}
	}
	n.looks = append(n.looks, len(parts))
	return parts, true
}

func (n *news) Wake(wake func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wake = wake
	return false
}

func (n *news) touch(i int) {
	n.mu.Lock()
	n.touched = append(n.touched, i)
	wake := n.wake
	n.mu.Unlock()
	if wake != nil {
		wake()
	}
}

func (r *rig) inSession(n *news, change func(*api.FetchCall)) *call {
	n.topic = r.topic
	return r.start(func(f *api.FetchCall) {
		f.Session = n
		change(f)
	})
}

func waiting(f *api.FetchCall) { f.MaxWait = time.Second }

// Semantics line 34: in a session a fetch looks at the news alone, waits when there is nothing to answer, and looks again
// at what was touched; all of an answer is from one snapshot.
func TestSessionLooksAtNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3, 1<<20)
		n := &news{all: []at{{0, 0, 0}, {1, 0, 0}, {2, 0, 0}}}
		began := time.Now()
		c := r.inSession(n, waiting)
		if <-c.done; time.Since(began) != time.Second || len(c.Parts) != 0 || !slices.Equal(n.looks, []int{0, 0}) {
			t.Errorf("%d parts after %s, looks at %v", len(c.Parts), time.Since(began), n.looks)
		}
		began = time.Now()
		c = r.inSession(n, waiting)
		time.Sleep(100 * time.Millisecond)
		r.inline(part{1, [][]byte{one(t, 100)}})
		n.touch(1)
		if <-c.done; time.Since(began) != 100*time.Millisecond || len(c.Parts) != 1 || !slices.Equal(c.offsets(t, 0), []int64{0}) {
			t.Errorf("%d parts after %s", len(c.Parts), time.Since(began))
		}
		if n.wake != nil || r.v.waiting() != 0 {
			t.Error("somebody is still woken")
		}
		// Touched for nothing: it goes on waiting.
		n.touched, n.all[1].offset = nil, 1
		began = time.Now()
		c = r.inSession(n, waiting)
		time.Sleep(100 * time.Millisecond)
		n.touch(2)
		if <-c.done; time.Since(began) != time.Second || len(c.Parts) != 1 || c.Parts[0].HighWatermark != 0 {
			t.Errorf("%d parts after %s", len(c.Parts), time.Since(began))
		}
	})
}

// A session that went on elsewhere ends the wait at once.
func TestSessionGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 1<<20)
		n := &news{all: []at{{0, 0, 0}}}
		began := time.Now()
		c := r.inSession(n, waiting)
		time.Sleep(100 * time.Millisecond)
		n.mu.Lock()
		n.over = true
		n.mu.Unlock()
		n.touch(0)
		if <-c.done; time.Since(began) != 100*time.Millisecond || len(c.Parts) != 0 {
			t.Errorf("%d parts after %s", len(c.Parts), time.Since(began))
		}
	})
}

// Semantics line 35: a view that is out of touch cannot say of any partition of a session that it has no news.
func TestSessionOutOfTouch(t *testing.T) {
	r := newRig(t, 2, 1<<20)
	r.inline(part{1, [][]byte{one(t, 100)}})
	n := &news{all: []at{{0, 0, 0}, {1, 0, 0}}}
	r.v.health = view.CutOff
	c := r.inSession(n, waiting)
	<-c.done
	if len(c.Parts) != 2 || !errors.Is(c.Parts[0].Err, api.ErrViewBehind) || c.Parts[1].Err != nil || len(c.Parts[1].Records) != 1 {
		t.Errorf("%+v", c.Parts)
	}
}

// An error of a session's partition is confirmed by a barrier, as any other.
func TestSessionErrorsAreConfirmed(t *testing.T) {
	r := newRig(t, 2, 1<<20)
	r.v.heldBack = true
	r.inline(part{1, [][]byte{one(t, 100)}})
	n := &news{all: []at{{0, 5, 0}, {1, 1, 0}}, touched: []int{0, 1}}
	c := r.inSession(n, waiting)
	<-c.done
	if len(c.Parts) != 2 || !errors.Is(c.Parts[0].Err, api.ErrOffsetOutOfRange) || c.Parts[1].Err != nil || r.v.barriers != 1 {
		t.Errorf("%+v after %d barriers", c.Parts, r.v.barriers)
	}
}

// BenchmarkIdleInSession is a poll of a quiet session that has to wait, and is told to end.
func BenchmarkIdleInSession(b *testing.B) {
	r := newRig(b, 1, 1<<20)
	n := &news{}
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		r.log.Fetch(ctx, &api.FetchCall{
			MinBytes: 1, MaxBytes: 50 << 20, MaxWait: time.Hour, Drain: context.Background(), Session: n, Done: func() { close(done) },
		})
		cancel()
		<-done
		n.looks = n.looks[:0]
	}
}
