package state

import (
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// tableContent reads a table both ways, by visiting and by key.
func tableContent(t *rapid.T, tab *table[int]) map[uint64]int {
	got := map[uint64]int{}
	tab.each(func(k uint64, v *int) {
		if _, twice := got[k]; twice {
			t.Fatalf("key %d is visited twice", k)
		}
		if p := tab.get(k); p == nil || *p != *v {
			t.Fatalf("key %d is visited with %d and found with %v", k, *v, p)
		}
		got[k] = *v
	})
	if tab.len() != len(got) {
		t.Fatalf("len is %d of %d", tab.len(), len(got))
	}
	return got
}

// A table is a map, and a snapshot of it is the map as it was, whatever the table does afterwards.
func TestTableIsAMapWithSnapshots(t *testing.T) {
	type snapshot struct {
		tab  table[int]
		want map[uint64]int
	}
	rapid.Check(t, func(t *rapid.T) {
		var tab table[int]
		var snapshots []snapshot
		gen, want := uint64(1), map[uint64]int{}
		key := rapid.OneOf(rapid.Uint64Range(0, 64), rapid.Uint64())
		for range rapid.IntRange(0, 400).Draw(t, "steps") {
			k, v := key.Draw(t, "key"), rapid.Int().Draw(t, "value")
			_, there := want[k]
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op <= 5 && there:
				p := tab.edit(k, gen)
				if p == nil || *p != want[k] {
					t.Fatalf("edit of key %d finds %v, want %d", k, p, want[k])
				}
				*p, want[k] = v, v
			case op <= 5:
				if p := tab.put(k, v, gen); *p != v {
					t.Fatalf("put returns %d", *p)
				}
				want[k] = v
			case op == 6:
				tab.remove(k, gen)
				delete(want, k)
			case op == 7:
				if p := tab.edit(k, gen); (p != nil) != there {
					t.Fatalf("edit of key %d: %v, there: %v", k, p, there)
				}
			case op == 8:
				if p := tab.get(k); (p != nil) != there {
					t.Fatalf("get of key %d: %v, there: %v", k, p, there)
				}
			default:
				snapshots = append(snapshots, snapshot{tab.share(), maps.Clone(want)})
				gen++
			}
		}
		if got := tableContent(t, &tab); !maps.Equal(got, want) {
			t.Fatalf("table is %v, want %v", got, want)
		}
		for i, s := range snapshots {
			if got := tableContent(t, &s.tab); !maps.Equal(got, s.want) {
				t.Fatalf("snapshot %d is now %v, was %v", i, got, s.want)
			}
		}
	})
}

// Growing keeps buckets small for the keys that State has: counters, and lease ids that differ in few bits.
func TestTableSpreadsKeys(t *testing.T) {
	for name, key := range map[string]func(i uint64) uint64{
		"counter":   func(i uint64) uint64 { return i },
		"lease ids": func(i uint64) uint64 { return 0x694d8f2c1a2b3c4d + i<<8 },
		"high bits": func(i uint64) uint64 { return i << 40 },
	} {
		var tab table[int]
		const n = 50_000
		for i := range uint64(n) {
			tab.put(key(i), 0, 1)
		}
		longest := 0
		for _, b := range tab.buckets {
			longest = max(longest, len(b.items))
		}
		if longest > 16*bucketLoad {
			t.Errorf("%s: %d of %d items are in one bucket", name, longest, n)
		}
		if len(tab.buckets) < n/bucketLoad/2 {
			t.Errorf("%s: %d buckets for %d items", name, len(tab.buckets), n)
		}
	}
}
