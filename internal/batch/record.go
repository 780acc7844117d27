package batch

import (
	"encoding/binary"
	"iter"
	"math"
)

// Record is one record of a batch. Its slices alias the batch or an iterator's buffer.
type Record struct {
	Offset    int64  // absolute, by the batch's base offset
	Timestamp int64  // ms; the append time under LogAppendTime
	Key       []byte // nil is null
	Value     []byte // nil is null
	Headers   Headers
}

// Header is one header of a record.
type Header struct {
	Key   []byte
	Value []byte // nil is null
}

// Headers is a record's header list in its encoded form. The zero value is empty.
type Headers struct {
	n   int32
	raw []byte
}

// NewHeaders encodes a list.
func NewHeaders(hs ...Header) Headers {
	var raw []byte
	for _, h := range hs {
		raw = binary.AppendVarint(raw, int64(len(h.Key)))
		raw = append(raw, h.Key...)
		raw = appendNullable(raw, h.Value)
	}
	return Headers{n: int32(len(hs)), raw: raw}
}

// Len is the number of headers.
func (h Headers) Len() int { return int(h.n) }

// All decodes the headers one by one, in order.
func (h Headers) All() iter.Seq[Header] {
	return func(yield func(Header) bool) {
		p := h.raw
		for range h.n {
			var hd Header
			n := parseHeader(p, &hd)
			if n < 0 || !yield(hd) {
				return
			}
			p = p[n:]
		}
	}
}

// rawRecord is a record with its deltas unresolved.
type rawRecord struct {
	timestampDelta int64
	offsetDelta    int32
	key, value     []byte
	headers        Headers
}

// parseRecord decodes the record that starts p and returns how many bytes it takes, or -1. Every byte of the record is
// accounted for, headers included, so that decoding them later cannot fail.
func parseRecord(p []byte, r *rawRecord) int {
	length, n := varint32(p)
	if n <= 0 || length < 0 || int(length) > len(p)-n {
		return -1
	}
	size := n + int(length)
	p = p[n:size:size]
	if len(p) == 0 {
		return -1
	}
	p = p[1:] // attributes of a record are unused
	if r.timestampDelta, n = varint64(p); n <= 0 {
		return -1
	}
	p = p[n:]
	if r.offsetDelta, n = varint32(p); n <= 0 {
		return -1
	}
	p = p[n:]
	if n = parseNullable(p, &r.key); n < 0 {
		return -1
	}
	p = p[n:]
	if n = parseNullable(p, &r.value); n < 0 {
		return -1
	}
	p = p[n:]
	count, n := varint32(p)
	// A header takes two bytes at least.
	if n <= 0 || count < 0 || int(count) > len(p)/2 {
		return -1
	}
	p = p[n:]
	r.headers = Headers{n: count, raw: p}
	for range count {
		var h Header
		if n = parseHeader(p, &h); n < 0 {
			return -1
		}
		p = p[n:]
	}
	if len(p) != 0 {
		return -1
	}
	return size
}

func parseHeader(p []byte, h *Header) int {
	n := parseNullable(p, &h.Key)
	if n < 0 || h.Key == nil {
		return -1
	}
	m := parseNullable(p[n:], &h.Value)
	if m < 0 {
		return -1
	}
	return n + m
}

// parseNullable decodes a length-prefixed byte string; length -1 is null, every other negative one is refused.
func parseNullable(p []byte, s *[]byte) int {
	length, n := varint32(p)
	switch {
	case n <= 0 || length < -1:
		return -1
	case length == -1:
		*s = nil
		return n
	case int(length) > len(p)-n:
		return -1
	}
	end := n + int(length)
	*s = p[n:end:end]
	return end
}

func appendNullable(dst, s []byte) []byte {
	if s == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(s)))
	return append(dst, s...)
}

// varint32 decodes a zigzag varint of at most 5 bytes that fits 32 bits; n <= 0 if there is none.
func varint32(p []byte) (v int32, n int) {
	if len(p) > 0 && p[0] < 0x80 {
		u := uint32(p[0])
		return int32(u>>1) ^ -int32(u&1), 1
	}
	u, n := binary.Uvarint(p)
	if n > 5 || u > math.MaxUint32 {
		return 0, -1
	}
	return int32(uint32(u)>>1) ^ -int32(u&1), n
}

// varint64 decodes a zigzag varint of at most 10 bytes; n <= 0 if there is none.
func varint64(p []byte) (v int64, n int) {
	if len(p) > 0 && p[0] < 0x80 {
		u := uint64(p[0])
		return int64(u>>1) ^ -int64(u&1), 1
	}
	return binary.Varint(p)
}

func varintLen(v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	n := 1
	for u >= 0x80 {
		u >>= 7
		n++
	}
	return n
}
