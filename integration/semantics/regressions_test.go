package semantics

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/rawbatch"
	"wadi/internal/busy"
	"wadi/metadata/checkpoint"
	"wadi/metadata/kv"
	"wadi/metadata/kv/faultkv"
	"wadi/objstore"
	"wadi/objstore/fault"
)

// Regression R1: an agent whose view is old takes over from one that was stopped, and overwrites nothing: every record
// that either acknowledged is read, at its own offset, in either lane.
func TestR1TakeoverOverwritesNothing(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]settings{"inline": nil, "objects": objects} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			a, b := c.start(t, s), c.start(t, s)
			ca, cb := dial(t, a), dial(t, b)
			to := create(ca, "r1", 1)
			require.Equal(t, int16(0), fetch(cb, to, 0).ErrorCode)
			b.kv.Add(faultkv.Rule{Op: faultkv.Response, Times: -1, Action: faultkv.Delay, Delay: 100 * time.Millisecond})
			var want []held
			write := func(c *client, n int) {
				t.Helper()
				for range n {
					value := fmt.Sprintf("record %d", len(want))
					stored(c, to, plain(value), int64(len(want)))
					want = append(want, held{int64(len(want)), value})
				}
			}
			write(ca, 100)
			require.NoError(t, a.stop())
			write(cb, 3) // its view is behind
			b.clear()
			write(cb, 100)
			require.Equal(t, want, everything(cb, to))
			again := dial(t, c.start(t, s))
			require.Equal(t, want, everything(again, to))
		})
	}
}

// Regression R3: whatever object cannot be stored, or vanishes while being stored, everything acknowledged is there
// after the next start. Checkpoints are what is written beside the records.
func TestR3FailedPutsLeaveNothingUnreadable(t *testing.T) {
	t.Parallel()
	often := checkpoint.Limits{
		JournalBytes: 1, Interval: 10 * time.Millisecond, BaseBytes: 1, KeepRoots: 3, Retry: 10 * time.Millisecond,
		TrimPause: time.Millisecond,
	}
	for _, s := range []settings{nil, objects} {
		c := newCluster(t)
		var to topic
		var want []held
		for nth := 1; nth <= 12; nth++ {
			n := c.startWith(t, setup{settings: s, checkpoints: often})
			client := dial(t, n)
			if nth == 1 {
				to = create(client, "r3", 1)
			}
			require.Equal(t, want, everything(client, to), "start %d", nth)
			effect := fault.FailBefore(nil)
			if nth%2 == 0 {
				effect = fault.FailAfter(nil) // it is stored, and nobody is told
			}
			h := n.script(fault.Fault{Op: fault.Put, Nth: (nth + 1) / 2, Do: effect})
			began := time.Now()
			for i := 0; i < 4 || h.Fired() == 0; i++ {
				value := fmt.Sprintf("start %d, %d", nth, i)
				stored(client, to, plain(value), int64(len(want)))
				want = append(want, held{int64(len(want)), value})
				require.Less(t, time.Since(began), patience, "no put %d", (nth+1)/2)
				if i > 200 { // it takes its time
					time.Sleep(10 * time.Millisecond)
				}
			}
			n.clear()
			client.nc.Close() // a stop gives clients half a second to read what it sent them
			require.NoError(t, n.stop())
		}
		require.Equal(t, want, everything(dial(t, c.start(t, s)), to))
	}
}

// Regression R6: what is acknowledged is durable at that moment: another agent has it although the first is cut off from
// everything at once. A single record is acknowledged without more coming behind it, and what is under way at SIGTERM is
// written and answered, or not acknowledged.
func TestR6AcknowledgedMeansDurable(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]settings{"inline": nil, "objects": objects} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			n := c.start(t, s)
			to := create(dial(t, n), "r6", 1)
			stored(dial(t, n), to, plain("alone"), 0)
			n.etcdAway()
			n.script(fault.Fault{Op: fault.Put, Times: -1, Do: fault.FailBefore(objstore.ErrDenied)})
			other := c.start(t, s)
			require.Equal(t, []held{{0, "alone"}}, everything(dial(t, other), to))
			n.clear()
			eventually(t, "the agent is back", func() bool { return produce(dial(t, n), to, plain("back")).ErrorCode == 0 })

			// Eight clients write while the agent is told to stop.
			var mu sync.Mutex
			acknowledged := map[int64]string{}
			var writers sync.WaitGroup
			for w := range 8 {
				nc, err := net.Dial("tcp", n.addr)
				require.NoError(t, err)
				defer nc.Close()
				writers.Go(func() {
					for i := 0; ; i++ {
						value := fmt.Sprintf("writer %d, %d", w, i)
						offset, ok := tryProduce(nc, to, value)
						if !ok {
							return
						}
						mu.Lock()
						acknowledged[offset] = value
						mu.Unlock()
					}
				})
			}
			eventually(t, "load", func() bool { mu.Lock(); defer mu.Unlock(); return len(acknowledged) > 50 })
			require.NoError(t, n.stop())
			writers.Wait()
			got := map[int64]string{}
			for _, r := range everything(dial(t, other), to) {
				got[r.Offset] = r.Value
			}
			for offset, value := range acknowledged {
				require.Equal(t, value, got[offset], "offset %d was acknowledged", offset)
			}
		})
	}
}

// tryProduce is for connections that may end: ok is false without an acknowledgement.
func tryProduce(nc net.Conn, to topic, value string) (offset int64, ok bool) {
	req := produceRequest(plain(value), to)
	req.SetVersion(11)
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		return 0, false
	}
	var size [4]byte
	if _, err := io.ReadFull(nc, size[:]); err != nil {
		return 0, false
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(nc, b); err != nil {
		return 0, false
	}
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	if err := resp.ReadFrom(b[5:]); err != nil {
		return 0, false
	}
	p := resp.Topics[0].Partitions[0]
	return p.BaseOffset, p.ErrorCode == 0
}

// Regression R7: without etcd or without its bucket an agent waits and says so; it serves nobody from memory. It begins
// by itself when they are there.
func TestR7NothingIsServedWithoutEtcdAndBucket(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for name, break_ := range map[string]func(*node){
		"etcd": (*node).etcdAway,
		"bucket": func(n *node) {
			n.script(fault.Fault{Times: -1, Do: fault.FailBefore(nil)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := c.launch(setup{before: break_})
			require.NoError(t, err)
			defer func() { require.NoError(t, n.stop()) }()
			nc := dial(t, n) // the socket is bound early, so that a port in use is noticed
			nc.send(metadataRequest(true, "r7"))
			nc.nc.SetReadDeadline(timeIn(300))
			_, err = nc.r.Peek(1)
			require.Error(t, err, "an answer from an agent that has no "+name)
			eventually(t, "it says what it waits for", func() bool {
				ready, why := n.agent.Health()
				require.False(t, ready)
				return strings.Contains(why, "waiting")
			})
			n.clear()
			require.NoError(t, n.serves())
			_, b := nc.reply()
			require.NotEmpty(t, b)
		})
	}
}

// Regression R8: a second of errors from the object store fails no more than that second: what waits for a retry is
// stored, and no topic stays shut.
func TestR8ASecondOfStorageErrors(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	n := c.start(t, objects)
	client := dial(t, n)
	topics := []topic{create(client, "r8-a", 1), create(client, "r8-b", 1)}
	h := n.script(fault.Fault{Op: fault.Put, Times: -1, Do: fault.FailBefore(objstore.ErrThrottled)})
	heal := time.AfterFunc(time.Second, h.Disarm)
	defer heal.Stop()
	began, waited := time.Now(), busy.Since()
	var writers sync.WaitGroup
	for _, to := range topics {
		for i := range 3 {
			c := dial(t, n)
			writers.Go(func() {
				req := produceRequest(plain(fmt.Sprint("during ", i)), to)
				req.TimeoutMillis = 30_000
				if p := ask[*kmsg.ProduceResponse](c, 11, req).Topics[0].Partitions[0]; p.ErrorCode != 0 {
					t.Errorf("%s: error %d", to.name, p.ErrorCode)
				}
			})
		}
	}
	writers.Wait()
	took := time.Since(began)
	require.Positive(t, h.Fired())
	require.Less(t, took, 5*time.Second+waited())
	for _, to := range topics {
		began, waited := time.Now(), busy.Since()
		stored(client, to, plain("after"), 3)
		took := time.Since(began)
		require.Less(t, took, time.Second+waited())
		require.Len(t, everything(client, to), 4)
	}
}

// Regression R11: a topic that is deleted and created again is another one, at every agent and after a new start: empty,
// with an id of its own, and without the records or producers of the old one.
func TestR11RecreatedTopicsAreEmpty(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.start(t, nil), c.start(t, objects)
	ca, cb := dial(t, a), dial(t, b)
	pid := producerID(ca)
	ids := map[[16]byte]bool{}
	var here topic
	for life := range 4 {
		here = create(ca, "r11", 1)
		require.False(t, ids[here.id], "life %d has an id of before", life)
		ids[here.id] = true
		for _, c := range []*client{ca, cb} {
			require.Zero(t, end(c, here), "life %d", life)
			require.Empty(t, everything(c, here))
		}
		stored(ca, here, idempotent(pid, 0, 0, fmt.Sprint("life ", life)), 0)
		stored(cb, here, idempotent(pid, 0, 1, fmt.Sprint("life ", life)), 1)
		if life < 3 {
			remove([]*client{ca, cb}[life%2], "r11")
		}
	}
	require.NoError(t, a.stop())
	require.NoError(t, b.stop())
	cc := dial(t, c.start(t, nil))
	require.Equal(t, []held{{0, "life 3"}, {1, "life 3"}}, everything(cc, here))
	require.Equal(t, here.id, about(cc, 12, metadataRequest(false, "r11")).TopicID)
}

// Regression R12: agents that create topics at once lose none, and one that two create at once has one id; exactly one
// creator is told that it made it.
func TestR12ConcurrentCreation(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	nodes := []*node{c.start(t, nil), c.start(t, nil)}
	var creators sync.WaitGroup
	codes := make([][]int16, 2)
	for i, n := range nodes {
		client := dial(t, n)
		creators.Go(func() {
			for round := range 25 {
				own := ask[*kmsg.CreateTopicsResponse](client, 7, createRequest(fmt.Sprintf("r12-%d-%d", i, round), 1))
				if code := own.Topics[0].ErrorCode; code != 0 {
					t.Errorf("own topic: error %d", code)
				}
				both := ask[*kmsg.CreateTopicsResponse](client, 7, createRequest(fmt.Sprintf("r12-both-%d", round), 1))
				codes[i] = append(codes[i], both.Topics[0].ErrorCode)
			}
		})
	}
	creators.Wait()
	ids := map[[16]byte]int{}
	for _, n := range nodes {
		all := metadataRequest(false)
		all.Topics = nil
		// A round that a topic was created at the other agent is enough for this one to have it.
		eventually(t, "all topics", func() bool {
			return len(ask[*kmsg.MetadataResponse](dial(t, n), 12, all).Topics) == 75
		})
		for _, topic := range ask[*kmsg.MetadataResponse](dial(t, n), 12, all).Topics {
			ids[topic.TopicID]++
		}
	}
	require.Len(t, ids, 75, "the agents tell different ids")
	for round := range 25 {
		require.ElementsMatch(t, []int16{0, 36}, []int16{codes[0][round], codes[1][round]}, "round %d", round)
	}
}

// Regressions R15, R18: a handler that fails answers an error. With etcd refusing every write nothing is created,
// deleted, given out or acknowledged, also when the upload before it has succeeded, and nothing of it appears later.
func TestR15FailuresAreErrors(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	n := c.start(t, objects)
	client := dial(t, n)
	to := create(client, "r15", 1)
	stored(client, to, plain("before"), 0)
	for name, action := range map[string]faultkv.Rule{
		"refused": {Action: faultkv.FailBefore, Err: kv.ErrDenied},
		"full":    {Action: faultkv.FailBefore, Err: kv.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			client := dial(t, n)
			action.Op, action.Times = faultkv.Txn, -1
			h := n.kv.Add(action)
			p := produce(client, to, plain("never"))
			require.NotZero(t, p.ErrorCode)
			require.Equal(t, int64(-1), p.BaseOffset)
			made := ask[*kmsg.CreateTopicsResponse](client, 7, createRequest("r15-new", 1))
			require.NotContains(t, []int16{0, 36}, made.Topics[0].ErrorCode)
			gone := kmsg.NewPtrDeleteTopicsRequest()
			gone.TopicNames, gone.TimeoutMillis = []string{"r15"}, 1000
			require.NotContains(t, []int16{0, 3}, ask[*kmsg.DeleteTopicsResponse](client, 5, gone).Topics[0].ErrorCode)
			given := ask[*kmsg.InitProducerIDResponse](client, 4, kmsg.NewPtrInitProducerIDRequest())
			require.NotZero(t, given.ErrorCode)
			require.NotZero(t, about(client, 12, metadataRequest(true, "r15-auto")).ErrorCode)
			require.Positive(t, h.Hits())
			n.clear()
		})
	}
	eventually(t, "writing again", func() bool { return produce(client, to, plain("after")).ErrorCode == 0 })
	all := metadataRequest(false)
	all.Topics = nil
	require.Len(t, ask[*kmsg.MetadataResponse](client, 12, all).Topics, 1)
	require.Equal(t, []held{{0, "before"}, {1, "after"}}, everything(client, to))
}

// Regression R18: when nobody can tell whether etcd took the entry of an uploaded segment, the client is not told that
// it did, nor that it did not; its retry settles it, and the record is there once.
func TestR18UnknownCommitsAreNotAcknowledged(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	n := c.start(t, brief(objects))
	client := dial(t, n)
	to := create(client, "r18", 1)
	pid := producerID(client)
	for seq, rule := range []faultkv.Rule{
		{Action: faultkv.FailBefore, Err: kv.ErrUnavailable}, {Action: faultkv.LoseAnswer}, {Action: faultkv.FailBefore, Err: kv.ErrNoSpace},
		{Action: faultkv.Hang},
	} {
		rule.Op, rule.Times = faultkv.Txn, -1
		if rule.Action == faultkv.Hang {
			rule.Times = 1
		}
		h := n.kv.Add(rule)
		batch := idempotent(pid, 0, int32(seq), fmt.Sprint("record ", seq))
		req := produceRequest(batch, to)
		req.TimeoutMillis = 200
		p := ask[*kmsg.ProduceResponse](client, 11, req).Topics[0].Partitions[0]
		if p.ErrorCode == 0 {
			require.Equal(t, int64(seq), p.BaseOffset)
			require.Equal(t, faultkv.LoseAnswer, rule.Action, "acknowledged without an entry")
		} else {
			require.Contains(t, []int16{6, 7, 20}, p.ErrorCode)
			require.Equal(t, int64(-1), p.BaseOffset)
		}
		require.Positive(t, h.Hits())
		n.clear()
		eventually(t, "the retry is stored", func() bool {
			p := produce(client, to, batch)
			require.True(t, p.ErrorCode != 0 || p.BaseOffset == int64(seq), "sequence %d at %d", seq, p.BaseOffset)
			return p.ErrorCode == 0
		})
	}
	got := everything(client, to)
	require.Len(t, got, 4)
	for i, r := range got {
		require.Equal(t, held{int64(i), fmt.Sprint("record ", i)}, r)
	}
}

// Regression R16: records that are being read are not overwritten by those that come behind them: every reader finds
// every record whole, with its own bytes, while the buffers of requests are used over and over.
func TestR16ReadersSeeNoOthersBytes(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	n := c.start(t, objects)
	to := create(dial(t, n), "r16", 1)
	const writers, rounds = 4, 60
	var writing, reading sync.WaitGroup
	for w := range writers {
		c := dial(t, n)
		writing.Go(func() {
			for i := range rounds {
				value := make([]byte, 3000+100*w)
				for at := range value {
					value[at] = byte('a' + (w*rounds+i)%26)
				}
				if p := produce(c, to, plain(string(value))); p.ErrorCode != 0 {
					t.Errorf("error %d", p.ErrorCode)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	for range 2 {
		c := dial(t, n)
		reading.Go(func() {
			for offset, rounds := int64(0), 0; ; rounds++ {
				p := fetch(c, to, offset)
				if p.ErrorCode != 0 {
					t.Errorf("error %d", p.ErrorCode)
					return
				}
				for _, r := range records(t, p.RecordBatches) {
					for _, b := range []byte(r.Value) {
						if b != r.Value[0] {
							t.Errorf("offset %d holds bytes of two records", r.Offset)
							return
						}
					}
					offset = r.Offset + 1
				}
				select {
				case <-done:
					if offset == p.HighWatermark {
						return
					}
				default:
					if rounds%5 == 4 {
						offset = 0
					}
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	require.Equal(t, int64(writers*rounds), end(dial(t, n), to))
}

// Regression R16: a request's buffer is not used again while its records are on their way, although the client had its
// answer long before: it timed out.
func TestR16TimedOutBytesAreKept(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]settings{"inline": nil, "objects": objects} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			n := c.start(t, s)
			client := dial(t, n)
			to := create(client, "r16-late", 1)
			n.script(fault.Fault{Op: fault.Put, Times: -1, Do: fault.Delay(100*time.Millisecond, nil)})
			n.kv.Add(faultkv.Rule{Op: faultkv.Txn, Times: -1, Action: faultkv.Delay, Delay: 50 * time.Millisecond})
			const rounds = 26
			for i := range rounds {
				value := make([]byte, 5000)
				for at := range value {
					value[at] = byte('a' + i)
				}
				req := produceRequest(plain(string(value)), to)
				req.TimeoutMillis = 5
				p := ask[*kmsg.ProduceResponse](client, 11, req).Topics[0].Partitions[0]
				require.Contains(t, []int16{0, 7}, p.ErrorCode)
			}
			n.clear()
			eventually(t, "everything lands", func() bool { return end(client, to) == rounds })
			for i, r := range everything(client, to) {
				for _, b := range []byte(r.Value) {
					require.Equal(t, byte('a'+i), b, "offset %d holds bytes of another record", r.Offset)
				}
			}
		})
	}
}

// Regression R16: neither a length prefix of 2 GiB nor a count of 2 billion inside a small request costs memory.
func TestR16LengthsCostNoMemory(t *testing.T) {
	n := shared(t)
	c := dial(t, n)
	to := create(c, "r16-lengths", 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 20 {
		for _, key := range []int16{0, 1, 3, 18} {
			for _, size := range []uint32{1<<31 - 1, 1 << 31, 1<<32 - 1} {
				c := dial(t, n)
				b := binary.BigEndian.AppendUint32(nil, size)
				b = binary.BigEndian.AppendUint16(b, uint16(key))
				c.write(append(b, 0, 3, 0, 0, 0, 1))
				c.closed()
			}
			many := dial(t, n)
			many.write(frame(key, 4, 1, nil, []byte{0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff}))
			if key != 18 {
				many.closed()
			}
		}
		lies := batchOf(func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = 1<<31-1, 1<<31-2 }, rawbatch.Values("v")...)
		require.Equal(t, int16(87), produce(c, to, lies).ErrorCode)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(128<<20), "240 prefixes of 2 GiB")
}

// Regression R16: SIGTERM waits for no client, neither an idle one nor one that polls for an hour.
func TestR16StopWaitsForNoClient(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	n := c.start(t, nil)
	idle, polling := dial(t, n), dial(t, n)
	to := create(idle, "r16-stop", 1)
	req := fetchRequest(0, to)
	req.MaxWaitMillis = 3600_000
	req.SetVersion(12)
	polling.alive()
	polling.send(req)
	idle.alive()
	began, waited := time.Now(), busy.Since()
	require.NoError(t, n.stop())
	took := time.Since(began)
	require.Less(t, took, 3*time.Second+waited())
	// An answer comes when the agent had read the request before it was told to stop.
	require.NoError(t, polling.nc.SetReadDeadline(time.Now().Add(patience)))
	_, err := io.ReadAll(polling.r)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection is still open")
	idle.closed()
}

// Regression R17: agents with the same configuration are two, each with a node id and a session of its own; when one
// goes, the other serves on.
func TestR17EqualConfigurationsAreTwoAgents(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	same := settings{"zone": "a"}
	a, b := c.start(t, same), c.start(t, same)
	brokers := func(n *node) map[int32]int32 {
		ports := map[int32]int32{}
		for _, x := range ask[*kmsg.MetadataResponse](dial(t, n), 12, metadataRequest(false)).Brokers {
			ports[x.NodeID] = x.Port
		}
		return ports
	}
	eventually(t, "two brokers", func() bool { return len(brokers(a)) == 2 && len(brokers(b)) == 2 })
	require.Equal(t, brokers(a), brokers(b))
	to := create(dial(t, a), "r17", 1)
	cb := dial(t, b)
	require.NoError(t, a.stop())
	for i := range int64(20) {
		stored(cb, to, plain("v"), i)
	}
	require.Len(t, brokers(b), 1)
	require.Len(t, everything(cb, to), 20)
}
