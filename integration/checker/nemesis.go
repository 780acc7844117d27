package checker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	h "wadi/integration/history"

	"wadi/integration/checker/halt"
)

// The faults of agents, as they are planned, recorded and counted.
const (
	compacted   = "F25 merges and garbage collection under readers"
	killOne     = "F1 one agent killed"
	killTwo     = "F1 two agents killed"
	killAll     = "F1 all agents killed"
	freeze      = "F2 frozen past its lease"
	stopUpload  = "F3 stopped between upload and commit"
	stopCommit  = "F3 stopped between commit and reply"
	killUpload  = "F4 killed between upload and commit"
	killCommit  = "F4 killed between commit and reply"
	killEnd     = "F4 killed between a transaction's end and the reply"
	coordinator = "F20 coordinator killed before the end of a transaction"
	noEtcd      = "L4 started without etcd"
)

// agentFaults need no transactions.
var agentFaults = []string{killOne, killTwo, killAll, freeze, stopUpload, stopCommit, killUpload, killCommit, noEtcd}

// nemesis disturbs agents, one fault after the other, each with a while to recover from.
type nemesis struct {
	r      *run
	w      *wadi
	random *rand.Rand
	broken bool // an agent did not come back: that is the finding
}

// ready waits until agents serve again.
func (n *nemesis) ready(agents ...*agent) {
	for _, a := range agents {
		cares := func() bool { return n.r.found.Load() == nil }
		if n.broken || a.ready(cares) || !cares() {
			continue
		}
		n.broken = true
		n.r.rec.Add(h.Fact{
			Kind: h.Probe, Value: "L1", Name: "agent " + a.name + " serves again", Outcome: h.Refused, Error: a.run.Output(),
		})
	}
}

// disturb goes through all faults, in an order that the seed gives, again and again until the context ends.
func (n *nemesis) disturb(ctx context.Context) {
	list := append([]string(nil), agentFaults...)
	if n.r.o.Transactions {
		list = append(list, killEnd, coordinator)
	}
	for ctx.Err() == nil {
		n.random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		for _, fault := range list {
			if !pause(ctx, time.Duration(1000+n.random.IntN(1000))*time.Millisecond) || n.broken {
				return
			}
			n.one(ctx, fault)
		}
	}
}

// one starts a fault, sees that it happens, and heals it, also when the context ends meanwhile.
func (n *nemesis) one(ctx context.Context, fault string) {
	agents := append([]*agent(nil), n.w.agents...)
	n.random.Shuffle(len(agents), func(i, j int) { agents[i], agents[j] = agents[j], agents[i] })
	who := agents[0].name
	n.r.rec.Add(h.Fact{Kind: h.Start, Name: fault, Who: who, Broker: who})
	fired := false
	switch fault {
	case killOne:
		fired = n.kill(agents[:1])
	case killTwo:
		fired = n.kill(agents[:2])
	case killAll:
		fired = n.kill(agents)
	case freeze:
		fired = n.freeze(agents[0])
	case stopUpload:
		fired = n.stopAt(agents[0], halt.Uploaded)
	case stopCommit:
		fired = n.stopAt(agents[0], halt.Committed)
	case killUpload:
		fired = n.killAt(agents[0], halt.Uploaded)
	case killCommit:
		fired = n.killAt(agents[0], halt.Committed)
	case killEnd:
		fired = n.killAtAny(agents, halt.Ended)
	case coordinator:
		fired = n.killCoordinator(ctx)
	case noEtcd:
		fired = n.startWithoutEtcd(agents[0])
	}
	f := h.Fact{Kind: h.Stop, Name: fault, Who: who, Broker: who, Outcome: h.Unknown}
	if fired {
		f.Outcome = h.OK
		n.r.happens(fault)
	}
	n.r.rec.Add(f)
}

// kill ends agents, and starts them again after a moment.
func (n *nemesis) kill(agents []*agent) bool {
	gone := true
	for _, a := range agents {
		gone = a.kill() && gone
	}
	time.Sleep(time.Duration(n.random.IntN(1500)) * time.Millisecond)
	n.restart(agents)
	return gone
}

func (n *nemesis) restart(agents []*agent) {
	for _, a := range agents {
		a.start("")
	}
	n.ready(agents...)
}

// frozenFor is longer than a lease lasts.
const frozenFor = ttl + 2*time.Second

func (n *nemesis) freeze(a *agent) bool {
	a.freeze()
	time.Sleep(frozenFor)
	was := a.frozen()
	a.signal(syscall.SIGCONT)
	n.ready(a)
	return was
}

// orders bounds the wait for an agent to meet the point of an order.
const orders = 8 * time.Second

func (n *nemesis) stopAt(a *agent, point string) bool {
	if !a.orderHalt(halt.Stop, point, orders) {
		return false
	}
	time.Sleep(frozenFor)
	was := a.frozen()
	a.signal(syscall.SIGCONT)
	n.ready(a)
	return was
}

func (n *nemesis) killAt(a *agent, point string) bool {
	if !a.orderHalt(halt.Kill, point, orders) {
		return false
	}
	<-a.run.Done()
	n.restart([]*agent{a})
	return true
}

// killAtAny gives the order to one agent after the other: a transaction is ended by its coordinator.
func (n *nemesis) killAtAny(agents []*agent, point string) bool {
	for _, a := range agents {
		if n.killAt(a, point) {
			return true
		}
	}
	return false
}

// killCoordinator kills the coordinator of a transaction that has acknowledged records and is not ended.
func (n *nemesis) killCoordinator(ctx context.Context) bool {
	x, ok := n.r.holds.next(ctx, orders)
	if !ok {
		return false
	}
	defer close(x.on)
	a := n.find(x.id)
	if a == nil {
		return false
	}
	n.r.rec.Add(h.Fact{Kind: h.Note, Who: a.name, Txn: x.txn, Error: "coordinator of this transaction, killed"})
	gone := a.kill()
	n.restart([]*agent{a})
	return gone
}

// find asks for the coordinator of a transactional id.
func (n *nemesis) find(id string) *agent {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for i := range n.w.agents {
		d, err := n.r.direct("finder", i)
		if err != nil {
			n.r.fail(err)
			return nil
		}
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorType, req.CoordinatorKeys = 1, []string{id}
		resp, err := d.do(ctx, req)
		d.close()
		if err != nil {
			continue
		}
		for _, c := range resp.(*kmsg.FindCoordinatorResponse).Coordinators {
			for _, a := range n.w.agents {
				if c.ErrorCode == 0 && a.address == hostPort(c.Host, c.Port) {
					return a
				}
			}
		}
	}
	return nil
}

// startWithoutEtcd (L4): an agent that starts while etcd is down goes on trying and serves when etcd is back.
func (n *nemesis) startWithoutEtcd(a *agent) bool {
	gone := a.kill()
	n.w.etcd.Kill()
	a.start("")
	time.Sleep(2 * time.Second)
	alive := a.alive()
	n.w.etcd.Restart()
	f := h.Fact{Kind: h.Probe, Value: "L4", Name: "start without etcd", Outcome: h.OK}
	if !alive {
		f.Outcome, f.Error = h.Refused, "agent "+a.name+" ended: "+a.run.Output()
	}
	n.r.rec.Add(f)
	if alive {
		n.ready(a)
	}
	return gone
}

// run disturbs agents and the network side by side until the context ends, then waits until every agent is ready.
func (n *nemesis) run(ctx context.Context) {
	var all sync.WaitGroup
	n.r.start(compacted, "bucket")
	all.Go(func() {
		merged, deleted := n.w.watchBucket(ctx, n.r.t, func() { n.r.happens(compacted) })
		n.r.stop(compacted, "bucket", merged && deleted, fmt.Sprintf("merged %v, deleted %v", merged, deleted))
	})
	n.r.network(ctx, &all)
	n.disturb(ctx)
	all.Wait()
	n.ready(n.w.agents...)
}
