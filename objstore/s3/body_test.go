package s3

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"wadi/objstore"
)

func TestBodyReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chunks := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 5), 0, 5).Draw(t, "chunks")
		b := newBody(objstore.NewBody(chunks...))
		twin := bytes.NewReader(bytes.Join(chunks, nil))
		for range rapid.IntRange(0, 8).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "seek") {
				off := int64(rapid.IntRange(-2, 30).Draw(t, "offset"))
				whence := rapid.IntRange(0, 2).Draw(t, "whence")
				before, _ := twin.Seek(0, io.SeekCurrent)
				want, err := twin.Seek(off, whence)
				if err != nil || want > twin.Size() {
					if _, err := b.Seek(off, whence); err == nil {
						t.Fatal("seek outside succeeded")
					}
					if _, err := twin.Seek(before, io.SeekStart); err != nil {
						t.Fatal(err)
					}
					continue
				}
				if got, err := b.Seek(off, whence); err != nil || got != want {
					t.Fatalf("seek: %d, %v, want %d", got, err, want)
				}
				continue
			}
			n := rapid.IntRange(0, 7).Draw(t, "n")
			p, q := make([]byte, n), make([]byte, n)
			got, gotErr := b.Read(p)
			want, wantErr := twin.Read(q)
			if n == 0 {
				wantErr = nil
			}
			if got != want || gotErr != wantErr || !bytes.Equal(p, q) {
				t.Fatalf("read: %d %v, want %d %v", got, gotErr, want, wantErr)
			}
		}
	})
}

func TestBodyIsAReader(t *testing.T) {
	chunks := [][]byte{[]byte("ab"), nil, []byte("cdefg"), {}}
	if err := iotest.TestReader(newBody(objstore.NewBody(chunks...)), []byte("abcdefg")); err != nil {
		t.Fatal(err)
	}
}

func TestClosedBody(t *testing.T) {
	b := newBody(objstore.NewBody([]byte("abc")))
	b.close()
	if n, err := b.Read(make([]byte, 10)); n != 0 || err != errClosed {
		t.Fatal(n, err)
	}
}
