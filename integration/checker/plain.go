package checker

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// plain is an idempotent producer without transactions, whose client crashes now and then and is replaced.
func (r *run) plain(ctx context.Context, name string, topics []topic, every time.Duration) {
	random := r.random(name)
	for life := 0; ctx.Err() == nil; life++ {
		who := fmt.Sprintf("%s.%d", name, life)
		cl, l, err := r.client(who)
		if err != nil {
			r.fail(err)
			return
		}
		s := &sender{r: r, who: who, random: random, large: 20}
		die := time.Now().Add(time.Duration(8+random.IntN(20)) * time.Second)
		for pause(ctx, every/2+time.Duration(random.Int64N(int64(every)))) && time.Now().Before(die) {
			t := topics[random.IntN(len(topics))]
			for range 1 + random.IntN(3) { // so that batches of several records and batches in flight together come up
				rec := s.record(0, t.name, random.Int32N(t.partitions), "")
				cl.Produce(r.sending, rec, func(rec *kgo.Record, err error) { s.answered(0, rec, err) })
			}
		}
		if ctx.Err() != nil {
			flush, cancel := patient(r.sending)
			if err := cl.Flush(flush); err != nil {
				r.note(who, "flush: %v", err)
			}
			cancel()
		} else {
			l.cut()
		}
		cl.Close()
		l.cut()
	}
}
