// Package conformance holds the one suite that every objstore.Store passes, bare and decorated: a test for each sentence
// of the contract, and the benchmarks that compare them.
package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"wadi/objstore"
)

// Opener returns a store that no other test uses, empty or with objects that List under any prefix of a test does not
// return. It registers its own clean-up with t.
type Opener func(t testing.TB) objstore.Store

// Run tests every sentence of the contract on stores from open, but for tests that are named as beyond a service's powers.
func Run(t *testing.T, open Opener, beyond ...string) {
	tests := []struct {
		name string
		run  func(*testing.T, objstore.Store)
	}{
		{"PutGet", testPutGet},
		{"PutEmpty", testPutEmpty},
		{"PutAgainIsSuccess", testPutAgain},
		{"PutOtherBytesIsErrExists", testPutOther},
		{"PutConcurrentSame", testPutConcurrentSame},
		{"PutConcurrentOther", testPutConcurrentOther},
		{"PutDoesNotRetain", testPutDoesNotRetain},
		{"PutWrongChecksum", testPutWrongChecksum},
		{"PutAfterDelete", testPutAfterDelete},
		{"PutLarge", testPutLarge},
		{"PutManyChunks", testPutManyChunks},
		{"GetMissing", testGetMissing},
		{"GetRanges", testGetRanges},
		{"GetOwnsSlice", testGetOwnsSlice},
		{"ListOrder", testListOrder},
		{"ListPages", testListPages},
		{"ListPrefix", testListPrefix},
		{"ListInfo", testListInfo},
		{"ListSeesConcurrentPuts", testListSeesPuts},
		{"ListTwin", testListTwin},
		{"DeleteMissing", testDeleteMissing},
		{"DeleteBatch", testDeleteBatch},
		{"DeleteRacesPut", testDeleteRacesPut},
		{"BadArguments", testBadArguments},
		{"LongestKey", testLongestKey},
		{"ContextEnded", testContextEnded},
		{"Date", testDate},
		{"Upload", testUpload},
		{"UploadOnePart", testUploadOnePart},
		{"UploadAgainIsSuccess", testUploadAgain},
		{"UploadOtherBytesIsErrExists", testUploadOther},
		{"UploadAbandon", testUploadAbandon},
		{"UploadStaleParts", testUploadStaleParts},
		{"UploadWrongChecksum", testUploadWrongChecksum},
		{"UploadBadArguments", testUploadBadArguments},
		{"UploadContextEnded", testUploadContextEnded},
		{"UploadRaceOther", testUploadRaceOther},
		{"UploadRaceSame", testUploadRaceSame},
		{"Uploads", testUploads},
	}
	for _, tc := range tests {
		if slices.Contains(beyond, tc.name) {
			continue
		}
		t.Run(tc.name, func(t *testing.T) { tc.run(t, open(t)) })
	}
}

// content is size bytes that depend on seed.
func content(seed uint64, size int) []byte {
	out := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = r.Read(out) // a generator: it never fails
	return out
}

func mustPut(t *testing.T, s objstore.Store, key string, data []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, objstore.NewBody(data)); err != nil {
		t.Fatalf("put: %v", err)
	}
}

func mustGet(t *testing.T, s objstore.Store, key string, off, length int64, want []byte) {
	t.Helper()
	got, err := s.Get(t.Context(), key, off, length)
	if err != nil {
		t.Fatalf("get %s [%d,%d): %v", key, off, length, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("get %s [%d,+%d): %d bytes that differ from the %d wanted", key, off, length, len(got), len(want))
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func keysOf(infos []objstore.Info) []string {
	var out []string
	for _, i := range infos {
		out = append(out, i.Key)
	}
	return out
}

// listAll pages through everything under prefix, limit at a time, and checks each page against the contract.
func listAll(ctx context.Context, s objstore.Store, prefix string, limit int) ([]string, error) {
	var out []string
	after := ""
	for {
		page, err := s.List(ctx, prefix, after, limit)
		if err != nil {
			return nil, err
		}
		for _, i := range page {
			if i.Key <= after {
				return nil, fmt.Errorf("key %q after %q", i.Key, after)
			}
			after = i.Key
			out = append(out, i.Key)
		}
		if len(page) > limit {
			return nil, fmt.Errorf("page of %d, limit %d", len(page), limit)
		}
		if len(page) < limit {
			return out, nil
		}
	}
}
