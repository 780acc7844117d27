package checkpoint

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/objstore"
	"wadi/objstore/mem"
)

// smallWrites is a journal of n entries of one inline batch of 200 bytes, each of the next of 500 producers.
func smallWrites(tb testing.TB, n int) []journal.Entry {
	list := goldenEntries(tb)[:2]
	inline := make([]byte, 200)
	for i := range n {
		at := int64(len(list) + 1)
		value, err := proto.Marshal(&pb.Entry{AtMs: 1_700_000_000_000 + at, Inline: inline, Commands: []*pb.Command{{
			Kind: &pb.Command_AppendBatches{AppendBatches: &pb.AppendBatches{
				Topics: []uint64{1}, Partitions: []uint32{uint32(i % 3)}, Offsets: []uint64{0}, Runs: []uint32{1},
				ProducerIds: []int64{int64(i % 499)}, ProducerEpochs: []int32{0}, Sequences: []int32{int32(i / (3 * 499))}, Batches: []uint32{1},
				Records: []uint32{1}, Bytes: []uint32{200}, MaxTimestamps: []int64{0},
			}},
		}}})
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, journal.Entry{Position: 10 * at, Head: at, Session: goldenSession, Seq: uint64(at), Value: value})
	}
	return list
}

// archived puts the entries into archives behind a base that holds the first two, and returns their root.
func archived(tb testing.TB, store objstore.Store, entries []journal.Entry, archives int) *pb.Root {
	tb.Helper()
	b, err := writeBase(tb.Context(), store, objectKeys, stateOf(tb, entries[:2]), 2, goldenSession)
	if err != nil {
		tb.Fatal(err)
	}
	last := entries[len(entries)-1]
	digest := stateOf(tb, entries).Digest()
	root := &pb.Root{Position: last.Position, Head: last.Head, Digest: digest[:], Base: b}
	from := entries[1].Position
	entries = entries[2:]
	for each := (len(entries) + archives - 1) / archives; len(entries) > 0; {
		part := entries[:min(each, len(entries))]
		entries = entries[len(part):]
		end := part[len(part)-1]
		body := buildArchive(from, end.Position, part)
		key := objectKeys.Checkpoint(layout.Archive, end.Head, goldenSession, 0)
		if err := store.Put(tb.Context(), key, body); err != nil {
			tb.Fatal(err)
		}
		root.Archives = append(root.Archives, &pb.ArchiveRef{
			Object: &pb.ObjectRef{Key: key, Size: uint64(body.Size()), Crc32C: body.CRC32C}, From: from, To: end.Position,
		})
		from = end.Position
	}
	return root
}

// BenchmarkLoad is a cold agent's work on what a checkpoint holds: 30 MB of archives of small writes.
func BenchmarkLoad(b *testing.B) {
	store := mem.New()
	root := archived(b, store, smallWrites(b, 100_000), 6)
	var bytes int64
	for _, a := range root.Archives {
		bytes += int64(a.Object.Size)
	}
	b.SetBytes(bytes)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := LoadRoot(b.Context(), store, root); err != nil {
			b.Fatal(err)
		}
	}
}
