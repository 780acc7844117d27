package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Server serves the Kafka protocol on any number of listeners. New starts nothing.
type Server struct {
	cfg   Config
	table *Table
	log   *slog.Logger
	lines limiter
	made  time.Time

	drain      context.Context // ends when draining begins
	beginDrain context.CancelFunc

	nextID   atomic.Uint64
	conns    atomic.Int64
	handlers sync.WaitGroup
}

// New makes a Server for the APIs of the table.
func New(cfg Config, table *Table) *Server {
	cfg = cfg.withDefaults()
	s := &Server{cfg: cfg, table: table, log: cfg.Log, made: time.Now()}
	s.drain, s.beginDrain = context.WithCancel(context.Background())
	return s
}

// Serve accepts on the listeners until ctx ends, then drains: no connection and no request is accepted any more,
// requests in flight are answered for at most DrainTimeout, connections are closed. It never waits for clients to
// leave. It owns the listeners and closes them. It returns when every goroutine has ended: nil after a drain, else
// the listener's error. A Server serves once.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	// Connections outlive ctx by the drain; base ends them.
	base, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	var conns sync.WaitGroup
	g, gctx := errgroup.WithContext(ctx)
	for i, ln := range listeners {
		g.Go(func() error { return s.accept(gctx, base, i, ln, &conns) })
	}
	err := g.Wait()
	if err == nil && ctx.Err() == nil {
		err = errors.New("no listener left")
	}
	s.beginDrain()
	timer := time.AfterFunc(s.cfg.DrainTimeout, func() { end(errDraining) })
	conns.Wait()
	timer.Stop()
	end(errDraining)
	s.handlers.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// accept runs one listener.
func (s *Server) accept(ctx, base context.Context, index int, ln net.Listener, conns *sync.WaitGroup) error {
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	defer ln.Close()
	var pause time.Duration
	for {
		nc, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("listener %s: %w", ln.Addr(), err)
			}
			// Out of file descriptors, or a client that left already: neither is a reason to stop serving others.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.lines.log(s.log, slog.LevelWarn, "accepting failed", "listener", ln.Addr().String(), "error", err)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return nil
			}
			continue
		}
		pause = 0
		if n := s.conns.Add(1); n > int64(s.cfg.MaxConnections) {
			s.conns.Add(-1)
			nc.Close()
			s.cfg.Observe.refused("limit")
			s.lines.log(s.log, slog.LevelWarn, "connection refused: too many", "limit", s.cfg.MaxConnections)
			continue
		}
		s.cfg.Observe.connection(1)
		c := s.newConn(base, nc, index)
		conns.Go(func() {
			defer s.cfg.Observe.connection(-1)
			defer s.conns.Add(-1)
			c.serve()
		})
	}
}

func (s *Server) newConn(base context.Context, nc net.Conn, listener int) *Conn {
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetNoDelay(true)
		tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4})
	}
	host, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil {
		host = nc.RemoteAddr().String()
	}
	c := &Conn{
		ID: s.nextID.Add(1), Listener: listener, ClientHost: host, Principal: "User:ANONYMOUS",
		srv: s, nc: nc, room: make(chan struct{}, 1), wake: make(chan struct{}, 1),
	}
	c.ctx, c.cancel = context.WithCancelCause(base)
	return c
}

// serve runs a connection to its end. The reader ends first (client gone, protocol error, drain) and what was started
// is still answered; or the writer fails, and both end.
func (c *Conn) serve() {
	defer c.nc.Close()
	// Whatever ends the connection's context also ends a write in progress.
	stop := context.AfterFunc(c.ctx, func() { c.nc.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	reading, stopReading := context.WithCancelCause(c.ctx)
	defer stopReading(nil)
	undrain := context.AfterFunc(c.srv.drain, func() { stopReading(errDraining) })
	defer undrain()

	var readErr error
	var reader sync.WaitGroup
	reader.Go(func() {
		readErr = c.read(reading)
		if errors.Is(readErr, io.EOF) {
			c.cancel(readErr) // The client is gone: whoever waits on its behalf may stop.
		}
		c.stopReading()
	})
	writeErr := c.writeSafely()
	stopReading(writeErr)
	reader.Wait()
	c.abandon()
	c.report(readErr, writeErr)
	if (writeErr == nil || errors.Is(writeErr, errClosed)) && !errors.Is(readErr, io.EOF) {
		c.linger()
	}
	c.cancel(errClosed)
}

// writeSafely contains a panic of a reply's encoder.
func (c *Conn) writeSafely() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic while encoding a reply: %v", v)
			c.srv.log.Error("panic while encoding a reply", "client", c.ClientHost, "panic", v)
			c.srv.cfg.Observe.panicked("encode")
		}
	}()
	return c.write()
}

// linger half-closes and swallows what the client still sends, for at most half a second. Closing at once with unread input
// makes TCP reset the connection, and the reset may overtake the last replies: an acknowledged produce would look lost.
func (c *Conn) linger() {
	tcp, ok := c.nc.(*net.TCPConn)
	if !ok || tcp.CloseWrite() != nil || tcp.SetReadDeadline(time.Now().Add(time.Second/2)) != nil {
		return
	}
	io.Copy(io.Discard, io.LimitReader(tcp, 1<<20)) // Ends at EOF, the deadline or the limit: all the same here.
}

// report writes at most one line about a connection's end, and none when the client simply left.
func (c *Conn) report(readErr, writeErr error) {
	if isProtocol(readErr) {
		c.srv.cfg.Observe.refused("protocol")
		c.srv.lines.log(c.srv.log, slog.LevelWarn, "connection closed: the client broke the protocol",
			"client", c.ClientHost, "client_id", c.lastClientID, "error", readErr)
		return
	}
	if writeErr != nil && !errors.Is(writeErr, io.EOF) && !errors.Is(writeErr, errDraining) {
		c.srv.lines.log(c.srv.log, slog.LevelInfo, "connection closed", "client", c.ClientHost,
			"client_id", c.lastClientID, "error", writeErr)
	}
}
