package conformance

import (
	"fmt"
	"testing"

	"wadi/objstore"
)

// Benchmark measures the calls that carry records, and List.
func Benchmark(b *testing.B, open Opener) {
	for _, size := range []int{4 << 10, 1 << 20, 8 << 20} {
		b.Run(fmt.Sprintf("Put/%dKiB", size>>10), func(b *testing.B) { benchmarkPut(b, open(b), size) })
		b.Run(fmt.Sprintf("Get/%dKiB", size>>10), func(b *testing.B) { benchmarkGet(b, open(b), size) })
	}
	b.Run("List", func(b *testing.B) { benchmarkList(b, open(b)) })
}

func benchmarkPut(b *testing.B, s objstore.Store, size int) {
	body := objstore.NewBody(content(1, size/2), content(2, size/2))
	b.SetBytes(int64(size))
	b.ReportAllocs()
	const kept = 16 // objects at any time, so that a long run does not fill the disk
	for i := 0; b.Loop(); i++ {
		if err := s.Put(b.Context(), fmt.Sprintf("put/%d/%08d", size, i), body); err != nil {
			b.Fatal(err)
		}
		if i%kept == kept-1 {
			b.StopTimer()
			var keys []string
			for j := i - kept + 1; j <= i; j++ {
				keys = append(keys, fmt.Sprintf("put/%d/%08d", size, j))
			}
			if err := s.Delete(b.Context(), keys); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	}
}

func benchmarkGet(b *testing.B, s objstore.Store, size int) {
	key := fmt.Sprintf("get/%d", size)
	if err := s.Put(b.Context(), key, objstore.NewBody(content(1, size))); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(b.Context(), key, 0, int64(size)); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkList(b *testing.B, s objstore.Store) {
	for i := range 200 {
		if err := s.Put(b.Context(), fmt.Sprintf("list/%02d/%04d", i%10, i), objstore.NewBody(nil)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if got, err := s.List(b.Context(), "list/", "", 1000); err != nil || len(got) != 200 {
			b.Fatal(len(got), err)
		}
	}
}
