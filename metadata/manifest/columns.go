package manifest

import (
	"encoding/binary"
	"hash/crc32"
)

// column reads varints; the first one that is cut or too large makes it bad for good.
type column struct {
	b   []byte
	bad bool
}

func (c *column) unsigned() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.b, c.bad = nil, true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *column) signed() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.b, c.bad = nil, true
		return 0
	}
	c.b = c.b[n:]
	return v
}

// whole reports whether all was read, and nothing more than there is.
func (c *column) whole() bool { return !c.bad && len(c.b) == 0 }

// opened checks a block's checksum and returns its columns.
func opened(x Block, data []byte) (column, error) {
	if uint64(len(data)) != uint64(x.Length) || len(data) < crcSize {
		return column{}, corrupt("block of %d bytes, the index says %d", len(data), x.Length)
	}
	body := data[:len(data)-crcSize]
	if got, want := crc32.Checksum(body, castagnoli), binary.BigEndian.Uint32(data[len(body):]); got != want {
		return column{}, corrupt("block at %d has CRC %08x, not %08x", x.Position, got, want)
	}
	return column{b: body}, nil
}

// sealed appends the checksum to columns.
func sealed(columns []byte) []byte {
	return binary.BigEndian.AppendUint32(columns, crc32.Checksum(columns, castagnoli))
}
