package parts_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
	"wadi/objstore/parts"
	"wadi/objstore/steady"
)

const part = objstore.MinPart

var data = func() []byte {
	out := make([]byte, 4*part)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(out) // it never fails
	return out
}()

var small = parts.Config{PartSize: part, Parallel: 2}

func newWriter(t *testing.T, ctx context.Context, s objstore.Store, cfg parts.Config) *parts.Writer {
	t.Helper()
	w, err := parts.New(ctx, s, "k", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// write writes all of p in pieces.
func write(w *parts.Writer, p []byte, piece int) error {
	for len(p) > 0 {
		n, err := w.Write(p[:min(piece, len(p))])
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return w.Close()
}

// ops are the calls that were made, the parts, which come in any order, as one.
func ops(f *fault.Store) string {
	var out []string
	n := 0
	for _, r := range f.TakeTranscript() {
		if r.Op == fault.PutPart {
			if n++; n > 1 {
				continue
			}
		}
		out = append(out, string(r.Op))
	}
	return strings.Replace(strings.Join(out, " "), "part", fmt.Sprintf("%dxpart", n), 1)
}

// wantUploads checks how many unfinished uploads there are.
func wantUploads(t *testing.T, s objstore.Store, want int) {
	t.Helper()
	infos, err := s.Uploads(t.Context(), "", "", 100)
	if err != nil || len(infos) != want {
		t.Fatalf("%+v unfinished, want %d: %v", infos, want, err)
	}
}

func TestContentAndCalls(t *testing.T) {
	for _, tc := range []struct {
		size  int
		calls string
	}{
		{0, "put"},
		{1, "put"},
		{part - 1, "put"},
		{part, "put"},
		{part + 1, "begin 2xpart complete"},
		{2 * part, "begin 2xpart complete"},
		{3*part + 12345, "begin 4xpart complete"},
	} {
		for _, piece := range []int{1<<20 - 1, part, 4 * part} {
			f := fault.New(mem.New(), fault.WithTranscript(100))
			w := newWriter(t, t.Context(), f, small)
			content := bytes.Clone(data[:tc.size])
			if err := write(w, content, piece); err != nil {
				t.Fatal(err)
			}
			if got := ops(f); got != tc.calls {
				t.Errorf("%d bytes: %q, want %q", tc.size, got, tc.calls)
			}
			if w.Size() != int64(tc.size) || w.CRC32C() != objstore.NewBody(content).CRC32C {
				t.Errorf("%d bytes: size %d, CRC %08x", tc.size, w.Size(), w.CRC32C())
			}
			if got, err := f.Get(t.Context(), "k", 0, -1); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes: %d others, %v", tc.size, len(got), err)
			}
			wantUploads(t, f, 0)
			if err := w.Abort(); err != nil {
				t.Error(err)
			}
			if _, err := w.Write([]byte("x")); !errors.Is(err, parts.ErrEnded) {
				t.Errorf("write after the end: %v", err)
			}
		}
	}
}

// Each call fails once, before its effect and after it, until there is no nth call. Nothing is left but what a Begin
// without an answer has begun; the object is there as a whole or not at all; and writing anew succeeds.
func TestEveryCallFails(t *testing.T) {
	for name, effect := range map[string]fault.Effect{"before": fault.FailBefore(nil), "after": fault.FailAfter(nil)} {
		for _, op := range []fault.Op{fault.Put, fault.Begin, fault.PutPart, fault.Complete} {
			for nth := 1; ; nth++ {
				content := data[:2*part+5]
				if op == fault.Put {
					content = data[:9]
				}
				inner := mem.New()
				f := fault.New(inner)
				armed := f.Script(fault.Fault{Op: op, Nth: nth, Do: effect})
				w := newWriter(t, t.Context(), f, small)
				err := write(w, content, 1<<20)
				if armed.Fired() == 0 {
					if err != nil {
						t.Fatal(err)
					}
					break
				}
				if !errors.Is(err, fault.ErrInjected) {
					t.Fatalf("%s %s %d: %v", name, op, nth, err)
				}
				if again := w.Close(); !errors.Is(again, fault.ErrInjected) {
					t.Fatalf("closed again: %v", again)
				}
				left := 0
				if op == fault.Begin && name == "after" {
					left = 1
				}
				wantUploads(t, inner, left)
				got, err := inner.Get(t.Context(), "k", 0, -1)
				landed := name == "after" && (op == fault.Put || op == fault.Complete)
				if landed && !bytes.Equal(got, content) || !landed && !errors.Is(err, objstore.ErrNotFound) {
					t.Fatalf("%s %s %d: the object has %d bytes, %v", name, op, nth, len(got), err)
				}
				if err := write(newWriter(t, t.Context(), f, small), content, 1<<20); err != nil {
					t.Fatalf("anew: %v", err)
				}
				wantUploads(t, inner, left)
			}
		}
	}
}

// What cannot be cleaned up is told, beside the error that made it necessary.
func TestAbandonFails(t *testing.T) {
	inner := mem.New()
	f := fault.New(inner)
	f.Script(fault.Fault{Op: fault.Abandon, Do: fault.FailBefore(objstore.ErrThrottled)})
	f.Script(fault.Fault{Op: fault.Complete, Do: fault.FailBefore(objstore.ErrConflict)})
	err := write(newWriter(t, t.Context(), f, small), data[:part+1], part)
	if !errors.Is(err, objstore.ErrConflict) || !errors.Is(err, objstore.ErrThrottled) {
		t.Fatal(err)
	}
	wantUploads(t, inner, 1)
}

func TestAnotherObject(t *testing.T) {
	for _, size := range []int{10, part + 10} {
		s := mem.New()
		if err := s.Put(t.Context(), "k", objstore.NewBody([]byte("another"))); err != nil {
			t.Fatal(err)
		}
		if err := write(newWriter(t, t.Context(), s, small), data[:size], part); !errors.Is(err, objstore.ErrExists) {
			t.Fatal(err)
		}
		wantUploads(t, s, 0)
	}
}

func TestAbort(t *testing.T) {
	for _, size := range []int{0, 10, 3*part + 10} {
		s := mem.New()
		w := newWriter(t, t.Context(), s, small)
		if _, err := w.Write(data[:size]); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.Abort(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); !errors.Is(err, parts.ErrEnded) {
			t.Fatal(err)
		}
		wantUploads(t, s, 0)
		if infos, err := s.List(t.Context(), "", "", 10); err != nil || len(infos) != 0 {
			t.Fatal(infos, err)
		}
	}
}

// With a store that hangs, the writer ends with its context and still leaves nothing behind; Abort alone ends it too.
func TestHangingParts(t *testing.T) {
	for _, aborted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			inner := mem.New()
			f := fault.New(inner)
			f.Script(fault.Fault{Op: fault.PutPart, Times: -1, Do: fault.HangAfter()})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			w := newWriter(t, ctx, f, small)
			began := time.Now()
			if aborted {
				if _, err := w.Write(data[:2*part+1]); err != nil { // two parts under way
					t.Fatal(err)
				}
				if err := w.Abort(); err != nil || time.Since(began) != 0 {
					t.Fatal(err, time.Since(began))
				}
			} else if err := write(w, data, part); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
				t.Fatal(err, time.Since(began))
			}
			wantUploads(t, inner, 0)
		})
	}
}

// A context that ends between two calls is noticed although no part has failed.
func TestContextEndsBetween(t *testing.T) {
	s := mem.New()
	ctx, cancel := context.WithCancel(t.Context())
	w := newWriter(t, ctx, s, small)
	if _, err := w.Write(data[:2*part]); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := w.Write(data[:2*part]); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	wantUploads(t, s, 0)
}

// As many parts are under way as may be, and no more.
func TestParallel(t *testing.T) {
	for _, parallel := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			f := fault.New(mem.New())
			var now, most atomic.Int64
			f.Script(fault.Fault{Op: fault.PutPart, Times: -1, Do: fault.Hook(func(ctx context.Context, _ fault.Call) error {
				most.Store(max(most.Load(), now.Add(1)))
				return fault.Sleep(ctx, time.Second)
			}, func(context.Context, fault.Call) error { now.Add(-1); return nil })})
			began := time.Now()
			w := newWriter(t, t.Context(), f, parts.Config{PartSize: part, Parallel: parallel})
			if err := write(w, data, 1<<20); err != nil {
				t.Fatal(err)
			}
			if most.Load() != int64(parallel) {
				t.Errorf("%d parts under way, want %d", most.Load(), parallel)
			}
			if want := time.Duration((4+parallel-1)/parallel) * time.Second; time.Since(began) != want {
				t.Errorf("%v, want %v", time.Since(began), want)
			}
		})
	}
}

// Over a store that fails now and then, with the repetitions that it has everywhere.
func TestOverFaults(t *testing.T) {
	f := fault.New(mem.New())
	var n atomic.Int64
	now := func(k int64, err error) func(context.Context, fault.Call) error {
		return func(context.Context, fault.Call) error {
			if n.Add(1)%k == 0 {
				return err
			}
			return nil
		}
	}
	f.Script(fault.Fault{Times: -1, Do: fault.Hook(now(5, objstore.ErrThrottled), now(3, fault.ErrInjected))})
	cfg := steady.ForS3()
	cfg.Pause, cfg.Limit.Hold, cfg.RetryBurst, cfg.Attempts = time.Microsecond, time.Microsecond, 1e6, 30
	s := steady.New(f, cfg)
	for range 5 { // what is there already counts
		if err := write(newWriter(t, t.Context(), s, small), data, part/2); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Get(t.Context(), "k", 0, -1); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestBadConfig(t *testing.T) {
	for _, cfg := range []parts.Config{{PartSize: part - 1}, {PartSize: -1}, {PartSize: objstore.MaxPart + 1}, {Parallel: -1}} {
		if _, err := parts.New(t.Context(), mem.New(), "k", cfg); !errors.Is(err, objstore.ErrKey) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	if _, err := parts.New(t.Context(), mem.New(), "a//b", parts.Config{}); !errors.Is(err, objstore.ErrKey) {
		t.Error(err)
	}
}

func TestSweep(t *testing.T) {
	now := time.Unix(1000, 0)
	s := mem.New(mem.WithClock(func() time.Time { return now }))
	begin := func(key string) {
		if _, err := s.Begin(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1500 {
		begin(fmt.Sprintf("a/old-%d", i/2))
	}
	begin("b/old")
	now = time.Unix(2000, 0)
	begin("a/new")
	for _, tc := range []struct{ limit, want int }{{0, 0}, {100, 100}, {5000, 1400}, {5000, 0}} {
		if n, err := parts.Sweep(t.Context(), s, "a/", now, tc.limit); err != nil || n != tc.want {
			t.Fatalf("limit %d: %d, %v, want %d", tc.limit, n, err, tc.want)
		}
	}
	infos, err := s.Uploads(t.Context(), "", "", 10)
	if err != nil || !slices.EqualFunc(infos, []string{"a/new", "b/old"}, func(i objstore.UploadInfo, k string) bool { return i.Key == k }) {
		t.Fatal(infos, err)
	}
}
