package semantics

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/metadata/kv"
	"wadi/metadata/kv/faultkv"
	"wadi/objstore"
	"wadi/objstore/fault"
)

// faulty is an agent that has two records to read, none of which it has in a cache.
type faulty struct {
	node   *node
	client *client
	topic  topic
}

// objects are settings that keep everything out of the journal: all bytes go through the store.
var objects = settings{"inline.max.bytes": "0", "flush.puts.per.second": "0"}

func newFaulty(t *testing.T) *faulty {
	c := newCluster(t)
	w := c.start(t, objects)
	writer := dial(t, w)
	to := create(writer, "faulty", 1)
	stored(writer, to, plain("a"), 0)
	stored(writer, to, plain("b"), 1)
	f := &faulty{node: c.start(t, brief(objects)), topic: to}
	f.client = dial(t, f.node)
	return f
}

// etcdAway makes every call of the agent to etcd fail before it has an effect.
func (n *node) etcdAway() {
	for _, op := range []faultkv.Op{faultkv.Txn, faultkv.Range, faultkv.KeepAlive} {
		n.kv.Add(faultkv.Rule{Op: op, Times: -1, Action: faultkv.FailBefore, Err: kv.ErrUnavailable})
	}
}

// all are the faults by name; each stays until the node is cleared.
func (f *faulty) all() map[string]func() {
	get := func(e fault.Effect) func() {
		return func() { f.node.script(fault.Fault{Op: fault.Get, Times: -1, Do: e}) }
	}
	return map[string]func(){
		"store away":     get(fault.FailBefore(nil)),
		"object missing": get(fault.FailBefore(objstore.ErrNotFound)),
		"etcd away":      f.node.etcdAway,
		"both away": func() {
			get(fault.FailBefore(nil))()
			f.node.etcdAway()
		},
	}
}

// Semantics line 28: NOT_LEADER_OR_FOLLOWER says that the batch was not and will not be stored, here as its object could
// not be. The hints of KIP-951 are left out: they need a newer leader epoch than the client has, and ours is always 0.
// Regression R2: nobody whose batch was in the failed flush is told success, and who comes later is not either.
func TestLine28NotLeaderMeansNotStored(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	n := c.start(t, objects)
	admin := dial(t, n)
	to := create(admin, "line28", 1)
	pid := producerID(admin)
	n.script(fault.Fault{Op: fault.Put, Key: ".seg", Times: -1, Do: fault.FailBefore(objstore.ErrDenied)})
	clients := []*client{dial(t, n), dial(t, n), dial(t, n)}
	var ids []int32
	var sent []*kmsg.ProduceRequest
	for i, c := range clients {
		req := produceRequest(plain("lost"), to)
		if i == 0 {
			req = produceRequest(idempotent(pid, 0, 0, "kept"), to)
		}
		req.TimeoutMillis = 30_000
		req.SetVersion(11)
		ids, sent = append(ids, c.send(req)), append(sent, req)
	}
	for i, c := range clients {
		resp := receive[*kmsg.ProduceResponse](c, ids[i], sent[i])
		p := resp.Topics[0].Partitions[0]
		require.Equal(t, []int64{6, -1}, []int64{int64(p.ErrorCode), p.BaseOffset}, text(p.ErrorMessage))
		require.Equal(t, kmsg.NewProduceResponseTopicPartitionCurrentLeader(), p.CurrentLeader)
		require.Empty(t, resp.Brokers)
	}
	n.clear()
	require.Zero(t, end(admin, to))
	require.Equal(t, int16(0), fetch(admin, to, 0).ErrorCode)
	stored(admin, to, idempotent(pid, 0, 0, "kept"), 0)
	stored(admin, to, idempotent(pid, 0, 1, "next"), 1)
	require.Equal(t, []held{{0, "kept"}, {1, "next"}}, everything(admin, to))
}

// Semantics line 29: REQUEST_TIMED_OUT leaves the outcome open: when the append comes late it is known, so that the retry
// gets its offset. Every partition of a request succeeds or fails on its own and stands once in the reply.
func TestLine29TimedOutAppendsAreKnown(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	n := c.start(t, nil)
	client := dial(t, n)
	to := create(client, "line29", 1)
	pid := producerID(client)
	n.kv.Add(faultkv.Rule{Op: faultkv.Txn, Times: -1, Action: faultkv.Delay, Delay: 3 * time.Second})
	req := produceRequest(idempotent(pid, 0, 0, "late"), to)
	req.TimeoutMillis = 100
	p := ask[*kmsg.ProduceResponse](client, 11, req).Topics[0].Partitions[0]
	require.Equal(t, []int64{7, -1}, []int64{int64(p.ErrorCode), p.BaseOffset})
	n.clear()
	stored(client, to, idempotent(pid, 0, 0, "late"), 0)
	require.Equal(t, []held{{0, "late"}}, everything(client, to))

	// Five partitions, each with a fate of its own.
	mixed := create(client, "line29-mixed", 2)
	damaged := plain("damaged")
	damaged[17]++
	req = produceRequest(nil, mixed, topic{name: "line29-none"})
	add := func(topic int, partition int32, batch []byte) {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = partition, batch
		req.Topics[topic].Partitions = append(req.Topics[topic].Partitions, p)
	}
	req.Topics[0].Partitions, req.Topics[1].Partitions = nil, nil
	add(0, 1, plain("good"))
	add(0, 0, damaged)
	add(0, 7, plain("no such partition"))
	add(1, 0, plain("no such topic"))
	resp := ask[*kmsg.ProduceResponse](client, 11, req)
	type fate struct {
		topic     string
		partition int32
		code      int16
		offset    int64
	}
	var got []fate
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			got = append(got, fate{t.Topic, p.Partition, p.ErrorCode, p.BaseOffset})
		}
	}
	require.Equal(t, []fate{
		{"line29-mixed", 1, 0, 0}, {"line29-mixed", 0, 2, -1}, {"line29-mixed", 7, 3, -1}, {"line29-none", 0, 3, -1},
	}, got)
}

// Semantics lines 28, 29: an append whose answer is lost is judged by the journal: the client gets its offset, or an
// error that leaves it open, and the record is there once.
func TestLine29LostAnswers(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	n := c.start(t, nil)
	client := dial(t, n)
	to := create(client, "line29-lost", 1)
	pid := producerID(client)
	for seq := range int32(5) {
		h := n.kv.Add(faultkv.Rule{Op: faultkv.Txn, Action: faultkv.LoseAnswer})
		batch := idempotent(pid, 0, seq, "v")
		p := produce(client, to, batch)
		if p.ErrorCode != 0 {
			require.Contains(t, []int16{7, 20}, p.ErrorCode)
			require.Equal(t, int64(-1), p.BaseOffset)
		}
		require.Positive(t, h.Hits())
		n.clear()
		stored(client, to, batch, int64(seq))
	}
	require.Len(t, everything(client, to), 5)
}

// Semantics line 35: an agent that is merely behind does not call an offset out of range that others have given out; it
// waits until it has caught up, or says something that clients get over.
// Regression R13: neither does it call a topic unknown, or answer an old end.
func TestLine35AgentThatIsBehind(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.start(t, nil), c.start(t, nil)
	ca, cb := dial(t, a), dial(t, b)
	to := create(ca, "line35-behind", 1)
	require.Zero(t, end(cb, to))
	slow := func() {
		b.kv.Add(faultkv.Rule{Op: faultkv.Response, Times: -1, Action: faultkv.Delay, Delay: 300 * time.Millisecond})
	}
	// waits: it has caught up when it answers, unless a busy machine takes longer than it waits; then it is asked again.
	waits := func(ask func() int16) {
		t.Helper()
		for {
			began := time.Now()
			code := ask()
			if code == 0 {
				return
			}
			require.Contains(t, []int16{6, 78}, code)
			require.Greater(t, time.Since(began), time.Second, "it did not wait: error %d", code)
		}
	}
	slow()
	stored(ca, to, plain("x", "y", "z"), 0)
	waits(func() int16 {
		p := fetch(cb, to, 3)
		require.True(t, p.ErrorCode != 0 || p.HighWatermark == 3, "the high watermark is %d", p.HighWatermark)
		return p.ErrorCode
	})
	b.clear()
	slow()
	stored(ca, to, plain("x"), 3)
	waits(func() int16 {
		p := offsetOf(cb, to, -1)
		require.True(t, p.ErrorCode != 0 || p.Offset == 4, "the end is %d", p.Offset)
		return p.ErrorCode
	})
	b.clear()
	slow()
	fresh := create(ca, "line35-fresh", 1)
	waits(func() int16 { return fetch(cb, fresh, 0).ErrorCode })
	waits(func() int16 { return produce(cb, fresh, plain("v")).ErrorCode })
	b.clear()
	// Cut off, one knows nothing of what follows, and says so.
	b = c.start(t, brief(nil))
	cb = dial(t, b)
	eventually(t, "it knows the topic", func() bool { return fetch(cb, to, 4).ErrorCode == 0 })
	b.etcdAway()
	b.kv.Add(faultkv.Rule{Op: faultkv.Response, Times: -1, Action: faultkv.Drop})
	stored(ca, to, plain("x"), 4)
	another := create(ca, "line35-another", 1)
	require.Contains(t, []int16{6, 78}, fetch(cb, to, 5).ErrorCode)
	require.Contains(t, []int16{6, 78}, offsetOf(cb, to, -1).ErrorCode)
	require.Contains(t, []int16{6, 78}, fetch(cb, another, 0).ErrorCode)
	require.Equal(t, int16(6), produce(cb, another, plain("v")).ErrorCode)
	require.Equal(t, int16(5), about(cb, 12, metadataRequest(false, another.name)).ErrorCode)
	b.clear()
	eventually(t, "the agent is back", func() bool { return fetch(cb, to, 5).ErrorCode == 0 })
	eventually(t, "it tells the end", func() bool {
		p := offsetOf(cb, to, -1)
		require.Contains(t, []int64{-1, 5}, p.Offset)
		return p.ErrorCode == 0
	})
}
