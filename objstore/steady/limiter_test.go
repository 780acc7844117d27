package steady

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var testLimit = Limit{
	Max: 8, Min: 2, Queue: 6, Hold: 50 * time.Millisecond, MaxHold: time.Second, Calm: 500 * time.Millisecond,
}

// twin is the limiter told another way: who waits is a sorted list, who is under way another one, and whether the store
// was refused lately is found in the whole history.
type twin struct {
	waiting  []uint64 // tickets
	flying   map[uint64]bool
	held     bool
	probe    uint64 // ticket
	resumes  time.Duration
	lastStop time.Duration // of the last refusal, -1 = none
}

// TestLimiterAgainstTwin steps both with random events and compares who may go.
func TestLimiterAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, w := newLimiter(testLimit), twin{flying: map[uint64]bool{}, lastStop: -1}
		now, tickets := time.Duration(0), uint64(0)
		queued := map[uint64]*waiter{}
		sent := map[uint64]uint64{} // numbers by ticket
		lastCut := uint64(0)
		pump := func() {
			for x := l.next(now); x != nil; x = l.next(now) {
				if x.ticket != w.waiting[0] {
					t.Fatalf("%d goes before %d", x.ticket, w.waiting[0])
				}
				if w.held && now < w.resumes {
					t.Fatal("sent while held")
				}
				if !w.held && len(w.flying) >= int(l.limit) {
					t.Fatalf("%d under way with a limit of %v", len(w.flying)+1, l.limit)
				}
				if w.held {
					w.probe, w.resumes = x.ticket, now+testLimit.Calm
				}
				w.waiting = w.waiting[1:]
				w.flying[x.ticket] = true
				sent[x.ticket] = x.number
				delete(queued, x.ticket)
			}
			// Nobody waits without a reason, and without something that will end it.
			if len(w.waiting) > 0 {
				at, timed := l.wake()
				switch {
				case w.held && (!timed || at != w.resumes):
					t.Fatalf("held until %v, woken %v %v", w.resumes, at, timed)
				case !w.held && len(w.flying) < int(l.limit), w.held && now >= w.resumes:
					t.Fatal("waits although it may go")
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"ask": func(t *rapid.T) {
				ticket := tickets + 1
				if rapid.Bool().Draw(t, "old") && tickets > 0 {
					ticket = rapid.Uint64Range(1, tickets).Draw(t, "ticket") // a repetition
				}
				if queued[ticket] != nil || w.flying[ticket] {
					return
				}
				tickets = max(tickets, ticket)
				x := &waiter{ticket: ticket, ready: make(chan struct{})}
				if ok := l.ask(x); ok != (len(w.waiting) < testLimit.Queue) {
					t.Fatalf("asked with %d waiting: %v", len(w.waiting), ok)
				} else if ok {
					queued[ticket] = x
					w.waiting = append(w.waiting, ticket)
					slices.Sort(w.waiting)
				}
				pump()
			},
			"leave": func(t *rapid.T) {
				if len(w.waiting) == 0 {
					return
				}
				i := rapid.IntRange(0, len(w.waiting)-1).Draw(t, "who")
				x := queued[w.waiting[i]]
				l.leave(x)
				delete(queued, x.ticket)
				w.waiting = slices.Delete(w.waiting, i, i+1)
				pump()
			},
			"spare": func(t *rapid.T) {
				calm := w.lastStop < 0 || now-w.lastStop > testLimit.Calm
				want := calm && (w.held && now >= w.resumes || !w.held && len(w.flying) < int(l.limit))
				number, ok := l.spare(now)
				if ok != want {
					t.Fatalf("spare: %v, want %v", ok, want)
				}
				if ok {
					tickets++
					w.flying[tickets], sent[tickets] = true, number
					if w.held {
						w.probe, w.resumes = tickets, now+testLimit.Calm
					}
				}
			},
			"done": func(t *rapid.T) {
				if len(w.flying) == 0 {
					return
				}
				var list []uint64
				for ticket := range w.flying {
					list = append(list, ticket)
				}
				slices.Sort(list)
				ticket := rapid.SampledFrom(list).Draw(t, "which")
				a := rapid.SampledFrom([]answer{unclear, answered, answered, throttled}).Draw(t, "answer")
				number, limit := sent[ticket], l.limit
				delete(w.flying, ticket)
				draw := rapid.Float64Range(0, 0.999).Draw(t, "draw")
				l.done(now, number, a, draw)
				if a == unclear && w.held && ticket == w.probe {
					w.resumes = now
				}
				fresh := number > lastCut
				switch {
				case a == throttled && fresh:
					lastCut = slices.Max(numbers(sent))
					if l.limit > limit || l.limit < float64(testLimit.Min) {
						t.Fatalf("cut from %v to %v", limit, l.limit)
					}
					w.held, w.resumes = true, l.until
					if pause := l.until - now; pause < testLimit.Hold/2 || pause > testLimit.MaxHold {
						t.Fatalf("held for %v", pause)
					}
				case a == answered && fresh:
					w.held = false
					if l.limit < limit || l.limit > limit+1 || l.limit > float64(testLimit.Max) {
						t.Fatalf("grew from %v to %v", limit, l.limit)
					}
				case l.limit != limit:
					t.Fatalf("changed from %v to %v for nothing", limit, l.limit)
				}
				if a == throttled {
					w.lastStop = now
				}
				pump()
			},
			"time": func(t *rapid.T) {
				now += time.Duration(rapid.Int64Range(0, int64(300*time.Millisecond)).Draw(t, "passes"))
				pump()
			},
			"": func(t *rapid.T) {
				if l.flying != len(w.flying) || len(l.queue) != len(w.waiting) {
					t.Fatalf("%d under way, %d wait; want %d and %d", l.flying, len(l.queue), len(w.flying), len(w.waiting))
				}
			},
		})
	})
}

func numbers(sent map[uint64]uint64) []uint64 {
	out := []uint64{0}
	for _, n := range sent {
		out = append(out, n)
	}
	return out
}

// After a burst the limit comes back to where it was, as soon as it binds.
func TestLimitRecovers(t *testing.T) {
	l := newLimiter(testLimit)
	now := time.Duration(0)
	number := l.send(now)
	l.done(now, number, throttled, 0.5)
	if l.allowed() != 1 {
		t.Errorf("%d may be under way in a hold", l.allowed())
	}
	now += time.Second
	for range 100 {
		var flying []uint64
		for l.ask(&waiter{ticket: l.sent}) {
			if x := l.next(now); x != nil {
				flying = append(flying, x.number)
			}
		}
		now += 100 * time.Millisecond
		for _, n := range flying {
			l.done(now, n, answered, 0)
		}
		for x := l.next(now); x != nil; x = l.next(now) {
			l.done(now, x.number, answered, 0)
		}
	}
	if l.allowed() != testLimit.Max {
		t.Errorf("%d after ten calm seconds, want %d", l.allowed(), testLimit.Max)
	}
}

// What was sent together and refused together is one piece of news.
func TestOneCutPerRound(t *testing.T) {
	l := newLimiter(testLimit)
	var flying []uint64
	for range testLimit.Max {
		flying = append(flying, l.send(0))
	}
	for _, n := range flying {
		l.done(0, n, throttled, 0)
	}
	if l.limit != float64(testLimit.Max)/2 || l.hold != testLimit.Hold {
		t.Errorf("limit %v, hold %v after one round", l.limit, l.hold)
	}
	if until := l.until; until != testLimit.Hold/2 {
		t.Errorf("held until %v", until)
	}
}

// A store that refuses everything sees a few probes, however many calls wait and however long it lasts.
func TestProbesThinOut(t *testing.T) {
	l := newLimiter(testLimit)
	l.done(0, l.send(0), throttled, 0.99)
	for l.ask(&waiter{ticket: l.sent}) {
	}
	probes := 0
	for now := time.Duration(0); now < 10*time.Second; now += time.Millisecond {
		if x := l.next(now); x != nil {
			probes++
			l.done(now, x.number, throttled, 0.99)
			l.ask(x)
		}
	}
	if probes < 10 || probes > 25 {
		t.Errorf("%d probes in ten seconds", probes)
	}
}
