package steady_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
	"wadi/objstore/steady"
)

// A part that hangs is given up and sent again, to the same place and never twice at a time; a Complete is given time by
// what it may have to copy.
func TestUploadIsRepeatedAndNotHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fault.New(mem.New(), fault.WithTranscript(20))
		f.Script(fault.Fault{Op: fault.PutPart, Do: fault.HangAfter()})
		f.Script(fault.Fault{Op: fault.Complete, Do: fault.HangAfter()})
		cfg := steady.ForS3()
		cfg.Pause, cfg.Timeout, cfg.BytesPerSecond = 1, 4*time.Second, 1e6
		var count counted
		s := steady.New(f, count.observe(cfg))
		up, err := s.Begin(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		part, err := s.PutPart(t.Context(), up, 1, objstore.NewBody(make([]byte, 16e6)))
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began).Round(time.Millisecond); took != 17*time.Second {
			t.Errorf("the part was given %v, want a quarter of the timeout and a second for each MB", took)
		}
		began = time.Now()
		if err := s.Complete(t.Context(), up, []objstore.Part{part}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began).Round(time.Millisecond); took != 2*time.Second {
			t.Errorf("the end was given %v", took)
		}
		if count.hedged.Load() != 0 || count.retried.Load() != 2 {
			t.Errorf("%d hedges, %d repetitions", count.hedged.Load(), count.retried.Load())
		}
	})
}

// What no repetition mends is asked once.
func TestUploadConflictIsFinal(t *testing.T) {
	f := fault.New(mem.New())
	s := steady.New(f, steady.ForS3())
	up := objstore.Upload{Key: "k", ID: "gone"}
	body := objstore.NewBody([]byte("x"))
	if _, err := s.PutPart(t.Context(), up, 1, body); !errors.Is(err, objstore.ErrConflict) {
		t.Error(err)
	}
	err := s.Complete(t.Context(), up, []objstore.Part{{Number: 1, Size: 1, CRC32C: body.CRC32C}})
	if !errors.Is(err, objstore.ErrConflict) || f.Calls() != 2 {
		t.Errorf("%v after %d calls", err, f.Calls())
	}
}
