package conformance

import (
	"slices"
	"strings"
	"testing"
	"time"

	"wadi/objstore"
)

// Unfinished uploads are found by key, those of one key together.
func testUploads(t *testing.T, s objstore.Store) {
	before, err := s.Date(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{"ls/a-b", "ls/a/b", "ls/a/b", "ls/a/b", "ls/a0", "ls/b/x", "ls/b/x", "lt/x"}
	begun := make(map[objstore.Upload]bool)
	for _, i := range []int{7, 3, 1, 0, 5, 4, 6, 2} {
		begun[mustBegin(t, s, keys[i])] = true
	}
	if len(begun) != len(keys) {
		t.Fatalf("%d uploads of %d have ids of their own", len(begun), len(keys))
	}
	after, err := s.Date(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := mustUploads(t, s, "l", "", 1000)
	missing := len(begun)
	for _, u := range all {
		if begun[u.Upload] {
			missing--
		}
		if !slices.Contains(keys, u.Key) {
			t.Fatalf("a foreign upload %+v", u)
		}
		// Both clocks may count whole seconds, one rounded down and the other not.
		if u.Started.Before(before.Add(-2*time.Second)) || u.Started.After(after.Add(2*time.Second)) {
			t.Fatalf("started %v, not between %v and %v", u.Started, before, after)
		}
	}
	// All are there; there may be more where a Begin was repeated.
	if missing > 0 || !slices.IsSortedFunc(all, func(a, b objstore.UploadInfo) int { return strings.Compare(a.Key, b.Key) }) {
		t.Fatalf("%d uploads missing in %+v", missing, all)
	}
	for _, prefix := range []string{"l", "ls/", "ls/a", "ls/a/", "ls/a/b", "ls/a/b/", "ls/../", "ls//", "none", "lt"} {
		for _, after := range []string{"", "ls/a-b", "ls/a/b", "ls/a/c", "ls/b", "ls/b/x", "lt/x"} {
			for _, limit := range []int{1, 2, 3, 5, 1000} {
				got, want := mustUploads(t, s, prefix, after, limit), pageOf(all, prefix, after, limit)
				if !slices.Equal(got, want) {
					t.Fatalf("prefix %q after %q limit %d:\n got %+v\nwant %+v", prefix, after, limit, got, want)
				}
			}
		}
	}
	for _, u := range all {
		if err := s.Abandon(t.Context(), u.Upload); err != nil {
			t.Fatal(err)
		}
	}
	if left := mustUploads(t, s, "l", "", 10); len(left) != 0 {
		t.Fatalf("left: %+v", left)
	}
}

func mustUploads(t *testing.T, s objstore.Store, prefix, after string, limit int) []objstore.UploadInfo {
	t.Helper()
	got, err := s.Uploads(t.Context(), prefix, after, limit)
	if err != nil {
		t.Fatalf("prefix %q after %q: %v", prefix, after, err)
	}
	return got
}

// pageOf is the answer that the contract asks for.
func pageOf(all []objstore.UploadInfo, prefix, after string, limit int) (page []objstore.UploadInfo) {
	for _, u := range all {
		if strings.HasPrefix(u.Key, prefix) && u.Key > after && (len(page) < limit || page[len(page)-1].Key == u.Key) {
			page = append(page, u)
		}
	}
	return page
}
