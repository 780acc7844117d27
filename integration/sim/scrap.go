package sim

import (
	"time"

	"wadi/agent/ingest"
	"wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
)

// scrap keeps a topic in the same flushes as the one that is checked, which is created, written to, deleted and swept all
// the time: what it leaves in objects and archives must not touch the other.
func (w *World) scrap() {
	if w.now < w.opts.Active {
		w.after(w.between(100*time.Millisecond, 600*time.Millisecond), w.scrap)
	}
	a := w.anyAgent()
	if !a.up || !a.opened || !a.caughtUp || w.orders == 0 {
		return
	}
	a.deliver(func() {
		nobody := func(session.Outcome) {}
		s := a.view.State()
		t := s.Topic("scrap")
		switch n := w.rng.IntN(10); {
		case t == nil:
			a.propose(&pb.Command{Base: s.Position(), Kind: &pb.Command_CreateTopic{
				CreateTopic: &pb.CreateTopic{Name: "scrap", Partitions: 2},
			}}, nobody)
		case n < 7:
			r := &rpc{}
			req := &ingest.Request{Conn: w.nextConn, Deadline: a.mono() + 2*time.Second}
			w.nextConn++
			for range 1 + w.rng.IntN(3) {
				req.Items = append(req.Items, ingest.Item{
					Partition: ingest.Partition{Topic: t.Number, Index: int32(w.rng.IntN(2))}, TopicID: t.ID,
					Data: w.scrapBatch(10 + w.rng.IntN(3000)),
				})
			}
			a.rpcs[req] = r
			a.ingStep(func(c *ingest.Core) { c.Produce(a.mono(), req) })
		case n < 8:
			a.propose(&pb.Command{Base: s.Position(), Kind: &pb.Command_DeleteTopic{
				DeleteTopic: &pb.DeleteTopic{Topic: t.Number},
			}}, nobody)
		}
		if w.chance(0.3) {
			a.propose(&pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: uint32(1 + w.rng.IntN(8))}}}, nobody)
		}
	})
}

func (w *World) scrapBatch(size int) batch.Batch {
	var b batch.Builder
	b.Reset(batch.NoProducer(batch.None))
	if err := b.Append(batch.Record{Timestamp: epochMs, Value: make([]byte, size)}); err != nil {
		panic(err)
	}
	data, err := b.Build(nil)
	if err != nil {
		panic(err)
	}
	return data
}
