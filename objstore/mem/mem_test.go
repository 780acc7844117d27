package mem_test

import (
	"errors"
	"testing"
	"time"

	"wadi/objstore"
	"wadi/objstore/conformance"
	"wadi/objstore/mem"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, func(testing.TB) objstore.Store { return mem.New() })
}

func TestConformancePrefixed(t *testing.T) {
	conformance.Run(t, func(t testing.TB) objstore.Store {
		s, err := objstore.WithPrefix(mem.New(), "some/prefix")
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func BenchmarkStore(b *testing.B) {
	conformance.Benchmark(b, func(testing.TB) objstore.Store { return mem.New() })
}

func TestClock(t *testing.T) {
	now := time.Unix(1000, 0)
	s := mem.New(mem.WithClock(func() time.Time { return now }))
	if err := s.Put(t.Context(), "a", objstore.NewBody([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	now = time.Unix(2000, 0)
	infos, err := s.List(t.Context(), "", "", 1)
	if err != nil || len(infos) != 1 || !infos[0].Modified.Equal(time.Unix(1000, 0)) {
		t.Fatalf("%v, %v", infos, err)
	}
	if d, err := s.Date(t.Context()); err != nil || !d.Equal(now) {
		t.Fatalf("%v, %v", d, err)
	}
}

func TestObjectBeneathObject(t *testing.T) {
	s := mem.New()
	for _, k := range []string{"a/b", "c/d/e", "c/d-"} {
		if err := s.Put(t.Context(), k, objstore.NewBody(nil)); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []string{"a/b/c", "a/b/c/d", "c/d", "c", "a"} {
		if err := s.Put(t.Context(), k, objstore.NewBody(nil)); !errors.Is(err, objstore.ErrKey) {
			t.Errorf("%s: %v", k, err)
		}
	}
}
