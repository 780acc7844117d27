package semantics

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/metadata/kv/faultkv"
)

// act is one request of a transactional producer.
type act struct {
	kind      string
	version   int16
	commit    bool
	behind    int16 // subtracted from the epoch
	partition int32
}

// acts are a producer's requests, most of which make sense, of either version of the protocol or of both mixed.
func acts(r *rand.Rand) (list []act) {
	style := r.IntN(3)
	for range 6 + r.IntN(20) {
		a := act{partition: int32(r.IntN(2)), commit: r.IntN(2) == 0}
		if r.IntN(8) == 0 {
			a.behind = int16(r.IntN(4)) - 1
		}
		tv2 := style == 2 || style == 1 && r.IntN(2) == 0
		pick := func(kind string, tv1Version, tv2Version int16) {
			if a.kind, a.version = kind, tv1Version; tv2 {
				a.version = tv2Version
			}
		}
		switch k := r.IntN(16); {
		case k == 0:
			a.kind = "init"
		case k == 1:
			a.kind = "resume"
		case k < 8:
			if pick("write", 11, 12); !tv2 && r.IntN(4) > 0 {
				list = append(list, act{kind: "register", partition: a.partition})
			}
		case k < 11:
			if pick("move", 4, 5); !tv2 && r.IntN(4) > 0 {
				list = append(list, act{kind: "group"})
			}
		default:
			pick("end", 4, 5)
		}
		list = append(list, a)
	}
	return list
}

// actor is where a producer acts: at one agent, or at several, each request at the agent that clients would send it to,
// and writes at any.
type actor struct {
	nodes           []*node
	clients         []*client
	txnAt, offsetAt int
	x               *transactor
	to              topic
	next            map[string]int32 // sequences by producer id, epoch and partition
	made            int64
}

func newActor(t *testing.T, id string, nodes ...*node) *actor {
	t.Helper()
	p := &actor{nodes: nodes, next: map[string]int32{}}
	home := coordinator(t, id, nodes...)
	p.x = transactorOf(t, home, 1, id)
	p.to = create(p.x.client, id, 2)
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKeys = []string{id}
	group := ask[*kmsg.FindCoordinatorResponse](p.x.client, 4, req).Coordinators[0]
	for i, n := range nodes {
		p.clients = append(p.clients, dial(t, n))
		if n == home {
			p.txnAt = i
		}
		if n.addr == net.JoinHostPort(group.Host, strconv.Itoa(int(group.Port))) {
			p.offsetAt = i
		}
	}
	return p
}

// perform sends a request, again after what clients ask again after, and returns the codes and epochs of its answer.
func (p *actor) perform(a act, at int) string {
	p.made++
	for limit := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		codes := p.send(a, at)
		if !slices.Contains([]string{"6", "15", "16"}, strings.Fields(codes)[0]) || time.Now().After(limit) {
			return codes
		}
	}
}

func (p *actor) send(a act, at int) string {
	x := *p.x
	x.client, x.epoch = p.clients[p.txnAt], x.epoch-a.behind
	became := func(code int16, pid int64, epoch int16) string {
		if code == 0 {
			p.x.pid, p.x.epoch = pid, epoch
		}
		return fmt.Sprint(code, " epoch ", epoch)
	}
	switch a.kind {
	case "init":
		r := initProducer(x.client, 5, initRequest(x.id, x.timeout, -1, -1))
		return became(r.ErrorCode, r.ProducerID, r.ProducerEpoch)
	case "resume":
		r := initProducer(x.client, 5, initRequest(x.id, x.timeout, x.pid, max(0, x.epoch)))
		return became(r.ErrorCode, r.ProducerID, r.ProducerEpoch)
	case "register":
		return fmt.Sprint(x.register(p.to, a.partition)[0])
	case "group":
		return fmt.Sprint(x.addGroup(3, x.id))
	case "move":
		x.client = p.clients[p.offsetAt]
		return fmt.Sprint(commitOffset(&x, a.version, x.offsetRequest(x.id, p.to, a.partition, p.made)))
	case "end":
		r := ended(&x, a.version, x.endRequest(a.commit))
		if a.version < 5 {
			return fmt.Sprint(r.ErrorCode)
		}
		return became(r.ErrorCode, r.ProducerID, r.ProducerEpoch)
	default:
		x.client, x.epoch = p.clients[at%len(p.clients)], max(0, x.epoch)
		key := fmt.Sprint(x.pid, x.epoch, a.partition)
		got := x.writeBatch(a.version, p.to, a.partition, transactional(x.pid, x.epoch, p.next[key], fmt.Sprint(p.made)))
		if got.ErrorCode == 0 {
			p.next[key]++
		}
		return fmt.Sprint(got.ErrorCode, " at ", got.BaseOffset)
	}
}

// left is what readers of committed records and the group find.
func (p *actor) left() string {
	c := p.clients[0]
	end(c, p.to) // a barrier
	text := ""
	for partition := range int32(2) {
		position := committed(p.clients[p.offsetAt], p.x.id, p.to, partition)
		text += fmt.Sprintln(partition, committedValues(c, p.to, partition), position.Offset)
	}
	return text
}

// Three agents, of which two hear of everything late, answer a producer as one alone does, and leave the same behind:
// whichever of them it writes to, registrations, ends and epochs that it was told of count everywhere. (Semantics lines 70
// to 78, 83, in any order.)
func TestTransactionsOfAgentsThatLag(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	alone, c := newCluster(t).start(t, nil), newCluster(t)
	several := []*node{c.start(t, nil), c.start(t, nil), c.start(t, nil)}
	coordinator(t, "anybody", several...)
	for i, n := range several {
		n.kv.Add(faultkv.Rule{Op: faultkv.Response, Times: -1, Action: faultkv.Delay, Delay: time.Duration(5*i) * time.Millisecond})
	}
	for round := range uint64(15) {
		r := rand.New(rand.NewPCG(seed, round))
		id := fmt.Sprint("lag-", round)
		one, three := newActor(t, id, alone), newActor(t, id, several...)
		var told []string
		for _, a := range append(acts(r), act{kind: "init"}) {
			at := r.IntN(3)
			want, got := one.perform(a, at), three.perform(a, at)
			told = append(told, fmt.Sprintf("%+v: %s", a, want))
			require.Equal(t, want, got, "round %d: %s", round, strings.Join(told, "\n"))
		}
		require.Equal(t, one.left(), three.left(), "round %d: %s", round, strings.Join(told, "\n"))
	}
}
