package parts

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"wadi/objstore"
)

// ErrEnded: the Writer was closed or aborted before.
var ErrEnded = errors.New("writer has ended")

// Config of a Writer. Zero values are the defaults.
type Config struct {
	// PartSize is the size in bytes of every part but the last, objstore.MinPart..objstore.MaxPart, 8 MiB by default. An
	// object has at most objstore.MaxParts of them.
	PartSize int
	// Parallel is how many parts are under way at a time, 3 by default. A Writer holds one part more than that in memory.
	Parallel int
}

const (
	defaultPartSize = 8 << 20
	defaultParallel = 3
	// abandonTime is for the clean-up after a failure, whose own context may have ended.
	abandonTime = 15 * time.Second
)

// Writer is an object in the making. It is used by one goroutine at a time and ends with Close, or with Abort, which may
// always be deferred. Make it with New.
type Writer struct {
	ctx   context.Context
	store objstore.Store
	key   string
	cfg   Config

	size int64  // of the parts before filling
	crc  uint32 // theirs
	fill filling

	up      objstore.Upload // no ID: not begun
	uploads *errgroup.Group // parts under way
	failed  context.Context // ends with the first part that fails, and with stop
	stop    context.CancelFunc
	sent    []*objstore.Part
	err     error // why nothing more is taken
}

// New is a Writer of the object key. ctx covers all that the Writer does until its end. Nothing is sent before there is
// more than a part. ErrKey: key or configuration are outside their bounds.
func New(ctx context.Context, store objstore.Store, key string, cfg Config) (*Writer, error) {
	if err := objstore.CheckKey(key); err != nil {
		return nil, err
	}
	if cfg.PartSize == 0 {
		cfg.PartSize = defaultPartSize
	}
	if cfg.Parallel == 0 {
		cfg.Parallel = defaultParallel
	}
	if cfg.PartSize < objstore.MinPart || cfg.PartSize > objstore.MaxPart || cfg.Parallel < 0 {
		return nil, fmt.Errorf("%w: parts of %d bytes, %d at a time", objstore.ErrKey, cfg.PartSize, cfg.Parallel)
	}
	w := &Writer{ctx: ctx, store: store, key: key, cfg: cfg}
	stoppable, stop := context.WithCancel(ctx)
	w.stop = stop
	w.uploads, w.failed = errgroup.WithContext(stoppable)
	w.uploads.SetLimit(cfg.Parallel)
	return w, nil
}

// Size is the number of bytes written so far.
func (w *Writer) Size() int64 { return w.size + int64(w.fill.size) }

// CRC32C is the Castagnoli checksum of the bytes written so far.
func (w *Writer) CRC32C() uint32 { return objstore.CombineCRC(w.crc, w.fill.crc, int64(w.fill.size)) }

// Write copies p, and waits for a part to be stored when as many are under way as may be. An error is the Writer's end:
// it has cleaned up, and Close returns the same error.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n := 0
	for n < len(p) {
		// A full part goes only now that it is known not to be the last: content of just one part needs no upload.
		if w.fill.size == w.cfg.PartSize {
			if err := w.send(); err != nil {
				return n, w.fail(err)
			}
		}
		n += w.fill.take(p[n:], w.cfg.PartSize)
	}
	return n, nil
}

// send uploads the part that was filled.
func (w *Writer) send() error {
	if ended := w.failed.Err(); ended != nil {
		if err := w.uploads.Wait(); err != nil {
			return err
		}
		return fmt.Errorf("write %s: %w", w.key, ended)
	}
	if len(w.sent) == objstore.MaxParts {
		return fmt.Errorf("write %s: %w: more than %d parts of %d bytes", w.key, objstore.ErrKey, objstore.MaxParts, w.cfg.PartSize)
	}
	if w.up.ID == "" {
		up, err := w.store.Begin(w.ctx, w.key)
		if err != nil {
			return err
		}
		w.up = up
	}
	body, part := w.fill.body(), new(objstore.Part)
	w.size, w.crc = w.Size(), w.CRC32C()
	w.fill = filling{}
	w.sent = append(w.sent, part)
	number := len(w.sent)
	w.uploads.Go(func() (err error) {
		defer release(body)
		*part, err = w.store.PutPart(w.failed, w.up, number, body)
		return err
	})
	return nil
}

// Close stores what is left and creates the object, which is durable when Close returns nil. An object of the same bytes
// that is there already counts as success. Of the errors ErrExists never heals and ErrConflict asks for all of it to be
// written anew, by another Writer. After any but ErrExists and ErrConflict the object may be there, now or later.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	if err := w.finish(); err != nil {
		return w.fail(err)
	}
	w.end(ErrEnded)
	return nil
}

func (w *Writer) finish() error {
	if w.up.ID == "" {
		return w.store.Put(w.ctx, w.key, w.fill.body())
	}
	if err := w.send(); err != nil {
		return err
	}
	if err := w.uploads.Wait(); err != nil {
		return err
	}
	list := make([]objstore.Part, len(w.sent))
	for i, p := range w.sent {
		list[i] = *p
	}
	return w.store.Complete(w.ctx, w.up, list)
}

// Abort ends the Writer without an object. After Close, or an error of Write, it does nothing. An error says what could
// not be cleaned up.
func (w *Writer) Abort() error {
	if w.err != nil {
		return nil
	}
	err := w.abandon()
	w.end(ErrEnded)
	return err
}

// fail cleans up and returns the error with which the Writer has ended.
func (w *Writer) fail(err error) error {
	w.end(errors.Join(err, w.abandon()))
	return w.err
}

// abandon ends the parts under way, which could land in an upload that is gone, and then the upload. It goes on when the
// Writer's context has ended.
func (w *Writer) abandon() error {
	w.stop()
	_ = w.uploads.Wait() // the error that counts is known, or asked for
	if w.up.ID == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), abandonTime)
	defer cancel()
	if err := w.store.Abandon(ctx, w.up); err != nil {
		return fmt.Errorf("what was uploaded of %s stays: %w", w.key, err)
	}
	return nil
}

func (w *Writer) end(err error) {
	w.stop()
	w.err = err
	release(w.fill.body())
	w.size, w.crc, w.fill = w.Size(), w.CRC32C(), filling{}
}

// blockSize is what parts are made of, so that a short object does not cost a part's memory.
const blockSize = 1 << 20

type block [blockSize]byte

// blocks are handed on from writer to writer.
var blocks = sync.Pool{New: func() any { return new(block) }}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// filling is the part that takes what is written.
type filling struct {
	chunks [][]byte // each the beginning of a block, full but for the last
	size   int
	crc    uint32
}

// take copies what fits from p.
func (f *filling) take(p []byte, partSize int) int {
	last := len(f.chunks) - 1
	if last < 0 || len(f.chunks[last]) == blockSize {
		f.chunks = append(f.chunks, blocks.Get().(*block)[:0])
		last++
	}
	n := min(len(p), blockSize-len(f.chunks[last]), partSize-f.size)
	f.chunks[last] = append(f.chunks[last], p[:n]...)
	f.crc = crc32.Update(f.crc, castagnoli, p[:n])
	f.size += n
	return n
}

func (f *filling) body() objstore.Body { return objstore.Body{Chunks: f.chunks, CRC32C: f.crc} }

// release gives a body's blocks back when nobody reads them any more.
func release(b objstore.Body) {
	for _, c := range b.Chunks {
		blocks.Put((*block)(c[:blockSize]))
	}
}
