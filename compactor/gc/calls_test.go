package gc

import (
	"errors"
	"fmt"
	"testing"

	"wadi/metadata/session"
)

// Each of gc's calls fails once, before its effect and after it, or is where the process dies, until none is left: garbage,
// archives, orphans and sessions go all the same, and what is needed stays.
func TestEveryCall(t *testing.T) {
	for _, dies := range []bool{false, true} {
		for nth := 1; ; nth++ {
			burnt := false
			t.Run(fmt.Sprintf("dies %t, call %d", dies, nth), func(t *testing.T) { burnt = oneCall(t, nth, dies) })
			if !burnt {
				if nth < 15 {
					t.Errorf("only %d moments", nth)
				}
				break
			}
		}
	}
}

// oneCall reports whether there was an nth moment.
func oneCall(t *testing.T, nth int, dies bool) (burnt bool) {
	w := newWorld(t)
	topic, other := w.topic("t"), w.topic("u")
	x, y := w.open(7), w.open(8)
	stays := []string{y.flushed(w, other)}
	goes := []string{x.flushed(w, topic), x.flushed(w, topic)}
	x.write(w, topic, 0)
	position := w.position
	w.checkpoint(true)
	goes = append(goes, w.archiveOf(position))
	stays = append(stays, x.merged(w, topic, w.version(topic)), x.fold(w, topic))
	goes = append(goes, x.merged(w, other, 1<<40), x.upload(w), w.put(objectKeys.Merged(x.id, x.merge+3), size))
	for range 3 {
		w.checkpoint(true)
	}
	stays = append(stays, y.upload(w))
	w.close(x.id)
	w.fuse = fuse{left: nth, last: dies}
	for range 30 {
		for more := true; more; {
			var err error
			more, err = w.pass()
			if err != nil && !errors.Is(err, errBurnt) && !errors.Is(err, session.ErrNotProposed) && !errors.Is(err, session.ErrUnknown) {
				t.Fatal(err)
			}
			if w.fuse.burnt {
				if burnt = true; dies {
					w.start()
				}
				w.fuse = fuse{}
			}
		}
		w.later(grace / 12)
	}
	w.expect(false, goes...)
	w.expect(true, stays...)
	if _, known := w.s.Session(x.id); known {
		t.Error("State knows the session still")
	}
	if n, _ := w.s.Garbage(); n != 0 {
		t.Errorf("State keeps %d objects of garbage", n)
	}
	return burnt
}
