package server_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/api"
	"wadi/agent/server"
)

// table serves the given keys with the real versions and shapes.
func table(t testing.TB, handlers map[int16]server.API) *server.Table {
	t.Helper()
	var rows []server.API
	for _, v := range api.Versions {
		h, ok := handlers[v.Key]
		if !ok {
			continue
		}
		row := v.Row(h.Handle)
		row.Spawn, row.Serial, row.Produce = h.Spawn, h.Serial, h.Produce
		rows = append(rows, row)
	}
	tab, err := server.NewTable(rows)
	require.NoError(t, err)
	return tab
}

// echo answers at once with the request's own kind of response.
func echo(_ context.Context, req *server.Request) { req.Reply(req.Body.ResponseKind()) }

// running is a server on a loopback port.
type running struct {
	t    testing.TB
	addr string
	stop context.CancelFunc
	done chan error
}

func start(t testing.TB, cfg server.Config, handlers map[int16]server.API) *running {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	r := &running{t: t, addr: ln.Addr().String(), stop: stop, done: make(chan error, 1)}
	s := server.New(cfg, table(t, handlers))
	go func() { r.done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		select {
		case err, ok := <-r.done:
			if ok && err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("Serve did not return")
		}
	})
	return r
}

// wait stops the server and returns what Serve returned.
func (r *running) wait() error {
	r.stop()
	err := <-r.done
	close(r.done)
	return err
}

func (r *running) dial() *client {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.addr)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { nc.Close() })
	require.NoError(r.t, nc.SetDeadline(time.Now().Add(4*time.Minute)))
	return &client{t: r.t, nc: nc}
}

// noDeadline switches a connection's deadline off.
var noDeadline time.Time

// client is a raw Kafka client.
type client struct {
	t  testing.TB
	nc net.Conn
}

func (c *client) send(correlation int32, reqs ...kmsg.Request) {
	c.t.Helper()
	var b []byte
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("raw"))
	for i, r := range reqs {
		b = append(b, f.AppendRequest(nil, r, correlation+int32(i))...)
	}
	c.write(b)
}

func (c *client) write(b []byte) {
	c.t.Helper()
	_, err := c.nc.Write(b)
	require.NoError(c.t, err)
}

// receive reads one reply and returns its correlation id and what follows it.
func (c *client) receive() (int32, []byte) {
	c.t.Helper()
	var head [8]byte
	_, err := io.ReadFull(c.nc, head[:])
	require.NoError(c.t, err)
	body := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	_, err = io.ReadFull(c.nc, body)
	require.NoError(c.t, err)
	return int32(binary.BigEndian.Uint32(head[4:])), body
}

// receiveInto reads one reply of the request's kind.
func (c *client) receiveInto(req kmsg.Request) (int32, kmsg.Response) {
	c.t.Helper()
	id, b := c.receive()
	resp := req.ResponseKind()
	if resp.IsFlexible() && resp.Key() != 18 {
		require.Zero(c.t, b[0])
		b = b[1:]
	}
	require.NoError(c.t, resp.ReadFrom(b))
	return id, resp
}

// closed requires that the server ends the connection without another byte.
func (c *client) closed() {
	c.t.Helper()
	n, err := c.nc.Read(make([]byte, 1))
	require.Zero(c.t, n)
	var timeout net.Error
	require.False(c.t, errors.As(err, &timeout) && timeout.Timeout(), "still open")
	require.Error(c.t, err)
}

func metadata(version int16) *kmsg.MetadataRequest {
	r := kmsg.NewPtrMetadataRequest()
	r.SetVersion(version)
	return r
}

func produce(acks int16) *kmsg.ProduceRequest {
	r := kmsg.NewPtrProduceRequest()
	r.SetVersion(9)
	r.Acks = acks
	r.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: []byte("records")}}}}
	return r
}
