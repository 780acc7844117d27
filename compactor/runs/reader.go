package runs

import (
	"context"
	"errors"
	"fmt"
	"io"

	"wadi/compactor/job"
	"wadi/internal/batch"
	"wadi/metadata/checkpoint"
	"wadi/metadata/state"
	"wadi/objstore"
)

// Config bounds a Reader. Zero values are the defaults.
type Config struct {
	// Memory is how many bytes a Reader holds, 32 MiB by default; beyond it only a single batch that lies across windows,
	// and the least windows (16 KiB) of more objects at a time than that leaves room for.
	Memory int64
	// Parallel is how many reads are under way at a time, 1 by default: all of them on the caller's goroutine.
	Parallel int
	// Gap is how many bytes between two runs are rather read than asked around, 256 KiB by default, negative for none.
	Gap int64
}

const (
	defaultMemory = 32 << 20
	defaultGap    = 256 << 10
)

func (c Config) withDefaults() Config {
	if c.Memory <= 0 {
		c.Memory = defaultMemory
	}
	if c.Gap == 0 {
		c.Gap = defaultGap
	}
	c.Gap, c.Parallel = max(c.Gap, 0), max(c.Parallel, 1)
	return c
}

// Unreadable says that what a run should hold is not there: its object is missing or too short, or holds other bytes. It
// wraps objstore.ErrNotFound, objstore.ErrRange, objstore.ErrCorrupt or checkpoint.ErrFormat. Asking again does not help;
// other runs may be fine.
type Unreadable struct {
	Run state.Run
	Key string // of the object, "" when State names none
	Err error
}

func (e *Unreadable) Error() string {
	return fmt.Sprintf("run at offset %d in %q: %v", e.Run.Base, e.Key, e.Err)
}

// Unwrap gives the cause.
func (e *Unreadable) Unwrap() error { return e.Err }

// bad reports whether an error is about what was asked for, not about whoever was asked.
func bad(err error) bool {
	for _, kind := range []error{objstore.ErrNotFound, objstore.ErrRange, objstore.ErrCorrupt, checkpoint.ErrFormat} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// Stats is what a Reader has done.
type Stats struct {
	Reads int64 // requests for windows
	Bytes int64 // that came with them, or out of archives and the journal
	Peak  int64 // the most bytes held at a time
}

// Reader reads runs. It is used by one goroutine at a time and ends with Close. Make it with New.
type Reader struct {
	ctx  context.Context
	stop context.CancelFunc
	env  *job.Env
	s    *state.State
	runs []state.Run
	cfg  Config

	sources []source
	pieces  []piece // of the runs in objects, in order
	early   early
	planned bool
	inline  inline

	until  int   // run in front of which Next stops
	at     int   // the run that is read
	piece  int   // the piece of that run, or of the next one that has one
	begun  bool  // of that run; the rest is about it
	next   int64 // the offset due
	pos    int64 // in the object, or in the inline bytes
	end    int64 // likewise
	window int32 // of the source's
	again  int64 // where bytes were read a second time, -1 = nowhere

	scratch []byte // a batch that lies across windows, or a marker
	held    int64
	stats   Stats
	err     error // the end
}

// New is a Reader of runs, one behind the other, as the snapshot has them: those of a partition in the order of their
// offsets. What is asked of an object should lie in it in that order too, else parts of it may be read twice. Nothing is
// read before the first Next; ctx covers all that is. The runs must stay as they are until Close.
func New(ctx context.Context, env *job.Env, s *state.State, runs []state.Run, cfg Config) *Reader {
	ctx, stop := context.WithCancel(ctx)
	return &Reader{ctx: ctx, stop: stop, env: env, s: s, runs: runs, until: len(runs), cfg: cfg.withDefaults(), again: -1}
}

// Close lets go of everything and waits for reads under way.
func (r *Reader) Close() {
	r.stop()
	r.early.Wait()
	*r = Reader{ctx: r.ctx, stop: r.stop, stats: r.stats, err: io.ErrClosedPipe, planned: true}
}

// Stats may also be asked after Close.
func (r *Reader) Stats() Stats { return r.stats }

// Next returns the next batch and the index of its run. The batch is the caller's until the next call, and may be
// changed. After the last one it is io.EOF. An *Unreadable error is about that one run, whose batches so far were right:
// the next call goes on with the run behind it. Any other error is the store's or the context's, and the end.
func (r *Reader) Next() (run int, b batch.Batch, err error) {
	if !r.planned {
		r.plan()
	}
	for r.at < r.until && r.err == nil {
		x, run := &r.runs[r.at], r.at
		b, err := r.step(x)
		switch {
		case b != nil:
			return run, b, nil
		case err == nil:
			r.pass()
		case bad(err) && r.ctx.Err() == nil:
			err = &Unreadable{Run: *x, Key: r.key(x), Err: err}
			r.pass()
			return run, nil, err
		default:
			r.err = err
		}
	}
	if r.err != nil {
		return r.at, nil, r.err
	}
	return r.at, nil, io.EOF
}

// Until has Next return io.EOF in front of a run, until it is told of another one: what is read so far serves what lies
// behind it, too.
func (r *Reader) Until(run int) { r.until = min(run, len(r.runs)) }

// Skip goes on with a run further behind. What nobody needs for the runs between is not read.
func (r *Reader) Skip(run int) {
	if !r.planned {
		r.plan()
	}
	for r.at < min(run, len(r.runs)) {
		r.pass()
	}
}

// plan finds out where the runs' bytes lie.
func (r *Reader) plan() {
	r.planned = true
	index := map[uint64]int32{}
	inline := int64(0)
	for i := range r.runs {
		switch x := &r.runs[i]; {
		case x.Marker():
		case x.Inline():
			inline += int64(x.Length)
		default:
			k, ok := index[x.Place]
			if !ok {
				k = int32(len(r.sources))
				index[x.Place] = k
				o, known := r.s.Object(x.Place)
				src := source{known: known}
				if known {
					src.key = o.Key(r.env.Objects)
				}
				r.sources = append(r.sources, src)
			}
			r.pieces = append(r.pieces, piece{source: k, off: int64(x.Offset), end: int64(x.Offset) + int64(x.Length)})
		}
	}
	r.inline.limit = r.cfg.Memory / 4
	left := r.cfg.Memory - min(inline, r.inline.limit)
	ahead := 0
	if r.cfg.Parallel > 1 {
		ahead = r.cfg.Parallel
	}
	var bySource [][]*window
	bySource, r.early.order = lay(r.pieces, len(r.sources), left, r.cfg.Gap, ahead)
	for i := range r.sources {
		r.sources[i].windows = bySource[i]
	}
}

// key of the object that a run lies in.
func (r *Reader) key(x *state.Run) string {
	if !x.Inline() {
		return r.sources[r.pieces[r.piece].source].key
	}
	if o, _, ok := r.s.Archive(int64(x.Place)); ok {
		return o.Key(r.env.Objects)
	}
	return ""
}

// step returns the next batch of a run, nil behind the last one.
func (r *Reader) step(x *state.Run) (batch.Batch, error) {
	if !r.begun {
		if err := r.begin(x); err != nil {
			return nil, err
		}
	}
	if x.Marker() {
		return r.mark(x), nil
	}
	if r.pos == r.end {
		if r.next != x.Last+1 && !(x.Placed() && r.next <= x.Last) {
			return nil, corrupt("ends at offset %d instead of %d", r.next-1, x.Last)
		}
		return nil, nil
	}
	for {
		from := r.pos
		b, err := r.batch()
		if err == nil {
			err = r.check(x, b)
		}
		if err == nil {
			return b, nil
		}
		// The bytes in the store may be right where those that arrived are not.
		if !errors.Is(err, objstore.ErrCorrupt) || x.Inline() || r.again == from {
			return nil, err
		}
		r.again = from
		r.refresh(from)
	}
}

func (r *Reader) begin(x *state.Run) error {
	r.begun, r.next, r.again = true, x.Base, -1
	switch {
	case x.Marker():
	case x.Inline():
		return r.beginInline(x)
	default:
		p := &r.pieces[r.piece]
		r.pos, r.end, r.window = p.off, p.end, p.window
	}
	return nil
}

// pass ends the work on a run.
func (r *Reader) pass() {
	if x := &r.runs[r.at]; !x.Marker() && !x.Inline() {
		p := &r.pieces[r.piece]
		for _, w := range r.sources[p.source].windows[p.window:] {
			if w.first > r.piece {
				break
			}
			r.release(w)
		}
		r.piece++
	}
	r.at, r.begun = r.at+1, false
}

// mark is the control batch of a marker, nil when it was told.
func (r *Reader) mark(x *state.Run) batch.Batch {
	if r.next > x.Base {
		return nil
	}
	r.next = x.Last + 1
	r.scratch = x.MarkerBatch().AppendTo(r.scratch[:0])
	return r.scratch
}

// check checks a batch and gives it its offset. Those that a merge wrote carry it: some offsets may be missing between
// them and behind the last. Those of any other run follow each other.
func (r *Reader) check(x *state.Run, b batch.Batch) error {
	switch {
	case b.CRC() != b.ComputeCRC():
		return corrupt("CRC of the batch due at offset %d is %08x, not %08x", r.next, b.ComputeCRC(), b.CRC())
	case b.LastOffsetDelta() < 0:
		return corrupt("batch due at offset %d: last offset delta %d", r.next, b.LastOffsetDelta())
	case x.Placed() && b.BaseOffset() < r.next:
		return corrupt("batch at offset %d where one from %d on is due", b.BaseOffset(), r.next)
	}
	base := r.next
	if x.Placed() {
		base = b.BaseOffset()
	}
	if base > x.Last || int64(b.LastOffsetDelta()) > x.Last-base {
		return corrupt("batch from offset %d to %d in a run to %d", base, base+int64(b.LastOffsetDelta()), x.Last)
	}
	b.SetBaseOffset(base)
	b.SetPartitionLeaderEpoch(0) // neither is under the CRC
	r.next = base + int64(b.LastOffsetDelta()) + 1
	return nil
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", objstore.ErrCorrupt, fmt.Sprintf(format, args...))
}
