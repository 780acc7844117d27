package delay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxFrame bounds what is read into memory at once. Brokers take no larger requests either.
const maxFrame = 128 << 20

// Request is a client's request as it came in.
type Request struct {
	Proxy       *Proxy // where it came in
	Key         int16
	Version     int16
	Correlation int32

	body  []byte // what follows the header
	frame []byte // all of it, with the size
}

// readFrame reads a size and the bytes that it announces, and returns both together.
func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxFrame {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	frame := make([]byte, 4+n)
	copy(frame, size[:])
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

var errShort = errors.New("the frame ends within its header")

// parseRequest reads the header. A key that is not known has no body.
func parseRequest(frame []byte) (Request, error) {
	b := frame[4:]
	if len(b) < 10 {
		return Request{}, errShort
	}
	r := Request{
		Key: int16(binary.BigEndian.Uint16(b)), Version: int16(binary.BigEndian.Uint16(b[2:])),
		Correlation: int32(binary.BigEndian.Uint32(b[4:])), frame: frame,
	}
	client := max(0, int(int16(binary.BigEndian.Uint16(b[8:])))) // -1 is null
	if b = b[10:]; len(b) < client {
		return Request{}, errShort
	}
	b = b[client:]
	kind := kmsg.RequestForKey(r.Key)
	if kind == nil {
		return r, nil
	}
	if kind.SetVersion(r.Version); kind.IsFlexible() {
		var err error
		if b, err = skipTags(b); err != nil {
			return Request{}, err
		}
	}
	r.body = b
	return r, nil
}

// skipTags returns what follows the tagged fields of a header.
func skipTags(b []byte) ([]byte, error) {
	number := func() uint64 {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			b = nil
			return 0
		}
		b = b[size:]
		return n
	}
	if len(b) == 0 {
		return nil, errShort
	}
	for range number() {
		number() // the tag
		size := number()
		if b == nil || uint64(len(b)) < size {
			return nil, errShort
		}
		b = b[size:]
	}
	return b, nil
}

// Body decodes the request.
func (r Request) Body() (kmsg.Request, error) {
	req := kmsg.RequestForKey(r.Key)
	if req == nil {
		return nil, fmt.Errorf("unknown key %d", r.Key)
	}
	req.SetVersion(r.Version)
	if err := req.ReadFrom(r.body); err != nil {
		return nil, fmt.Errorf("%s v%d: %w", kmsg.NameForKey(r.Key), r.Version, err)
	}
	return req, nil
}

// answer decodes a reply to the request.
func (r Request) answer(frame []byte) (kmsg.Response, error) {
	req, err := r.Body()
	if err != nil {
		return nil, err
	}
	resp, b := req.ResponseKind(), frame[8:]
	if resp.IsFlexible() && r.Key != kmsg.ApiVersions.Int16() {
		if b, err = skipTags(b); err != nil {
			return nil, err
		}
	}
	if err := resp.ReadFrom(b); err != nil {
		return nil, fmt.Errorf("answer to %s v%d: %w", kmsg.NameForKey(r.Key), r.Version, err)
	}
	return resp, nil
}

// TransactionalID is the id that the request is about, "" for one without.
func (r Request) TransactionalID() string {
	req, err := r.Body()
	if err != nil {
		return ""
	}
	var id *string
	switch req := req.(type) {
	case *kmsg.ProduceRequest:
		id = req.TransactionID
	case *kmsg.InitProducerIDRequest:
		id = req.TransactionalID
	case *kmsg.AddPartitionsToTxnRequest:
		if len(req.Transactions) > 0 {
			return req.Transactions[0].TransactionalID
		}
		return req.TransactionalID
	case *kmsg.AddOffsetsToTxnRequest:
		return req.TransactionalID
	case *kmsg.EndTxnRequest:
		return req.TransactionalID
	case *kmsg.TxnOffsetCommitRequest:
		return req.TransactionalID
	}
	if id == nil {
		return ""
	}
	return *id
}
