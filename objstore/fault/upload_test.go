package fault_test

import (
	"errors"
	"strings"
	"testing"

	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
)

// Each call of an upload, its answer lost, made again.
func TestLostResponsesOfUpload(t *testing.T) {
	inner := mem.New()
	s := fault.New(inner, fault.WithTranscript(20))
	for _, op := range []fault.Op{fault.Begin, fault.PutPart, fault.Complete, fault.Abandon, fault.Uploads} {
		s.Script(fault.Fault{Op: op, Key: "a", Do: fault.FailAfter(nil)})
	}
	ctx := t.Context()
	lost := func(err error) {
		t.Helper()
		if !errors.Is(err, fault.ErrInjected) {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	body := objstore.NewBody([]byte("x"))
	none, err := s.Begin(ctx, "a")
	lost(err)
	up, err := s.Begin(ctx, "a")
	must(err)
	nothing, err := s.PutPart(ctx, up, 1, body)
	lost(err)
	if none != (objstore.Upload{}) || nothing != (objstore.Part{}) {
		t.Fatalf("%+v and %+v came with an error", none, nothing)
	}
	part, err := s.PutPart(ctx, up, 1, body)
	must(err)
	lost(s.Complete(ctx, up, []objstore.Part{part}))
	must(s.Complete(ctx, up, []objstore.Part{part}))
	infos, err := s.Uploads(ctx, "a", "", 10)
	lost(err)
	if infos != nil {
		t.Fatal(infos)
	}
	infos, err = s.Uploads(ctx, "a", "", 10)
	must(err)
	if len(infos) != 1 { // of the Begin without an answer
		t.Fatal(infos)
	}
	lost(s.Abandon(ctx, infos[0].Upload))
	must(s.Abandon(ctx, infos[0].Upload))
	if left, err := inner.Uploads(ctx, "", "", 10); err != nil || len(left) != 0 {
		t.Fatal(left, err)
	}
	var lines []string
	for _, r := range s.TakeTranscript() {
		lines = append(lines, r.String())
	}
	want := `begin a error (fail-after)
begin a ok
part a #1 1 error (fail-after)
part a #1 1 ok
complete a #1 1 error (fail-after)
complete a #1 1 ok
uploads a 1 error (fail-after)
uploads a 1 ok
abandon a error (fail-after)
abandon a ok`
	if got := strings.Join(lines, "\n"); got != want {
		t.Fatalf("got:\n%s\nwant:\n%s", got, want)
	}
}

// Before its effect a fault keeps a call from the store.
func TestUploadFailsBefore(t *testing.T) {
	inner := mem.New()
	s := fault.New(inner)
	up, err := s.Begin(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	part, err := s.PutPart(t.Context(), up, 1, objstore.NewBody([]byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	s.Script(fault.Fault{Times: -1, Do: fault.FailBefore(objstore.ErrThrottled)})
	_, beginErr := s.Begin(t.Context(), "b")
	_, partErr := s.PutPart(t.Context(), up, 1, objstore.NewBody([]byte("y")))
	_, uploadsErr := s.Uploads(t.Context(), "", "", 1)
	for name, err := range map[string]error{
		"begin": beginErr, "part": partErr, "uploads": uploadsErr,
		"complete": s.Complete(t.Context(), up, []objstore.Part{part}), "abandon": s.Abandon(t.Context(), up),
	} {
		if !errors.Is(err, objstore.ErrThrottled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if infos, err := inner.Uploads(t.Context(), "", "", 10); err != nil || len(infos) != 1 || infos[0].Upload != up {
		t.Errorf("%v, %v", infos, err)
	}
	if err := inner.Complete(t.Context(), up, []objstore.Part{part}); err != nil {
		t.Error(err) // the part is still the first one
	}
}
