package history_test

import (
	"bytes"
	"reflect"
	"sync"
	"testing"

	h "wadi/integration/history"
)

func TestFactsAreInTheOrderOfRecording(t *testing.T) {
	r := h.New()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 4096 {
				r.Add(h.Fact{Kind: h.Ack, Partition: int32(g), Offset: int64(i)})
			}
		})
	}
	wg.Wait()
	facts := r.Facts()
	if len(facts) != 4*4096 || r.Len() != 4*4096 {
		t.Fatal(len(facts), r.Len())
	}
	var last [4]int64
	for i, f := range facts {
		if f.N != int64(i+1) || i > 0 && f.At < facts[i-1].At {
			t.Fatalf("fact %d is %+v", i, f)
		}
		if f.Offset != last[f.Partition] {
			t.Fatalf("goroutine %d: %d where %d comes next", f.Partition, f.Offset, last[f.Partition])
		}
		last[f.Partition]++
	}
}

func TestDumpAndLoad(t *testing.T) {
	r := h.New()
	r.Add(h.Fact{Kind: h.Attempt, Who: "a", Txn: r.NextTxn(), Topic: "t", Partition: 3, Value: "v", Sum: 1 << 63})
	r.Add(h.Fact{Kind: h.Own, Name: "g", Partitions: []int32{1, 2}})
	r.Add(h.Fact{Kind: h.EndReply, Commit: true, Outcome: h.Unknown, Error: "no answer", Offset: -1})
	var b bytes.Buffer
	if err := h.Dump(&b, r.Facts()); err != nil {
		t.Fatal(err)
	}
	got, err := h.Load(&b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, r.Facts()) {
		t.Fatalf("%+v\n%+v", got, r.Facts())
	}
}

func TestSum(t *testing.T) {
	base := h.Sum([]byte("k"), []byte("v"), []h.Header{{"h", []byte("x")}})
	for _, other := range []uint64{
		h.Sum(nil, []byte("v"), []h.Header{{"h", []byte("x")}}), h.Sum([]byte("k"), []byte("w"), []h.Header{{"h", []byte("x")}}),
		h.Sum([]byte("k"), []byte("v"), nil), h.Sum([]byte("k"), []byte("v"), []h.Header{{"h", nil}}),
		h.Sum([]byte("kv"), []byte(""), []h.Header{{"h", []byte("x")}}),
	} {
		if other == base {
			t.Fatal("two records have one sum")
		}
	}
	if h.Sum([]byte("k"), []byte("v"), []h.Header{{"h", []byte("x")}}) != base {
		t.Fatal("one record has two sums")
	}
}
