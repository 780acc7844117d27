package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"wadi/objstore"
)

func testPutGet(t *testing.T, s objstore.Store) {
	a, b := content(1, 1000), content(2, 70_000)
	if err := s.Put(t.Context(), "put/get", objstore.NewBody(a, nil, b)); err != nil {
		t.Fatal(err)
	}
	mustGet(t, s, "put/get", 0, -1, append(bytes.Clone(a), b...))
}

func testPutEmpty(t *testing.T, s objstore.Store) {
	for i, body := range []objstore.Body{objstore.NewBody(), objstore.NewBody(nil), objstore.NewBody([]byte{}, []byte{})} {
		key := fmt.Sprintf("empty/%d", i)
		for range 2 {
			if err := s.Put(t.Context(), key, body); err != nil {
				t.Fatal(err)
			}
		}
		mustGet(t, s, key, 0, -1, nil)
		mustGet(t, s, key, 0, 0, nil)
		_, err := s.Get(t.Context(), key, 0, 1)
		wantErr(t, err, objstore.ErrRange)
		wantErr(t, s.Put(t.Context(), key, objstore.NewBody([]byte("x"))), objstore.ErrExists)
	}
}

// A Put whose answer was lost is repeated, perhaps from other chunks.
func testPutAgain(t *testing.T, s objstore.Store) {
	data := content(3, 10_000)
	mustPut(t, s, "again", data)
	for range 3 {
		if err := s.Put(t.Context(), "again", objstore.NewBody(data[:1], data[1:777], data[777:])); err != nil {
			t.Fatalf("same bytes: %v", err)
		}
	}
	mustGet(t, s, "again", 0, -1, data)
}

func testPutOther(t *testing.T, s objstore.Store) {
	data := content(4, 100_000)
	mustPut(t, s, "other", data)
	flipped := bytes.Clone(data)
	flipped[len(flipped)-1] ^= 1
	for name, other := range map[string][]byte{
		"last bit": flipped, "shorter": data[:len(data)-1], "longer": append(bytes.Clone(data), 0), "empty": nil,
	} {
		if err := s.Put(t.Context(), "other", objstore.NewBody(other)); !errors.Is(err, objstore.ErrExists) {
			t.Errorf("%s: error %v, want ErrExists", name, err)
		}
	}
	mustGet(t, s, "other", 0, -1, data)
}

func testPutConcurrentSame(t *testing.T, s objstore.Store) {
	data := content(5, 200_000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := s.Put(t.Context(), "same/x/y", objstore.NewBody(data)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	mustGet(t, s, "same/x/y", 0, -1, data)
}

// Of Puts of different bytes exactly one wins, and the object holds its bytes.
func testPutConcurrentOther(t *testing.T, s objstore.Store) {
	const writers = 8
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { errs[i] = s.Put(t.Context(), "race/x", objstore.NewBody(content(uint64(i), 50_000))) })
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = i
		case err == nil:
			t.Fatalf("writers %d and %d both won", winner, i)
		case !errors.Is(err, objstore.ErrExists):
			t.Fatalf("writer %d: %v, want ErrExists", i, err)
		}
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	mustGet(t, s, "race/x", 0, -1, content(uint64(winner), 50_000))
}

func testPutDoesNotRetain(t *testing.T, s objstore.Store) {
	data := content(6, 300_000)
	want := bytes.Clone(data)
	mustPut(t, s, "retain", data)
	clear(data)
	mustGet(t, s, "retain", 0, -1, want)
}

// A buffer that changed between NewBody and Put is refused, and nothing is stored.
func testPutWrongChecksum(t *testing.T, s objstore.Store) {
	data := content(7, 5000)
	body := objstore.NewBody(data)
	data[4000] ^= 0x10
	wantErr(t, s.Put(t.Context(), "flipped", body), objstore.ErrCorrupt)
	_, err := s.Get(t.Context(), "flipped", 0, -1)
	wantErr(t, err, objstore.ErrNotFound)
}

func testPutAfterDelete(t *testing.T, s objstore.Store) {
	for i := range 3 {
		data := content(uint64(i), 100)
		mustPut(t, s, "cycle/a/b/c", data)
		mustGet(t, s, "cycle/a/b/c", 0, -1, data)
		if err := s.Delete(t.Context(), []string{"cycle/a/b/c"}); err != nil {
			t.Fatal(err)
		}
	}
}

func testPutLarge(t *testing.T, s objstore.Store) {
	data := content(8, 20<<20+17)
	var chunks [][]byte
	for rest := data; len(rest) > 0; {
		n := min(1<<20+3, len(rest))
		chunks, rest = append(chunks, rest[:n]), rest[n:]
	}
	body := objstore.NewBody(chunks...)
	for range 2 {
		if err := s.Put(t.Context(), "large", body); err != nil {
			t.Fatal(err)
		}
	}
	mustGet(t, s, "large", 0, -1, data)
	mustGet(t, s, "large", 12345, 10<<20, data[12345:12345+10<<20])
}

func testPutManyChunks(t *testing.T, s objstore.Store) {
	data := content(9, 50_000)
	var chunks [][]byte
	for i := range data {
		chunks = append(chunks, data[i:i+1])
	}
	if err := s.Put(t.Context(), "chunks", objstore.NewBody(chunks...)); err != nil {
		t.Fatal(err)
	}
	mustGet(t, s, "chunks", 0, -1, data)
}
