package merge

import (
	"context"
	"fmt"
	"testing"

	"wadi/compactor/job"
	"wadi/internal/batch"
	"wadi/objstore"
)

// nowhere forgets what is written.
type nowhere struct{ objstore.Store }

func (nowhere) Put(context.Context, string, objstore.Body) error { return nil }
func (nowhere) Begin(context.Context, string) (objstore.Upload, error) {
	return objstore.Upload{ID: "u"}, nil
}
func (nowhere) PutPart(_ context.Context, _ objstore.Upload, number int, body objstore.Body) (objstore.Part, error) {
	return objstore.Part{Number: number, Size: body.Size(), CRC32C: body.CRC32C}, nil
}
func (nowhere) Complete(context.Context, objstore.Upload, []objstore.Part) error { return nil }

// BenchmarkBuild writes the content of 64 flushes of a MiB each into one object, in batches of a KiB and of 16; the
// memory store's copies of what is read are in it, what is written is forgotten.
func BenchmarkBuild(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r := newRig(b, Config{}, 32)
			for i := range 64 {
				var list []written
				for _, p := range r.parts() {
					var batches []batch.Batch
					for range (1 << 20) / 32 / size {
						batches = append(batches, aBatch(1, size-80, byte(i), 1))
					}
					list = append(list, plain(p, batches...))
				}
				r.write(false, list...)
			}
			p, ok := Make(r.s.Freeze(), r.task.c, Scope{})
			if !ok || len(p.Outputs) != 1 {
				b.Fatal(len(p.Outputs))
			}
			r.env.Store = nowhere{r.mem}
			b.SetBytes(p.Outputs[0].Bytes)
			b.ReportAllocs()
			n := uint64(0)
			for b.Loop() {
				n++
				if _, _, _, err := Build(context.Background(), r.env, r.task.c, job.Name{Session: me, N: n}, &p.Outputs[0], 0); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(p.Outputs[0].Bytes)/float64(size), "batches/op")
		})
	}
}

// BenchmarkMake plans over a million runs, with nothing to do: what an idle compactor's passes cost.
func BenchmarkMake(b *testing.B) {
	l := newLog(b, 10_000)
	for range 60 {
		for at := uint32(0); at < 10_000; at += 2000 {
			l.write(false, 10, all(1, 10_000)[at:at+2000]...)
		}
		l.settle(Config{FanIn: 5})
	}
	s := l.s.Freeze()
	b.ReportAllocs()
	for b.Loop() {
		if p, ok := Make(s, Defaults(), Scope{}); ok {
			b.Fatal(p.Why)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(l.s.RunCount()), "ns/run")
}
