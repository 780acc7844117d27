package fsck_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/internal/layout"
	"wadi/metadata/checkpoint"
	"wadi/metadata/fsck"
	"wadi/metadata/journal"
	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
)

// folding is a fold of partition 0's first runs, for tests to spoil.
type folding struct {
	f       fixture
	s       *state.State
	runs    []manifest.Run
	objects []manifest.Object
	aborted []manifest.Aborted
	command *pb.FoldRuns
	body    []byte
}

// fold takes in what the manifest holds, and so many runs more.
func (f fixture) fold(t *testing.T, n uint64, runs int) *folding {
	t.Helper()
	s := f.state(t)
	topic := s.TopicByNumber(1)
	p := topic.Partition(0)
	x := &folding{f: f, s: s, command: &pb.FoldRuns{N: n, Topic: 1, Version: p.Version}}
	if m := p.Manifest; m != nil {
		r := f.manifest(t, s, m)
		objects, err := r.Objects(t.Context())
		require.NoError(t, err)
		x.objects = objects[m.Released:]
		require.NoError(t, r.EachRun(t.Context(), func(run manifest.Run) error {
			if run.Index >= m.Released {
				run.Index -= m.Released
				x.runs = append(x.runs, run)
			}
			return nil
		}))
		x.aborted, err = r.Aborted(t.Context(), m.First, m.Last)
		require.NoError(t, err)
		x.command.Old, x.command.Released = m.Object, m.Released
	}
	p.EachRun(func(r state.Run) {
		if runs--; runs < 0 {
			return
		}
		o, ok := s.Object(r.Place)
		require.True(t, ok && r.Placed(), "%+v", r)
		if k := len(x.objects); k == 0 || x.objects[k-1].Number != r.Place {
			x.objects = append(x.objects, manifest.Object{Number: r.Place, Session: o.Session, N: o.N, Size: o.Size, Introduced: o.Introduced})
		}
		x.runs = append(x.runs, manifest.Run{Run: r, Index: uint32(len(x.objects) - 1)})
	})
	last := x.runs[len(x.runs)-1].Last
	p.EachAborted(func(a state.AbortedTxn) {
		if a.Last <= last {
			x.aborted = append(x.aborted, manifest.Aborted(a))
		}
	})
	x.write(t, topic.ID)
	return x
}

// write makes the manifest, and of the command what follows from it.
func (x *folding) write(t *testing.T, topic state.TopicID) {
	t.Helper()
	var out bytes.Buffer
	w, err := manifest.NewWriter(&out, topic, 0)
	require.NoError(t, err)
	for _, r := range x.runs {
		require.NoError(t, w.Run(r.Base, r.Last, r.MaxTimestamp, r.Index, r.Offset, r.Length))
	}
	for _, o := range x.objects {
		require.NoError(t, w.Object(o))
	}
	for _, a := range x.aborted {
		require.NoError(t, w.Aborted(a))
	}
	i, err := w.Close()
	require.NoError(t, err)
	x.body = out.Bytes()
	c := x.command
	c.Size, c.First, c.Last = uint64(len(x.body)), i.First, i.Last
	c.Runs, c.Owned, c.Bytes, c.MaxTimestamp = i.Runs, i.Objects, uint64(i.Bytes), i.MaxTimestamp
}

func (x *folding) key(t *testing.T) string {
	session, _ := x.f.last(t)
	return x.f.keys.Manifest(session, x.command.N)
}

// land stores the manifest and proposes the command.
func (x *folding) land(t *testing.T) {
	t.Helper()
	require.NoError(t, x.f.store.Put(t.Context(), x.key(t), objstore.NewBody(x.body)))
	x.f.propose(t, &pb.Command{Kind: &pb.Command_FoldRuns{FoldRuns: x.command}})
}

func (f fixture) manifest(t *testing.T, s *state.State, m *state.Manifest) *manifest.Reader {
	t.Helper()
	o, ok := s.Object(m.Object)
	require.True(t, ok)
	r, err := manifest.Open(t.Context(), f.store, o.Key(f.keys), o.Size)
	require.NoError(t, err)
	return r
}

// release makes the next n objects of partition 0's manifest garbage, or of a manifest that is nobody's any more.
func (f fixture) release(t *testing.T, m *state.Manifest, n int) {
	t.Helper()
	objects, err := f.manifest(t, f.state(t), m).ObjectsFrom(t.Context(), m.Released, n)
	require.NoError(t, err)
	c := &pb.ReleaseObjects{Manifest: m.Object, Topic: 1, Released: m.Released}
	for _, o := range objects {
		c.Sessions, c.Ns, c.Sizes = append(c.Sessions, int64(o.Session)), append(c.Ns, o.N), append(c.Sizes, o.Size)
		c.Bytes, c.Introduced, c.Lasts = append(c.Bytes, uint64(o.Bytes)), append(c.Introduced, o.Introduced), append(c.Lasts, o.Last)
	}
	f.propose(t, &pb.Command{Kind: &pb.Command_ReleaseObjects{ReleaseObjects: c}})
}

func (f fixture) trim(t *testing.T, offset int64) {
	t.Helper()
	f.propose(t, &pb.Command{Base: 1 << 40, Kind: &pb.Command_TrimPartitions{
		TrimPartitions: &pb.TrimPartitions{Topics: []uint64{1}, Partitions: []uint32{0}, Offsets: []int64{offset}},
	}}, &pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: 1000}}})
}

// collect deletes garbage that no kept root names or replays, and forgets it.
func (f fixture) collect(t *testing.T) (deleted int) {
	t.Helper()
	s, c := f.state(t), &pb.ForgetObjects{}
	roots := f.roots(t)
	var keys []string
	s.EachGarbage(func(number uint64, o state.Object) {
		for _, r := range roots {
			named := o.Introduced <= r.Position && r.Position < o.Lost
			replayed := slices.ContainsFunc(r.Archives, func(a *pb.ArchiveRef) bool { return a.Object.Key == o.Key(f.keys) })
			if named || replayed {
				return
			}
		}
		keys, c.Objects = append(keys, o.Key(f.keys)), append(c.Objects, number)
	})
	require.NoError(t, f.store.Delete(t.Context(), keys))
	half := f.check(t) // deleted, and not forgotten yet
	require.True(t, half.Clean(), "%v", half.Findings)
	f.propose(t, &pb.Command{Kind: &pb.Command_ForgetObjects{ForgetObjects: c}})
	return len(keys)
}

// clean asserts that nothing is found, and how many records there are.
func (f fixture) clean(t *testing.T, records int64) *fsck.Report {
	t.Helper()
	r := f.check(t)
	require.True(t, r.Clean(), "%v", r.Findings)
	require.Equal(t, records, r.Counts.Records)
	return r
}

func (f fixture) partition(t *testing.T) *state.Partition {
	t.Helper()
	return f.state(t).TopicByNumber(1).Partition(0)
}

// A cluster whose log is merged, compacted, folded, trimmed, released, collected and whose topic is deleted is clean at
// every step, with what kept roots name and without.
func TestCompactorsWork(t *testing.T) {
	f := work(t)
	records := f.check(t).Counts.Records
	f.merge(t, 1, 0, 8, nil).land(t)
	f.merge(t, 2, 1, 8, nil).land(t)
	f.merge(t, 3, 2, 8, nil).land(t)
	f.clean(t, records)
	f.fold(t, 4, 2).land(t)
	r := f.clean(t, records)
	require.Equal(t, 1, r.Counts.Manifests)
	require.Equal(t, uint32(2), f.partition(t).Manifest.Owned)
	f.live(t, 1, 30)
	records += 35
	f.clean(t, records)
	first := f.partition(t).Manifest
	f.merge(t, 1, 1, 1000, nil).land(t)
	f.fold(t, 2, 2).land(t) // takes in the manifest, and the objects with their numbers
	second := f.partition(t).Manifest
	require.Equal(t, uint32(4), second.Owned)
	f.clean(t, records)
	require.NotEqual(t, first.Object, second.Object)

	objects, err := f.manifest(t, f.state(t), second).Objects(t.Context())
	require.NoError(t, err)
	start := objects[0].Last + 2
	f.trim(t, start)
	records -= start
	f.clean(t, records)
	f.release(t, second, 1)
	require.Equal(t, uint32(1), f.partition(t).Manifest.Released)
	f.clean(t, records)
	f.collect(t)
	f.clean(t, records)
	f.live(t, 4, 3) // no root is kept that names what went
	records += 17
	f.clean(t, records)
	require.Greater(t, f.collect(t), 4)
	f.clean(t, records)
	require.Zero(t, kinds(f.check(t).Leftovers)[fsck.Garbage])

	of := f.partition(t).Manifest
	f.propose(t, &pb.Command{Base: 1 << 40, Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: 1}}})
	f.clean(t, 0)
	f.propose(t, &pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: 1000}}})
	f.clean(t, 0)
	f.release(t, of, 2)
	f.clean(t, 0)
	of.Released += 2
	f.release(t, of, 1)
	f.clean(t, 0)
	objectsLeft, _ := f.state(t).Garbage()
	require.Positive(t, objectsLeft)
}

// roots are the kept ones.
func (f fixture) roots(t *testing.T) (roots []*pb.Root) {
	t.Helper()
	a, err := journal.New(f.kv, layout.NewEtcd(cluster)).Anchor(t.Context())
	require.NoError(t, err)
	for _, k := range a.Pointer.GetKept() {
		r, err := checkpoint.ReadRoot(t.Context(), f.store, k.Key)
		require.NoError(t, err)
		roots = append(roots, r)
	}
	return roots
}
