package server_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/api"
	"wadi/agent/server"
	"wadi/agent/server/wire"
)

// Semantics line 8: replies in request order, though the handlers finish in reverse.
func TestRepliesKeepRequestOrder(t *testing.T) {
	const n = 50
	var mu sync.Mutex
	var held []*server.Request
	r := start(t, server.Config{}, map[int16]server.API{3: {Handle: func(_ context.Context, req *server.Request) {
		mu.Lock()
		defer mu.Unlock()
		if held = append(held, req); len(held) < n {
			return
		}
		for i := n - 1; i >= 0; i-- {
			echo(context.Background(), held[i])
		}
	}}})
	c := r.dial()
	for i := range int32(n) {
		c.send(100+i, metadata(int16(i%13)))
	}
	for i := range int32(n) {
		id, _ := c.receiveInto(metadata(int16(i % 13)))
		require.Equal(t, 100+i, id)
	}
}

// Semantics line 8: acks=0 has no reply and holds nothing up; its failure closes the connection.
func TestAcksZero(t *testing.T) {
	r := start(t, server.Config{}, map[int16]server.API{
		0: {Produce: true, Handle: func(ctx context.Context, req *server.Request) {
			switch body := req.Body.(*kmsg.ProduceRequest); {
			case body.TimeoutMillis == 666:
				req.Close(errors.New("failed with acks=0"))
			case body.Acks == 0:
				req.Reply(nil)
			default:
				echo(ctx, req)
			}
		}},
		3: {Handle: echo},
	})
	c := r.dial()
	c.send(1, produce(0), produce(0), metadata(9), produce(1), produce(0), metadata(1))
	for _, want := range []struct {
		id  int32
		req kmsg.Request
	}{{3, metadata(9)}, {4, produce(1)}, {6, metadata(1)}} {
		id, _ := c.receiveInto(want.req)
		require.Equal(t, want.id, id)
	}
	bad := produce(0)
	bad.TimeoutMillis = 666
	c.send(7, metadata(1), bad, metadata(1))
	id, _ := c.receiveInto(metadata(1))
	require.Equal(t, int32(7), id, "what came before the failure is answered")
	c.closed()
}

// A fetch that waits delays no other connection, and only one Serial request is started per connection.
func TestSlowFetchBlocksNoOtherConnection(t *testing.T) {
	var started atomic.Int32
	release := make(chan struct{})
	r := start(t, server.Config{}, map[int16]server.API{
		1: {Serial: true, Handle: func(ctx context.Context, req *server.Request) {
			started.Add(1)
			go func() { <-release; echo(ctx, req) }()
		}},
		3: {Handle: echo},
	})
	fetch := kmsg.NewPtrFetchRequest()
	fetch.SetVersion(12)
	slow, quick := r.dial(), r.dial()
	slow.send(1, fetch, fetch)
	quick.send(9, metadata(1))
	id, _ := quick.receiveInto(metadata(1))
	require.Equal(t, int32(9), id)
	require.LessOrEqual(t, started.Load(), int32(1))
	close(release)
	for want := int32(1); want <= 2; want++ {
		id, _ := slow.receiveInto(fetch)
		require.Equal(t, want, id)
	}
}

// Semantics lines 1, 2: a version above ours gets version 0 with error 35 and our range, and the connection lives.
func TestApiVersionsAboveOurs(t *testing.T) {
	r := startReal(t)
	c := r.dial()
	for _, version := range []int16{5, 99, 32767} {
		// Nobody knows this body: it must not be looked at.
		frame := binary.BigEndian.AppendUint16(nil, 18)
		frame = binary.BigEndian.AppendUint16(frame, uint16(version))
		frame = append(frame, 0, 0, 0, 7, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0x0f)
		c.write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
		id, b := c.receive()
		require.Equal(t, int32(7), id)
		resp := kmsg.NewPtrApiVersionsResponse()
		require.NoError(t, resp.ReadFrom(b))
		require.Equal(t, int16(35), resp.ErrorCode)
		require.Len(t, resp.ApiKeys, 1)
		require.Equal(t, int16(18), resp.ApiKeys[0].ApiKey)
		require.Equal(t, int16(4), resp.ApiKeys[0].MaxVersion)
	}
	req := kmsg.NewPtrApiVersionsRequest()
	req.SetVersion(3)
	req.ClientSoftwareName, req.ClientSoftwareVersion = "raw", "1.0"
	c.send(8, req)
	_, resp := c.receiveInto(req)
	require.Zero(t, resp.(*kmsg.ApiVersionsResponse).ErrorCode)
	require.Len(t, resp.(*kmsg.ApiVersionsResponse).ApiKeys, len(api.Versions))
}

// Semantics line 6: no reply exists for an unsupported version or an unknown key, so the connection is closed. Semantics line 5:
// Produce below 3 is advertised and refused.
func TestUnsupportedCloses(t *testing.T) {
	r := start(t, server.Config{}, map[int16]server.API{0: {Produce: true, Handle: echo}, 3: {Handle: echo}})
	for _, head := range [][2]uint16{{3, 14}, {0, 2}, {0, 14}, {77, 0}, {65535, 0}, {1024, 1}} {
		t.Run(fmt.Sprint(head), func(t *testing.T) {
			c := r.dial()
			c.send(1, metadata(1))
			c.receiveInto(metadata(1))
			b := binary.BigEndian.AppendUint16([]byte{0, 0, 0, 30}, head[0])
			b = binary.BigEndian.AppendUint16(b, head[1])
			c.write(append(b, make([]byte, 26)...))
			c.closed()
		})
	}
}

// Regression R16: a length prefix costs no memory and ends the connection, a long body costs what has arrived of it.
func TestLengthPrefixCostsNoMemory(t *testing.T) {
	budget := server.NewMemoryBudget(4 << 30)
	r := start(t, server.Config{Produce: budget}, map[int16]server.API{0: {Produce: true, Handle: echo}, 3: {Handle: echo}})
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.TotalAlloc
	}
	before := heap()
	for _, prefix := range []uint32{1<<31 - 1, 1 << 31, 1<<32 - 1, 0, 7, 100<<20 + 1} {
		c := r.dial()
		c.write(append(binary.BigEndian.AppendUint32(nil, prefix), 0, 0, 0, 9))
		c.closed()
	}
	for range 20 {
		c := r.dial() // 100 MiB are announced, 100 bytes come.
		c.write(append([]byte{6, 64, 0, 0, 0, 0, 0, 9}, make([]byte, 100)...))
		defer c.nc.Close()
	}
	require.Eventually(t, func() bool { return budget.Used() >= 20*100<<20 }, time.Minute, time.Millisecond)
	require.Less(t, heap()-before, uint64(8<<20))
}

// Past the produce budget only connections whose next frame is a Produce wait (design, section 5, step 1).
func TestBudgetPausesProduceOnly(t *testing.T) {
	budget := server.NewMemoryBudget(100)
	var mu sync.Mutex
	var kept []*server.Frame
	r := start(t, server.Config{Produce: budget}, map[int16]server.API{
		0: {Produce: true, Handle: func(ctx context.Context, req *server.Request) {
			req.Frame.Retain()
			mu.Lock()
			kept = append(kept, req.Frame)
			mu.Unlock()
			echo(ctx, req)
		}},
		3: {Handle: echo},
	})
	first, second, third := r.dial(), r.dial(), r.dial()
	big := produce(1)
	big.Topics[0].Partitions[0].Records = make([]byte, 500) // More than the budget: passes when alone.
	first.send(1, big)
	first.receiveInto(big)
	require.Equal(t, int64(100), budget.Used())
	second.send(2, produce(1))
	third.send(3, metadata(4))
	third.receiveInto(metadata(4))
	first.send(4, metadata(5))
	first.receiveInto(metadata(5))
	mu.Lock()
	require.Len(t, kept, 1)
	kept[0].Release()
	mu.Unlock()
	second.receiveInto(produce(1))
	mu.Lock()
	defer mu.Unlock()
	kept[1].Release()
	require.Zero(t, budget.Used())
}

// An agent has two goroutines per connection, however many requests wait on it.
func TestGoroutinesFollowConnections(t *testing.T) {
	const conns, waiting = 40, 20
	got := make(chan *server.Request, conns*waiting)
	r := start(t, server.Config{}, map[int16]server.API{3: {Handle: func(_ context.Context, req *server.Request) { got <- req }}})
	before := runtime.NumGoroutine()
	for range conns {
		c := r.dial()
		for i := range int32(waiting) {
			c.send(i, metadata(1))
		}
	}
	var held []*server.Request
	for range conns * waiting {
		held = append(held, <-got)
	}
	require.LessOrEqual(t, runtime.NumGoroutine()-before, 2*conns+4)
	for _, req := range held {
		echo(context.Background(), req)
	}
}

// A panic costs one connection.
func TestPanicClosesOneConnection(t *testing.T) {
	var panics atomic.Int32
	observe := server.Observe{Panic: func(string) { panics.Add(1) }}
	r := start(t, server.Config{Observe: observe}, map[int16]server.API{
		3:  {Handle: echo},
		10: {Handle: func(context.Context, *server.Request) { panic("inline") }},
		32: {Spawn: true, Handle: func(context.Context, *server.Request) { panic("spawned") }},
		22: {Handle: func(_ context.Context, req *server.Request) { req.ReplyEncoded(badEncoder{}) }},
	})
	other := r.dial()
	for i, req := range []kmsg.Request{kmsg.NewPtrFindCoordinatorRequest(), kmsg.NewPtrDescribeConfigsRequest(), kmsg.NewPtrInitProducerIDRequest()} {
		req.SetVersion(2)
		c := r.dial()
		c.send(1, req)
		c.closed()
		require.Equal(t, int32(i+1), panics.Load())
	}
	other.send(2, metadata(1))
	other.receiveInto(metadata(1))
}

type badEncoder struct{}

func (badEncoder) EncodeTo(*wire.Writer) { panic("encode") }
func (badEncoder) IsFlexible() bool      { return false }
func (badEncoder) Release()              {}

// Malformed bodies close the connection, and an amplifying one is refused before anything is decoded.
func TestMalformedBodyCloses(t *testing.T) {
	r := start(t, server.Config{}, map[int16]server.API{3: {Handle: echo}})
	header := []byte{0, 3, 0, 12, 0, 0, 0, 1, 0xff, 0xff, 0}
	for _, body := range [][]byte{
		{},
		{0xff, 0xff, 0xff, 0xff, 0x0f},          // four billion topics
		{1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}, // four billion tagged fields
	} {
		c := r.dial()
		frame := append(append([]byte(nil), header...), body...)
		c.write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
		c.closed()
	}
}

// Semantics line 94 and Regression R16: a stop answers what is in flight and never waits for clients to leave.
func TestDrainAnswersWhatIsInFlight(t *testing.T) {
	got := make(chan *server.Request, 1)
	r := start(t, server.Config{}, map[int16]server.API{3: {Handle: func(_ context.Context, req *server.Request) { got <- req }}})
	idle, busy := r.dial(), r.dial()
	busy.send(5, metadata(1))
	req := <-got
	done := make(chan error, 1)
	go func() { done <- r.wait() }()
	<-req.Conn.Drain().Done()
	idle.closed()
	_, err := net.DialTimeout("tcp", r.addr, time.Second)
	require.Error(t, err, "the listener is closed first")
	echo(context.Background(), req)
	id, _ := busy.receiveInto(metadata(1))
	require.Equal(t, int32(5), id)
	require.NoError(t, <-done)
}

// A handler that never answers holds a stop up for DrainTimeout and no longer.
func TestDrainIsBounded(t *testing.T) {
	got := make(chan *server.Request, 1)
	cfg := server.Config{DrainTimeout: 20 * time.Millisecond}
	r := start(t, cfg, map[int16]server.API{3: {Handle: func(_ context.Context, req *server.Request) { got <- req }}})
	c := r.dial()
	c.send(5, metadata(1))
	req := <-got
	require.NoError(t, r.wait())
	c.closed()
	echo(context.Background(), req) // Late: must harm nothing.
}

func startReal(t testing.TB) *running {
	return start(t, server.Config{}, map[int16]server.API{18: {Handle: api.ApiVersionsHandler}, 3: {Handle: echo}})
}
