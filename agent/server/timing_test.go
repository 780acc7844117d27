package server

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server/wire"
)

// pipes is a listener of in-memory connections, so that time can be virtual.
type pipes struct {
	ch   chan net.Conn
	once sync.Once
	done chan struct{}
}

func newPipes() *pipes { return &pipes{ch: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.ch:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }
func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.ch <- theirs
	return ours
}

// served runs fn against a server in a bubble of virtual time. handle serves Metadata.
func served(t *testing.T, cfg Config, handle Handler, fn func(p *pipes, stop func())) {
	synctest.Test(t, func(t *testing.T) {
		tab, err := NewTable([]API{{
			Key: 3, Name: "Metadata", Max: 8, New: func() kmsg.Request { return kmsg.NewPtrMetadataRequest() },
			Shape: wire.Message(9, wire.Array(wire.String())), Handle: handle,
		}, {
			Key: 0, Name: "Produce", Min: 3, Max: 3, New: func() kmsg.Request { return kmsg.NewPtrProduceRequest() },
			Shape: wire.Message(9), Handle: handle, Produce: true,
		}})
		require.NoError(t, err)
		p := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- New(cfg, tab).Serve(ctx, p) }()
		fn(p, cancel)
		cancel()
		require.NoError(t, <-done)
	})
}

func answer(_ context.Context, r *Request) { r.Reply(r.Body.ResponseKind()) }

func ask(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Write(metadataFrame())
	require.NoError(t, err)
	var head [4]byte
	_, err = io.ReadFull(c, head[:])
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head[:])))
	require.NoError(t, err)
}

func metadataFrame() []byte {
	return []byte{0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0}
}

// closedAfter requires that the server closes the connection at a time, not before.
func closedAfter(t *testing.T, c net.Conn, d time.Duration) {
	t.Helper()
	start := time.Now()
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, d, time.Since(start))
}

func TestIdleConnectionIsClosed(t *testing.T) {
	served(t, Config{}, answer, func(p *pipes, _ func()) {
		c := p.dial()
		time.Sleep(9 * time.Minute)
		ask(t, c)
		closedAfter(t, c, 10*time.Minute)
	})
}

// A connection that waits for its reply is not idle.
func TestWaitingIsNotIdle(t *testing.T) {
	later := func(_ context.Context, r *Request) {
		time.AfterFunc(25*time.Minute, func() { answer(context.Background(), r) })
	}
	served(t, Config{}, later, func(p *pipes, _ func()) {
		c := p.dial()
		start := time.Now()
		ask(t, c)
		require.Equal(t, 25*time.Minute, time.Since(start))
		c.Close()
	})
}

// A client that stops inside a frame loses its connection, and the budget comes back.
func TestStalledFrameIsDropped(t *testing.T) {
	budget := NewMemoryBudget(1 << 20)
	served(t, Config{Produce: budget}, answer, func(p *pipes, _ func()) {
		c := p.dial()
		_, err := c.Write([]byte{0, 0, 4, 0, 0, 0, 0, 3, 0, 0, 0, 7})
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, int64(4096), budget.Used())
		time.Sleep(29 * time.Second)
		_, err = c.Write([]byte{0xff, 0xff})
		require.NoError(t, err)
		closedAfter(t, c, 30*time.Second)
		synctest.Wait()
		require.Zero(t, budget.Used())
	})
}

// A client that does not read its replies loses its connection.
func TestStuckClientIsDropped(t *testing.T) {
	served(t, Config{}, answer, func(p *pipes, _ func()) {
		c := p.dial()
		_, err := c.Write(metadataFrame())
		require.NoError(t, err)
		time.Sleep(29 * time.Second)
		synctest.Wait()
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Millisecond)))
		_, err = c.Write(metadataFrame())
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	})
}

// No more than MaxInFlight requests are read ahead: the rest stays with the client.
func TestInFlightIsBounded(t *testing.T) {
	var held []*Request
	hold := func(_ context.Context, r *Request) { held = append(held, r) }
	served(t, Config{MaxInFlight: 3}, hold, func(p *pipes, _ func()) {
		c := p.dial()
		go func() {
			for range 10 {
				if _, err := c.Write(metadataFrame()); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		require.Len(t, held, 3)
		go io.Copy(io.Discard, c)
		answer(context.Background(), held[0])
		answer(context.Background(), held[1])
		synctest.Wait()
		require.Len(t, held, 5)
		for i := 2; i < len(held); i++ {
			answer(context.Background(), held[i])
			synctest.Wait()
		}
		require.Len(t, held, 10)
		c.Close()
	})
}

// The handler's context ends with the connection, so that what waits for a client that left can stop.
func TestContextEndsWithTheConnection(t *testing.T) {
	gone := make(chan error, 1)
	wait := func(ctx context.Context, r *Request) {
		context.AfterFunc(ctx, func() { gone <- context.Cause(ctx); r.Reply(nil) })
	}
	served(t, Config{}, wait, func(p *pipes, _ func()) {
		c := p.dial()
		_, err := c.Write(metadataFrame())
		require.NoError(t, err)
		synctest.Wait()
		c.Close()
		require.ErrorIs(t, <-gone, io.EOF)
	})
}

// Every reply that will not be sent is released, those that are ready and those that come later.
func TestRepliesAreReleasedOnce(t *testing.T) {
	var held []*Request
	hold := func(_ context.Context, r *Request) { held = append(held, r) }
	released := make(map[int]int)
	var mu sync.Mutex
	reply := func(i int) {
		held[i].ReplyEncoded(&counted{func() { mu.Lock(); released[i]++; mu.Unlock() }})
	}
	served(t, Config{}, hold, func(p *pipes, _ func()) {
		c := p.dial()
		for range 4 {
			_, err := c.Write(metadataFrame())
			require.NoError(t, err)
		}
		synctest.Wait()
		reply(0) // is sent
		_, err := io.ReadFull(c, make([]byte, 9))
		require.NoError(t, err)
		reply(2) // waits behind the second
		c.Close()
		synctest.Wait()
		reply(1)
		reply(3)
		reply(3) // a mistake: counted, not sent
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, map[int]int{0: 1, 1: 1, 2: 1, 3: 2}, released)
	})
}

type counted struct{ release func() }

func (e *counted) EncodeTo(w *wire.Writer) { w.Byte(1) }
func (e *counted) IsFlexible() bool        { return false }
func (e *counted) Release()                { e.release() }

// The limiter lets a few lines through each second and tells how many it left out.
func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l limiter
		var rec recorder
		for range 20 {
			l.log(rec.logger(), 0, "x")
		}
		require.Equal(t, linesPerSecond, rec.lines)
		time.Sleep(time.Second)
		l.log(rec.logger(), 0, "x")
		require.Equal(t, linesPerSecond+1, rec.lines)
		require.Equal(t, int64(15), rec.leftOut)
	})
}
