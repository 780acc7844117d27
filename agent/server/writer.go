package server

import (
	"context"
	"fmt"
	"net"
	"time"

	"wadi/agent/server/wire"
)

const (
	// batchBytes is how much the writer collects before it sends; one larger reply goes alone.
	batchBytes = 256 << 10
	// pieceBytes is sent under one write deadline: a slow client has WriteTimeout for each piece.
	pieceBytes = 1 << 20
)

// write sends replies in order until the reader has stopped and all are out, or something fails.
func (c *Conn) write() error {
	var (
		w     wire.Writer
		slots []*slot
		bufs  net.Buffers
	)
	for {
		var done bool
		slots, done = c.take(slots[:0])
		if len(slots) == 0 {
			if done {
				return nil
			}
			select {
			case <-c.wake:
			case <-c.ctx.Done():
				return context.Cause(c.ctx)
			}
			continue
		}
		var err error
		if bufs, err = c.writeSlots(&w, slots, bufs); err != nil {
			return err
		}
		clear(slots)
	}
}

// writeSlots encodes and sends, batch by batch. Every outcome is released, also after a failure. The error of a slot
// that closes the connection is returned after the replies in front of it were sent.
func (c *Conn) writeSlots(w *wire.Writer, slots []*slot, bufs net.Buffers) (net.Buffers, error) {
	first := 0
	var failed error
	for i, s := range slots {
		if failed == nil && !s.out.close {
			encode(w, s)
		}
		if last := i == len(slots)-1; !last && !s.out.close && w.Len() < batchBytes {
			continue
		}
		if failed == nil && w.Len() > 0 {
			bufs = w.Buffers(bufs[:0])
			failed = c.send(bufs)
			clear(bufs)
		}
		w.Reset()
		for _, s := range slots[first : i+1] {
			s.out.release()
		}
		c.written(slots[first : i+1])
		first = i + 1
		if failed == nil && s.out.close {
			failed = fmt.Errorf("%w: %w", errClosed, s.out.err)
		}
	}
	return bufs, failed
}

// encode adds one reply: length, response header v0 or v1, body. ApiVersions always has header v0 (Semantics line 2):
// its reader cannot know yet what the broker speaks.
func encode(w *wire.Writer, s *slot) {
	var flexible bool
	switch {
	case s.out.enc != nil:
		flexible = s.out.enc.IsFlexible()
	case s.out.resp != nil:
		flexible = s.out.resp.IsFlexible()
	default:
		return // acks=0
	}
	m := w.Begin()
	w.Int32(s.correlationID)
	if flexible && s.api.Key != keyApiVersions {
		w.Byte(0)
	}
	if s.out.enc != nil {
		s.out.enc.EncodeTo(w)
	} else {
		w.Append(s.out.resp.AppendTo)
	}
	w.End(m)
}

// send writes bufs in pieces, each with its own deadline.
func (c *Conn) send(bufs net.Buffers) error {
	for len(bufs) > 0 {
		piece, size := 0, 0
		for piece < len(bufs) && size < pieceBytes {
			size += len(bufs[piece])
			piece++
		}
		var tail []byte
		if over := size - pieceBytes; over > 0 {
			last := bufs[piece-1]
			bufs[piece-1], tail = last[:len(last)-over], last[len(last)-over:]
		}
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.srv.cfg.WriteTimeout)); err != nil {
			return err
		}
		if c.ctx.Err() != nil { // The line above may have moved the deadline that ended this write.
			return context.Cause(c.ctx)
		}
		part := bufs[:piece:piece]
		if _, err := part.WriteTo(c.nc); err != nil {
			return err
		}
		if tail != nil {
			piece--
			bufs[piece] = tail
		}
		bufs = bufs[piece:]
	}
	return nil
}
