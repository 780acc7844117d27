package keycompact

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/internal/batch"
)

// A pass over a large partition ends with an object, and the next one goes on behind it, also when merges changed what is to
// come and more was written. Each record is read once for the map and once to be written.
func TestPassesGoOn(t *testing.T) {
	r := newRig(t, 2, Config{MaxOutput: 1000, RunBytes: 300, MaxInput: 1000, Memory: 1 << 20})
	for i := range 60 {
		r.write(nil, 0, batch.None, false, kv{fmt.Sprint("k", i%50), fmt.Sprint(i)}, tombstone("gone"))
	}
	r.write(nil, 1, batch.None, false, kv{"a", "1"}, kv{"a", "2"})
	r.old()
	passes, merged, noted := 0, false, false
	for more := true; more; passes++ {
		require.Less(t, passes, 60)
		before := r.objects()
		var err error
		more, err = r.pass()
		require.NoError(t, err)
		require.LessOrEqual(t, r.objects()-before, 2, "objects of a pass")
		switch rest := r.task.rest; {
		case rest == nil:
		case rest.noting && !noted && rest.next > 20:
			noted = true
			require.Equal(t, before, r.objects(), "nothing is written before all keys are known")
			r.merge(0, 0, 5)
			r.merge(0, 40, 49)
			r.write(nil, 0, batch.None, false, kv{"much later", "1"})
		case !rest.noting && !merged && rest.next > 50:
			merged = true
			r.merge(0, 60, 79)
			r.write(nil, 0, batch.None, false, kv{"later", "1"})
		}
	}
	require.True(t, noted)
	require.True(t, merged)
	require.Greater(t, passes, 4)
	require.EqualValues(t, 120, r.part(0).CompactedTo)
	got := r.committed(0, 0)
	require.Len(t, got, 53)
	require.EqualValues(t, 20, got[0].offset)
	require.Len(t, r.committed(1, 0), 1)
}

// What cannot be gone on with is begun anew: the partition was trimmed, deleted or is another process' now.
func TestPassesThatCannotGoOn(t *testing.T) {
	for name, meddle := range map[string]func(r *rig){
		"written":    func(r *rig) { r.write(nil, 0, batch.None, false, kv{"k0", "new"}) },
		"trimmed":    func(r *rig) { r.trim(0, r.task.rest.next+3); r.sweep() },
		"merged":     func(r *rig) { r.merge(0, r.task.rest.next-2, r.task.rest.next+3) },
		"restarted":  func(r *rig) { r.restart() },
		"compacted":  func(r *rig) { r.compactElsewhere() },
		"not ours":   func(r *rig) { r.foreign = true },
		"no compact": func(r *rig) { r.configs.Compact = false },
	} {
		for _, noting := range []bool{true, false} {
			t.Run(fmt.Sprint(name, noting), func(t *testing.T) { stopped(t, name, noting, meddle) })
		}
	}
}

func stopped(t *testing.T, name string, noting bool, meddle func(r *rig)) {
	r := newRig(t, 1, Config{MaxOutput: 1000, RunBytes: 300, MaxInput: 1000, Memory: 1 << 20})
	for i := range 60 {
		r.write(nil, 0, batch.None, false, kv{fmt.Sprint("k", i/2), fmt.Sprint(i)}, kv{fmt.Sprint("l", i), ""})
	}
	r.old()
	for r.task.rest == nil || r.task.rest.noting != noting {
		_, err := r.pass()
		require.NoError(t, err)
	}
	meddle(r)
	if name != "restarted" {
		_, err := r.pass()
		require.NoError(t, err)
	}
	r.foreign, r.configs.Compact = false, true
	r.old()
	r.settle()
	times := map[string]int{}
	for _, x := range r.committed(0, r.part(0).LogStart) {
		times[x.key]++
		require.Equal(t, 1, times[x.key], x.key)
	}
	require.GreaterOrEqual(t, r.part(0).CompactedTo, int64(120))
}

// compactElsewhere is what a process does that takes the shard over for a while.
func (r *rig) compactElsewhere() {
	defer r.away()()
	mine, env := r.task, r.env
	r.restart()
	r.task = New(r.env, Config{Memory: 1 << 20, RunBytes: 1}) // runs begin wherever batches do
	r.settle()
	r.task, r.env = mine, env
}

// What a shard that goes away and comes back had begun is gone on with, unless its map is needed or it stays away for long.
func TestRestOfAPartitionThatIsAway(t *testing.T) {
	r := newRig(t, 1, Config{MaxOutput: 1000, RunBytes: 300, MaxInput: 1000, Memory: 1 << 20})
	for i := range 60 {
		r.write(nil, 0, batch.None, false, kv{fmt.Sprint("k", i), "1"})
	}
	r.old()
	pass := func() {
		_, err := r.pass()
		require.NoError(t, err)
	}
	pass()
	next := r.task.rest.next
	r.foreign = true
	pass()
	require.Equal(t, next, r.task.rest.next)
	require.NotEmpty(t, r.task.keys.slots)
	r.foreign = false
	pass()
	require.Greater(t, r.task.rest.next, next)
	r.foreign = true
	for range maxPause {
		pass()
	}
	require.Nil(t, r.task.rest)
	require.Empty(t, r.task.keys.slots)
}
