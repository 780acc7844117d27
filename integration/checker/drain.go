package checker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	h "wadi/integration/history"
	"wadi/integration/history/judge"
	"wadi/internal/busy"
)

// budget is how long after the healing everything must have been read.
const budget = 200 * time.Second

const (
	// soon is how long after the healing everything must go on (L1), and what the machine keeps everybody waiting for.
	soon = 30 * time.Second
	// slack is what the cluster may take beyond the timeout of an open transaction to end it.
	slack = 25 * time.Second
)

// probed records how a probe for liveness ended. Where one failed the verdict is known, and what follows is shorter.
func (r *run) probed(name string, err error) {
	if err != nil {
		r.failed.Store(true)
	}
	f := h.Fact{Kind: h.Probe, Name: name, Value: "L1", Outcome: h.OK}
	if err != nil {
		f.Outcome, f.Error = h.Refused, err.Error()
	}
	r.rec.Add(f)
}

// probe (L1) produces to each partition, waits until a consumer has it, and gets a producer id.
func (r *run) probe(healed time.Time) {
	ctx, cancel := context.WithDeadline(context.Background(), healed.Add(4*soon))
	defer cancel()
	waited := busy.Since()
	inTime := func(err error) error {
		if slack := waited(); err == nil && time.Since(healed) > soon+slack {
			return fmt.Errorf("%v after the healing, of which the machine was busy for %v", time.Since(healed), slack)
		}
		return err
	}
	cl, l, err := r.client("probe")
	if err != nil {
		r.fail(err)
		return
	}
	defer l.cut()
	defer cl.Close()
	_, _, err = cl.ProducerID(ctx)
	r.probed("get a producer id", inTime(err))
	s := &sender{r: r, who: "probe", random: r.random("probe")}
	var all sync.WaitGroup
	for _, t := range r.topics {
		if t.name == r.out.name {
			continue // what is there is made of something
		}
		for p := range t.partitions {
			all.Go(func() {
				rec := func() *kgo.Record { r.mu.Lock(); defer r.mu.Unlock(); return s.record(0, t.name, p, "") }()
				err := cl.ProduceSync(ctx, rec).FirstErr()
				s.answered(0, rec, err)
				r.probed(fmt.Sprintf("produce to %s/%d", t.name, p), inTime(err))
				for err == nil && r.at(committedConsumer, h.Log{Topic: t.name, Partition: p}) <= rec.Offset {
					if !pause(ctx, 10*time.Millisecond) {
						err = fmt.Errorf("offset %d was not read, only up to %d", rec.Offset, r.at(committedConsumer, h.Log{Topic: t.name, Partition: p}))
					}
				}
				r.probed(fmt.Sprintf("read %s/%d", t.name, p), inTime(err))
			})
		}
	}
	all.Wait()
}

// processed waits until the transforming group has committed the end of its topic.
func (r *run) processed(healed time.Time) {
	if !r.o.Transactions {
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), healed.Add(r.o.Budget/2))
	defer cancel()
	var last error
	for ctx.Err() == nil {
		if last = r.allProcessed(ctx); last == nil {
			break
		}
		pause(ctx, 200*time.Millisecond)
	}
	r.probed(judge.Processed, last)
}

func (r *run) allProcessed(ctx context.Context) error {
	d, err := r.direct("processed", 0)
	if err != nil {
		return err
	}
	defer d.close()
	committed, all := r.askGroup(ctx, "processed", d.cl, transformGroup, r.in, true)
	if !all {
		return errors.New("not all committed offsets are told")
	}
	for p := range r.in.partitions {
		end, err := d.end(ctx, r.in, p, true)
		if err != nil {
			return err
		}
		if committed[p] < end {
			return fmt.Errorf("%s/%d is processed up to %d of %d", r.in.name, p, committed[p], end)
		}
	}
	return nil
}

// settle (L3) waits until no transaction is open any more, as every broker tells, and asks for the groups' offsets once
// more.
func (r *run) settle() {
	deadline := time.Now().Add(limit + slack)
	if r.failed.Load() {
		deadline = time.Now().Add(limit)
	}
	waited := busy.Since()
	over := func() bool { return time.Now().After(deadline.Add(waited())) }
	ctx, cancel := context.WithDeadline(context.Background(), deadline.Add(2*patience))
	defer cancel()
	var all sync.WaitGroup
	for i := range r.net.addresses {
		d, err := r.direct(fmt.Sprintf("settle-%c", 'A'+i), i)
		if err != nil {
			r.fail(err)
			return
		}
		all.Go(func() {
			defer d.close()
			for _, t := range r.topics {
				for p := range t.partitions {
					r.rec.Add(d.settled(ctx, over, t, p))
				}
			}
		})
	}
	all.Wait()
	d, err := r.direct("settled", 0)
	if err != nil {
		r.fail(err)
		return
	}
	defer d.close()
	asking, cancel := context.WithDeadline(ctx, deadline.Add(waited()))
	defer cancel()
	r.askOffsets(asking, "settled", d.cl, true)
}

func (d *direct) settled(ctx context.Context, over func() bool, t topic, p int32) h.Fact {
	f := h.Fact{Kind: h.Settled, Who: d.who, Broker: d.name(), Topic: t.name, Partition: p, Outcome: h.Refused}
	for {
		high, err := d.end(ctx, t, p, false)
		if err == nil {
			f.High = high
			f.Stable, err = d.end(ctx, t, p, true)
		}
		if err == nil && f.Stable == f.High {
			f.Outcome, f.Error = h.OK, ""
			return f
		}
		if err != nil && ctx.Err() == nil {
			f.Error = err.Error()
		}
		if !pause(ctx, 50*time.Millisecond) || over() {
			return f
		}
	}
}

// caughtUp waits until the consumers by assignment have come to the end, as far as there is something to read: who does
// not is judged by what it has read.
func (r *run) caughtUp(healed time.Time) {
	d, err := r.direct("caught-up", 0)
	if err != nil {
		r.fail(err)
		return
	}
	defer d.close()
	ctx, cancel := context.WithDeadline(context.Background(), healed.Add(r.o.Budget))
	defer cancel()
	for _, t := range r.topics {
		for p := range t.partitions {
			last := int64(-1)
			end, err := d.end(ctx, t, p, true)
			for next := max(0, end-200); err == nil && next < end; {
				var fp kgo.FetchPartition
				from := next
				fp, next, err = d.fetch(ctx, t, p, next, true)
				for _, rec := range fp.Records {
					last = rec.Offset
				}
				if next == from {
					break
				}
			}
			for ctx.Err() == nil && r.at(committedConsumer, h.Log{Topic: t.name, Partition: p}) <= last {
				pause(ctx, 20*time.Millisecond)
				if time.Since(healed) > r.o.Budget-judge.Stall {
					return // long enough to be judged a stall
				}
			}
		}
	}
}

// drain reads everything through every broker, with both isolations.
func (r *run) drain(healed time.Time) {
	left := max(time.Until(healed.Add(r.o.Budget)), r.o.Budget/5) // whatever was stuck before
	ctx, cancel := context.WithTimeout(context.Background(), left)
	defer cancel()
	var all sync.WaitGroup
	for i := range r.net.addresses {
		for _, committed := range []bool{true, false} {
			who := fmt.Sprintf("drain-%c", 'A'+i)
			if committed {
				who += "-committed"
			}
			d, err := r.direct(who, i)
			if err != nil {
				r.fail(err)
				return
			}
			all.Go(func() {
				defer d.close()
				for _, t := range r.topics {
					for p := range t.partitions {
						r.rec.Add(d.drain(ctx, t, p, committed))
					}
				}
			})
		}
	}
	all.Wait()
}

func (d *direct) drain(ctx context.Context, t topic, p int32, committed bool) h.Fact {
	f := h.Fact{Kind: h.Drained, Who: d.who, Broker: d.name(), Topic: t.name, Partition: p, Committed: committed, Outcome: h.Refused, Offset: -1}
	next := int64(0)
	for ctx.Err() == nil {
		var err error
		if f.Offset < 0 {
			f.Offset, err = d.end(ctx, t, p, committed)
		}
		for err == nil && next < f.Offset {
			var fp kgo.FetchPartition
			fp, next, err = d.fetch(ctx, t, p, next, committed)
			for _, rec := range fp.Records {
				d.r.read(d.who, 0, 0, committed, d.name(), rec)
			}
		}
		if err == nil && f.Offset >= 0 {
			f.Outcome, f.Error = h.OK, ""
			return f
		}
		f.Error = fmt.Sprintf("at offset %d: %v", next, err)
		pause(ctx, 100*time.Millisecond)
	}
	return f
}
