package runs

import (
	"errors"
	"fmt"
	"sync"

	"wadi/objstore"
)

// source is an object, with the windows that lie over it.
type source struct {
	key     string
	known   bool // to State
	windows []*window
	err     error // it is not what State says, wherever one looks
}

// early is the reading of windows before they are needed.
type early struct {
	sync.WaitGroup
	order  []*window // as they are needed
	next   int       // what is started next
	flying int       // started and not taken
}

// errUnknown: State has a run in an object that it does not list.
var errUnknown = fmt.Errorf("the metadata does not list the object: %w", objstore.ErrNotFound)

type answer struct {
	data []byte
	err  error
}

// need returns a window's bytes.
func (r *Reader) need(src *source, w *window) ([]byte, error) {
	if src.err != nil {
		return nil, src.err
	}
	if r.cfg.Parallel > 1 {
		r.readAhead()
	}
	var a answer
	switch w.state {
	case taken:
		return w.data, nil
	case started:
		a = <-w.answer
		w.answer = nil
		r.early.flying--
	default: // in turn, or again
		r.hold(w.size())
		a = r.read(src, w.off, w.size())
	}
	r.stats.Reads++
	r.stats.Bytes += int64(len(a.data))
	if a.err != nil {
		w.state = idle
		r.held -= w.size()
		if bad(a.err) && !errors.Is(a.err, objstore.ErrCorrupt) {
			src.err = a.err
		}
		return nil, a.err
	}
	w.state, w.data = taken, a.data
	return w.data, nil
}

// readAhead starts reads of the windows that are needed next, while there are few under way or unused. Windows that were
// read ahead for runs that are skipped then may wait for long: others are read when they are needed.
func (r *Reader) readAhead() {
	for e := &r.early; e.next < len(e.order) && e.flying < r.cfg.Parallel; e.next++ {
		w := e.order[e.next]
		src := &r.sources[w.source]
		if w.state != idle || src.err != nil {
			continue
		}
		r.hold(w.size())
		w.state, w.answer = started, make(chan answer, 1)
		e.flying++
		got, off, size := w.answer, w.off, w.size()
		e.Go(func() { got <- r.read(src, off, size) })
	}
}

func (r *Reader) read(src *source, off, size int64) (a answer) {
	if !src.known {
		return answer{err: errUnknown}
	}
	a.data, a.err = r.env.Store.Get(r.ctx, src.key, off, size)
	if a.err == nil && int64(len(a.data)) != size {
		a = answer{err: corrupt("%d bytes instead of %d at %d", len(a.data), size, off)}
	}
	return a
}

// release lets go of a window when the run that is read is the last one in it.
func (r *Reader) release(w *window) {
	if w.last > r.piece || w.state == gone {
		return
	}
	switch w.state {
	case started:
		r.early.flying--
		r.held -= w.size()
	case taken:
		r.held -= w.size()
	}
	w.state, w.data, w.answer = gone, nil, nil
}

// refresh has what lies from a position up to the end of the window read again.
func (r *Reader) refresh(from int64) {
	w := r.sources[r.pieces[r.piece].source].windows[r.window]
	if w.state == taken {
		r.held -= w.size()
	}
	w.state, w.data, w.off = idle, nil, min(from, w.off)
	r.pos = from
}
