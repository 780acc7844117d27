package runs

import (
	"testing"

	"pgregory.net/rapid"
)

// Windows cover every piece, and of the rest no more than the gaps; each is read once where pieces rise, none is larger
// than it may be, and they come in the order in which a walk over the pieces needs them.
func TestWindowsCoverPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sources := rapid.IntRange(1, 4).Draw(t, "sources")
		size, gap := rapid.Int64Range(1, 100).Draw(t, "size"), rapid.Int64Range(0, 30).Draw(t, "gap")
		var pieces []piece
		at := make([]int64, sources)
		rising := true
		for range rapid.IntRange(0, 30).Draw(t, "pieces") {
			k := rapid.IntRange(0, sources-1).Draw(t, "source")
			if rapid.IntRange(0, 9).Draw(t, "back") == 0 {
				at[k], rising = 0, false
			}
			off := at[k] + rapid.Int64Range(0, 60).Draw(t, "gap before")
			end := off + rapid.Int64Range(1, 150).Draw(t, "length")
			pieces = append(pieces, piece{source: int32(k), off: off, end: end})
			at[k] = end
		}
		bySource, order := windows(pieces, sources, size, gap)
		all, needed := 0, 0
		for _, list := range bySource {
			all += len(list)
			for i, w := range list {
				if w.size() > size || w.size() <= 0 {
					t.Fatalf("window %+v, at most %d", w, size)
				}
				if rising && i > 0 && w.off < list[i-1].end {
					t.Fatalf("%+v begins in front of the end of %+v", w, list[i-1])
				}
			}
		}
		if all != len(order) {
			t.Fatalf("%d windows, %d in order", all, len(order))
		}
		read, wanted, gaps := int64(0), int64(0), int64(0)
		last := make([]int64, sources)
		for i, p := range pieces {
			wanted += p.end - p.off
			if d := p.off - last[p.source]; d > 0 && d <= gap {
				gaps += d
			}
			last[p.source] = p.end
			pos, k := p.off, p.window
			for pos < p.end {
				w := bySource[p.source][k]
				if pos < w.off || pos >= w.end || w.first > i || w.last < i {
					t.Fatalf("piece %d %+v at %d: window %+v", i, p, pos, w)
				}
				if w.first == i {
					if order[needed] != w {
						t.Fatalf("piece %d needs %+v, due is %+v", i, w, order[needed])
					}
					needed++
				}
				pos, k = w.end, k+1
			}
		}
		for _, w := range order {
			read += w.size()
		}
		if rising && read > wanted+gaps {
			t.Fatalf("%d bytes read for %d and gaps of %d", read, wanted, gaps)
		}
	})
}

// The windows that a layout takes are as large as memory allows, and what a walk holds is what it was laid out for.
func TestLayoutKeepsToMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sources := rapid.IntRange(1, 50).Draw(t, "sources")
		var pieces []piece
		at := make([]int64, sources)
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			n := rapid.Int64Range(1, 4<<20).Draw(t, "bytes")
			for k := range at {
				pieces = append(pieces, piece{source: int32(k), off: at[k], end: at[k] + n})
				at[k] += n
			}
		}
		memory := rapid.Int64Range(int64(sources)*minWindow, 64<<20).Draw(t, "memory")
		bySource, order := lay(pieces, sources, memory, 0, 0)
		if n := peak(pieces, bySource); n > memory {
			t.Fatalf("%d bytes of %d", n, memory)
		}
		largest, total := int64(0), int64(0)
		for _, w := range order {
			largest, total = max(largest, w.size()), total+w.size()
		}
		if largest < maxWindow && largest < minWindow && total > memory {
			t.Fatalf("windows of %d bytes", largest)
		}
		if total <= memory && largest < min(at[0], maxWindow) {
			t.Fatalf("windows of %d bytes although all %d fit into %d", largest, total, memory)
		}
	})
}
