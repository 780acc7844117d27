package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/objstore"
)

// Write stores what a checkpoint at the mark consists of.
func (j *Steps) Write(ctx context.Context, last Last) (Written, error) {
	w, err := j.write(ctx, last)
	j.hold.Lock()
	defer j.hold.Unlock()
	if j.hold.failed++; err == nil {
		j.hold.failed = 0
	}
	return w, err
}

func (j *Steps) write(ctx context.Context, last Last) (Written, error) {
	j.mark.Lock()
	position, head, digest, frozen := j.mark.entry, j.mark.head, j.mark.digest, j.mark.frozen
	pending, own := j.mark.pending, j.mark.session
	root := &pb.Root{
		Cluster: j.o.Cluster, ClusterId: j.mark.id, EtcdClusterId: j.mark.etcd, Incarnation: j.mark.incarn, Position: position,
		Head: head, Digest: digest[:], FeatureLevel: j.mark.level, AtMs: j.mark.atMs,
	}
	j.mark.frozen = nil
	j.mark.Unlock()
	archives, err := j.writeArchives(ctx, last, position, pending, own)
	if err != nil {
		return Written{}, err
	}
	if last.Root != nil {
		root.Base = last.Root.Base
	}
	if frozen == nil && root.Base == nil {
		return Written{}, errors.New("the first checkpoint has no snapshot to make a base of")
	}
	if frozen != nil {
		if root.Base, err = writeBase(ctx, j.o.Store, j.o.Objects, frozen, head, own); err != nil {
			return Written{}, err
		}
	}
	root.Archives = neededArchives(last, archives, root.Base.Position, pending)
	data, err := encodeRoot(root)
	if err != nil {
		return Written{}, err
	}
	key := j.o.Objects.Checkpoint(layout.Root, head, own, 0)
	if err := j.o.Store.Put(ctx, key, objstore.NewBody(data)); err != nil {
		return Written{}, fmt.Errorf("write root: %w", err)
	}
	p := &pb.Pointer{Position: position, Head: head, Digest: digest[:], Root: key}
	return Written{Pointer: p, Root: root}, nil
}

// archiveBytes is the size past which an archive ends at the next mark. Marks of attempts that failed lie close together
// and share one.
const archiveBytes = 32 << 20

// writeArchives stores every entry since the last checkpoint, up to the mark at position, in archives that end at marks.
func (j *Steps) writeArchives(
	ctx context.Context, last Last, position int64, pending []int64, own layout.Session,
) ([]*pb.ArchiveRef, error) {
	from, fromHead := int64(0), int64(0)
	if last.Pointer != nil {
		from, fromHead = last.Pointer.Position, last.Pointer.Head
	}
	jrnl := j.o.Journal
	a, err := jrnl.Anchor(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := jrnl.Since(ctx, a, from, fromHead)
	if err != nil {
		return nil, err
	}
	var refs []*pb.ArchiveRef
	n, size := 0, 0
	for _, to := range pending {
		if to <= from || to > position {
			continue
		}
		for n < len(entries) && entries[n].Position <= to {
			size += len(entries[n].Value)
			n++
		}
		if n == 0 || entries[n-1].Position != to {
			return nil, fmt.Errorf("the journal has no entry at mark %d: %w", to, journal.ErrGap)
		}
		if to < position && size < archiveBytes {
			continue
		}
		end := entries[n-1].Head
		body := buildArchive(from, to, entries[:n])
		key := j.o.Objects.Checkpoint(layout.Archive, end, own, 0)
		if err := j.o.Store.Put(ctx, key, body); err != nil {
			return nil, fmt.Errorf("write archive: %w", err)
		}
		refs = append(refs, &pb.ArchiveRef{
			Object: &pb.ObjectRef{Key: key, Size: uint64(body.Size()), Crc32C: body.CRC32C},
			From:   from, To: to, Entries: int64(n), Session: int64(own), Head: end,
		})
		from, entries, n, size = to, entries[n:], 0, 0
	}
	if from != position {
		return nil, fmt.Errorf("the archives end at %d, the mark is at %d: %w", from, position, journal.ErrGap)
	}
	return refs, nil
}

// neededArchives are those behind the base, for replay, and those that State has not recorded at the mark.
func neededArchives(last Last, written []*pb.ArchiveRef, base int64, pending []int64) []*pb.ArchiveRef {
	var all, list []*pb.ArchiveRef
	if last.Root != nil {
		all = append(all, last.Root.Archives...)
	}
	for _, a := range append(all, written...) {
		unrecorded := len(pending) > 0 && a.To >= pending[0]
		if a.To > base || unrecorded {
			list = append(list, a)
		}
	}
	return list
}
