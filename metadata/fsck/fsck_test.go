package fsck_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/fsck"
	"wadi/metadata/kv"
	"wadi/metadata/kv/memkv"
	pb "wadi/metadata/metadatapb"
	"wadi/objstore"
	"wadi/objstore/mem"
)

func TestClean(t *testing.T) {
	r := work(t).check(t)
	require.True(t, r.Clean(), "%v", r.Findings)
	require.Equal(t, int64(185), r.Counts.Records)
	require.Equal(t, 3, r.Counts.Partitions)
	require.Equal(t, 3, r.Counts.Roots)
	require.NotZero(t, r.Counts.Segments)
	require.NotZero(t, r.Counts.Archives)
	require.Greater(t, r.Counts.Runs, r.Counts.Segments)
	require.Empty(t, r.Leftovers)
}

func TestDamage(t *testing.T) {
	all := work(t)
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, f fixture) (k fsck.Kind, subject string)
		also   []fsck.Kind
	}{
		{"segment deleted", func(t *testing.T, f fixture) (fsck.Kind, string) {
			key := f.keyOf(t, "/flush/", 3)
			require.NoError(t, f.store.Delete(t.Context(), []string{key}))
			return fsck.MissingObject, key
		}, []fsck.Kind{fsck.LostRecords}},
		{"segment flipped", func(t *testing.T, f fixture) (fsck.Kind, string) {
			key := f.keyOf(t, "/flush/", 3)
			f.change(t, key, flip)
			return fsck.DamagedObject, key
		}, []fsck.Kind{fsck.LostRecords}},
		{"segment truncated", func(t *testing.T, f fixture) (fsck.Kind, string) {
			key := f.keyOf(t, "/flush/", 3)
			f.change(t, key, func(b []byte) []byte { return b[:len(b)-1] })
			return fsck.WrongSize, key
		}, []fsck.Kind{fsck.DamagedObject}},
		{"segment's footer flipped: the records are still there", func(t *testing.T, f fixture) (fsck.Kind, string) {
			key := f.keyOf(t, "/flush/", 3)
			f.change(t, key, func(b []byte) []byte { b[len(b)-30] ^= 1; return b })
			return fsck.DamagedObject, key
		}, nil},
		{"segments swapped", func(t *testing.T, f fixture) (fsck.Kind, string) {
			key, other := f.keyOf(t, "/flush/", 3), f.keyOf(t, "/flush/", 4)
			data, err := f.store.Get(t.Context(), other, 0, -1)
			require.NoError(t, err)
			f.change(t, key, func([]byte) []byte { return data })
			return fsck.LostRecords, ""
		}, nil},
		{"archive flipped", func(t *testing.T, f fixture) (fsck.Kind, string) {
			key := f.oldest(t, "/archive/") // only inline runs need it still
			f.change(t, key, func(b []byte) []byte { b[100] ^= 1; return b })
			return fsck.DamagedObject, key
		}, []fsck.Kind{fsck.LostRecords}},
		{"archive deleted", func(t *testing.T, f fixture) (fsck.Kind, string) {
			key := f.keyOf(t, "/archive/", 0)
			require.NoError(t, f.store.Delete(t.Context(), []string{key}))
			return fsck.BadCheckpoint, key
		}, nil},
		{"base tampered", func(t *testing.T, f fixture) (fsck.Kind, string) {
			key := f.keyOf(t, "/base/", 0)
			f.change(t, key, flip)
			return fsck.BadCheckpoint, key
		}, nil},
		{"newest root deleted", func(t *testing.T, f fixture) (fsck.Kind, string) {
			key := f.keyOf(t, "/root/", 0)
			require.NoError(t, f.store.Delete(t.Context(), []string{key}))
			return fsck.BadCheckpoint, key
		}, nil},
		{"object of nobody", func(t *testing.T, f fixture) (fsck.Kind, string) {
			key := f.keys.Root() + "backup/notes.txt"
			require.NoError(t, f.store.Put(t.Context(), key, objstore.NewBody([]byte("x"))))
			return fsck.ForeignObject, key
		}, nil},
		{"object of an unknown session", func(t *testing.T, f fixture) (fsck.Kind, string) {
			key := f.keys.Flush(12345, 1)
			require.NoError(t, f.store.Put(t.Context(), key, objstore.NewBody([]byte("x"))))
			return fsck.UnknownSession, key
		}, nil},
		{"cluster.json of another cluster", func(t *testing.T, f fixture) (fsck.Kind, string) {
			key := layout.ClusterFile(cluster)
			f.change(t, key, func(b []byte) []byte { return []byte(`{"cluster":"test","cluster_id":"other","incarnation":1}`) })
			return fsck.Identity, key
		}, nil},
		{"an agent that computed another digest", func(t *testing.T, f fixture) (fsck.Kind, string) {
			value, err := proto.Marshal(&pb.MarkDigest{Position: f.pointer(t), Digest: []byte("another")})
			require.NoError(t, err)
			key := layout.NewEtcd(cluster).Digest(777)
			_, err = f.kv.Txn(t.Context(), kv.Txn{Then: []kv.Op{kv.Put(key, value, 0)}})
			require.NoError(t, err)
			return fsck.BadState, key
		}, nil},
		{"journal entry gone", func(t *testing.T, f fixture) (fsck.Kind, string) {
			keys := layout.NewEtcd(cluster)
			res, err := f.kv.Range(t.Context(), kv.RangeRequest{Key: keys.JournalPrefix(), End: keys.Head()})
			require.NoError(t, err)
			last := res.KVs[len(res.KVs)-1].Key
			_, err = f.kv.Txn(t.Context(), kv.Txn{Then: []kv.Op{kv.Delete(last)}})
			require.NoError(t, err)
			return fsck.BadJournal, ""
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := all.clone(t)
			k, subject := c.damage(t, f)
			r := f.check(t)
			found := kinds(r.Findings)
			require.NotZero(t, found[k], "%v", r.Findings)
			if subject != "" {
				named(t, r, k, subject)
			}
			for _, k := range c.also {
				require.NotZero(t, found[k], "%s among %v", k, r.Findings)
			}
			if k == fsck.DamagedObject && c.also == nil || k == fsck.ForeignObject || k == fsck.UnknownSession {
				require.Len(t, r.Findings, 1, "%v", r.Findings)
			}
		})
	}
}

// What a crash leaves behind is told apart from damage, by whom it belongs to.
func TestLeftovers(t *testing.T) {
	f := work(t)
	name, err := f.keys.ParseFlush(f.keyOf(t, "/flush/", 0))
	require.NoError(t, err)
	live, _ := f.last(t)
	require.NotEqual(t, live, name.Session)
	// Of its flush 2 nothing is accepted: the number counts all the same.
	f.propose(t, &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: &pb.AppendBatches{
		Flush: 2, Size: 100, Topics: []uint64{99}, Partitions: []uint32{0}, Offsets: []uint64{0}, Runs: []uint32{1}, ProducerIds: []int64{-1},
		ProducerEpochs: []int32{-1}, Sequences: []int32{-1}, Batches: []uint32{1}, Records: []uint32{1}, Bytes: []uint32{100}, MaxTimestamps: []int64{0},
	}}})
	put := func(key string) string {
		require.NoError(t, f.store.Put(t.Context(), key, objstore.NewBody([]byte("x"))))
		return key
	}
	want := map[string]fsck.Kind{
		put(f.keys.FlushHedge(live, 1)):                             fsck.OrphanLive,
		put(f.keys.Flush(live, 1<<40)):                              fsck.Uncommitted,
		put(f.keys.FlushHedge(name.Session, 1)):                     fsck.OrphanClosed,
		put(f.keys.Flush(name.Session, 1<<40)):                      fsck.OrphanClosed,
		put(f.keys.Checkpoint(layout.Base, 1<<40, name.Session, 0)): fsck.CheckpointLeftover,
		put(f.keys.Checkpoint(layout.Archive, 1, name.Session, 0)):  fsck.CheckpointLeftover,
	}
	r := f.check(t)
	require.True(t, r.Clean(), "%v", r.Findings)
	require.Len(t, r.Leftovers, len(want), "%v", r.Leftovers)
	for _, i := range r.Leftovers {
		require.Equal(t, want[i.Subject], i.Kind, "%v", i)
	}
}

func TestNoCluster(t *testing.T) {
	_, err := fsck.Run(t.Context(), fsck.Options{KV: memkv.New(memkv.Config{}), Store: mem.New(), Cluster: cluster})
	require.ErrorIs(t, err, fsck.ErrNoCluster)
}
