package checker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/delay"

	h "wadi/integration/history"
	"wadi/integration/history/judge"
)

// The faults of the network, as they are planned, recorded and counted.
const (
	lateProduce = "F18 late Produce"
	lateEnd     = "F18 late EndTxn"
	lateOffsets = "F18 late TxnOffsetCommit"
	lostProduce = "F19 lost reply to Produce"
	lostEnd     = "F19 lost reply to EndTxn"
	moved       = "F17 connections at two agents"
	overtaken   = "F20 two clients of one id"
	overslept   = "F20 timeout during a pause"
)

func hostPort(host string, port int32) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }

// network starts what disturbs connections.
func (r *run) network(ctx context.Context, all *sync.WaitGroup) {
	if r.o.Late && r.o.Transactions {
		all.Go(func() { r.late(ctx) })
	}
	all.Go(func() { r.lost(ctx) })
	if len(r.net.addresses) > 1 {
		all.Go(func() { r.move(ctx) })
	}
}

// plans are the faults that a run is to show.
func plans(o options, agents bool) []string {
	var list []string
	if agents {
		list = append(list, agentFaults...)
		list = append(list, moved, roamFault, compacted)
	}
	list = append(list, lostProduce)
	if !o.Transactions {
		return list
	}
	if agents {
		list = append(list, killEnd, coordinator)
	}
	if o.Late {
		list = append(list, lateProduce, lateEnd, lateOffsets)
	}
	return append(list, lostEnd, overtaken)
}

// invariants are what a run is to judge.
func invariants(o options, agents bool) []string {
	list := []string{"I1", "I2", "I3", "I4", "I8", "I10", "I11", "I12", "I13", "L1", "L2", "L3"}
	if o.Transactions {
		list = append(list, "I5", "I6", "I7", "I9", "I14", "I15")
	}
	if agents {
		list = append(list, "L4", judge.OneStep)
	}
	return list
}

// ours matches requests of clients of transaction version 2: those of version 1 are not safe from what is late.
func ours(keys ...kmsg.Key) delay.Match {
	return func(q delay.Request) bool {
		return slices.Contains(keys, kmsg.Key(q.Key)) && q.TransactionalID() != "" && !strings.HasPrefix(q.TransactionalID(), "old")
	}
}

// late (F18) holds a request back while its client gives it up, tries again and begins the next transaction. Then it
// arrives.
func (r *run) late(ctx context.Context) {
	random := r.random("late")
	for ctx.Err() == nil {
		for _, f := range []struct {
			name string
			key  kmsg.Key
		}{{lateProduce, kmsg.Produce}, {lateEnd, kmsg.EndTxn}, {lateOffsets, kmsg.TxnOffsetCommit}} {
			if !pause(ctx, time.Duration(200+random.IntN(800))*time.Millisecond) {
				return
			}
			r.catch(ctx, f.name, r.net.rules.Hold(ours(f.key)), func(c *delay.Catch, q delay.Request) {
				c.Cut()
				pause(ctx, time.Duration(700+random.IntN(1500))*time.Millisecond)
			})
		}
	}
}

// lost (F19) lets a request through and keeps the answer from its client, who finds another agent when it tries again.
func (r *run) lost(ctx context.Context) {
	random := r.random("lost")
	produce := func(q delay.Request) bool { return kmsg.Key(q.Key) == kmsg.Produce }
	for ctx.Err() == nil {
		for _, f := range []struct {
			name  string
			match delay.Match
		}{{lostProduce, produce}, {lostEnd, ours(kmsg.EndTxn)}} {
			if !pause(ctx, time.Duration(200+random.IntN(800))*time.Millisecond) {
				return
			}
			if f.name == lostEnd && !r.o.Transactions {
				continue
			}
			back := func() {}
			r.catch(ctx, f.name, r.net.rules.HoldReply(f.match), func(c *delay.Catch, q delay.Request) {
				back = r.elsewhere(random, q.Proxy)
				c.Cut()
				pause(ctx, time.Second)
			})
			back()
		}
	}
}

// elsewhere sends new connections for the broker behind a proxy to another one.
func (r *run) elsewhere(random *rand.Rand, p *delay.Proxy) (back func()) {
	n := len(r.net.addresses)
	from := r.net.broker(p)
	if n < 2 || from < 0 {
		return func() {}
	}
	return r.net.move(from, (from+1+random.IntN(n-1))%n)
}

// catch waits for a request or an answer, does something while it is held, and lets it go. It counts when the broker has
// answered, whatever it said.
func (r *run) catch(ctx context.Context, fault string, c *delay.Catch, during func(*delay.Catch, delay.Request)) {
	bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
	q, err := c.Wait(bounded)
	cancel()
	if err != nil {
		c.Cancel()
		return
	}
	who := q.TransactionalID()
	r.start(fault, who)
	during(c, q)
	bounded, cancel = context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	resp, err := c.Release(bounded)
	if err != nil {
		c.Drop()
	}
	r.rec.Add(h.Fact{Kind: h.Note, Who: who, Name: fault, Error: fmt.Sprint(answer(resp), " ", err)})
	r.stop(fault, who, err == nil, fmt.Sprint(answer(resp)))
}

// answer is the code that a broker answered with.
func answer(resp kmsg.Response) int16 {
	switch resp := resp.(type) {
	case *kmsg.EndTxnResponse:
		return resp.ErrorCode
	case *kmsg.ProduceResponse:
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				return p.ErrorCode
			}
		}
	case *kmsg.TxnOffsetCommitResponse:
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				return p.ErrorCode
			}
		}
	}
	return -1
}

// move (F17) sends half of the clients, with batches on their way, to another agent than they believe to talk to, while
// the others stay.
func (r *run) move(ctx context.Context) {
	random := r.random("move")
	for pause(ctx, time.Duration(2000+random.IntN(2000))*time.Millisecond) {
		n := len(r.net.addresses)
		from := random.IntN(n)
		who := string(rune('A' + from))
		r.start(moved, who)
		back := r.net.move(from, (from+1+random.IntN(n-1))%n)
		lines := r.net.reset(random)
		pause(ctx, 2*time.Second)
		back()
		r.net.reset(random)
		r.stop(moved, who, lines > 1, "")
	}
}

// disturbed disturbs connections alone, until the context ends.
func (r *run) disturbed(ctx context.Context) {
	var all sync.WaitGroup
	r.network(ctx, &all)
	<-ctx.Done()
	all.Wait()
}
