package objstore

import (
	"hash/crc32"
	"testing"

	"pgregory.net/rapid"
)

func TestCombineCRC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOf(rapid.Byte()).Draw(t, "a")
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "b")
		got := CombineCRC(crc32.Checksum(a, castagnoli), crc32.Checksum(b, castagnoli), int64(len(b)))
		if want := crc32.Checksum(append(a, b...), castagnoli); got != want {
			t.Fatalf("%08x, want %08x", got, want)
		}
	})
	long := make([]byte, 9<<20+5)
	head := crc32.Checksum([]byte("head"), castagnoli)
	want := crc32.Update(head, castagnoli, long)
	if got := CombineCRC(head, crc32.Checksum(long, castagnoli), int64(len(long))); got != want {
		t.Errorf("%08x, want %08x", got, want)
	}
}

func TestWhole(t *testing.T) {
	var all []byte
	var parts []Part
	for i, s := range []string{"one", "", "three", "4"} {
		all = append(all, s...)
		parts = append(parts, Part{Number: i + 1, Size: int64(len(s)), CRC32C: NewBody([]byte(s)).CRC32C})
	}
	if size, crc := Whole(parts); size != int64(len(all)) || crc != NewBody(all).CRC32C {
		t.Errorf("%d bytes, %08x", size, crc)
	}
	if size, crc := Whole(nil); size != 0 || crc != 0 {
		t.Errorf("nothing has %d bytes, %08x", size, crc)
	}
}
