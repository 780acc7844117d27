package file_test

import (
	"testing"

	"wadi/objstore"
	"wadi/objstore/conformance"
	"wadi/objstore/file"
)

func open(t testing.TB, root string) *file.Store {
	t.Helper()
	s, err := file.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	conformance.Run(t, func(t testing.TB) objstore.Store { return open(t, t.TempDir()) })
}

func BenchmarkStore(b *testing.B) {
	conformance.Benchmark(b, func(t testing.TB) objstore.Store { return open(t, t.TempDir()) })
}
