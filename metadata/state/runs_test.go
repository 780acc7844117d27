package state

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func listed(l *runList) []Run {
	var all []Run
	l.each(func(r Run) { all = append(all, r) })
	return all
}

// naiveFrom is from, on a plain slice.
func naiveFrom(runs []Run, offset int64, maxRuns int, maxBytes int64) []Run {
	var got []Run
	for _, r := range runs {
		if r.Last < offset {
			continue
		}
		if len(got) == maxRuns || (len(got) > 0 && maxBytes <= 0) {
			break
		}
		got = append(got, r)
		maxBytes -= int64(r.Length)
	}
	return got
}

// A run list is a slice that grows behind and shrinks behind, and a shared copy of it never changes.
func TestRunListIsASliceWithSnapshots(t *testing.T) {
	type snapshot struct {
		list runList
		want []Run
	}
	rapid.Check(t, func(t *rapid.T) {
		var list runList
		var want []Run
		var snapshots []snapshot
		next := int64(0)
		for range rapid.IntRange(0, 600).Draw(t, "steps") {
			switch op := rapid.IntRange(0, 19).Draw(t, "op"); {
			case op < 14:
				next += int64(rapid.IntRange(0, 3).Draw(t, "gap"))
				r := Run{Base: next, Length: rapid.Uint32Range(0, 100).Draw(t, "length"), Place: uint64(len(want))}
				next += int64(rapid.IntRange(1, 5).Draw(t, "records"))
				r.Last = next - 1
				list.append(r)
				want = append(want, r)
			case op < 16:
				r, ok := list.popBack()
				if ok != (len(want) > 0) {
					t.Fatalf("popBack of %d runs: %v", len(want), ok)
				}
				if ok {
					if r != want[len(want)-1] {
						t.Fatalf("popBack gives %+v, want %+v", r, want[len(want)-1])
					}
					want = slices.Clone(want[:len(want)-1])
				}
			case op < 17: // as editPartition does: the old list stays with the snapshot, the copy lives on
				snapshots = append(snapshots, snapshot{list, slices.Clone(want)})
				list = list.share()
			default:
				offset := rapid.Int64Range(-1, next+1).Draw(t, "offset")
				maxRuns, maxBytes := rapid.IntRange(0, 9).Draw(t, "max runs"), rapid.Int64Range(0, 400).Draw(t, "max bytes")
				got := list.from(offset, maxRuns, maxBytes, nil)
				if !slices.Equal(got, naiveFrom(want, offset, maxRuns, maxBytes)) {
					t.Fatalf("from(%d, %d, %d) is %v of %v", offset, maxRuns, maxBytes, got, want)
				}
			}
			if list.len() != len(want) {
				t.Fatalf("len is %d, want %d", list.len(), len(want))
			}
		}
		if !slices.Equal(listed(&list), want) {
			t.Fatalf("list is %v, want %v", listed(&list), want)
		}
		for i := range snapshots {
			s := &snapshots[i]
			if !slices.Equal(listed(&s.list), s.want) || s.list.len() != len(s.want) {
				t.Fatalf("snapshot %d is now %v, was %v", i, listed(&s.list), s.want)
			}
		}
	})
}

// from adds to what dst holds already: a fetch over partitions fills one slice.
func TestRunsFromAppends(t *testing.T) {
	var list runList
	list.append(Run{Base: 0, Last: 4, Length: 10})
	list.append(Run{Base: 5, Last: 9, Length: 10})
	got := list.from(7, 5, 100, []Run{{Base: 99}})
	if len(got) != 2 || got[0].Base != 99 || got[1].Base != 5 {
		t.Fatalf("got %+v", got)
	}
}

// No append pays for more than one chunk of runs, however long the list is.
func TestRunListChunksAreBounded(t *testing.T) {
	var list runList
	for i := range int64(10_000) {
		list.append(Run{Base: i, Last: i})
	}
	for i, c := range list.chunks {
		if cap(c) > largestChunk || (len(c) < cap(c) && i < len(list.chunks)-1) {
			t.Fatalf("chunk %d has %d runs and room for %d", i, len(c), cap(c))
		}
	}
	if runBytes != 48 {
		t.Errorf("a run takes %d bytes", runBytes)
	}
}
