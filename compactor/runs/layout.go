package runs

// Bounds of windows, in bytes.
const (
	maxWindow = 8 << 20
	minWindow = 16 << 10
)

// piece is where a run's bytes lie in an object.
type piece struct {
	source   int32 // index of the object
	window   int32 // the first of the source's windows that it touches
	off, end int64
}

// window is a stretch of an object that is read with one request.
type window struct {
	source      int32
	off, end    int64
	first, last int // pieces that touch it

	state windowState
	data  []byte
	// answer is where its bytes arrive that are read early.
	answer chan answer
}

type windowState uint8

const (
	idle    windowState = iota
	started             // being read, or read ahead
	taken               // its bytes are in use
	gone                // passed
)

func (w *window) size() int64 { return w.end - w.off }

// lay lays windows over pieces: the largest for which what is held at any time stays within memory, `ahead` windows that
// are read early included. It returns them by source and in the order in which they are needed.
func lay(pieces []piece, sources int, memory, gap int64, ahead int) (bySource [][]*window, order []*window) {
	for size := int64(maxWindow); ; size = max(size/4*3, minWindow) {
		bySource, order = windows(pieces, sources, size, gap)
		if size <= minWindow || peak(pieces, bySource)+int64(ahead)*size <= memory {
			return bySource, order
		}
	}
}

// windows covers the pieces of each source, in the order in which they are visited. Pieces with no more than gap bytes
// between them share windows; one that lies in front of the one before begins anew.
func windows(pieces []piece, sources int, size, gap int64) (bySource [][]*window, order []*window) {
	bySource = make([][]*window, sources)
	var slab []window
	for i := range pieces {
		p := &pieces[i]
		list := bySource[p.source]
		at := p.off
		if n := len(list); n > 0 {
			last := list[n-1]
			// It grows as far as a window may, and only to reach the piece.
			if end := min(p.end, last.off+size); p.off >= last.off && p.off <= last.end+gap && end > max(p.off, last.end) {
				last.end = end
			}
			if p.off >= last.off && p.off < last.end {
				p.window = int32(n - 1)
				last.last = i
				at = last.end
			} else {
				p.window = int32(n)
			}
		}
		for at < p.end {
			if len(slab) == 0 {
				slab = make([]window, 256)
			}
			w := &slab[0]
			slab = slab[1:]
			*w = window{source: p.source, off: at, end: min(p.end, at+size), first: i, last: i}
			bySource[p.source] = append(bySource[p.source], w)
			order = append(order, w)
			at = w.end
		}
	}
	return bySource, order
}

// peak is how many bytes of windows are held at a time when pieces are read one after the other.
func peak(pieces []piece, bySource [][]*window) (most int64) {
	held := int64(0)
	for i := range pieces {
		p := &pieces[i]
		for _, w := range bySource[p.source][p.window:] {
			if w.first > i || w.off >= p.end {
				break
			}
			if w.first == i {
				held += w.size()
				most = max(most, held)
			}
			if w.last == i {
				held -= w.size()
			}
		}
	}
	return most
}
