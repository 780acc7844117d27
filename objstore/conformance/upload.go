package conformance

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"wadi/objstore"
)

// twoParts is the least content of more than one part.
func twoParts(seed uint64) []byte { return content(seed, objstore.MinPart+777) }

func mustBegin(t *testing.T, s objstore.Store, key string) objstore.Upload {
	t.Helper()
	up, err := s.Begin(t.Context(), key)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	if up.Key != key || objstore.CheckUpload(up) != nil {
		t.Fatalf("upload %+v", up)
	}
	return up
}

func mustPutPart(t *testing.T, s objstore.Store, up objstore.Upload, number int, data []byte) objstore.Part {
	t.Helper()
	p, err := s.PutPart(t.Context(), up, number, objstore.NewBody(data))
	if err != nil {
		t.Fatalf("part %d: %v", number, err)
	}
	if p.Number != number || p.Size != int64(len(data)) || p.CRC32C != objstore.NewBody(data).CRC32C {
		t.Fatalf("part %+v", p)
	}
	return p
}

// mustPutParts puts data in parts of MinPart.
func mustPutParts(t *testing.T, s objstore.Store, up objstore.Upload, data []byte) (parts []objstore.Part) {
	t.Helper()
	for len(data) > 0 {
		n := min(len(data), objstore.MinPart)
		parts = append(parts, mustPutPart(t, s, up, len(parts)+1, data[:n]))
		data = data[n:]
	}
	return parts
}

// mustBeUnfinished checks whether an upload is listed. Others of its key may be: a Begin that was repeated because its
// answer was lost leaves one.
func mustBeUnfinished(t *testing.T, s objstore.Store, up objstore.Upload, want bool) {
	t.Helper()
	infos, err := s.Uploads(t.Context(), up.Key, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(infos, func(i objstore.UploadInfo) bool { return i.Upload == up }) != want {
		t.Fatalf("%+v unfinished: want %v, unfinished are %+v", up, want, infos)
	}
}

func testUpload(t *testing.T, s objstore.Store) {
	data := content(20, 2*objstore.MinPart+1000)
	up := mustBegin(t, s, "up/x/y")
	first, second, third := data[:objstore.MinPart], data[objstore.MinPart:2*objstore.MinPart+1], data[2*objstore.MinPart+1:]
	parts := make([]objstore.Part, 3)
	parts[2] = mustPutPart(t, s, up, 3, third)
	stale := mustPutPart(t, s, up, 1, third)
	chunked, err := s.PutPart(t.Context(), up, 2, objstore.NewBody(second[:9], nil, second[9:]))
	if err != nil {
		t.Fatal(err)
	}
	parts[1] = chunked
	parts[0] = mustPutPart(t, s, up, 1, first) // replaces
	if parts[0] == stale {
		t.Fatalf("a part is as it was before it was replaced: %+v", stale)
	}

	_, err = s.Get(t.Context(), "up/x/y", 0, -1)
	wantErr(t, err, objstore.ErrNotFound)
	if all, err := listAll(t.Context(), s, "up/", 10); err != nil || len(all) != 0 {
		t.Fatalf("before its end the upload is listed: %q, %v", all, err)
	}
	if err := s.Complete(t.Context(), up, parts); err != nil {
		t.Fatal(err)
	}
	mustGet(t, s, "up/x/y", 0, -1, data)
	mustGet(t, s, "up/x/y", objstore.MinPart-3, 10, data[objstore.MinPart-3:objstore.MinPart+7])
	if infos, err := s.List(t.Context(), "up/", "", 10); err != nil || len(infos) != 1 || infos[0].Size != int64(len(data)) {
		t.Fatalf("%+v, %v", infos, err)
	}
	mustBeUnfinished(t, s, up, false)
	mustPut(t, s, "up/x/y", data)
	wantErr(t, s.Put(t.Context(), "up/x/y", objstore.NewBody(data[1:])), objstore.ErrExists)
}

// One part, shorter than MinPart, is an object too.
func testUploadOnePart(t *testing.T, s objstore.Store) {
	up := mustBegin(t, s, "one/part")
	data := content(21, 100)
	buf := bytes.Clone(data)
	part := mustPutPart(t, s, up, 1, buf)
	clear(buf)
	if err := s.Complete(t.Context(), up, []objstore.Part{part}); err != nil {
		t.Fatal(err)
	}
	mustGet(t, s, "one/part", 0, -1, data)
}

// A Complete whose answer was lost is repeated, and what is there already counts.
func testUploadAgain(t *testing.T, s objstore.Store) {
	data := twoParts(22)
	up := mustBegin(t, s, "upagain")
	parts := mustPutParts(t, s, up, data)
	for range 3 {
		if err := s.Complete(t.Context(), up, parts); err != nil {
			t.Fatal(err)
		}
	}
	// Somebody else's object of the same bytes, in other parts.
	up = mustBegin(t, s, "upagain")
	parts = []objstore.Part{mustPutPart(t, s, up, 1, data)}
	if err := s.Complete(t.Context(), up, parts); err != nil {
		t.Fatalf("same bytes: %v", err)
	}
	mustBeUnfinished(t, s, up, false)
	// One that was put in one piece.
	mustPut(t, s, "upput", data)
	up = mustBegin(t, s, "upput")
	if err := s.Complete(t.Context(), up, mustPutParts(t, s, up, data)); err != nil {
		t.Fatalf("same bytes: %v", err)
	}
	mustBeUnfinished(t, s, up, false)
}

func testUploadOther(t *testing.T, s objstore.Store) {
	data := twoParts(23)
	mustPut(t, s, "upother", data)
	flipped := bytes.Clone(data)
	flipped[len(flipped)-1] ^= 1
	for name, other := range map[string][]byte{"last bit": flipped, "shorter": data[:len(data)-1]} {
		up := mustBegin(t, s, "upother")
		parts := mustPutParts(t, s, up, other)
		for range 2 {
			if err := s.Complete(t.Context(), up, parts); !errors.Is(err, objstore.ErrExists) {
				t.Fatalf("%s: error %v, want ErrExists", name, err)
			}
		}
		if err := s.Abandon(t.Context(), up); err != nil {
			t.Fatal(err)
		}
		mustBeUnfinished(t, s, up, false)
	}
	mustGet(t, s, "upother", 0, -1, data)
}

func testUploadAbandon(t *testing.T, s objstore.Store) {
	up := mustBegin(t, s, "gone/x")
	parts := mustPutParts(t, s, up, twoParts(24))
	mustBeUnfinished(t, s, up, true)
	for range 3 {
		if err := s.Abandon(t.Context(), up); err != nil {
			t.Fatal(err)
		}
	}
	mustBeUnfinished(t, s, up, false)
	_, err := s.PutPart(t.Context(), up, 1, objstore.NewBody([]byte("x")))
	wantErr(t, err, objstore.ErrConflict)
	wantErr(t, s.Complete(t.Context(), up, parts), objstore.ErrConflict)
	_, err = s.Get(t.Context(), "gone/x", 0, -1)
	wantErr(t, err, objstore.ErrNotFound)

	// An upload belongs to its key.
	up = mustBegin(t, s, "gone/y")
	part := mustPutPart(t, s, up, 1, []byte("y"))
	stranger := objstore.Upload{Key: "gone/z", ID: up.ID}
	_, err = s.PutPart(t.Context(), stranger, 1, objstore.NewBody([]byte("x")))
	wantErr(t, err, objstore.ErrConflict)
	wantErr(t, s.Complete(t.Context(), stranger, []objstore.Part{part}), objstore.ErrConflict)
	if err := s.Abandon(t.Context(), stranger); err != nil {
		t.Fatal(err)
	}
	// Abandoning what was completed does no harm.
	if err := s.Complete(t.Context(), up, []objstore.Part{part}); err != nil {
		t.Fatal(err)
	}
	if err := s.Abandon(t.Context(), up); err != nil {
		t.Fatal(err)
	}
	mustGet(t, s, "gone/y", 0, -1, []byte("y"))
	// The object deleted, the upload that made it makes no second one.
	if err := s.Delete(t.Context(), []string{"gone/y"}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, s.Complete(t.Context(), up, []objstore.Part{part}), objstore.ErrConflict)
}

// What is completed is what the parts say, or nothing.
func testUploadStaleParts(t *testing.T, s objstore.Store) {
	data := twoParts(25)
	up := mustBegin(t, s, "stale")
	parts := mustPutParts(t, s, up, data)
	never := mustPutPart(t, s, up, 4, data[:objstore.MinPart])
	never.Number = 2
	wantErr(t, s.Complete(t.Context(), up, []objstore.Part{parts[0], never}), objstore.ErrConflict)
	never.Number = 3
	parts[1] = mustPutPart(t, s, up, 2, data[:objstore.MinPart])
	wantErr(t, s.Complete(t.Context(), up, []objstore.Part{parts[0], parts[1], never}), objstore.ErrConflict)
	stale := parts[1]
	parts[1] = mustPutPart(t, s, up, 2, []byte("other"))
	wantErr(t, s.Complete(t.Context(), up, []objstore.Part{parts[0], stale}), objstore.ErrConflict)
	_, err := s.Get(t.Context(), "stale", 0, -1)
	wantErr(t, err, objstore.ErrNotFound)
	if err := s.Complete(t.Context(), up, parts); err != nil {
		t.Fatal(err)
	}
	mustGet(t, s, "stale", 0, -1, append(data[:objstore.MinPart:objstore.MinPart], "other"...))
}

func testUploadWrongChecksum(t *testing.T, s objstore.Store) {
	up := mustBegin(t, s, "upflipped")
	data := content(26, 5000)
	body := objstore.NewBody(data)
	data[4000] ^= 0x10
	_, err := s.PutPart(t.Context(), up, 1, body)
	wantErr(t, err, objstore.ErrCorrupt)
	if err := s.Abandon(t.Context(), up); err != nil {
		t.Fatal(err)
	}
}

func testUploadBadArguments(t *testing.T, s objstore.Store) {
	_, err := s.Begin(t.Context(), "a//b")
	wantErr(t, err, objstore.ErrKey)
	up := mustBegin(t, s, "upbad")
	x := objstore.NewBody([]byte("x"))
	good := mustPutPart(t, s, up, 1, []byte("x"))
	for _, bad := range []objstore.Upload{{Key: "a//b", ID: up.ID}, {Key: "upbad"}, {Key: "upbad", ID: "a b"}} {
		_, err := s.PutPart(t.Context(), bad, 1, x)
		wantErr(t, err, objstore.ErrKey)
		wantErr(t, s.Complete(t.Context(), bad, []objstore.Part{good}), objstore.ErrKey)
		wantErr(t, s.Abandon(t.Context(), bad), objstore.ErrKey)
	}
	for _, number := range []int{-1, 0, objstore.MaxParts + 1} {
		_, err := s.PutPart(t.Context(), up, number, x)
		wantErr(t, err, objstore.ErrKey)
	}
	_, err = s.PutPart(t.Context(), up, 1, objstore.NewBody(nil, nil))
	wantErr(t, err, objstore.ErrKey)
	second := good
	second.Number = 2
	for _, parts := range [][]objstore.Part{nil, {second}, {good, good}, {good, second}, {second, good}, {{Number: 1}}} {
		wantErr(t, s.Complete(t.Context(), up, parts), objstore.ErrKey)
	}
	for _, limit := range []int{-1, 0, 1001} {
		_, err := s.Uploads(t.Context(), "", "", limit)
		wantErr(t, err, objstore.ErrKey)
	}
	if err := s.Abandon(t.Context(), up); err != nil {
		t.Fatal(err)
	}
}

func testUploadContextEnded(t *testing.T, s objstore.Store) {
	up := mustBegin(t, s, "upctx")
	part := mustPutPart(t, s, up, 1, []byte("x"))
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	for _, ctx := range []context.Context{canceled, expired} {
		_, beginErr := s.Begin(ctx, "upctx")
		_, partErr := s.PutPart(ctx, up, 1, objstore.NewBody([]byte("y")))
		_, uploadsErr := s.Uploads(ctx, "", "", 10)
		for name, err := range map[string]error{
			"begin": beginErr, "part": partErr, "uploads": uploadsErr,
			"complete": s.Complete(ctx, up, []objstore.Part{part}),
			"abandon":  s.Abandon(ctx, up),
		} {
			if !errors.Is(err, ctx.Err()) {
				t.Errorf("%s: %v does not wrap %v", name, err, ctx.Err())
			}
		}
	}
	if err := s.Complete(t.Context(), up, []objstore.Part{part}); err != nil {
		t.Fatal(err)
	}
	mustGet(t, s, "upctx", 0, -1, []byte("x"))
}

// Of uploads of different bytes exactly one becomes the object.
func testUploadRaceOther(t *testing.T, s objstore.Store) {
	const writers = 4
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for i := range writers {
		up := mustBegin(t, s, "uprace/x")
		parts := []objstore.Part{mustPutPart(t, s, up, 1, content(uint64(30+i), 50_000))}
		wg.Go(func() { errs[i] = s.Complete(t.Context(), up, parts) })
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = i
		case err == nil:
			t.Fatalf("uploads %d and %d both won", winner, i)
		case !errors.Is(err, objstore.ErrExists) && !errors.Is(err, objstore.ErrConflict):
			t.Fatalf("upload %d: %v, want ErrExists or ErrConflict", i, err)
		}
	}
	if winner < 0 {
		t.Fatalf("nobody won: %v", errs)
	}
	mustGet(t, s, "uprace/x", 0, -1, content(uint64(30+winner), 50_000))
}

// An attempt at Complete that was given up and its repetition may meet: what they say about the object is true.
func testUploadRaceSame(t *testing.T, s objstore.Store) {
	const attempts = 4
	data := twoParts(35)
	up := mustBegin(t, s, "upsame/x")
	parts := mustPutParts(t, s, up, data)
	var wg sync.WaitGroup
	errs := make([]error, attempts)
	for i := range attempts {
		wg.Go(func() { errs[i] = s.Complete(t.Context(), up, parts) })
	}
	wg.Wait()
	for _, err := range errs {
		// A service may tell one attempt that the other is under way.
		if err != nil && !errors.Is(err, objstore.ErrConflict) {
			t.Fatal(err)
		}
	}
	if err := s.Complete(t.Context(), up, parts); err != nil {
		t.Fatalf("afterwards: %v, before %v", err, errs)
	}
	mustGet(t, s, "upsame/x", 0, -1, data)
	mustBeUnfinished(t, s, up, false)
}
