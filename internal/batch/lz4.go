package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/pierrec/lz4/v4"
)

type unlz4er struct {
	src bytes.Reader
	lz  *lz4.Reader
}

var unlz4ers = sync.Pool{New: func() any { return &unlz4er{lz: lz4.NewReader(nil)} }}

var errLZ4Frame = errors.New("not exactly one LZ4 frame of independent blocks")

func unlz4(dst, src []byte, max int) ([]byte, error) {
	most, ok := lz4Size(src)
	if !ok {
		return dst, errLZ4Frame
	}
	u := unlz4ers.Get().(*unlz4er)
	defer func() {
		u.src.Reset(nil)
		u.lz.Reset(&u.src)
		unlz4ers.Put(u)
	}()
	u.src.Reset(src)
	u.lz.Reset(&u.src)
	return readAll(dst, u.lz, int(min(int64(hint(src)), most)), max)
}

const (
	lz4Magic         = 0x184d2204
	lz4Version       = 0x40 // in the two top bits of the flags
	lz4Independent   = 0x20
	lz4BlockChecksum = 0x10
	lz4ContentSize   = 0x08
	lz4Checksum      = 0x04
	lz4Reserved      = 0x02
	lz4Dictionary    = 0x01
)

// lz4Size walks the blocks of src and returns the most that they can decompress to. Java clients read one standard
// frame with independent blocks and nothing else, so nothing else is let in: what one client stored, every client must
// be able to read.
func lz4Size(src []byte) (most int64, ok bool) {
	if len(src) < 7 || binary.LittleEndian.Uint32(src) != lz4Magic {
		return 0, false
	}
	flags, block := src[4], src[5]>>4&7
	if flags&0xc0 != lz4Version || flags&lz4Independent == 0 || flags&(lz4Reserved|lz4Dictionary) != 0 || block < 4 {
		return 0, false
	}
	blockSize := int64(64<<10) << (2 * (block - 4))
	at := 7
	if flags&lz4ContentSize != 0 {
		at += 8
	}
	for at+4 <= len(src) {
		size := binary.LittleEndian.Uint32(src[at:])
		at += 4
		if size == 0 {
			if flags&lz4Checksum != 0 {
				at += 4
			}
			return most, at == len(src)
		}
		size &= 1<<31 - 1 // the top bit marks a block that is not compressed
		if int64(size) > int64(len(src)-at) {
			return 0, false
		}
		at += int(size)
		if flags&lz4BlockChecksum != 0 {
			at += 4
		}
		most += blockSize
	}
	return 0, false
}
