package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every refusal of a Shape.
var ErrMalformed = errors.New("malformed request body")

type kind uint8

const (
	fixed kind = iota
	str
	nullableStr
	bytesKind
	nullableBytes
	array
	structKind
	nullableStruct
)

// Field is one field of a Shape, present in the versions from to to.
type Field struct {
	kind     kind
	size     int // fixed: bytes
	elem     *Field
	shape    *Shape
	from, to int16
	nullFrom int16 // array: the first version in which it may be null
	tag      int   // -1 = not tagged
}

// Shape is the structure of a message: what comes after what, in which versions.
type Shape struct {
	flexibleFrom int16
	fields       []Field
	tagged       []Field
}

const (
	maxVersion = 1<<15 - 1
	never      = maxVersion // as a first version
)

func field(k kind) Field { return Field{kind: k, to: maxVersion, tag: -1} }

// Fixed is a field of n bytes: integers, booleans, uuids.
func Fixed(n int) Field { f := field(fixed); f.size = n; return f }

// String is a string that must not be null; NullableString may be. Bytes and NullableBytes likewise.
func String() Field         { return field(str) }
func NullableString() Field { return field(nullableStr) }
func Bytes() Field          { return field(bytesKind) }
func NullableBytes() Field  { return field(nullableBytes) }

// Array is an array of elem that must not be null; NullableArray may be.
func Array(elem Field) Field         { f := field(array); f.elem, f.nullFrom = &elem, never; return f }
func NullableArray(elem Field) Field { f := field(array); f.elem = &elem; return f }

// Struct is a nested structure; NullableStruct has a byte in front that is -1 for null.
func Struct(fields ...Field) Field         { return nested(structKind, fields) }
func NullableStruct(fields ...Field) Field { return nested(nullableStruct, fields) }

func nested(k kind, fields []Field) Field {
	f := field(k)
	f.shape = &Shape{}
	f.shape.add(fields)
	return f
}

// From says that the field exists from version v on; Until that v is the last one that has it.
func (f Field) From(v int16) Field  { f.from = v; return f }
func (f Field) Until(v int16) Field { f.to = v; return f }

// NullFrom says that a nullable array may be null from version v on.
func (f Field) NullFrom(v int16) Field { f.nullFrom = v; return f }

// Tagged makes it a tagged field with number n, looked into only in flexible versions.
func (f Field) Tagged(n int) Field { f.tag = n; return f }

// Message is the shape of a request. Versions from flexibleFrom on use compact lengths and tagged fields.
func Message(flexibleFrom int16, fields ...Field) *Shape {
	s := &Shape{flexibleFrom: flexibleFrom}
	s.add(fields)
	return s
}

func (s *Shape) add(fields []Field) {
	for _, f := range fields {
		if f.tag >= 0 {
			s.tagged = append(s.tagged, f)
		} else {
			s.fields = append(s.fields, f)
		}
	}
}

// Check walks b as one message of the version. It allocates nothing unless it fails. Bytes behind the message are let
// pass, as Kafka does. An error wraps ErrMalformed.
func (s *Shape) Check(version int16, b []byte) error {
	c := checker{rest: b, version: version, flexible: version >= s.flexibleFrom}
	if !c.shape(s) {
		return fmt.Errorf("%w: version %d, at byte %d of %d", ErrMalformed, version, len(b)-len(c.rest), len(b))
	}
	return nil
}

type checker struct {
	rest     []byte
	version  int16
	flexible bool
}

func (c *checker) shape(s *Shape) bool {
	for i := range s.fields {
		f := &s.fields[i]
		if c.version < f.from || c.version > f.to {
			continue
		}
		if !c.field(f) {
			return false
		}
	}
	return !c.flexible || c.tags(s.tagged)
}

func (c *checker) field(f *Field) bool {
	switch f.kind {
	case fixed:
		return c.skip(f.size)
	case str, nullableStr:
		return c.length(2, f.kind == nullableStr)
	case bytesKind, nullableBytes:
		return c.length(4, f.kind == nullableBytes)
	case structKind:
		return c.shape(f.shape)
	case nullableStruct:
		null := len(c.rest) > 0 && int8(c.rest[0]) == -1
		return c.skip(1) && (null || c.shape(f.shape))
	default:
		return c.array(f)
	}
}

func (c *checker) array(f *Field) bool {
	elem := f.elem
	n, ok := c.count(4)
	if !ok || n < 0 && c.version < f.nullFrom {
		return false
	}
	if elem.kind == fixed {
		return n <= 0 || (n <= len(c.rest) && c.skip(n*elem.size))
	}
	for ; n > 0; n-- {
		if !c.field(elem) {
			return false
		}
	}
	return true
}

// tags walks the tagged fields that end a flexible structure. Unknown ones are skipped (KIP-482).
func (c *checker) tags(known []Field) bool {
	n, ok := c.uvarint()
	if !ok {
		return false
	}
	for ; n > 0; n-- {
		key, ok1 := c.uvarint()
		size, ok2 := c.uvarint()
		if !ok1 || !ok2 || uint64(size) > uint64(len(c.rest)) {
			return false
		}
		for i := range known {
			f := &known[i]
			if uint32(f.tag) != key || c.version < f.from || c.version > f.to {
				continue
			}
			in := checker{rest: c.rest[:size], version: c.version, flexible: true}
			if !in.field(f) {
				return false
			}
		}
		c.rest = c.rest[size:]
	}
	return true
}

// length skips a length and what it counts.
func (c *checker) length(width int, nullable bool) bool {
	n, ok := c.count(width)
	if !ok || (n < 0 && !nullable) {
		return false
	}
	return n <= 0 || c.skip(n)
}

// count reads a length: -1 for null. Lengths below -1 mean null too, as Apache Kafka reads them.
func (c *checker) count(width int) (int, bool) {
	if c.flexible {
		n, ok := c.uvarint()
		return int(n) - 1, ok && n <= 1<<31
	}
	if len(c.rest) < width {
		return 0, false
	}
	var n int
	if width == 2 {
		n = int(int16(binary.BigEndian.Uint16(c.rest)))
	} else {
		n = int(int32(binary.BigEndian.Uint32(c.rest)))
	}
	c.rest = c.rest[width:]
	return max(n, -1), true
}

func (c *checker) uvarint() (uint32, bool) {
	n, size := binary.Uvarint(c.rest)
	if size <= 0 || size > 5 || n > 1<<32-1 {
		return 0, false
	}
	c.rest = c.rest[size:]
	return uint32(n), true
}

func (c *checker) skip(n int) bool {
	if n < 0 || n > len(c.rest) {
		return false
	}
	c.rest = c.rest[n:]
	return true
}

// SkipTags returns what follows the tagged fields at the start of b, as at the end of a flexible request header.
func SkipTags(b []byte) ([]byte, error) {
	c := checker{rest: b, flexible: true}
	if !c.tags(nil) {
		return nil, fmt.Errorf("%w: tagged fields of the header", ErrMalformed)
	}
	return c.rest, nil
}
