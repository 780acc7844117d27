package checkpoint

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
)

// partBytes is the size at which a base's part is closed; records are small, so parts stay below 64 MiB.
const partBytes = 32 << 20

// writeBase stores a frozen state as the parts of a base.
func writeBase(
	ctx context.Context, store objstore.Store, keys layout.Objects, s *state.State, head int64, session layout.Session,
) (*pb.Base, error) {
	digest := s.Digest()
	base := &pb.Base{Position: s.Position(), Head: head, Digest: digest[:]}
	hash := sha256.New()
	buf := header(baseMagic)
	flush := func() error {
		body := objstore.NewBody(buf)
		key := keys.Checkpoint(layout.Base, head, session, len(base.Parts))
		if err := store.Put(ctx, key, body); err != nil {
			return fmt.Errorf("write base: %w", err)
		}
		hash.Write(buf)
		base.Parts = append(base.Parts, &pb.ObjectRef{Key: key, Size: uint64(len(buf)), Crc32C: body.CRC32C})
		buf = append(buf[:0], header(baseMagic)...)
		return nil
	}
	err := s.EncodeBase(func(record []byte) error {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(record)))
		buf = binary.BigEndian.AppendUint32(buf, crc32.Checksum(record, castagnoli))
		buf = append(buf, record...)
		if len(buf) < partBytes {
			return nil
		}
		return flush()
	})
	if err == nil && len(buf) > headerSize {
		err = flush()
	}
	base.ContentHash = hash.Sum(nil)
	return base, err
}

// loadBase rebuilds the state of a base and checks it against the base's description.
func loadBase(ctx context.Context, store objstore.Store, base *pb.Base, window int) (*state.State, error) {
	loader, hash := state.NewLoader(), sha256.New()
	read := func(ctx context.Context, i int) ([]byte, error) { return readPart(ctx, store, base.Parts[i]) }
	err := ahead(ctx, len(base.Parts), window, read, func(data []byte) error {
		hash.Write(data)
		return addRecords(loader, data[headerSize:])
	})
	if err != nil {
		return nil, fmt.Errorf("base at position %d: %w", base.Position, err)
	}
	s, err := loader.State()
	if err != nil {
		return nil, err
	}
	digest := s.Digest()
	if string(hash.Sum(nil)) != string(base.ContentHash) || s.Position() != base.Position || string(digest[:]) != string(base.Digest) {
		return nil, fmt.Errorf("base at position %d is not the one that its root names: %w", s.Position(), ErrFormat)
	}
	return s, nil
}

// partsAhead bounds the memory of a load: parts are of 64 MiB.
const partsAhead = 2

func readPart(ctx context.Context, store objstore.Store, part *pb.ObjectRef) ([]byte, error) {
	data, err := store.Get(ctx, part.Key, 0, int64(part.Size))
	if err != nil {
		return nil, err
	}
	if crc32.Checksum(data, castagnoli) != part.Crc32C {
		return nil, fmt.Errorf("%s: checksum: %w", part.Key, ErrFormat)
	}
	if err := checkHeader(baseMagic, data); err != nil {
		return nil, fmt.Errorf("%s: %w", part.Key, err)
	}
	return data, nil
}

func addRecords(l *state.Loader, b []byte) error {
	for len(b) > 0 {
		if len(b) < 8 {
			return fmt.Errorf("cut short: %w", ErrFormat)
		}
		n, crc := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		if uint64(n) > uint64(len(b)-8) || crc32.Checksum(b[8:8+n], castagnoli) != crc {
			return fmt.Errorf("record of %d bytes: %w", n, ErrFormat)
		}
		if err := l.Add(b[8 : 8+n]); err != nil {
			return err
		}
		b = b[8+n:]
	}
	return nil
}

func encodeRoot(r *pb.Root) ([]byte, error) {
	m, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	b := binary.BigEndian.AppendUint32(header(rootMagic), crc32.Checksum(m, castagnoli))
	return append(b, m...), nil
}

// ReadRoot reads a root object.
func ReadRoot(ctx context.Context, store objstore.Store, key string) (*pb.Root, error) {
	b, err := store.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("read root: %w", err)
	}
	if err := checkHeader(rootMagic, b); err != nil {
		return nil, fmt.Errorf("root %s: %w", key, err)
	}
	if len(b) < headerSize+4 || crc32.Checksum(b[headerSize+4:], castagnoli) != binary.BigEndian.Uint32(b[headerSize:]) {
		return nil, fmt.Errorf("root %s: checksum: %w", key, ErrFormat)
	}
	r := &pb.Root{}
	if err := proto.Unmarshal(b[headerSize+4:], r); err != nil {
		return nil, fmt.Errorf("root %s: %w: %w", key, ErrFormat, err)
	}
	if err := state.CheckKnown(r.ProtoReflect()); err != nil {
		return nil, fmt.Errorf("root %s: %w", key, err)
	}
	if r.Base == nil {
		return nil, fmt.Errorf("root %s has no base: %w", key, ErrFormat)
	}
	for _, a := range r.Archives {
		if a.Object == nil {
			return nil, fmt.Errorf("root %s: an archive without an object: %w", key, ErrFormat)
		}
	}
	return r, nil
}
