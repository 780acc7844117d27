package fetch

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"wadi/agent/api"
	"wadi/metadata/state"
)

// BenchmarkIdle is a fetch of many partitions that has to wait, and is told to end: two looks at State and a
// subscription (the view's own cost of which is not in it).
func BenchmarkIdle(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := newRig(b, n, 1<<20)
			parts := make([]api.FetchPart, n)
			for i := range parts {
				parts[i] = api.FetchPart{Topic: 1, Partition: int32(i), MaxBytes: 1 << 20}
			}
			b.ReportAllocs()
			for b.Loop() {
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan struct{})
				r.log.Fetch(ctx, &api.FetchCall{
					MinBytes: 1, MaxBytes: 50 << 20, MaxWait: time.Hour, Drain: context.Background(), Parts: parts,
					Done: func() { close(done) },
				})
				cancel()
				<-done
			}
		})
	}
}

// BenchmarkCached fetches a mebibyte from one partition in batches of 16 KiB, and a kibibyte from each of 1,000.
func BenchmarkCached(b *testing.B) {
	for _, c := range []struct{ partitions, batches, size int }{{1, 64, 16 << 10}, {1000, 1, 1 << 10}} {
		b.Run(fmt.Sprintf("%dx%d", c.partitions, c.batches*c.size), func(b *testing.B) {
			r := newRig(b, c.partitions, 64<<20)
			parts := make([]api.FetchPart, c.partitions)
			var stored []part
			for i := range parts {
				parts[i] = api.FetchPart{Topic: 1, Partition: int32(i), MaxBytes: 2 << 20}
				p := part{partition: int32(i)}
				for range c.batches {
					p.batches = append(p.batches, one(b, c.size))
				}
				stored = append(stored, p)
			}
			r.object(stored...)
			total := 0
			run := func() {
				var done sync.WaitGroup
				done.Add(1)
				r.log.Fetch(context.Background(), &api.FetchCall{
					MinBytes: 1, MaxBytes: 50 << 20, Drain: context.Background(), Parts: parts, Done: done.Done,
				})
				done.Wait()
			}
			run() // fills the cache: single ranges
			run()
			for i := range parts {
				for _, chunk := range parts[i].Records {
					total += len(chunk)
				}
			}
			b.SetBytes(int64(total))
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}

// BenchmarkPatch is what the first reader of a block pays, with and without the check of its CRCs.
func BenchmarkPatch(b *testing.B) {
	for _, trusted := range []bool{false, true} {
		for _, size := range []int{200, 16 << 10} {
			b.Run(fmt.Sprintf("trusted=%t/%d", trusted, size), func(b *testing.B) {
				var data []byte
				n := int64(0)
				for ; len(data) < 1<<20; n++ {
					data = append(data, one(b, size)...)
				}
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					x := &block{data: data, trusted: trusted}
					if _, err := x.run(state.Run{Base: 7, Last: 7 + n - 1, Length: uint32(len(data))}, 0); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkTransactions reads 500 transactions of a record each, every other one aborted: as many runs as markers.
func BenchmarkTransactions(b *testing.B) {
	r := newRig(b, 1, 64<<20)
	p := r.producer("id")
	for i := range 500 {
		r.write(p, 0, 1, 1_000_000, true)
		r.end(p, i%2 == 0)
	}
	parts := []api.FetchPart{{Topic: 1, MaxBytes: 2 << 20}}
	b.ReportAllocs()
	for b.Loop() {
		done := make(chan struct{})
		r.log.Fetch(context.Background(), &api.FetchCall{
			MinBytes: 1, MaxBytes: 50 << 20, ReadCommitted: true, Drain: context.Background(), Parts: parts, Done: func() { close(done) },
		})
		<-done
	}
	if n := len(parts[0].Records); n != 1000 {
		b.Fatalf("%d batches", n)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*500), "ns/transaction")
}

// BenchmarkFolded fetches 64 runs of a kilobyte from the middle of a manifest whose pieces are in memory.
func BenchmarkFolded(b *testing.B) {
	r := newRig(b, 1, 64<<20)
	for range 5000 {
		r.inline(part{0, [][]byte{one(b, 1<<10)}})
	}
	for range 50 {
		r.mergeRuns(b, 0, 100)
	}
	r.fold(b, 0, 50)
	parts := []api.FetchPart{{Topic: 1, Offset: 2500, MaxBytes: 64 << 10}}
	run := func() {
		done := make(chan struct{})
		r.log.Fetch(context.Background(), &api.FetchCall{
			MinBytes: 1, MaxBytes: 50 << 20, Drain: context.Background(), Parts: parts, Done: func() { close(done) },
		})
		<-done
	}
	run()
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
	if parts[0].Err != nil || len(parts[0].Records) == 0 {
		b.Fatal(parts[0].Err)
	}
}
