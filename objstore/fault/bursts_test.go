package fault_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
)

// refused is when, in steps of 50 ms, a store of the profile refused calls.
func refused(t *testing.T, p fault.Profile, seed uint64, length time.Duration) (at []time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		s := fault.New(mem.New(), fault.WithLatency(p, seed, nil))
		for since := time.Duration(0); since < length; since += 50 * time.Millisecond {
			switch _, err := s.Date(t.Context()); {
			case errors.Is(err, objstore.ErrThrottled):
				at = append(at, since)
			case err != nil:
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	return at
}

func TestBursts(t *testing.T) {
	p := fault.Profile{Bursts: fault.Bursts{Every: 10 * time.Second, Length: 500 * time.Millisecond, Chance: 0.2}}
	const length = 300 * time.Second
	at := refused(t, p, 1, length)
	if again := refused(t, p, 1, length); !slices.Equal(at, again) {
		t.Error("the same seed gave other bursts")
	}
	if other := refused(t, p, 2, length); slices.Equal(at, other) {
		t.Error("another seed gave the same bursts")
	}
	periods := map[time.Duration][]time.Duration{}
	for _, x := range at {
		periods[x/p.Bursts.Every] = append(periods[x/p.Bursts.Every], x)
	}
	if n := len(periods); n < 2 || n > 14 {
		t.Errorf("bursts in %d of 30 periods", n)
	}
	for period, xs := range periods {
		if n := len(xs); n < 9 || n > 11 || xs[n-1]-xs[0] > p.Bursts.Length {
			t.Errorf("period %d: %d refusals from %v to %v", period, n, xs[0], xs[n-1])
		}
	}
}

// A refusal takes its time and has no effect.
func TestBurstRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := mem.New()
		p := fault.Profile{Bursts: fault.Bursts{Every: time.Second, Length: time.Second, Chance: 1, Answer: 15 * time.Millisecond}}
		s := fault.New(inner, fault.WithLatency(p, 1, nil), fault.WithTranscript(1))
		began := time.Now()
		if err := s.Put(t.Context(), "a", objstore.NewBody(nil)); !errors.Is(err, objstore.ErrThrottled) {
			t.Fatal(err)
		}
		if took := time.Since(began); took != p.Bursts.Answer {
			t.Errorf("a refusal took %v", took)
		}
		if _, err := inner.Get(t.Context(), "a", 0, -1); !errors.Is(err, objstore.ErrNotFound) {
			t.Errorf("a refused put left %v", err)
		}
		if r := s.Transcript()[0]; r.Outcome != "throttled" {
			t.Error(r)
		}
	})
}
