package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"
)

// read takes requests until the client leaves, breaks the protocol, or ctx ends (drain, or the writer failed). The error
// says why; io.EOF between frames is a client that left.
func (c *Conn) read(ctx context.Context) error {
	// Ending ctx must unblock a read in progress. A deadline in the past does so without closing the connection, on
	// which replies are still to be sent.
	stop := context.AfterFunc(ctx, func() { c.nc.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	br := bufio.NewReaderSize(c.nc, 4<<10)
	for {
		req, err := c.next(ctx, br)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		c.enqueue(req)
		c.start(req)
	}
}

// next reads one frame and decodes it.
func (c *Conn) next(ctx context.Context, br *bufio.Reader) (*Request, error) {
	size, api, err := c.awaitFrame(ctx, br)
	if err != nil {
		return nil, err
	}
	if err := c.awaitVoice(ctx); err != nil {
		return nil, err
	}
	if err := c.admit(ctx, api, int64(size)); err != nil {
		return nil, err
	}
	f := &Frame{pooled: api != nil && api.Produce}
	f.refs.Store(1)
	if f.pooled && c.srv.cfg.Produce != nil {
		taken := int64(bufferSize(size))
		if err := c.srv.cfg.Produce.Acquire(ctx, taken); err != nil {
			return nil, err
		}
		f.budget, f.taken = c.srv.cfg.Produce, taken
	}
	br.Discard(4) // It was peeked: cannot fail.
	if err := f.readBody(&steadyReader{c: c, ctx: ctx, r: br}, size); err != nil {
		f.Release()
		return nil, err
	}
	req, err := c.srv.table.decode(f, c)
	if err != nil {
		f.Release()
		return nil, err
	}
	return req, nil
}

// awaitFrame waits for the first 8 bytes of a frame, its length and API key, and leaves them unread.
func (c *Conn) awaitFrame(ctx context.Context, br *bufio.Reader) (int, *API, error) {
	for {
		if err := c.setReadDeadline(ctx, c.srv.cfg.IdleTimeout); err != nil {
			return 0, nil, err
		}
		head, err := br.Peek(8)
		switch {
		case err == nil:
			api := c.srv.table.get(int16(binary.BigEndian.Uint16(head[4:])))
			limit := c.srv.cfg.MaxControlFrame
			if api != nil && api.Produce {
				limit = c.srv.cfg.MaxProduceFrame
			}
			size := int64(int32(binary.BigEndian.Uint32(head)))
			if size < 8 || size > limit {
				return 0, nil, fmt.Errorf("%w: %d, the limit is %d", ErrFrame, size, limit)
			}
			return int(size), api, nil
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
			if c.inFlight() == 0 {
				return 0, nil, errIdle
			}
		case errors.Is(err, io.EOF) && len(head) > 0:
			return 0, nil, fmt.Errorf("in a frame's first bytes: %w", io.ErrUnexpectedEOF)
		default:
			return 0, nil, err
		}
	}
}

// setReadDeadline moves the deadline, and leaves it in the past once ctx has ended: AfterFunc may have set it just
// before.
func (c *Conn) setReadDeadline(ctx context.Context, d time.Duration) error {
	if err := c.nc.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// steadyReader demands progress while a frame's body is read: some bytes every FrameTimeout. A Produce frame holds its
// share of the budget meanwhile, so a client that announces one and stalls must not keep it.
type steadyReader struct {
	c   *Conn
	ctx context.Context
	r   io.Reader
}

func (s *steadyReader) Read(p []byte) (int, error) {
	if err := s.c.setReadDeadline(s.ctx, s.c.srv.cfg.FrameTimeout); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// start runs the handler.
func (c *Conn) start(req *Request) {
	if req.api.Spawn {
		req.Go(func() { req.api.Handle(c.ctx, req) })
		return
	}
	defer c.contain(req)
	req.api.Handle(c.ctx, req)
}

// contain is deferred around a handler: a panic costs this connection, not the process.
func (c *Conn) contain(req *Request) {
	v := recover()
	if v == nil {
		return
	}
	c.srv.log.Error("panic in a request handler", "api", req.api.Name, "version", req.Version,
		"client", c.ClientHost, "panic", v, "stack", string(debug.Stack()))
	c.srv.cfg.Observe.panicked(req.api.Name)
	err := fmt.Errorf("panic in %s: %v", req.api.Name, v)
	if !req.done.Load() {
		req.Close(err)
	}
	c.cancel(err)
}
