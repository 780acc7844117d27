package fault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
)

// durations is how long n calls took on a virtual clock.
func durations(t *testing.T, seed uint64, n int, call func(objstore.Store, int) error) (out []time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		s := fault.New(mem.New(), fault.WithLatency(fault.S3(), seed, nil))
		for i := range n {
			start := time.Now()
			if err := call(s, i); err != nil {
				t.Fatal(err)
			}
			out = append(out, time.Since(start))
		}
	})
	return out
}

func within(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want*9/10 || got > want*11/10 {
		t.Errorf("%s is %v, want about %v", what, got, want)
	}
}

func TestS3Profile(t *testing.T) {
	const n = 20_000
	put := func(s objstore.Store, i int) error {
		return s.Put(context.Background(), fmt.Sprintf("%08d", i), objstore.NewBody(nil))
	}
	puts := durations(t, 7, n, put)
	if again := durations(t, 7, 100, put); !slices.Equal(again, puts[:100]) {
		t.Error("the same seed gave other latencies")
	}
	if other := durations(t, 8, 100, put); slices.Equal(other, puts[:100]) {
		t.Error("another seed gave the same latencies")
	}
	slices.Sort(puts)
	within(t, "median put", puts[n/2], 90*time.Millisecond)
	within(t, "p99 put", puts[n*99/100], 250*time.Millisecond)
	if puts[0] != 60*time.Millisecond {
		t.Errorf("the fastest put took %v", puts[0])
	}
	stalls := 0
	for _, d := range puts {
		if d == time.Second {
			stalls++
		}
	}
	if stalls < n/1000/2 || stalls > n/1000*2 {
		t.Errorf("%d of %d puts stalled", stalls, n)
	}

	const size = 800_000 // 10 ms at 80 MB/s
	gets := durations(t, 9, 5000, func(s objstore.Store, i int) error {
		if i == 0 {
			if err := s.Put(context.Background(), "x", objstore.NewBody(make([]byte, size))); err != nil {
				return err
			}
		}
		_, err := s.Get(context.Background(), "x", 0, size)
		return err
	})
	slices.Sort(gets)
	within(t, "median get", gets[len(gets)/2], 40*time.Millisecond)
	within(t, "p99 get", gets[len(gets)*99/100], 90*time.Millisecond)
}

// A caller who gives up on a slow Put cannot know whether it happened: both occur.
func TestGivingUpIsAmbiguous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := mem.New()
		s := fault.New(inner, fault.WithLatency(fault.S3(), 3, nil))
		there := 0
		const n = 100
		for i := range n {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			key := fmt.Sprint(i)
			if err := s.Put(ctx, key, objstore.NewBody(nil)); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			cancel()
			if _, err := inner.Get(t.Context(), key, 0, -1); err == nil {
				there++
			}
		}
		if there < n/5 || there > n*4/5 {
			t.Fatalf("%d of %d puts happened", there, n)
		}
	})
}
