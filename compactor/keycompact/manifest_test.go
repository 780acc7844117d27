package keycompact

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/compactor/unfold"
	"wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
)

// A partition that has a manifest, as its topic was not always a compacted one, is compacted as any other, from its log
// start on: what the manifest listed comes back with its aborted transactions, and tombstones delete what is in it.
func TestManifestOfATopicThatWasNotCompacted(t *testing.T) {
	r := newRig(t, 1, Config{Unfold: unfold.Limits{Objects: 1}})
	p := r.producer("p")
	r.write(p, 0, batch.None, false, kv{"x", "aborted"})             // 0
	r.write(nil, 0, batch.None, false, kv{"a", "1"}, kv{"d", "1"})   // 1, 2
	r.end(p, false)                                                  // 3
	r.write(p, 0, batch.None, false, kv{"y", "aborted"})             // 4
	r.write(nil, 0, batch.None, false, kv{"c", "1"})                 // 5
	r.end(p, false)                                                  // 6
	r.write(nil, 0, batch.None, false, tombstone("a"), kv{"b", "1"}) // 7, 8
	r.write(nil, 0, batch.None, false, kv{"b", "2"})                 // 9
	r.merge(0, 0, 2)
	r.merge(0, 3, 4)
	r.merge(0, 5, 5)
	r.fold(0, 5)
	require.EqualValues(t, 3, r.part(0).Manifest.Owned)
	all := r.committed(0, 0)
	require.Len(t, all, 6)
	r.old()
	more, err := r.pass()
	require.NoError(t, err)
	require.True(t, more)
	require.Nil(t, r.part(0).Manifest)
	require.Zero(t, r.part(0).CompactedTo)
	require.Equal(t, all, r.committed(0, 0), "what came back is what was there")
	r.settle()
	require.Equal(t, []seen{all[1], all[2], all[3], all[5]}, r.committed(0, 0))
	require.Empty(t, r.part(0).Aborted(0, 9, nil))
	r.now += r.configs.DeleteRetentionMs
	r.write(nil, 0, batch.None, false, kv{"c", "2"})
	r.old()
	r.settle()
	require.Equal(t, "d=1 b=2 c=2", keysOf(r.committed(0, 0)))
}

func keysOf(list []seen) (s string) {
	for i, x := range list {
		if i > 0 {
			s += " "
		}
		s += x.key + "=" + x.value
	}
	return s
}

// clean is a partition that is compacted and whose runs, one per object, lie in a manifest.
func clean(r *rig, keys string) {
	for i := range keys {
		r.write(nil, 0, batch.None, false, kv{keys[i : i+1], "1"})
	}
	r.old()
	r.task.cfg.RunBytes = 1
	r.settle()
	for o := range int64(len(keys)) {
		r.merge(0, o, o)
	}
	r.fold(0, int64(len(keys))-1)
	if int(r.part(0).Manifest.Owned) != len(keys) {
		r.t.Fatalf("%+v", *r.part(0).Manifest)
	}
}

// What a manifest lists counts as compacted if it is: its partition comes back out of it when enough has been appended, and
// not before.
func TestCompactedManifestWaitsForEnough(t *testing.T) {
	r := newRig(t, 1, Config{RunBytes: 1})
	r.configs.MinDirtyRatio = 0.5
	clean(r, "abcdefgh")
	size := r.part(0).Manifest.Bytes
	for {
		r.write(nil, 0, batch.None, false, kv{"a", "2"})
		r.old()
		if d := Plan(r.view(), readable(r.env, r.s)); r.part(0).Bytes() > 2*size {
			require.Len(t, d, 1)
			require.True(t, d[0].Folded)
			require.Equal(t, r.part(0).Bytes(), d[0].Bytes)
			require.Equal(t, d[0].Bytes-size, d[0].Dirty)
			break
		} else {
			require.Empty(t, d)
		}
	}
	require.True(t, IsDue(r.part(0), &r.configs, r.view()))
	r.settle()
	require.Nil(t, r.part(0).Manifest)
	require.False(t, IsDue(r.part(0), &r.configs, r.view()))
	require.Equal(t, "b=1 c=1 d=1 e=1 f=1 g=1 h=1 a=2", keysOf(r.committed(0, 0)))
}

// min.compaction.lag.ms holds for what a manifest lists, too.
func TestYoungManifest(t *testing.T) {
	r := newRig(t, 1, Config{})
	r.configs.MinCompactionLagMs = 100_000
	r.write(nil, 0, batch.None, false, kv{"a", "1"}, kv{"a", "2"})
	r.merge(0, 0, 1)
	r.fold(0, 1)
	r.write(nil, 0, batch.None, false, kv{"a", "3"})
	r.now += 99_000
	require.Empty(t, Plan(r.view(), readable(r.env, r.s)))
	r.now += 2_000
	r.settle()
	require.Equal(t, "a=3", keysOf(r.committed(0, 0)))
}

// A manifest that is lost or damaged keeps its partition from being compacted and no other.
func TestUnreadableManifest(t *testing.T) {
	r := newRig(t, 2, Config{})
	clean(r, "ab")
	o, _ := r.s.Object(r.part(0).Manifest.Object)
	key := o.Key(objects)
	data, err := r.mem.Get(context.Background(), key, 0, -1)
	require.NoError(t, err)
	put := func(data []byte) {
		require.NoError(t, r.mem.Delete(context.Background(), []string{key}))
		if data != nil {
			require.NoError(t, r.mem.Put(context.Background(), key, objstore.NewBody(data)))
		}
	}
	r.write(nil, 0, batch.None, false, kv{"a", "2"})
	r.write(nil, 0, batch.None, false, kv{"b", "2"})
	r.write(nil, 0, batch.None, false, kv{"b", "3"})
	for i, damaged := range [][]byte{nil, data[:len(data)-1], append(append([]byte(nil), data[:len(data)-1]...), 'x')} {
		put(damaged)
		r.task.failed = map[ref]*failure{}
		r.write(nil, 1, batch.None, false, kv{"a", "1"}, kv{"a", "2"})
		r.old()
		_, err = r.pass()
		require.ErrorIs(t, err, errUnreadable, "%d", i)
		require.Equal(t, r.part(1).Next, r.part(1).CompactedTo)
		_, err = r.pass()
		require.NoError(t, err, "it fails again at once")
	}
	put(data)
	for range maxPause {
		_, err := r.pass()
		require.NoError(t, err)
	}
	require.Equal(t, r.part(0).Next, r.part(0).CompactedTo)
}

// Whatever call fails, or proposal is lost, while runs come back step by step: readers never notice, and the next passes
// bring back what is left and compact it.
func TestEveryCallOfAnUnfoldFails(t *testing.T) {
	run := func(arm func(*rig) (fired func() bool)) bool {
		r := newRig(t, 1, Config{Unfold: unfold.Limits{Objects: 2}})
		clean(r, "abcdefg")
		r.write(nil, 0, batch.None, false, kv{"a", "2"})
		r.write(nil, 0, batch.None, false, tombstone("b"))
		r.old()
		r.configs.MinDirtyRatio = 0
		all := r.committed(0, 0)
		fired := arm(r)
		for passes := 0; r.part(0).CompactedTo < r.part(0).Next; passes++ {
			require.Less(t, passes, 20)
			_, _ = r.pass() // its errors are those of the fault
			require.NoError(t, r.s.Check())
			if r.part(0).CompactedTo < r.part(0).Next {
				require.Equal(t, all, r.committed(0, 0))
			}
			r.task.failed = map[ref]*failure{} // what arrived torn was taken for damage
		}
		require.Equal(t, "c=1 d=1 e=1 f=1 g=1 a=2 b=", keysOf(r.committed(0, 0)))
		r.s.EachObject(func(n uint64, o state.Object) {
			require.True(t, o.Kind != state.ManifestObject || o.Refs == 0, "manifest %d is left", n)
		})
		return fired()
	}
	for _, effect := range []fault.Effect{fault.FailBefore(nil), fault.FailAfter(nil), fault.TornBody(3), fault.FlipByte(70)} {
		for nth := 1; ; nth++ {
			if !run(func(r *rig) func() bool {
				armed := r.store.Script(fault.Fault{Nth: nth, Do: effect})
				return func() bool { return armed.Fired() > 0 }
			}) {
				require.Greater(t, nth, 8)
				break
			}
		}
	}
	for lost := 1; lost <= 2; lost++ {
		for nth := range 4 {
			require.True(t, run(func(r *rig) func() bool {
				done := false
				r.lose, r.loseAfter = lost, nth
				r.lost = func() { done = true }
				return func() bool { return done }
			}))
		}
	}
}

// Somebody else folds, trims, releases or merges while a step is under way: State refuses it, or what comes is right.
func TestUnfoldMeetsOthers(t *testing.T) {
	for name, meddle := range map[string]func(*rig){
		"fold":                   func(r *rig) { r.merge(0, 7, 7); r.fold(0, 7) },
		"trim":                   func(r *rig) { r.trim(0, 3) },
		"trim all that it lists": func(r *rig) { r.trim(0, 7) },
		"release":                func(r *rig) { r.trim(0, 3); r.release(0) },
		"merge":                  func(r *rig) { r.merge(0, 7, 8) },
		"delete": func(r *rig) {
			r.do(&pb.Command{Base: r.position, Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: topic}}})
		},
	} {
		for nth := range 3 {
			r := newRig(t, 1, Config{Unfold: unfold.Limits{Objects: 3}})
			clean(r, "abcdefg")
			r.write(nil, 0, batch.None, false, kv{"a", "2"})
			r.write(nil, 0, batch.None, false, kv{"b", "2"})
			r.old()
			r.meddle, r.meddleAfter = func() { meddle(r) }, nth
			for range 5 {
				_, err := r.pass()
				require.NoError(t, err, name)
				require.NoError(t, r.s.Check(), name)
			}
			require.Nil(t, r.meddle)
			if name == "delete" {
				continue
			}
			r.settle()
			want := "c=1 d=1 e=1 f=1 g=1 a=2 b=2"
			if r.part(0).LogStart > 0 {
				want = want[4*(r.part(0).LogStart-2):]
			}
			require.Equal(t, want, keysOf(r.committed(0, r.part(0).LogStart)), "%s at step %d", name, nth)
		}
	}
}
