package keycompact

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/internal/batch"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
)

// A partition that cannot be read does not keep others from being compacted, and is tried again.
func TestUnreadablePartition(t *testing.T) {
	r := newRig(t, 2, Config{MaxInput: 1})
	r.write(nil, 0, batch.None, false, kv{"a", "1"}, kv{"a", "2"}, kv{"a", "3"})
	var lost state.Run
	r.part(0).EachRun(func(x state.Run) { lost = x })
	r.write(nil, 1, batch.None, false, kv{"a", "1"}, kv{"a", "2"})
	r.old()
	o, _ := r.s.Object(lost.Place)
	data, err := r.mem.Get(context.Background(), o.Key(objects), 0, -1)
	require.NoError(t, err)
	require.NoError(t, r.mem.Delete(context.Background(), []string{o.Key(objects)}))
	for failed := false; r.part(1).CompactedTo == 0; {
		_, err := r.pass()
		require.False(t, failed && err != nil, "fails again at once")
		if err != nil {
			require.ErrorIs(t, err, objstore.ErrNotFound)
			failed = true
		}
	}
	require.Zero(t, r.part(0).CompactedTo)
	require.NoError(t, r.mem.Put(context.Background(), o.Key(objects), objstore.NewBody(data)))
	for range maxPause {
		_, err := r.pass()
		require.NoError(t, err)
	}
	require.EqualValues(t, 3, r.part(0).CompactedTo)
}

// Whatever call fails, before its effect or after it: the next passes compact all of it, and readers never notice.
func TestEveryCallFails(t *testing.T) {
	for _, effect := range []fault.Effect{fault.FailBefore(nil), fault.FailAfter(nil), fault.TornBody(3), fault.FlipByte(70)} {
		for nth := 1; ; nth++ {
			r := newRig(t, 1, Config{MaxOutput: 400, RunBytes: 100, Memory: 1 << 20})
			for i := range 12 {
				r.write(nil, 0, batch.None, i%3 == 0, kv{string(rune('a' + i%5)), "1"}, kv{string(rune('a' + i)), "2"})
			}
			want := r.committed(0, 0)
			newest := map[string]seen{}
			for _, x := range want {
				newest[x.key] = x
			}
			r.old()
			armed := r.store.Script(fault.Fault{Nth: nth, Do: effect})
			for passes := 0; r.part(0).CompactedTo < r.part(0).Next; passes++ {
				require.Less(t, passes, 20)
				_, _ = r.pass() // its errors are those of the fault
				left := map[string]seen{}
				for _, x := range r.committed(0, 0) {
					left[x.key] = x
				}
				require.Equal(t, newest, left)
			}
			require.Len(t, r.committed(0, 0), len(newest))
			if armed.Fired() == 0 {
				require.Greater(t, nth, 5)
				break
			}
		}
	}
}

// Small partitions share objects.
func TestSmallPartitionsShareObjects(t *testing.T) {
	r := newRig(t, 50, Config{})
	for i := range int32(50) {
		r.write(nil, i, batch.None, true, kv{"a", "1"}, kv{"a", "2"})
	}
	r.old()
	r.settle()
	n := 0
	r.s.EachObject(func(_ uint64, o state.Object) { n++ })
	require.Equal(t, 1, n)
	for i := range int32(50) {
		require.Len(t, r.committed(i, 0), 1)
	}
}

// Many partitions that cannot be read, as an object that they share is lost, or damaged in the middle, do not keep others
// from being compacted, whether that shows as their keys are read or as they are written.
func TestManyUnreadablePartitions(t *testing.T) {
	for name, clean := range map[string]bool{"what is dirty": false, "what was compacted before": true} {
		t.Run(name, func(t *testing.T) {
			const bad, all = 150, 160
			r := newRig(t, all, Config{})
			write := func() {
				for i := range int32(all) {
					r.write(nil, i, batch.None, i >= bad, kv{"a", "1"}, kv{"a", "2"})
				}
				r.old()
			}
			write()
			if clean {
				r.settle()
				write()
			}
			for i := range int32(bad) {
				x := r.part(i).RunsFrom(0, 1, 1, nil)[0]
				o, _ := r.s.Object(x.Place)
				if clean && i > 0 {
					break // all lie in one object, in which the last ones are fine
				}
				data, err := r.mem.Get(t.Context(), o.Key(objects), 0, -1)
				require.NoError(t, err)
				require.NoError(t, r.mem.Delete(t.Context(), []string{o.Key(objects)}))
				if clean {
					end := int(r.part(bad).RunsFrom(0, 1, 1, nil)[0].Offset)
					clear(data[r.part(0).RunsFrom(0, 1, 1, nil)[0].Offset:end])
					require.NoError(t, r.mem.Put(t.Context(), o.Key(objects), objstore.NewBody(data)))
				}
			}
			_, err := r.pass()
			require.ErrorIs(t, err, errUnreadable)
			for i := range int32(all) {
				want := int64(0)
				if i >= bad {
					want = r.part(i).Next
					require.Len(t, r.committed(i, 0), 1)
				} else if clean {
					want = 2
				}
				require.Equal(t, want, r.part(i).CompactedTo, "partition %d", i)
			}
			require.NoError(t, r.s.Check())
		})
	}
}
