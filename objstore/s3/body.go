package s3

import (
	"errors"
	"io"
	"sync"

	"wadi/objstore"
)

// body reads a Body's chunks without copying them into one slice first.
//
// The transport may still read it in its own goroutine after the attempt has failed. So close takes the same lock as
// Read, and after it no byte of the chunks is looked at any more: the caller may reuse them. Read copies, and WriteTo is
// left out on purpose: it would hand the chunks themselves to a write call that nobody can wait for.
type body struct {
	size int64
	mu   struct {
		sync.Mutex
		chunks [][]byte
		pos    int64 // of the next byte
		chunk  int   // that holds it
		inside int   // its index in there
		closed bool
	}
}

var errClosed = errors.New("read of a request body after its attempt has ended")

func newBody(b objstore.Body) *body {
	r := &body{size: b.Size()}
	r.mu.chunks = b.Chunks
	return r
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.closed {
		return 0, errClosed
	}
	n := 0
	for n < len(p) && b.mu.chunk < len(b.mu.chunks) {
		m := copy(p[n:], b.mu.chunks[b.mu.chunk][b.mu.inside:])
		n += m
		b.mu.pos += int64(m)
		if b.mu.inside += m; b.mu.inside == len(b.mu.chunks[b.mu.chunk]) {
			b.mu.chunk, b.mu.inside = b.mu.chunk+1, 0
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Seek is how the SDK learns the size and rewinds.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += b.mu.pos
	case io.SeekEnd:
		offset += b.size
	default:
		return 0, errors.New("seek: bad whence")
	}
	if offset < 0 || offset > b.size {
		return 0, errors.New("seek: outside the body")
	}
	b.mu.pos, b.mu.chunk = offset, 0
	for b.mu.chunk < len(b.mu.chunks) && offset >= int64(len(b.mu.chunks[b.mu.chunk])) {
		offset -= int64(len(b.mu.chunks[b.mu.chunk]))
		b.mu.chunk++
	}
	b.mu.inside = int(offset)
	return b.mu.pos, nil
}

func (b *body) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.closed = true
	b.mu.chunks = nil
}
