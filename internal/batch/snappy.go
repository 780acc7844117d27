package batch

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/snappy"
)

// xerialMagic starts the framing that Java's and librdkafka's snappy use; without it the payload is one raw block.
var xerialMagic = []byte("\x82SNAPPY\x00")

const xerialHeader = 16

var (
	errXerial = errors.New("broken xerial framing")
	errSnappy = errors.New("broken snappy block")
)

func unsnappy(dst, src []byte, max int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerialMagic) {
		return unsnappyBlock(dst, src, max)
	}
	if len(src) < xerialHeader {
		return dst, errXerial
	}
	var err error
	for src = src[xerialHeader:]; len(src) > 0; {
		if len(src) < 4 {
			return dst, errXerial
		}
		n := binary.BigEndian.Uint32(src)
		if uint64(n) > uint64(len(src)-4) {
			return dst, errXerial
		}
		if dst, err = unsnappyBlock(dst, src[4:4+n], max); err != nil {
			return dst, err
		}
		src = src[4+n:]
	}
	return dst, nil
}

// unsnappyBlock appends one raw block. Its size is counted before anything is allocated for it.
func unsnappyBlock(dst, src []byte, max int) ([]byte, error) {
	size, ok := snappySize(src)
	switch {
	case !ok:
		return dst, errSnappy
	case size > max-len(dst):
		return dst, tooLarge(max)
	}
	if cap(dst)-len(dst) < size {
		// Blocks of a framing come in numbers; room for as much again keeps the copying linear.
		dst = grow(dst, min(size+len(dst), max-len(dst)))
	}
	out, err := snappy.Decode(dst[len(dst):len(dst)+size], src)
	if err != nil {
		return dst, err
	}
	return dst[:len(dst)+len(out)], nil
}

// snappySize walks the elements of a raw block and returns its decompressed size, which must be the claimed one. It
// refuses copies with offset 0: the decoder takes them for an extension ("repeat") that other clients cannot read.
func snappySize(src []byte) (int, bool) {
	claimed, n := binary.Uvarint(src)
	if n <= 0 || n > 5 {
		return 0, false
	}
	size := 0
	for p := src[n:]; len(p) > 0; {
		tag := int(p[0])
		take := 1
		switch tag & 3 {
		case 0: // literal, its length in the tag or in up to 4 bytes behind it
			length := tag >> 2
			if extra := length - 59; extra > 0 {
				if len(p) <= extra {
					return 0, false
				}
				length = 0
				for i := extra; i > 0; i-- {
					length = length<<8 | int(p[i])
				}
				take += extra
			}
			length++
			if length > len(p)-take {
				return 0, false
			}
			take += length
			size += length
		case 1:
			if len(p) < 2 || tag>>5 == 0 && p[1] == 0 {
				return 0, false
			}
			take, size = 2, size+4+tag>>2&7
		case 2:
			if len(p) < 3 || p[1]|p[2] == 0 {
				return 0, false
			}
			take, size = 3, size+1+tag>>2
		case 3:
			if len(p) < 5 || p[1]|p[2]|p[3]|p[4] == 0 {
				return 0, false
			}
			take, size = 5, size+1+tag>>2
		}
		p = p[take:]
	}
	return size, uint64(size) == claimed
}
