package batch

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// Frames that do not state their content's size, as librdkafka writes them, decompress whatever their size and however
// well they compress: the room that is tried first ends inside a block for many of them.
func TestZstdWithoutContentSize(t *testing.T) {
	for size := 1000; size < 2_000_000; size = size*5/4 + 7 {
		var plain []byte
		for i := 0; len(plain) < size; i++ {
			plain = append(strconv.AppendInt(plain, int64(i%100), 10), ':')
			plain = append(strconv.AppendInt(plain, int64(i), 10), '\n')
		}
		plain = plain[:size]
		var packed bytes.Buffer
		w, err := zstd.NewWriter(&packed, zstd.WithEncoderCRC(false))
		if err != nil {
			t.Fatal(err)
		}
		for rest := plain; len(rest) > 0; { // written in pieces: the frame's header cannot know the size
			n := min(len(rest), 700)
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := unzstd(nil, packed.Bytes(), DefaultMaxUncompressed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes in %d: %d bytes, %v", size, packed.Len(), len(got), err)
		}
	}
}
