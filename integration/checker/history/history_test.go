package history

import (
	"bytes"
	"reflect"
	"sync"
	"testing"
)

func TestFactsAreInTheOrderOfRecording(t *testing.T) {
	r := New()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range chunk {
				r.Add(Fact{Kind: Ack, Partition: int32(g), Offset: int64(i)})
			}
		})
	}
	wg.Wait()
	facts := r.Facts()
	if len(facts) != 4*chunk || r.Len() != 4*chunk {
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
	r := New()
	r.Add(Fact{Kind: Attempt, Who: "a", Txn: r.NextTxn(), Topic: "t", Partition: 3, Value: "v", Sum: 1 << 63})
	r.Add(Fact{Kind: Own, Name: "g", Partitions: []int32{1, 2}})
	r.Add(Fact{Kind: EndReply, Commit: true, Outcome: Unknown, Error: "no answer", Offset: -1})
	var b bytes.Buffer
	if err := Dump(&b, r.Facts()); err != nil {
		t.Fatal(err)
	}
	got, err := Load(&b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, r.Facts()) {
		t.Fatalf("%+v\n%+v", got, r.Facts())
	}
}

func TestSum(t *testing.T) {
	base := Sum([]byte("k"), []byte("v"), []Header{{"h", []byte("x")}})
	for _, other := range []uint64{
		Sum(nil, []byte("v"), []Header{{"h", []byte("x")}}), Sum([]byte("k"), []byte("w"), []Header{{"h", []byte("x")}}),
		Sum([]byte("k"), []byte("v"), nil), Sum([]byte("k"), []byte("v"), []Header{{"h", nil}}),
		Sum([]byte("kv"), []byte(""), []Header{{"h", []byte("x")}}),
	} {
		if other == base {
			t.Fatal("two records have one sum")
		}
	}
	if Sum([]byte("k"), []byte("v"), []Header{{"h", []byte("x")}}) != base {
		t.Fatal("one record has two sums")
	}
}
