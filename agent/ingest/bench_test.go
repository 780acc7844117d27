package ingest

import (
	"testing"
	"time"

	"wadi/internal/batch"
	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

// idleEffects does nothing but remember what must be told back.
type idleEffects struct {
	uploads, proposals []*Flush
	answered           int
}

func (x *idleEffects) Upload(f *Flush) { x.uploads = append(x.uploads, f) }
func (x *idleEffects) Propose(f *Flush, _ *pb.Command, _ [][]byte) {
	x.proposals = append(x.proposals, f)
}
func (x *idleEffects) Drop(*Flush)                       {}
func (x *idleEffects) Answer(*Request)                   { x.answered++ }
func (x *idleEffects) Release(*Request)                  {}
func (x *idleEffects) Turn(Partition, int64, int16) Turn { return Turn{Asked: true} }

// BenchmarkCore takes 1,000 requests of one batch each, over 1,000 partitions, from arrival to answer.
func BenchmarkCore(b *testing.B) {
	for _, bench := range []struct {
		name string
		pid  bool
	}{{"plain", false}, {"idempotent", true}} {
		b.Run(bench.name, func(b *testing.B) {
			const n = 1000
			x := &idleEffects{}
			cfg := testConfig()
			cfg.InlineMaxBytes, cfg.PutsPerSecond = 0, 0
			c := NewCore(cfg, x, x)
			c.Opened(0, layout.Session(1))
			data := make([]batch.Batch, n)
			for i := range data {
				if data[i] = plain(1000); bench.pid {
					data[i] = header(1000, int64(i), 0, 0, 1, 1000)
				}
			}
			verdicts, offsets := make([]Result, n), make([]uint64, n)
			now := time.Duration(0)
			b.ReportAllocs()
			for b.Loop() {
				requests := make([]Request, n) // what the shell makes: not the core's
				items := make([]Item, n)
				turn := Turn{Asked: true, Fresh: true}
				for i := range n {
					items[i] = Item{Partition: Partition{1, int32(i)}, Data: data[i], Turn: turn}
					r := &requests[i]
					r.Conn, r.Items, r.Deadline = uint64(i), items[i:i+1], now+30*time.Second
					now += time.Microsecond
					c.Produce(now, r)
					c.NextWake()
				}
				now += 2 * time.Millisecond
				c.Tick(now)
				for len(x.uploads) > 0 {
					f := x.uploads[0]
					x.uploads = x.uploads[1:]
					c.Uploaded(now, f, 1<<30, offsets, false, nil)
				}
				for len(x.proposals) > 0 {
					f := x.proposals[0]
					x.proposals = x.proposals[1:]
					c.Committed(now, f, verdicts[:len(f.items)], nil)
				}
			}
			if x.answered != b.N*n {
				b.Fatalf("%d answers for %d requests", x.answered, b.N*n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/batch")
		})
	}
}
