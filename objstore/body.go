package objstore

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Verify recomputes the checksum and returns ErrCorrupt when the chunks are not what it was made of: some buffer was
// changed after NewBody. Stores that keep bytes themselves call it in Put, as S3 does on its side.
func (b Body) Verify() error {
	var crc uint32
	for _, c := range b.Chunks {
		crc = crc32.Update(crc, castagnoli, c)
	}
	if crc != b.CRC32C {
		return Final(fmt.Errorf("%w: body has CRC-32C %08x, expected %08x", ErrCorrupt, crc, b.CRC32C))
	}
	return nil
}

// Bytes copies the chunks into one new slice.
func (b Body) Bytes() []byte {
	out := make([]byte, 0, b.Size())
	for _, c := range b.Chunks {
		out = append(out, c...)
	}
	return out
}

// Equal reads r to its end and says whether it holds exactly the body's bytes. It stops at the first difference.
func (b Body) Equal(r io.Reader) (bool, error) {
	buf := make([]byte, 64<<10)
	for _, c := range b.Chunks {
		for len(c) > 0 {
			n, err := io.ReadFull(r, buf[:min(len(buf), len(c))])
			if !bytes.Equal(buf[:n], c[:n]) {
				return false, nil
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			c = c[n:]
		}
	}
	n, err := io.ReadFull(r, buf[:1])
	if n == 0 && errors.Is(err, io.EOF) {
		return true, nil
	}
	if n > 0 {
		return false, nil
	}
	return false, err
}
