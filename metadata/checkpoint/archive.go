package checkpoint

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sort"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/objstore"
)

// ErrFormat: a checkpoint object is damaged or of an unknown version.
var ErrFormat = errors.New("bad checkpoint object")

const (
	version      = 1
	headerSize   = 12
	indexSize    = 48
	trailerSize  = 44
	archiveMagic = "WADIARCH"
	baseMagic    = "WADIBASE"
	rootMagic    = "WADIROOT"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func header(magic string) []byte { return binary.BigEndian.AppendUint32([]byte(magic), version) }

func checkHeader(magic string, b []byte) error {
	if len(b) < headerSize || string(b[:8]) != magic {
		return fmt.Errorf("not a %s object: %w", magic, ErrFormat)
	}
	if v := binary.BigEndian.Uint32(b[8:]); v != version {
		return fmt.Errorf("%s version %d, this program reads %d: %w", magic, v, version, ErrFormat)
	}
	return nil
}

// indexed is an entry's place in an archive.
type indexed struct {
	position int64
	head     int64
	session  layout.Session
	seq      uint64
	offset   uint64
	length   uint32
	crc      uint32
}

// buildArchive lays out entries, which lie behind position `from`, as an archive that ends at position to.
func buildArchive(from, to int64, entries []journal.Entry) objstore.Body {
	chunks := make([][]byte, 0, len(entries)+2)
	chunks = append(chunks, header(archiveMagic))
	index := make([]byte, 0, len(entries)*indexSize+trailerSize)
	offset := uint64(headerSize)
	for _, e := range entries {
		chunks = append(chunks, e.Value)
		index = binary.BigEndian.AppendUint64(index, uint64(e.Position))
		index = binary.BigEndian.AppendUint64(index, uint64(e.Head))
		index = binary.BigEndian.AppendUint64(index, uint64(e.Session))
		index = binary.BigEndian.AppendUint64(index, e.Seq)
		index = binary.BigEndian.AppendUint64(index, offset)
		index = binary.BigEndian.AppendUint32(index, uint32(len(e.Value)))
		index = binary.BigEndian.AppendUint32(index, crc32.Checksum(e.Value, castagnoli))
		offset += uint64(len(e.Value))
	}
	sum := crc32.Checksum(index, castagnoli)
	start := len(index)
	index = binary.BigEndian.AppendUint64(index, uint64(from))
	index = binary.BigEndian.AppendUint64(index, uint64(to))
	index = binary.BigEndian.AppendUint64(index, offset)
	index = binary.BigEndian.AppendUint64(index, uint64(len(entries)))
	index = binary.BigEndian.AppendUint32(index, sum)
	index = binary.BigEndian.AppendUint32(index, version)
	index = binary.BigEndian.AppendUint32(index, crc32.Checksum(index[start:], castagnoli))
	return objstore.NewBody(append(chunks, index)...)
}

// archiveIndex is a parsed index.
type archiveIndex struct {
	from, to int64
	end      uint64 // of the values
	entries  []indexed
}

// readIndex reads an archive's index: one GET for most, two for those of more than a thousand entries.
func readIndex(ctx context.Context, store objstore.Store, key string, size uint64) (*archiveIndex, error) {
	const guess = 64 << 10
	n := min(uint64(guess), size)
	tail, err := store.Get(ctx, key, int64(size-n), int64(n))
	if err != nil {
		return nil, err
	}
	if len(tail) < headerSize+trailerSize {
		return nil, fmt.Errorf("archive %s of %d bytes: %w", key, size, ErrFormat)
	}
	if n == size {
		if err := checkHeader(archiveMagic, tail); err != nil {
			return nil, fmt.Errorf("archive %s: %w", key, err)
		}
	}
	t := tail[len(tail)-trailerSize:]
	if crc32.Checksum(t[:trailerSize-4], castagnoli) != binary.BigEndian.Uint32(t[trailerSize-4:]) {
		return nil, fmt.Errorf("archive %s: trailer checksum: %w", key, ErrFormat)
	}
	if v := binary.BigEndian.Uint32(t[36:]); v != version {
		return nil, fmt.Errorf("archive %s: version %d, this program reads %d: %w", key, v, version, ErrFormat)
	}
	x := &archiveIndex{
		from: int64(binary.BigEndian.Uint64(t)), to: int64(binary.BigEndian.Uint64(t[8:])), end: binary.BigEndian.Uint64(t[16:]),
	}
	count := binary.BigEndian.Uint64(t[24:])
	if x.end < headerSize || x.end > size || count > size/indexSize || x.end+count*indexSize+trailerSize != size {
		return nil, fmt.Errorf("archive %s: trailer does not fit: %w", key, ErrFormat)
	}
	need := count*indexSize + trailerSize
	if need > n {
		if tail, err = store.Get(ctx, key, int64(x.end), int64(need)); err != nil {
			return nil, err
		}
	} else {
		tail = tail[uint64(len(tail))-need:]
	}
	raw := tail[:count*indexSize]
	if crc32.Checksum(raw, castagnoli) != binary.BigEndian.Uint32(t[32:]) {
		return nil, fmt.Errorf("archive %s: index checksum: %w", key, ErrFormat)
	}
	x.entries = make([]indexed, count)
	at := uint64(headerSize)
	for i := range x.entries {
		b := raw[i*indexSize:]
		e := indexed{
			position: int64(binary.BigEndian.Uint64(b)), head: int64(binary.BigEndian.Uint64(b[8:])),
			session: layout.Session(binary.BigEndian.Uint64(b[16:])), seq: binary.BigEndian.Uint64(b[24:]),
			offset: binary.BigEndian.Uint64(b[32:]), length: binary.BigEndian.Uint32(b[40:]), crc: binary.BigEndian.Uint32(b[44:]),
		}
		if e.offset != at || i > 0 && x.entries[i-1].position >= e.position {
			return nil, fmt.Errorf("archive %s: index entry %d: %w", key, i, ErrFormat)
		}
		at += uint64(e.length)
		x.entries[i] = e
	}
	if at != x.end {
		return nil, fmt.Errorf("archive %s: index does not cover the values: %w", key, ErrFormat)
	}
	return x, nil
}

// chunkBytes is about how much of an archive is read at a time.
const chunkBytes = 1 << 20

// chunk is the range of entries [i, j) around entry k whose values are read together.
func (x *archiveIndex) chunk(k int) (i, j int) {
	slot := x.entries[k].offset / chunkBytes
	i = sort.Search(len(x.entries), func(n int) bool { return x.entries[n].offset/chunkBytes >= slot })
	j = sort.Search(len(x.entries), func(n int) bool { return x.entries[n].offset/chunkBytes > slot })
	return i, j
}

// find is the entry at a position.
func (x *archiveIndex) find(position int64) (int, bool) {
	k := sort.Search(len(x.entries), func(n int) bool { return x.entries[n].position >= position })
	return k, k < len(x.entries) && x.entries[k].position == position
}

// read reads the values of entries [i, j) with one GET and checks them. The values alias one buffer.
func (x *archiveIndex) read(ctx context.Context, store objstore.Store, key string, i, j int) ([]journal.Entry, error) {
	if i == j {
		return nil, nil
	}
	first, last := x.entries[i], x.entries[j-1]
	data, err := store.Get(ctx, key, int64(first.offset), int64(last.offset+uint64(last.length)-first.offset))
	if err != nil {
		return nil, err
	}
	list := make([]journal.Entry, 0, j-i)
	for _, e := range x.entries[i:j] {
		at := e.offset - first.offset
		value := data[at : at+uint64(e.length) : at+uint64(e.length)]
		if crc32.Checksum(value, castagnoli) != e.crc {
			return nil, fmt.Errorf("archive %s: entry at position %d: checksum: %w", key, e.position, ErrFormat)
		}
		list = append(list, journal.Entry{Position: e.position, Head: e.head, Session: e.session, Seq: e.seq, Value: value})
	}
	return list, nil
}

// each visits all entries, a chunk at a time.
func (x *archiveIndex) each(ctx context.Context, store objstore.Store, key string, visit func(journal.Entry) error) error {
	for i := 0; i < len(x.entries); {
		_, j := x.chunk(i)
		list, err := x.read(ctx, store, key, i, j)
		if err != nil {
			return err
		}
		for _, e := range list {
			if err := visit(e); err != nil {
				return err
			}
		}
		i = j
	}
	return nil
}
