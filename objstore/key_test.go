package objstore

import (
	"errors"
	"io"
	"path"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func FuzzCheckKey(f *testing.F) {
	for _, k := range []string{"", "a", "a/b", "../a", "a/..", "a//b", "/a", "a/.b", "...", "a\x00", "a/@b"} {
		f.Add(k)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if CheckKey(key) != nil {
			return
		}
		if path.Clean(key) != key || path.IsAbs(key) || strings.HasPrefix(key, "..") && path.Dir(key) == ".." {
			t.Errorf("%q changes when cleaned", key)
		}
		if strings.ContainsAny(key, "\x00\\@ ") || len(key) > maxStored {
			t.Errorf("%q is allowed", key)
		}
		for i := range len(key) + 1 {
			if !PossiblePrefix(key[:i]) {
				t.Errorf("%q starts with the impossible %q", key, key[:i])
			}
		}
	})
}

func TestPossiblePrefix(t *testing.T) {
	for _, p := range []string{"", "a", "a/", "a/.", "a/..", "..", "a/..b/"} {
		if !PossiblePrefix(p) {
			t.Errorf("%q", p)
		}
	}
	for _, p := range []string{"/", "a//", "../", "a/../b", "a b", "a/ü", strings.Repeat("a", 256)} {
		if PossiblePrefix(p) {
			t.Errorf("%q", p)
		}
	}
}

func TestResolveRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.OneOf(rapid.Int64Range(-3, 12), rapid.Int64())
		size, off, length := rapid.Int64Range(0, 10).Draw(t, "size"), numbers.Draw(t, "off"), numbers.Draw(t, "length")
		n, err := ResolveRange("k", size, off, length)
		inside := off >= 0 && off <= size && (length == -1 || length >= 0 && length <= size && off+length <= size)
		if inside != (err == nil) || err != nil && !errors.Is(err, ErrRange) {
			t.Fatalf("error %v", err)
		}
		if err == nil && (length >= 0 && n != length || length == -1 && n != size-off) {
			t.Fatalf("%d bytes", n)
		}
	})
}

func TestBodyEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes := rapid.SliceOfN(rapid.SampledFrom([]byte("ab")), 0, 3)
		b := NewBody(rapid.SliceOfN(bytes, 0, 3).Draw(t, "chunks")...)
		other := string(bytes.Draw(t, "other"))
		same, err := b.Equal(iotest.OneByteReader(strings.NewReader(other)))
		if err != nil || same != (other == string(b.Bytes())) {
			t.Fatalf("%q and %q: %v, %v", b.Bytes(), other, same, err)
		}
	})
	broken := errors.New("broken")
	for _, b := range []Body{NewBody([]byte("abc")), NewBody([]byte("a"))} {
		r := io.MultiReader(strings.NewReader("a"), iotest.ErrReader(broken))
		if same, err := b.Equal(r); same || !errors.Is(err, broken) {
			t.Errorf("%v, %v", same, err)
		}
	}
}

func TestWithPrefixRefuses(t *testing.T) {
	for _, p := range []string{"/", "a/", "/a", "a//b", "..", strings.Repeat("p", maxPrefix+1)} {
		if _, err := WithPrefix(nil, p); !errors.Is(err, ErrKey) {
			t.Errorf("%q: %v", p, err)
		}
	}
}
