package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server/wire"
)

// Errors that close a connection.
var (
	ErrHeader             = errors.New("malformed request header")
	ErrUnknownAPI         = errors.New("unknown api key")
	ErrUnsupportedVersion = errors.New("unsupported api version")
)

// Request is one request on its way. Fields are read-only.
type Request struct {
	Conn          *Conn
	Key           int16
	Version       int16 // as the client sent it
	CorrelationID int32
	ClientID      string // "" when null
	// Body is decoded and of type kmsg's *XxxRequest. It is nil for an ApiVersions request of an unsupported version,
	// whose body nobody can read. Byte slices in it alias Frame. Strings alias it too, except in Produce.
	Body     kmsg.Request
	Frame    *Frame
	Received time.Time

	api  *API
	slot *slot
	done atomic.Bool
}

// Encoder is a reply that writes itself, for Fetch: record bytes go to the socket from where they lie.
type Encoder interface {
	// EncodeTo adds the reply's body, without length and header. It is called at most once.
	EncodeTo(w *wire.Writer)
	// IsFlexible tells whether the reply's header ends in tagged fields.
	IsFlexible() bool
	// Release is called exactly once, after the bytes were written or given up. Chunks may be reused from then on.
	Release()
}

// Reply answers the request; nil answers without a byte (acks=0). The response is owned by the server from here on.
func (r *Request) Reply(resp kmsg.Response) {
	if resp == nil {
		r.complete(outcome{})
		return
	}
	version := r.Version
	if r.Body == nil {
		version = 0
	}
	resp.SetVersion(version)
	r.complete(outcome{resp: resp})
}

// ReplyEncoded answers the request with an Encoder.
func (r *Request) ReplyEncoded(e Encoder) {
	if !r.complete(outcome{enc: e}) {
		e.Release()
	}
}

// Close drops the connection. Replies of earlier requests are still sent, nothing of this one or of later ones.
// err says why, for the log.
func (r *Request) Close(err error) { r.complete(outcome{err: err, close: true}) }

func (r *Request) complete(o outcome) bool {
	if !r.done.CompareAndSwap(false, true) {
		r.Conn.srv.log.Error("a request was answered twice", "api", r.api.Name)
		return false
	}
	took := time.Since(r.Received)
	r.Conn.srv.cfg.Observe.request(r.api.Name, took)
	r.Frame.Release()
	r.Conn.complete(r.slot, o)
	return true
}

// header is a request header, v1 or v2. v0 has no client id and existed for ControlledShutdown alone.
type header struct {
	key, version  int16
	correlationID int32
	clientID      []byte // aliases the frame
}

// parseHeader splits b into header and body. flexible tells for a key and version whether tagged fields end the header;
// even then the client id keeps its int16 length (Semantics line 7).
func parseHeader(b []byte, flexible func(key, version int16) bool) (header, []byte, error) {
	if len(b) < 10 {
		return header{}, nil, fmt.Errorf("%w: %d bytes", ErrHeader, len(b))
	}
	h := header{
		key:           int16(binary.BigEndian.Uint16(b)),
		version:       int16(binary.BigEndian.Uint16(b[2:])),
		correlationID: int32(binary.BigEndian.Uint32(b[4:])),
	}
	n := int(int16(binary.BigEndian.Uint16(b[8:])))
	b = b[10:]
	if n < -1 || n > len(b) {
		return header{}, nil, fmt.Errorf("%w: client id of %d bytes", ErrHeader, n)
	}
	if n > 0 {
		h.clientID = b[:n]
		b = b[n:]
	}
	if flexible(h.key, h.version) {
		rest, err := wire.SkipTags(b)
		if err != nil {
			return header{}, nil, fmt.Errorf("%w: %w", ErrHeader, err)
		}
		b = rest
	}
	return h, b, nil
}

// decode makes a Request of a frame, or says why the connection must end.
func (t *Table) decode(f *Frame, c *Conn) (*Request, error) {
	var body kmsg.Request
	var api *API
	h, rest, err := parseHeader(f.buf, func(key, version int16) bool {
		if api = t.get(key); api == nil || version < api.Min || version > api.Max {
			return false
		}
		body = api.New()
		body.SetVersion(version)
		return body.IsFlexible()
	})
	if err != nil {
		return nil, err
	}
	if api == nil {
		return nil, fmt.Errorf("%w: %d", ErrUnknownAPI, h.key)
	}
	r := &Request{
		Conn: c, Key: h.key, Version: h.version, CorrelationID: h.correlationID, ClientID: c.clientID(h.clientID),
		Frame: f, Received: time.Now(), api: api,
	}
	if body == nil {
		if h.key == keyApiVersions {
			return r, nil // Semantics line 1: answered without a look at the body.
		}
		return nil, fmt.Errorf("%w: %s version %d, served are %d to %d", ErrUnsupportedVersion, api.Name, h.version, api.Min, api.Max)
	}
	if err := api.Shape.Check(h.version, rest); err != nil {
		return nil, fmt.Errorf("%s: %w", api.Name, err)
	}
	if err := readBody(body, rest, api.Produce); err != nil {
		return nil, fmt.Errorf("%s version %d: %w: %w", api.Name, h.version, wire.ErrMalformed, err)
	}
	r.Body = body
	return r, nil
}

// readBody decodes. kmsg lets byte fields alias the frame either way, so records are never copied. Strings are copied
// out of a pooled frame, as a topic name kept somewhere would change when the frame is reused; other frames are never
// reused, and there strings alias them.
func readBody(body kmsg.Request, b []byte, pooled bool) error {
	if u, ok := body.(kmsg.UnsafeReadFrom); ok && !pooled {
		return u.UnsafeReadFrom(b)
	}
	return body.ReadFrom(b)
}

// clientID keeps one copy of a connection's client id: it is the same in every request.
func (c *Conn) clientID(id []byte) string {
	if string(id) != c.lastClientID {
		c.lastClientID = string(id)
	}
	return c.lastClientID
}

// Go runs fn in a goroutine that the server waits for when it stops, with the containment of panics that handlers have.
// It is for the rare part of a handler that must wait.
func (r *Request) Go(fn func()) {
	r.Conn.srv.handlers.Add(1)
	go func() {
		defer r.Conn.srv.handlers.Done()
		defer r.Conn.contain(r)
		fn()
	}()
}
