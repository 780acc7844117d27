package server_test

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/agent/server/wire"
)

// chunks is a reply of records that lie somewhere else.
type chunks struct{ b []byte }

func (c *chunks) EncodeTo(w *wire.Writer) { w.Int32(0); w.Chunk(c.b) }
func (c *chunks) IsFlexible() bool        { return false }
func (c *chunks) Release()                {}

// Small requests in a pipeline: what a request costs before anybody looks at what it means.
func BenchmarkPipelinedRequests(b *testing.B) {
	r := start(b, server.Config{}, map[int16]server.API{3: {Handle: echo}})
	c := r.dial()
	require.NoError(b, c.nc.SetDeadline(noDeadline))
	one := kmsg.NewRequestFormatter().AppendRequest(nil, metadata(1), 1)
	b.ReportAllocs()
	go func() {
		for range b.N {
			if _, err := c.nc.Write(one); err != nil {
				return
			}
		}
	}()
	for range b.N {
		c.receive()
	}
}

// Large replies by reference.
func BenchmarkLargeReplies(b *testing.B) {
	payload := make([]byte, 8<<20)
	r := start(b, server.Config{}, map[int16]server.API{3: {Handle: func(_ context.Context, req *server.Request) {
		req.ReplyEncoded(&chunks{payload})
	}}})
	c := r.dial()
	require.NoError(b, c.nc.SetDeadline(noDeadline))
	one := kmsg.NewRequestFormatter().AppendRequest(nil, metadata(1), 1)
	buf := make([]byte, 1<<20)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		c.write(one)
		_, err := io.CopyBuffer(onlyWriter{}, io.LimitReader(c.nc, int64(len(payload)+12)), buf)
		require.NoError(b, err)
	}
}

// Large produce requests: frames come from the pool.
func BenchmarkLargeRequests(b *testing.B) {
	r := start(b, server.Config{Produce: server.NewMemoryBudget(64 << 20)}, map[int16]server.API{0: {Produce: true, Handle: echo}})
	c := r.dial()
	require.NoError(b, c.nc.SetDeadline(noDeadline))
	big := produce(1)
	big.Topics[0].Partitions[0].Records = make([]byte, 1<<20)
	one := kmsg.NewRequestFormatter().AppendRequest(nil, big, 1)
	b.SetBytes(int64(len(one)))
	b.ReportAllocs()
	for b.Loop() {
		c.write(one)
		c.receive()
	}
}

type onlyWriter struct{}

func (onlyWriter) Write(p []byte) (int, error) { return len(p), nil }
