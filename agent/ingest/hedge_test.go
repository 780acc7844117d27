package ingest

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wadi/internal/layout"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
)

// object is the key that State names for an offset.
func (w *world) object(partition int32, offset int64) (key string) {
	w.view.Read(func(s *state.State) {
		runs := s.TopicByNumber(w.topic).Partition(partition).RunsFrom(offset, 1, 1, nil)
		if len(runs) == 1 {
			if o, ok := s.Object(runs[0].Place); ok {
				key = o.Key(layout.NewObjects("test", 1))
			}
		}
	})
	return key
}

// The name that is known to hold the object is committed, whether the other one holds it too (its answer was lost) or
// not (it never got there): DESIGN section 5 step 3.
func TestHedgeIsCommitted(t *testing.T) {
	for name, c := range map[string]struct {
		first   fault.Effect
		objects int
	}{
		"the first never arrives":  {fault.HangBefore(), 1},
		"the first is stored, too": {fault.HangAfter(), 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, testConfig())
				defer w.close()
				stored, settled := "", ""
				w.ingest.o.OnStored = func(key string, _ objstore.Body) { stored = key }
				w.ingest.o.OnSettled = func(key string, _ uint64) { settled = key }
				w.store.Script(fault.Fault{Op: fault.Put, Do: c.first})
				began := time.Now()
				p := w.send(1, 0, 20_000).wait()
				if p.Err != nil {
					t.Fatal(p.Err)
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("took %v", took)
				}
				w.durable(0, p.BaseOffset)
				key := w.object(0, p.BaseOffset)
				if !strings.HasSuffix(key, "1.h.seg") || stored != key || settled != key {
					t.Errorf("State names %q, %q was stored and %q settled", key, stored, settled)
				}
				infos, err := w.store.List(w.ctx, "", "", 10)
				if err != nil || len(infos) != c.objects {
					t.Errorf("%v, %v", infos, err)
				}
				// The next flush has a number of its own, and no hedge.
				p = w.send(1, 0, 20_000).wait()
				if key := w.object(0, p.BaseOffset); p.Err != nil || !strings.HasSuffix(key, "2.seg") {
					t.Error(key, p.Err)
				}
			})
		})
	}
}

// An agent that is told to end while a first upload hangs answers everybody and leaves nothing running.
func TestDrainBesideAHangingUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testConfig())
		w.store.Script(fault.Fault{Op: fault.Put, Do: fault.HangBefore()})
		s := w.send(1, 0, 20_000)
		began := time.Now()
		for !w.ingest.Idle() || !w.session.Idle() {
			time.Sleep(5 * time.Millisecond) // as a drain does
		}
		if p := s.wait(); p.Err != nil || time.Since(began) > 2*time.Second {
			t.Error(p.Err, time.Since(began))
		}
		w.close() // synctest sees goroutines that are left
	})
}
