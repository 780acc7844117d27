package fsck_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/metadata/fsck"
	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// folded is a cluster whose partition 0 begins with a manifest of three objects.
func folded(t *testing.T) fixture {
	t.Helper()
	f := work(t)
	for i := range 3 {
		f.merge(t, uint64(i+1), i, 5, nil).land(t)
	}
	return f
}

// What is wrong with a manifest, and with what it owns, is found and named.
func TestFoldedDamage(t *testing.T) {
	all := folded(t)
	all.clean(t, 185)
	manifestKey := func(t *testing.T, x *folding) string { return x.key(t) }
	owned := func(t *testing.T, x *folding) string { return x.objects[1].Key(x.f.keys) }
	partition0 := func(*testing.T, *folding) string { return "t-0" }
	change := func(key func(*testing.T, *folding) string, edit func([]byte) []byte) func(*testing.T, *folding) {
		return func(t *testing.T, x *folding) { x.f.change(t, key(t, x), edit) }
	}
	remove := func(key func(*testing.T, *folding) string) func(*testing.T, *folding) {
		return func(t *testing.T, x *folding) {
			require.NoError(t, x.f.store.Delete(t.Context(), []string{key(t, x)}))
		}
	}
	cut := func(b []byte) []byte { return b[:len(b)-1] }
	command := func(edit func(*pb.FoldRuns)) func(*testing.T, *folding) {
		return func(_ *testing.T, x *folding) { edit(x.command) }
	}
	type finding struct {
		kind fsck.Kind
		at   func(*testing.T, *folding) string
		part string
	}
	for name, c := range map[string]struct {
		before, after func(*testing.T, *folding)
		findings      []finding
	}{
		"manifest deleted": {nil, remove(manifestKey), []finding{
			{fsck.MissingObject, manifestKey, "refers to it"}, {fsck.LostRecords, partition0, "offsets 0 to"}}},
		"manifest flipped": {nil, change(manifestKey, flip), []finding{
			{fsck.BadManifest, manifestKey, "CRC"}, {fsck.LostRecords, partition0, "offsets 0 to"}}},
		"manifest cut": {nil, change(manifestKey, cut), []finding{
			{fsck.WrongSize, manifestKey, ""}, {fsck.BadManifest, manifestKey, ""}, {fsck.LostRecords, partition0, ""}}},
		"owned object deleted": {nil, remove(owned), []finding{
			{fsck.MissingObject, owned, "owns it"}, {fsck.LostRecords, partition0, "not found"}}},
		"owned object flipped": {nil, change(owned, flip), []finding{{fsck.DamagedObject, owned, ""}, {fsck.LostRecords, partition0, ""}}},
		"owned object cut":     {nil, change(owned, cut), []finding{{fsck.WrongSize, owned, ""}, {fsck.DamagedObject, owned, ""}}},
		"another partition's": {func(t *testing.T, x *folding) { x.write(t, state.TopicID{1}) }, nil, []finding{
			{fsck.BadManifest, manifestKey, "not of t-0"}}},
		"more runs in State": {command(func(c *pb.FoldRuns) { c.Runs++ }), nil, []finding{
			{fsck.BadManifest, manifestKey, "3 runs in 3 objects, State says 4 in 3"}}},
		"more bytes in State": {command(func(c *pb.FoldRuns) { c.Bytes++ }), nil, []finding{{fsck.BadManifest, manifestKey, "bytes up to timestamp"}}},
		"another timestamp in State": {command(func(c *pb.FoldRuns) { c.MaxTimestamp++ }), nil, []finding{
			{fsck.BadManifest, manifestKey, "bytes up to timestamp"}}},
		"a run elsewhere": {func(t *testing.T, x *folding) {
			x.runs[1].Offset++
			x.write(t, x.s.TopicByNumber(1).ID)
		}, nil, []finding{{fsck.LostRecords, partition0, ""}}},
		"another size of an object": {func(t *testing.T, x *folding) {
			x.objects[2].Size++
			x.write(t, x.s.TopicByNumber(1).ID)
		}, nil, []finding{{fsck.WrongSize, func(t *testing.T, x *folding) string { return x.objects[2].Key(x.f.keys) }, ""}}},
		"an object that another owns": {func(t *testing.T, x *folding) {
			x.f.merge(t, 10, 3, 3, nil).land(t)
			session, _ := x.f.last(t)
			x.objects[2].Session, x.objects[2].N = session, 10
			x.command.N = 11
			x.command.Version++
			x.write(t, x.s.TopicByNumber(1).ID)
		}, nil, []finding{{fsck.BadState, func(t *testing.T, x *folding) string { return x.objects[2].Key(x.f.keys) }, "the manifest"}}},
	} {
		t.Run(name, func(t *testing.T) {
			x := all.fork(t).fold(t, 9, 3)
			if c.before != nil {
				c.before(t, x)
			}
			x.land(t)
			require.NotNil(t, x.f.partition(t).Manifest)
			if c.after != nil {
				c.after(t, x)
			}
			r := x.f.check(t)
			for _, want := range c.findings {
				require.Contains(t, named(t, r, want.kind, want.at(t, x)), want.part)
			}
		})
	}
}

// Of released objects nothing is wanted but what a kept root names.
func TestReleasedObjects(t *testing.T) {
	f := folded(t)
	x := f.fold(t, 9, 3)
	x.land(t)
	f.live(t, 1, 3) // a root that names the manifest
	objects, err := f.manifest(t, f.state(t), f.partition(t).Manifest).Objects(t.Context())
	require.NoError(t, err)
	f.trim(t, objects[0].Last+1)
	f.release(t, f.partition(t).Manifest, 1)
	require.Equal(t, uint32(1), f.partition(t).Manifest.Released)
	key := x.objects[0].Key(f.keys)
	f.clean(t, f.check(t).Counts.Records)
	kept := f.fork(t)
	require.NoError(t, kept.store.Delete(t.Context(), []string{key}))
	require.Contains(t, named(t, kept.check(t), fsck.MissingObject, key), "the kept root at position")
	// Forgotten too early it is wanted by the manifest that the kept root's State has.
	kept.forget(t, key)
	require.Contains(t, named(t, kept.check(t), fsck.MissingObject, key), "the kept root at position")
	f.live(t, 4, 3)
	require.NoError(t, f.store.Delete(t.Context(), []string{key}))
	require.True(t, f.check(t).Clean(), "%v", f.check(t).Findings)
	f.forget(t, key)
	require.True(t, f.check(t).Clean(), "%v", f.check(t).Findings)
}

// What a manifest owns that nobody reads any more must be there until it is released.
func TestLooseManifest(t *testing.T) {
	f := folded(t)
	f.fold(t, 9, 3).land(t)
	m := f.partition(t).Manifest
	objects, err := f.manifest(t, f.state(t), m).Objects(t.Context())
	require.NoError(t, err)
	f.trim(t, m.Last+1)
	require.Nil(t, f.partition(t).Manifest)
	loose := 0
	f.state(t).EachLoose(func(state.Manifest) { loose++ })
	require.Equal(t, 1, loose)
	f.clean(t, f.check(t).Counts.Records)
	gone := f.fork(t)
	key := objects[2].Key(f.keys)
	require.NoError(t, gone.store.Delete(t.Context(), []string{key}))
	require.Contains(t, named(t, gone.check(t), fsck.MissingObject, key), "owns it")
	f.release(t, m, 3)
	f.clean(t, f.check(t).Counts.Records)
	require.NoError(t, f.store.Delete(t.Context(), []string{key}))
	require.True(t, f.check(t).Clean(), "no kept root names what a session in the journal's tail wrote")
}

// Objects that a kept root's State names must be there until it goes, whatever State has become.
func TestKeptRootsNames(t *testing.T) {
	f := work(t)
	m := f.merge(t, 1, 0, 10, nil)
	m.land(t)
	key := ""
	for _, k := range f.keysOf(t, "/flush/") {
		if _, ok := f.garbageAt(t, k); ok {
			key = k
		}
	}
	require.NotEmpty(t, key)
	require.True(t, f.check(t).Clean())
	require.NoError(t, f.store.Delete(t.Context(), []string{key}))
	require.Contains(t, named(t, f.check(t), fsck.MissingObject, key), "the kept root at position")
	f.forget(t, key)
	require.Contains(t, named(t, f.check(t), fsck.MissingObject, key), "the kept root at position")
}

// garbageAt is the object of a key, if it is garbage.
func (f fixture) garbageAt(t *testing.T, key string) (found state.Object, ok bool) {
	t.Helper()
	f.state(t).EachGarbage(func(_ uint64, o state.Object) {
		if o.Key(f.keys) == key {
			found, ok = o, true
		}
	})
	return found, ok
}

// forget takes an object without references out of State.
func (f fixture) forget(t *testing.T, key string) {
	t.Helper()
	c := &pb.ForgetObjects{}
	f.state(t).EachGarbage(func(number uint64, o state.Object) {
		if o.Key(f.keys) == key {
			c.Objects = append(c.Objects, number)
		}
	})
	require.Len(t, c.Objects, 1)
	f.propose(t, &pb.Command{Kind: &pb.Command_ForgetObjects{ForgetObjects: c}})
}

// Readers of committed records go by what is listed of aborted transactions: it must be what the markers say.
func TestAborted(t *testing.T) {
	f := work(t)
	const base = 1 << 40
	const pid = 2
	f.propose(t, &pb.Command{Base: base, Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{TransactionalId: "id", TimeoutMs: 1000}}})
	for epoch, commit := range []bool{false, true, false} {
		f.transactional(t, 0, pid, int16(epoch))
		f.propose(t, &pb.Command{Base: base, Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{
			ProducerId: pid, ProducerEpoch: int32(epoch), Commit: commit, Bump: true,
		}}})
	}
	f.live(t, 1, 3) // archives what is to be merged
	records := f.check(t).Counts.Records
	aborted := 0
	f.partition(t).EachAborted(func(state.AbortedTxn) { aborted++ })
	require.Equal(t, 2, aborted)
	f.clean(t, records)
	f.merge(t, 1, 0, 1000, nil).land(t)
	r := f.clean(t, records)
	require.Equal(t, 3, r.Counts.Markers)

	whole := f.fork(t)
	x := whole.fold(t, 2, 1)
	require.Len(t, x.aborted, 2)
	x.land(t)
	whole.clean(t, records)

	for name, c := range map[string]struct {
		edit func(*folding)
		part string
	}{
		"not listed":      {func(x *folding) { x.aborted = x.aborted[:1] }, "is not listed"},
		"another offset":  {func(x *folding) { x.aborted[1].Last-- }, "where no marker of it is"},
		"another's":       {func(x *folding) { x.aborted[0].ProducerID++ }, "where no marker of it is"},
		"a commit listed": {func(x *folding) { x.aborted = append(x.aborted[:1], committed(x.aborted)...) }, "where no marker of it is"},
	} {
		t.Run(name, func(t *testing.T) {
			x := f.fork(t).fold(t, 2, 1)
			c.edit(x)
			x.write(t, x.s.TopicByNumber(1).ID)
			x.land(t)
			found := x.f.check(t)
			named(t, found, fsck.BadState, "t-0")
			details := ""
			for _, i := range found.Findings {
				details += i.Detail + "\n"
			}
			require.Contains(t, details, c.part)
		})
	}
}

// committed puts the transaction that was committed between two others.
func committed(list []manifest.Aborted) []manifest.Aborted {
	middle := list[0]
	middle.First, middle.Last = middle.Last+1, middle.Last+2
	middle.Stable = middle.Last + 1
	return []manifest.Aborted{middle, list[1]}
}
