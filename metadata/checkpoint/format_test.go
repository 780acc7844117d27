package checkpoint

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/mem"
)

var rewrite = flag.Bool("rewrite", false, "write golden files anew")

const goldenSession layout.Session = 0x694d8f2c1a2b3c4d

// goldenEntries are a little journal: a cluster, a topic, inline data, marks.
func goldenEntries(t testing.TB) []journal.Entry {
	t.Helper()
	var list []journal.Entry
	add := func(inline string, cmds ...*pb.Command) {
		n := int64(len(list) + 1)
		e := &pb.Entry{AtMs: 1_700_000_000_000 + n, Commands: cmds, Inline: []byte(inline)}
		value, err := proto.MarshalOptions{Deterministic: true}.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, journal.Entry{Position: 10 * n, Head: n, Session: goldenSession, Seq: uint64(n), Value: value})
	}
	batch := func(size uint32) *pb.Command {
		return &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: &pb.AppendBatches{
			Topics: []uint64{1}, Partitions: []uint32{0}, Offsets: []uint64{0}, Runs: []uint32{1}, ProducerIds: []int64{7},
			ProducerEpochs: []int32{0}, Sequences: []int32{0}, Batches: []uint32{1}, Records: []uint32{2}, Bytes: []uint32{size},
			MaxTimestamps: []int64{5},
		}}}
	}
	add("", &pb.Command{Kind: &pb.Command_InitCluster{InitCluster: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}}},
		&pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}})
	add("", &pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{
		Name: "orders", Partitions: 3, Configs: []*pb.Config{{Name: "retention.ms", Value: "1000"}},
	}}})
	add("the first batch", batch(15))
	add("", &pb.Command{Kind: &pb.Command_Mark{Mark: &pb.Mark{}}})
	add("the second one", batch(14))
	add("", &pb.Command{Kind: &pb.Command_Mark{Mark: &pb.Mark{}}})
	return list
}

func stateOf(t testing.TB, entries []journal.Entry) *state.State {
	t.Helper()
	s := state.New()
	for _, e := range entries {
		d, err := state.Decode(e.Position, e.Session, e.Seq, e.Value)
		if err != nil {
			t.Fatal(err)
		}
		s.Apply(d)
	}
	return s
}

// goldenObjects writes a checkpoint of each kind of object and returns their keys.
func goldenObjects(t testing.TB, store objstore.Store) (archive, base, root string) {
	t.Helper()
	entries := goldenEntries(t)
	at := stateOf(t, entries[:4])
	b, err := writeBase(t.Context(), store, objectKeys, at.Freeze(), 4, goldenSession)
	if err != nil {
		t.Fatal(err)
	}
	body := buildArchive(40, 60, entries[4:])
	archive = objectKeys.Checkpoint(layout.Archive, 6, goldenSession, 0)
	digest := stateOf(t, entries).Digest()
	r := &pb.Root{
		Cluster: cluster, ClusterId: "c", EtcdClusterId: 9, Incarnation: 1, Position: 60, Head: 6, Digest: digest[:], FeatureLevel: 1,
		AtMs: 1_700_000_000_006, Base: b, Archives: []*pb.ArchiveRef{{
			Object: &pb.ObjectRef{Key: archive, Size: uint64(body.Size()), Crc32C: body.CRC32C},
			From:   40, To: 60, Entries: 2, Session: int64(goldenSession), Head: 6,
		}},
	}
	data, err := encodeRoot(r)
	if err != nil {
		t.Fatal(err)
	}
	root = objectKeys.Checkpoint(layout.Root, 6, goldenSession, 0)
	for key, body := range map[string]objstore.Body{archive: body, root: objstore.NewBody(data)} {
		if err := store.Put(t.Context(), key, body); err != nil {
			t.Fatal(err)
		}
	}
	return archive, b.Parts[0].Key, root
}

func get(t testing.TB, store objstore.Store, key string) []byte {
	t.Helper()
	b, err := store.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Version 1 of archive, base and root, byte for byte: what was written once must be readable for good.
func TestGoldenObjects(t *testing.T) {
	written := mem.New()
	archive, base, root := goldenObjects(t, written)
	frozen := mem.New()
	for name, key := range map[string]string{"archive-v1": archive, "base-v1": base, "root-v1": root} {
		path := filepath.Join("testdata", name)
		if *rewrite {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, get(t, written, key), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(get(t, written, key), want) {
			t.Errorf("%s: what is written today differs", name)
		}
		if err := frozen.Put(t.Context(), key, objstore.NewBody(want)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := ReadRoot(t.Context(), frozen, root)
	if err != nil {
		t.Fatal(err)
	}
	s, err := LoadRoot(t.Context(), frozen, r)
	if err != nil {
		t.Fatal(err)
	}
	if s.Digest() != stateOf(t, goldenEntries(t)).Digest() {
		t.Error("the frozen checkpoint leads to another state")
	}
	reader := NewReader(frozen, objectKeys, ReadsAhead)
	for position, want := range map[int64]string{50: "the second one"} {
		got, err := reader.Inline(t.Context(), archive, uint64(len(get(t, frozen, archive))), position)
		if err != nil || string(got) != want {
			t.Errorf("inline data of position %d: %q, %v", position, got, err)
		}
	}
}

// Every flipped byte and every cut is noticed before anything is believed.
func TestDamageIsNoticed(t *testing.T) {
	store := mem.New()
	archive, base, root := goldenObjects(t, store)
	good, err := ReadRoot(t.Context(), store, root)
	if err != nil {
		t.Fatal(err)
	}
	load := func(damaged string, b []byte) error {
		other := mem.New()
		for _, key := range []string{archive, base, root} {
			data := get(t, store, key)
			if key == damaged {
				data = b
			}
			if err := other.Put(t.Context(), key, objstore.NewBody(data)); err != nil {
				t.Fatal(err)
			}
		}
		r, err := ReadRoot(t.Context(), other, root)
		if err != nil {
			return err
		}
		if !proto.Equal(r, good) {
			t.Fatalf("another root: %v", r)
		}
		_, err = LoadRoot(t.Context(), other, r)
		return err
	}
	for _, key := range []string{archive, base, root} {
		data := get(t, store, key)
		if err := load(key, data); err != nil {
			t.Fatal(err)
		}
		for i := range data {
			for _, bit := range []byte{1, 0x80} {
				b := bytes.Clone(data)
				b[i] ^= bit
				if err := load(key, b); !errors.Is(err, ErrFormat) {
					t.Errorf("%s: byte %d: %v", key, i, err)
				}
			}
			if err := load(key, data[:i]); !errors.Is(err, ErrFormat) && !errors.Is(err, objstore.ErrRange) {
				t.Errorf("%s cut to %d bytes: %v", key, i, err)
			}
		}
	}
}

// Objects of a version that this program does not know are refused by name.
func TestUnknownVersions(t *testing.T) {
	store := mem.New()
	_, _, root := goldenObjects(t, store)
	b := get(t, store, root)
	b[11] = 2
	other := mem.New()
	if err := other.Put(t.Context(), root, objstore.NewBody(b)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRoot(t.Context(), other, root); !errors.Is(err, ErrFormat) || !bytes.Contains([]byte(err.Error()), []byte("version 2")) {
		t.Errorf("%v", err)
	}
}

// A large archive: the index does not fit the first read, chunks are read by the MiB, and every entry is found.
func TestLargeArchive(t *testing.T) {
	store := mem.New()
	var entries []journal.Entry
	for i := int64(1); i <= 3000; i++ {
		e := &pb.Entry{AtMs: i, Inline: bytes.Repeat([]byte{byte(i)}, int(i%2000))}
		value, err := proto.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, journal.Entry{Position: 5 * i, Head: i, Session: 7, Seq: uint64(i), Value: value})
	}
	body := buildArchive(0, 15000, entries)
	if err := store.Put(t.Context(), "a", body); err != nil {
		t.Fatal(err)
	}
	reader := NewReader(store, objectKeys, 1)
	for _, i := range []int64{1, 2, 999, 1000, 1500, 2999, 3000, 1} {
		got, err := reader.Inline(t.Context(), "a", uint64(body.Size()), 5*i)
		if err != nil || len(got) != int(i%2000) || len(got) > 0 && got[len(got)-1] != byte(i) {
			t.Errorf("entry %d: %d bytes, %v", i, len(got), err)
		}
	}
	if _, err := reader.Inline(t.Context(), "a", uint64(body.Size()), 7); !errors.Is(err, ErrFormat) {
		t.Errorf("a position between entries: %v", err)
	}
	if _, err := reader.Inline(t.Context(), "", 0, 5); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("no archive known: %v", err)
	}
	n := 0
	if _, _, err := EachEntry(t.Context(), store, "a", uint64(body.Size()), func(e journal.Entry) error {
		if string(e.Value) != string(entries[n].Value) {
			return fmt.Errorf("entry %d", n)
		}
		n++
		return nil
	}); err != nil || n != len(entries) {
		t.Errorf("%d entries, %v", n, err)
	}
}

// A base of several parts.
func TestBaseInParts(t *testing.T) {
	store := mem.New()
	s := stateOf(t, goldenEntries(t))
	b, err := writeBase(t.Context(), store, objectKeys, s, 6, goldenSession)
	if err != nil {
		t.Fatal(err)
	}
	// Cut the part between records: two parts hold the same state.
	data := get(t, store, b.Parts[0].Key)
	at := headerSize + 8 + int(data[headerSize+3]) // behind the first record
	first, second := data[:at], append(header(baseMagic), data[at:]...)
	two := &pb.Base{Position: b.Position, Head: b.Head, Digest: b.Digest}
	whole := []byte{}
	for i, part := range [][]byte{first, second} {
		key := objectKeys.Checkpoint(layout.Base, 6, 99, i)
		body := objstore.NewBody(part)
		if err := store.Put(t.Context(), key, body); err != nil {
			t.Fatal(err)
		}
		two.Parts = append(two.Parts, &pb.ObjectRef{Key: key, Size: uint64(len(part)), Crc32C: body.CRC32C})
		whole = append(whole, part...)
	}
	two.ContentHash = hashOf(whole)
	loaded, err := loadBase(t.Context(), store, two, partsAhead)
	if err != nil || loaded.Digest() != s.Digest() {
		t.Fatalf("%v", err)
	}
	two.Parts[0], two.Parts[1] = two.Parts[1], two.Parts[0]
	if _, err := loadBase(t.Context(), store, two, partsAhead); err == nil {
		t.Error("parts in the wrong order")
	}
}

func FuzzReadIndex(f *testing.F) {
	store := mem.New()
	archive, _, _ := goldenObjects(f, store)
	f.Add(get(f, store, archive))
	f.Add(header(archiveMagic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		s := mem.New()
		if err := s.Put(t.Context(), "a", objstore.NewBody(data)); err != nil {
			t.Fatal(err)
		}
		n := 0
		_, _, err := EachEntry(t.Context(), s, "a", uint64(len(data)), func(journal.Entry) error { n++; return nil })
		if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, objstore.ErrRange) {
			t.Fatalf("%v", err)
		}
		if n*indexSize > len(data) {
			t.Fatalf("%d entries of %d bytes", n, len(data))
		}
	})
}

func FuzzRootAndBase(f *testing.F) {
	store := mem.New()
	_, base, root := goldenObjects(f, store)
	f.Add(get(f, store, root)[headerSize+4:], get(f, store, base))
	f.Fuzz(func(t *testing.T, message, part []byte) {
		// The checksum is made right: what follows must hold by itself.
		s := mem.New()
		b := append(header(rootMagic), crcOf(message)...)
		if err := s.Put(t.Context(), root, objstore.NewBody(append(b, message...))); err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), base, objstore.NewBody(part)); err != nil {
			t.Fatal(err)
		}
		r, err := ReadRoot(t.Context(), s, root)
		if err != nil {
			return
		}
		if len(r.Base.Parts) > 0 {
			r.Base.Parts[0].Crc32C, r.Base.Parts[0].Size = objstore.NewBody(part).CRC32C, uint64(len(part))
			r.Base.ContentHash = hashOf(part)
		}
		if loaded, err := LoadRoot(t.Context(), s, r); err == nil && loaded.Position() != r.Position {
			t.Fatalf("position %d, the root says %d", loaded.Position(), r.Position)
		}
	})
}
