package api

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// cluster is a real State behind the interfaces of deps.go, in memory. Entries are applied as they are proposed.
type cluster struct {
	t    *testing.T
	addr string
	stop func() // begins the server's drain

	mu         sync.Mutex
	st         *state.State
	seq        uint64
	position   int64
	bytes      map[int64][]byte // inline bytes by position
	lagging    []func()         // what another agent proposed and this view has not applied: a barrier does
	barrierErr error
	proposeErr error
	before     func()        // runs once before the next proposal, under mu
	changed    chan struct{} // closed and replaced at every entry
	standing   map[*standing]bool
	brokers    []Broker
	self       int32
	produced   []*ProduceCall
	fetched    []*FetchCall
	elsewhere  map[string]bool // groups and transactional ids that another agent coordinates
}

const ownSession = 7

func newCluster(t *testing.T) *cluster {
	return newClusterWith(t, Config{AutoCreate: true, DefaultPartitions: 2})
}

func newClusterWith(t *testing.T, cfg Config) *cluster {
	t.Helper()
	c := &cluster{t: t, st: state.New(), bytes: map[int64][]byte{}, changed: make(chan struct{}), standing: map[*standing]bool{}}
	c.apply(nil, &pb.Command{Kind: &pb.Command_InitCluster{InitCluster: &pb.InitCluster{ClusterId: "cluster-1", Incarnation: 1, FeatureLevel: 1}}},
		&pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}})
	table, err := New(Deps{
		View: c, Members: c, Proposer: c, Ingest: c, Log: c, Groups: clusterGroups{c: c}, Txns: newClusterTxns(c), Config: cfg,
	}).Table()
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c.addr = ln.Addr().String()
	tcp := ln.Addr().(*net.TCPAddr)
	c.brokers = []Broker{{NodeID: 0, Host: tcp.IP.String(), Port: int32(tcp.Port), Rack: "a"}}
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	done := make(chan error, 1)
	go func() { done <- server.New(server.Config{}, table).Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return c
}

func (c *cluster) apply(inline []byte, commands ...*pb.Command) []state.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.applyLocked(inline, commands...)
}

func (c *cluster) applyLocked(inline []byte, commands ...*pb.Command) []state.Result {
	c.seq++
	c.position++
	c.bytes[c.position] = inline
	r := c.st.Apply(state.Entry{Position: c.position, Session: ownSession, Seq: c.seq,
		Body: &pb.Entry{AtMs: time.Now().UnixMilli(), Commands: commands, Inline: inline}})
	require.Equal(c.t, state.OK, r.Refused)
	close(c.changed)
	c.changed = make(chan struct{})
	for s := range c.standing {
		s.touchAll()
	}
	out := append([]state.Result(nil), r.Commands...)
	for i := range out {
		out[i].Batches = append([]state.BatchResult(nil), out[i].Batches...)
	}
	return out
}

func (c *cluster) Read(fn func(*state.State)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn(c.st)
}

func (c *cluster) Barrier(ctx context.Context) error {
	c.mu.Lock()
	if err := c.barrierErr; err != nil {
		c.mu.Unlock()
		return err
	}
	todo := c.lagging
	c.lagging = nil
	c.mu.Unlock()
	for _, f := range todo {
		f()
	}
	return ctx.Err()
}

func (c *cluster) Brokers(int) []Broker {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.brokers
}

func (c *cluster) Self() (int32, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.self, len(c.brokers) > 0
}

// set changes how the cluster behaves.
func (c *cluster) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *cluster) Propose(_ context.Context, commands []*pb.Command) []Outcome {
	out := make([]Outcome, len(commands))
	c.mu.Lock()
	failure := c.proposeErr
	if c.before != nil {
		c.before()
	}
	c.mu.Unlock()
	if failure != nil {
		for i := range out {
			out[i].Err = failure
		}
		return out
	}
	for i, r := range c.apply(nil, commands...) {
		out[i].Result = r
	}
	return out
}

// Produce commits each part in an entry of its own.
// membership is the column of AppendBatches that says how a batch belongs to a transaction.
func membership(b batch.Batch, call *ProduceCall) uint32 {
	switch {
	case !b.Transactional() || b.ProducerID() < 0:
		return 0
	case call.JoinsTxn:
		return 2
	}
	return 1
}

func (c *cluster) Produce(_ context.Context, call *ProduceCall) {
	c.mu.Lock()
	c.produced = append(c.produced, call)
	for i := range call.Parts {
		p := &call.Parts[i]
		b, err := batch.Validate(p.Records, batch.Rules{MaxBytes: p.Config.MaxMessageBytes, AllowZstd: call.AllowZstd, RequireKeys: p.Config.Compact})
		if err != nil {
			p.Err = err
			continue
		}
		now := time.Now().UnixMilli()
		if p.Config.LogAppendTime {
			b.SetLogAppendTime(now)
			p.AppendTime = now
		}
		stored := append([]byte(nil), b...)
		res := c.applyLocked(stored, &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: &pb.AppendBatches{
			Topics: []uint64{p.Topic}, Partitions: []uint32{uint32(p.Partition)}, Offsets: []uint64{0}, Runs: []uint32{1},
			ProducerIds: []int64{b.ProducerID()}, ProducerEpochs: []int32{int32(b.ProducerEpoch())}, Sequences: []int32{b.BaseSequence()},
			Batches: []uint32{1}, Records: []uint32{uint32(b.NumRecords())}, Bytes: []uint32{uint32(len(b))}, MaxTimestamps: []int64{0},
			Transactional: []uint32{membership(b, call)},
		}}})
		r := res[0]
		if r.Code == state.OK {
			r.Code, p.BaseOffset, p.LogStart = r.Batches[0].Code, r.Batches[0].Base, 0
		}
		if r.Code != state.OK && r.Code != state.Duplicate {
			p.Err = &Refused{r.Code}
		}
	}
	c.mu.Unlock()
	go call.Done()
}

// Fetch looks, and looks again at every entry until there is enough.
func (c *cluster) Fetch(ctx context.Context, call *FetchCall) {
	c.mu.Lock()
	c.fetched = append(c.fetched, call)
	c.mu.Unlock()
	go func() {
		defer call.Done()
		timer := time.NewTimer(call.MaxWait)
		for {
			failed := false
			if call.Session != nil {
				var wait bool
				call.Parts, wait = call.Session.Parts(false)
				failed = !wait
			}
			c.mu.Lock()
			size, unreadable := c.look(call)
			failed = failed || unreadable
			changed := c.changed
			c.mu.Unlock()
			if failed || size >= call.MinBytes {
				return
			}
			select {
			case <-changed:
			case <-timer.C:
				return
			case <-call.Drain.Done():
				return
			case <-ctx.Done():
				return
			}
		}
	}()
}

func (c *cluster) look(call *FetchCall) (size int, failed bool) {
	for i := range call.Parts {
		p := &call.Parts[i]
		t := c.st.TopicByNumber(p.Topic)
		if t == nil {
			p.Err, failed = ErrUnknownTopic, true
			continue
		}
		part := t.Partition(p.Partition)
		p.HighWatermark, p.LastStable, p.LogStart, p.Records = part.Next, part.LSO(), part.LogStart, nil
		if p.Offset > part.Next || p.Offset < part.LogStart {
			p.Err, failed = ErrOffsetOutOfRange, true
			continue
		}
		if p.Offset == part.Next {
			continue
		}
		for _, r := range part.RunsFrom(p.Offset, 100, 1<<20, nil) {
			b := append([]byte(nil), c.bytes[int64(r.Place)][r.Offset:r.Offset+r.Length]...)
			batch.Batch(b).SetBaseOffset(r.Base)
			p.Records = append(p.Records, b)
			size += len(b)
		}
	}
	return size, failed
}

func (c *cluster) TimeOffset(_ context.Context, topic uint64, partition int32, ms, limit int64) (int64, int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.st.TopicByNumber(topic).Partition(partition).RunAtTime(ms)
	if !ok || r.Base >= limit {
		return -1, -1, nil
	}
	return r.Base, r.MaxTimestamp, nil
}

func (c *cluster) MaxTime(context.Context, uint64, int32, bool) (int64, int64, error) {
	return -1, -1, nil
}

// topic creates a topic behind the handlers' back.
func (c *cluster) topic(name string, partitions uint32, configs ...*pb.Config) {
	c.t.Helper()
	r := c.apply(nil, &pb.Command{Base: c.position, Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: name, Partitions: partitions, Configs: configs}}})
	require.Equal(c.t, state.OK, r[0].Code)
}

func (c *cluster) id(name string) (id [16]byte) {
	c.Read(func(s *state.State) { id = s.Topic(name).ID })
	return id
}

// client is a raw client that asks one thing at a time.
type client struct {
	t  *testing.T
	nc net.Conn
	n  int32
}

func (c *cluster) dial() *client {
	c.t.Helper()
	nc, err := net.Dial("tcp", c.addr)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { nc.Close() })
	require.NoError(c.t, nc.SetDeadline(time.Now().Add(4*time.Minute)))
	return &client{t: c.t, nc: nc}
}

func (c *client) send(req kmsg.Request) {
	c.t.Helper()
	c.n++
	_, err := c.nc.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, c.n))
	require.NoError(c.t, err)
}

func (c *client) ask(req kmsg.Request) kmsg.Response {
	c.t.Helper()
	c.send(req)
	var head [8]byte
	_, err := io.ReadFull(c.nc, head[:])
	require.NoError(c.t, err)
	require.Equal(c.t, c.n, int32(binary.BigEndian.Uint32(head[4:])))
	b := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	_, err = io.ReadFull(c.nc, b)
	require.NoError(c.t, err)
	resp := req.ResponseKind()
	if resp.IsFlexible() && resp.Key() != keyApiVersions {
		b = b[1:]
	}
	require.NoError(c.t, resp.ReadFrom(b))
	return resp
}
