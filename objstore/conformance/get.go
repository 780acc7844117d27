package conformance

import (
	"testing"

	"wadi/objstore"
)

func testGetMissing(t *testing.T, s objstore.Store) {
	mustPut(t, s, "there/object", []byte("x"))
	for _, key := range []string{"missing", "there", "there/object/beneath", "there/objec", "a/b/c/d"} {
		for _, r := range [][2]int64{{0, -1}, {0, 0}, {0, 10}, {5, 1}, {5, 0}, {5, -1}} {
			_, err := s.Get(t.Context(), key, r[0], r[1])
			wantErr(t, err, objstore.ErrNotFound)
		}
	}
}

func testGetRanges(t *testing.T, s objstore.Store) {
	const size = 1000
	data := content(10, size)
	mustPut(t, s, "ranges", data)
	for _, r := range [][2]int64{{0, 0}, {0, 1}, {0, size}, {1, size - 1}, {size - 1, 1}, {500, 0}, {size, 0}, {17, 400}} {
		mustGet(t, s, "ranges", r[0], r[1], data[r[0]:r[0]+r[1]])
	}
	for _, off := range []int64{0, 1, size - 1, size} {
		mustGet(t, s, "ranges", off, -1, data[off:])
	}
	const huge = int64(1) << 62
	for _, r := range [][2]int64{
		{0, size + 1}, {size, 1}, {size + 1, 0}, {size + 1, -1}, {size - 1, 2}, {huge, huge}, {1, 1<<63 - 1}, {huge, 0},
		{-1, 1}, {-1, -1}, {0, -2},
	} {
		_, err := s.Get(t.Context(), "ranges", r[0], r[1])
		if err == nil {
			t.Fatalf("range %v succeeded", r)
		}
		wantErr(t, err, objstore.ErrRange)
	}
}

func testGetOwnsSlice(t *testing.T, s objstore.Store) {
	data := content(11, 1000)
	mustPut(t, s, "own", data)
	got, err := s.Get(t.Context(), "own", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	clear(got)
	_ = append(got, make([]byte, 100)...)
	mustGet(t, s, "own", 0, -1, data)
}
