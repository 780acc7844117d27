package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"wadi/objstore"
)

func testDeleteMissing(t *testing.T, s objstore.Store) {
	mustPut(t, s, "d/there", []byte("x"))
	for _, keys := range [][]string{nil, {"d/missing"}, {"e/f/g"}, {"d"}, {"d/there/x"}, {"d/missing", "d/missing"}} {
		if err := s.Delete(t.Context(), keys); err != nil {
			t.Fatalf("%q: %v", keys, err)
		}
	}
	mustGet(t, s, "d/there", 0, -1, []byte("x"))
	if err := s.Delete(t.Context(), []string{"d/missing", "d/there", "d/also"}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get(t.Context(), "d/there", 0, -1)
	wantErr(t, err, objstore.ErrNotFound)
}

func testDeleteBatch(t *testing.T, s objstore.Store) {
	var keys []string
	for i := range objstore.MaxBatch {
		keys = append(keys, fmt.Sprintf("batch/%d/%d", i%7, i))
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < 40; i += 8 { // the others are missing
				if err := s.Put(t.Context(), keys[i], objstore.NewBody([]byte("x"))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	mustPut(t, s, "batch/keep", []byte("k"))
	if err := s.Delete(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	got, err := listAll(t.Context(), s, "batch/", 1000)
	if err != nil || len(got) != 1 || got[0] != "batch/keep" {
		t.Fatalf("left: %q, %v", got, err)
	}
	wantErr(t, s.Delete(t.Context(), append(keys, "one/more")), objstore.ErrKey)
}

// Deletes that empty a directory never take an object with them that is put into it at the same time.
func testDeleteRacesPut(t *testing.T, s objstore.Store) {
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 25 {
				key := fmt.Sprintf("dir/sub/%d-%d", w, i)
				if err := s.Put(t.Context(), key, objstore.NewBody([]byte(key))); err != nil {
					t.Error(err)
					return
				}
				if got, err := s.Get(t.Context(), key, 0, -1); err != nil || string(got) != key {
					t.Errorf("%q, %v", got, err)
					return
				}
				if err := s.Delete(t.Context(), []string{key}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	got, err := s.List(t.Context(), "dir/", "", 10)
	if err != nil || len(got) != 0 {
		t.Fatalf("left: %q, %v", keysOf(got), err)
	}
}

func testBadArguments(t *testing.T, s objstore.Store) {
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "a/./b", "a b", "a\x00b", "a\\b", "ü", "a/@b", "a:b",
		"a%2fb", "a?b", "a#b", "a+b", strings.Repeat("a/", 512) + "b", strings.Repeat("a", objstore.MaxElement+1),
	} {
		wantErr(t, s.Put(t.Context(), key, objstore.NewBody([]byte("x"))), objstore.ErrKey)
		_, err := s.Get(t.Context(), key, 0, -1)
		wantErr(t, err, objstore.ErrKey)
		wantErr(t, s.Delete(t.Context(), []string{"good", key}), objstore.ErrKey)
	}
	for _, limit := range []int{-1, 0, 1001} {
		_, err := s.List(t.Context(), "", "", limit)
		wantErr(t, err, objstore.ErrKey)
	}
}

func testLongestKey(t *testing.T, s objstore.Store) {
	element := strings.Repeat("k", 224)
	key := strings.Join([]string{element, element, element, element}, "/")
	key = key[:len(key)-1] + "~" // 899 bytes
	key += "-"
	if len(key) != objstore.MaxKey {
		t.Fatalf("the test's key has %d bytes", len(key))
	}
	mustPut(t, s, key, []byte(key))
	mustGet(t, s, key, 0, -1, []byte(key))
	got, err := s.List(t.Context(), element, "", 10)
	if err != nil || len(got) != 1 || got[0].Key != key {
		t.Fatalf("%v, %v", got, err)
	}
	if err := s.Delete(t.Context(), []string{key}); err != nil {
		t.Fatal(err)
	}
}

func testContextEnded(t *testing.T, s objstore.Store) {
	mustPut(t, s, "ctx/there", []byte("x"))
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	for _, ctx := range []context.Context{canceled, expired} {
		_, getErr := s.Get(ctx, "ctx/there", 0, -1)
		_, listErr := s.List(ctx, "ctx/", "", 10)
		_, dateErr := s.Date(ctx)
		for name, err := range map[string]error{
			"put":    s.Put(ctx, "ctx/new", objstore.NewBody([]byte("x"))),
			"get":    getErr,
			"list":   listErr,
			"delete": s.Delete(ctx, []string{"ctx/there"}),
			"date":   dateErr,
		} {
			if !errors.Is(err, ctx.Err()) {
				t.Errorf("%s: %v does not wrap %v", name, err, ctx.Err())
			}
		}
	}
	mustGet(t, s, "ctx/there", 0, -1, []byte("x"))
}

func testDate(t *testing.T, s objstore.Store) {
	first, err := s.Date(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Date(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if second.Before(first) || second.Sub(first) > time.Minute {
		t.Fatalf("date went from %v to %v", first, second)
	}
}
