package conformance

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"wadi/objstore"
)

// '-' and '.' sort before '/', digits and letters after it: an order over whole keys is not that of a walk.
var tricky = []string{
	"t/a-", "t/a-c", "t/a-b-/x", "t/a-b/x", "t/a-b/y/z", "t/a.b", "t/a.b-c", "t/a/b-c", "t/a/b.c", "t/a/b/c", "t/a/b0", "t/a/b~",
	"t/a0", "t/a~", "t/A", "t/_", "t/~", "t/b/a", "t/b/a.a/x", "t/b0/x", "t/.a", "t/...", "t/-",
}

func testListOrder(t *testing.T, s objstore.Store) {
	for _, k := range tricky {
		mustPut(t, s, k, []byte(k))
	}
	want := slices.Sorted(slices.Values(tricky))
	for _, limit := range []int{1, 2, 3, 7, len(tricky), 1000} {
		got, err := listAll(t.Context(), s, "t/", limit)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("limit %d:\n got %q\nwant %q", limit, got, want)
		}
	}
}

func testListPages(t *testing.T, s objstore.Store) {
	for _, k := range tricky {
		mustPut(t, s, k, nil)
	}
	sorted := slices.Sorted(slices.Values(tricky))
	afters := append([]string{"", "t", "t/", "t/a", "t/a/", "t/a/b", "t/b0", "t/b/a/", "t0", "u", "!", "t/a/b/c/d", "~~"}, tricky...)
	for _, after := range afters {
		for _, prefix := range []string{"t/", "t/a", "t/a/", "t/a/b", "t/b"} {
			var want []string
			for _, k := range sorted {
				if strings.HasPrefix(k, prefix) && k > after {
					want = append(want, k)
				}
			}
			got, err := s.List(t.Context(), prefix, after, 1000)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(keysOf(got), want) {
				t.Fatalf("prefix %q after %q:\n got %q\nwant %q", prefix, after, keysOf(got), want)
			}
		}
	}
}

func testListPrefix(t *testing.T, s objstore.Store) {
	for _, k := range []string{"p/one/1", "p/one/2", "p/one-more/3", "p/two"} {
		mustPut(t, s, k, nil)
	}
	for prefix, want := range map[string]int{
		"p/": 4, "p/o": 3, "p/one": 3, "p/one/": 2, "p/one/2": 1, "p/one/2/": 0, "p/one/22": 0, "p/x/y": 0, "p/two": 1,
		"p/two/": 0, "p//": 0, "p/../p/": 0,
	} {
		got, err := s.List(t.Context(), prefix, "", 1000)
		if err != nil {
			t.Fatalf("prefix %q: %v", prefix, err)
		}
		if len(got) != want {
			t.Fatalf("prefix %q: %q, want %d", prefix, keysOf(got), want)
		}
	}
	all, err := listAll(t.Context(), s, "", 1000)
	if err != nil || !slices.Contains(all, "p/one/1") || !slices.Contains(all, "p/two") {
		t.Fatalf("everything: %q, %v", all, err)
	}
}

func testListInfo(t *testing.T, s objstore.Store) {
	before, err := s.Date(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "info/x", make([]byte, 12345))
	after, err := s.Date(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.List(t.Context(), "info/", "", 10)
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	if got[0].Key != "info/x" || got[0].Size != 12345 {
		t.Fatalf("%+v", got[0])
	}
	// Both clocks may count whole seconds, one rounded down and the other not.
	if m := got[0].Modified; m.Before(before.Add(-2*time.Second)) || m.After(after.Add(2*time.Second)) {
		t.Fatalf("modified %v, not between %v and %v", m, before, after)
	}
}

// An object whose Put returned is in every List that starts afterwards, whatever else is put and deleted around it.
func testListSeesPuts(t *testing.T, s objstore.Store) {
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 8 {
				key := fmt.Sprintf("see/%d/%d", w, i)
				if err := s.Put(t.Context(), key, objstore.NewBody([]byte(key))); err != nil {
					t.Error(err)
					return
				}
				got, err := listAll(t.Context(), s, "see/", 5)
				if err != nil || !slices.Contains(got, key) {
					t.Errorf("%s not in %q, %v", key, got, err)
					return
				}
				if i%2 == 0 {
					if err := s.Delete(t.Context(), []string{key}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}

// Random puts, deletes and lists against a map.
func testListTwin(t *testing.T, s objstore.Store) {
	element := rapid.SampledFrom([]string{"a", "b", "a-", "a.", "a0", "ab"})
	key := rapid.Custom(func(t *rapid.T) string {
		// The last element has its own alphabet: no object beneath another one's key.
		dirs := rapid.SliceOfN(element, 0, 2).Draw(t, "dirs")
		return "w/" + strings.Join(append(dirs, rapid.SampledFrom([]string{"x", "x-", "x.", "x0"}).Draw(t, "name")), "/")
	})
	twin := make(map[string]int)
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 3).Draw(rt, "steps") {
			k := key.Draw(rt, "key")
			if rapid.Bool().Draw(rt, "delete") {
				if err := s.Delete(t.Context(), []string{k}); err != nil {
					rt.Fatal(err)
				}
				delete(twin, k)
			} else {
				if err := s.Put(t.Context(), k, objstore.NewBody([]byte(k))); err != nil {
					rt.Fatal(err)
				}
				twin[k] = len(k)
			}
		}
		full := key.Draw(rt, "prefix")
		prefix := full[:rapid.IntRange(2, len(full)).Draw(rt, "cut")]
		after := rapid.OneOf(rapid.Just(""), key).Draw(rt, "after")
		limit := rapid.IntRange(1, 10).Draw(rt, "limit")
		var want []string
		for k := range twin {
			if strings.HasPrefix(k, prefix) && k > after {
				want = append(want, k)
			}
		}
		slices.Sort(want)
		want = want[:min(limit, len(want))]
		got, err := s.List(t.Context(), prefix, after, limit)
		if err != nil {
			rt.Fatal(err)
		}
		if !slices.Equal(keysOf(got), want) {
			rt.Fatalf("prefix %q after %q limit %d:\n got %q\nwant %q", prefix, after, limit, keysOf(got), want)
		}
	})
}
