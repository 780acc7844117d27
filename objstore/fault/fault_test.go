package fault_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wadi/objstore"
	"wadi/objstore/conformance"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, func(testing.TB) objstore.Store { return fault.New(mem.New(), fault.WithTranscript(10)) })
}

func TestConformanceWithLatency(t *testing.T) {
	instant := func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	conformance.Run(t, func(testing.TB) objstore.Store {
		return fault.New(mem.New(), fault.WithLatency(fault.S3(), 1, instant))
	})
}

func TestNthCall(t *testing.T) {
	s := fault.New(mem.New())
	armed := s.Script(fault.Fault{Op: fault.Put, Key: "flush/", Nth: 2, Times: 2, Do: fault.FailBefore(objstore.ErrThrottled)})
	var failed []string
	for _, key := range []string{"flush/1", "other/1", "flush/2", "flush/3", "flush/4"} {
		if err := s.Put(t.Context(), key, objstore.NewBody(nil)); err != nil {
			if !errors.Is(err, objstore.ErrThrottled) {
				t.Fatal(err)
			}
			failed = append(failed, key)
		}
	}
	if want := []string{"flush/2", "flush/3"}; !slices.Equal(failed, want) || armed.Fired() != 2 {
		t.Fatalf("failed %q, fired %d", failed, armed.Fired())
	}
	if _, err := s.Get(t.Context(), "flush/2", 0, -1); !errors.Is(err, objstore.ErrNotFound) {
		t.Fatalf("a put that failed before its effect left %v", err)
	}
}

// PUT, lose the response, PUT again.
func TestLostResponse(t *testing.T) {
	s := fault.New(mem.New())
	s.Script(fault.Fault{Op: fault.Put, Do: fault.FailAfter(nil)})
	body := objstore.NewBody([]byte("x"))
	if err := s.Put(t.Context(), "a", body); !errors.Is(err, fault.ErrInjected) {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), "a", 0, -1); err != nil || string(got) != "x" {
		t.Fatalf("%q, %v", got, err)
	}
	if err := s.Put(t.Context(), "a", body); err != nil {
		t.Fatal(err)
	}
}

func TestHang(t *testing.T) {
	for name, effect := range map[string]fault.Effect{"before": fault.HangBefore(), "after": fault.HangAfter()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner := mem.New()
				s := fault.New(inner)
				s.Script(fault.Fault{Do: effect})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				err := s.Put(ctx, "a", objstore.NewBody(nil))
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
					t.Fatalf("%v after %v", err, time.Since(start))
				}
				_, err = inner.Get(t.Context(), "a", 0, -1)
				if exists := err == nil; exists != (name == "after") {
					t.Fatalf("object exists: %v", exists)
				}
			})
		})
	}
}

func TestMangledBytes(t *testing.T) {
	s := fault.New(mem.New())
	if err := s.Put(t.Context(), "a", objstore.NewBody([]byte{1, 2, 3})); err != nil {
		t.Fatal(err)
	}
	s.Script(fault.Fault{Op: fault.Get, Nth: 1, Do: fault.TornBody(2)})
	s.Script(fault.Fault{Op: fault.Get, Nth: 2, Do: fault.FlipByte(0)})
	s.Script(fault.Fault{Op: fault.Get, Nth: 3, Do: fault.FlipByte(-1)})
	for i, want := range [][]byte{{1, 2}, {0xfe, 2, 3}, {1, 2, 0xfc}, {1, 2, 3}} {
		if got, err := s.Get(t.Context(), "a", 0, -1); err != nil || !slices.Equal(got, want) {
			t.Fatalf("get %d: %v, %v", i, got, err)
		}
	}
}

func TestDisarm(t *testing.T) {
	s := fault.New(mem.New())
	a := s.Script(fault.Fault{Times: -1, Do: fault.FailBefore(nil)})
	for range 3 {
		if _, err := s.Date(t.Context()); !errors.Is(err, fault.ErrInjected) {
			t.Fatal(err)
		}
	}
	a.Disarm()
	if _, err := s.Date(t.Context()); err != nil || a.Fired() != 3 {
		t.Fatal(err, a.Fired())
	}
}

func TestTranscript(t *testing.T) {
	s := fault.New(mem.New(), fault.WithTranscript(4))
	s.Script(fault.Fault{Op: fault.Get, Nth: 2, Do: fault.FailAfter(objstore.ErrCorrupt)})
	ctx := t.Context()
	_, err := s.Date(ctx) // pushed out by the limit
	put := s.Put(ctx, "a/b", objstore.NewBody([]byte("xyz")))
	_, get := s.Get(ctx, "a/b", 1, -1)
	_, torn := s.Get(ctx, "a/b", 1, 2)
	if err := errors.Join(err, put, get); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(torn, objstore.ErrCorrupt) {
		t.Fatal(torn)
	}
	if err := s.Delete(ctx, []string{"a/b", "c"}); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range s.TakeTranscript() {
		lines = append(lines, r.String())
	}
	want := "put a/b 3 ok\nget a/b [1,-1) 2 ok\nget a/b [1,+2) 2 corrupt (fail-after)\ndelete a/b and 1 more 2 ok"
	if got := strings.Join(lines, "\n"); got != want {
		t.Fatalf("got:\n%s\nwant:\n%s", got, want)
	}
	if len(s.Transcript()) != 0 || s.Calls() != 5 {
		t.Fatal(s.Transcript(), s.Calls())
	}
}
