package objstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"wadi/objstore"
	"wadi/objstore/mem"
)

func TestRepeatable(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("cut"), true},
		{fmt.Errorf("put x: %w", objstore.ErrThrottled), true},
		{fmt.Errorf("get x: %w", objstore.ErrCorrupt), true},
		{objstore.ErrNoAnswer, true},
		{context.DeadlineExceeded, true}, // a transport's own: the caller's is looked at by who repeats
		{fmt.Errorf("get x: %w", objstore.ErrNotFound), false},
		{fmt.Errorf("put x: %w", objstore.ErrExists), false},
		{fmt.Errorf("complete x: %w", objstore.ErrConflict), false},
		{objstore.ErrRange, false},
		{objstore.ErrKey, false},
		{objstore.ErrDenied, false},
		{fmt.Errorf("put x: %w", objstore.Final(errors.New("no bucket"))), false},
		{objstore.Final(objstore.ErrThrottled), false},
	} {
		if got := objstore.Repeatable(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
	if err := objstore.Final(objstore.ErrCorrupt); !errors.Is(err, objstore.ErrCorrupt) || err.Error() != objstore.ErrCorrupt.Error() {
		t.Errorf("the mark hides what it marks: %v", err)
	}
	buf := []byte("x")
	body := objstore.NewBody(buf)
	buf[0] = 'y'
	if err := body.Verify(); objstore.Repeatable(err) {
		t.Errorf("a changed buffer is worth another attempt: %v", err)
	}
}

func TestAttempt(t *testing.T) {
	a := objstore.AttemptOf(t.Context())
	if a.N != 1 {
		t.Errorf("attempt %d of a bare context", a.N)
	}
	a.Extend(5) // nobody to tell
	var more int64
	a = objstore.AttemptOf(objstore.WithAttempt(t.Context(), 3, func(n int64) { more = n }))
	if a.Extend(7); a.N != 3 || more != 7 {
		t.Errorf("attempt %d, %d bytes", a.N, more)
	}
}

// A store without a second name puts under the first.
func TestPutEitherOfAPlainStore(t *testing.T) {
	s := mem.New()
	key, err := objstore.PutEither(t.Context(), s, "a", "b", objstore.NewBody([]byte("x")))
	if err != nil || key != "a" {
		t.Fatal(key, err)
	}
	infos, err := s.List(t.Context(), "", "", 10)
	if err != nil || len(infos) != 1 || infos[0].Key != "a" {
		t.Fatal(infos, err)
	}
}
