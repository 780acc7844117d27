package fsck_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/internal/batch"
	"wadi/internal/layout"
	"wadi/metadata/checkpoint"
	"wadi/metadata/fsck"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/segment"
)

// state is what the journal and the checkpoint lead to.
func (f fixture) state(t *testing.T) *state.State {
	t.Helper()
	j := journal.New(f.kv, layout.NewEtcd(cluster))
	a, err := j.Anchor(t.Context())
	require.NoError(t, err)
	s, err := checkpoint.NewReader(f.store, f.keys, 1).Load(t.Context(), a.Pointer)
	require.NoError(t, err)
	entries, err := j.Since(t.Context(), a, s.Position(), a.Pointer.Head)
	require.NoError(t, err)
	for _, e := range entries {
		d, err := state.Decode(e.Position, e.Session, e.Seq, e.Value)
		require.NoError(t, err)
		s.Apply(d)
	}
	return s
}

// bytesOf reads a run where it lies.
func (f fixture) bytesOf(t *testing.T, s *state.State, r state.Run) []byte {
	t.Helper()
	if !r.Inline() {
		o, ok := s.Object(r.Place)
		require.True(t, ok)
		data, err := f.store.Get(t.Context(), o.Key(f.keys), int64(r.Offset), int64(r.Length))
		require.NoError(t, err)
		return data
	}
	o, _, ok := s.Archive(int64(r.Place))
	require.True(t, ok, "the fixture merges what is archived")
	inline, err := checkpoint.NewReader(f.store, f.keys, 1).Inline(t.Context(), o.Key(f.keys), o.Size, int64(r.Place))
	require.NoError(t, err)
	return inline[r.Offset : r.Offset+r.Length]
}

// mergeable are runs of partition 0 that an archive or an object holds, up to n, without the first ones.
func mergeable(s *state.State, without, n int) (runs []state.Run) {
	ended := false
	s.TopicByNumber(1).Partition(0).EachRun(func(r state.Run) {
		if r.Inline() {
			_, _, ok := s.Archive(int64(r.Place))
			ended = ended || !ok
		}
		if without--; without >= 0 {
			return
		}
		if ended = ended || len(runs) == n; !ended {
			runs = append(runs, r)
		}
	})
	return runs
}

// merging is a merge of runs of partition 0, for tests to spoil.
type merging struct {
	f       fixture
	s       *state.State
	old     []state.Run
	batches []batch.Batch
	command *pb.ReplaceRuns
	body    objstore.Body
}

// merge reads runs behind the first ones and makes one run of their batches, of which edit may drop or change some.
func (f fixture) merge(t *testing.T, n uint64, behind, runs int, edit func([]batch.Batch) []batch.Batch) *merging {
	t.Helper()
	m := &merging{f: f, s: f.state(t)}
	m.old = mergeable(m.s, behind, runs)
	require.NotEmpty(t, m.old)
	for _, r := range m.old {
		next := r.Base
		var data []byte
		if r.Marker() {
			data = r.MarkerBatch().AppendTo(nil)
		} else {
			data = bytes.Clone(f.bytesOf(t, m.s, r))
		}
		for len(data) > 0 {
			b, rest, err := batch.Split(data)
			require.NoError(t, err)
			if !r.Placed() {
				b.SetBaseOffset(next)
			}
			next = b.LastOffset() + 1
			m.batches, data = append(m.batches, b), rest
		}
	}
	if edit != nil {
		m.batches = edit(m.batches)
	}
	topic := m.s.TopicByNumber(1)
	first, last := m.old[0], m.old[len(m.old)-1]
	section := segment.Section{Topic: topic.ID, BaseOffset: first.Base, Batches: len(m.batches), MaxTimestamp: m.batches[0].MaxTimestamp()}
	size := 0
	for _, b := range m.batches {
		section.Chunks = append(section.Chunks, b)
		section.Records += int(b.NumRecords())
		section.MaxTimestamp = max(section.MaxTimestamp, b.MaxTimestamp())
		size += len(b)
	}
	body, at, err := segment.Build(segment.Meta{Kind: segment.Merged, ClusterID: m.s.ClusterID()}, []segment.Section{section})
	require.NoError(t, err)
	m.body = body
	m.command = &pb.ReplaceRuns{
		N: n, Size: uint64(body.Size()), Topics: []uint64{1}, Partitions: []uint32{0}, Versions: []uint64{topic.Partition(0).Version},
		Bases: []int64{first.Base}, Lasts: []int64{last.Last}, Runs: []uint32{1}, RunCounts: []uint64{uint64(last.Last-first.Base) + 1},
		MaxTimestamps: []int64{section.MaxTimestamp}, Offsets: []uint64{at[0]}, Lengths: []uint32{uint32(size)},
	}
	return m
}

// key of the merged object.
func (m *merging) key(t *testing.T) string {
	session, _ := m.f.last(t)
	return m.f.keys.Merged(session, m.command.N)
}

// land stores the object and proposes the command.
func (m *merging) land(t *testing.T) {
	t.Helper()
	require.NoError(t, m.f.store.Put(t.Context(), m.key(t), m.body))
	m.f.propose(t, &pb.Command{Kind: &pb.Command_ReplaceRuns{ReplaceRuns: m.command}})
}

// without drops the i-th batch.
func without(i int) func([]batch.Batch) []batch.Batch {
	return func(list []batch.Batch) []batch.Batch { return append(list[:i:i], list[i+1:]...) }
}

// A merged log is whole, and what was merged is garbage, whether the bucket still has it or not.
func TestMerged(t *testing.T) {
	f := work(t)
	before := f.check(t)
	f.merge(t, 1, 0, 10, nil).land(t)
	f.merge(t, 2, 0, 1000, nil).land(t)
	after := f.check(t)
	require.True(t, after.Clean(), "%v", after.Findings)
	require.Equal(t, before.Counts.Records, after.Counts.Records)
	require.Less(t, after.Counts.Runs, before.Counts.Runs)
	require.Contains(t, kinds(after.Leftovers), fsck.Garbage)
}

// Compaction leaves offsets out, of batches and within them, only below the offset that State records.
func TestCompacted(t *testing.T) {
	f := work(t)
	before := f.check(t)
	m := f.merge(t, 1, 0, 10, func(list []batch.Batch) []batch.Batch {
		return append(list[1:3:3], list[5:]...)
	})
	m.command.Compacted = []bool{true}
	m.land(t)
	after := f.check(t)
	require.True(t, after.Clean(), "%v", after.Findings)
	require.Equal(t, before.Counts.Records-3, after.Counts.Records)
	f.merge(t, 2, 0, 3, nil).land(t) // what was compacted is merged on
	again := f.check(t)
	require.True(t, again.Clean(), "%v", again.Findings)
	require.Equal(t, after.Counts.Records, again.Counts.Records)
}

// What a merge that went wrong would leave is found.
func TestMergedDamage(t *testing.T) {
	all := work(t)
	for name, c := range map[string]struct {
		edit func([]batch.Batch) []batch.Batch
		late func(*testing.T, *merging) // before it lands
		kind fsck.Kind
		at   func(*testing.T, *merging) string
		part string
	}{
		"a batch is missing":          {without(4), nil, fsck.LostRecords, partition0, "offsets are missing from 4 to 4"},
		"the first batch is missing":  {without(0), nil, fsck.LostRecords, partition0, "offsets are missing from 0 to 0"},
		"the last batch is missing":   {without(9), nil, fsck.LostRecords, partition0, "offsets are missing from 9 to 9"},
		"a batch is there twice":      {func(l []batch.Batch) []batch.Batch { return append(l[:2:2], l[1:]...) }, nil, fsck.LostRecords, partition0, "where one from 2"},
		"batches are out of order":    {func(l []batch.Batch) []batch.Batch { l[2], l[3] = l[3], l[2]; return l }, nil, fsck.LostRecords, partition0, "offsets are missing from 2 to 2"},
		"offsets were not written in": {func(l []batch.Batch) []batch.Batch { l[4].SetBaseOffset(0); return l }, nil, fsck.LostRecords, partition0, "a batch holds offsets 0 to 0"},
		"a batch lies beyond the run": {func(l []batch.Batch) []batch.Batch { l[9].SetBaseOffset(10); return l }, nil, fsck.LostRecords, partition0, "a batch holds offsets 10 to 10"},
		"another timestamp":           {nil, func(_ *testing.T, m *merging) { m.command.MaxTimestamps[0]++ }, fsck.LostRecords, partition0, "its newest timestamp is"},
		"another size":                {nil, func(_ *testing.T, m *merging) { m.command.Size++ }, fsck.WrongSize, object, "bytes instead of"},
		"a flipped byte": {nil, func(_ *testing.T, m *merging) {
			b := m.body.Bytes()
			m.body = objstore.NewBody(flip(b))
		}, fsck.DamagedObject, object, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := all.fork(t)
			m := f.merge(t, 1, 0, 10, c.edit)
			require.Len(t, m.old, 10)
			if c.late != nil {
				c.late(t, m)
			}
			m.land(t)
			r := f.check(t)
			found := named(t, r, c.kind, c.at(t, m))
			require.Contains(t, found, c.part)
		})
	}
	t.Run("object missing", func(t *testing.T) {
		f := all.fork(t)
		m := f.merge(t, 1, 0, 10, nil)
		m.land(t)
		require.NoError(t, f.store.Delete(t.Context(), []string{m.key(t)}))
		r := f.check(t)
		named(t, r, fsck.MissingObject, m.key(t))
		named(t, r, fsck.LostRecords, "t-0")
	})
}

func partition0(*testing.T, *merging) string { return "t-0" }
func object(t *testing.T, m *merging) string { return m.key(t) }
