package keycompact

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/internal/batch"
	"wadi/metadata/state"
)

// Of more runs than one command replaces nothing may be left: the range ends all the same.
func TestManyRunsOfWhichNothingIsLeft(t *testing.T) {
	r := newRig(t, 1, Config{})
	for range state.MaxReplacedRuns + 10 {
		r.write(nil, 0, batch.None, true, kv{"a", "1"})
	}
	r.old()
	r.settle()
	require.Len(t, r.committed(0, 0), 1)
}

// A pass is bounded by what it reads, also as it looks for the keys of very much in which there are few.
func TestManyRecordsOfFewKeys(t *testing.T) {
	r := newRig(t, 1, Config{MaxOutput: 1000, RunBytes: 300, MaxInput: 1000, Memory: 1 << 20})
	for i := range 500 {
		r.write(nil, 0, batch.None, false, kv{fmt.Sprint("k", i%5), fmt.Sprint(i)})
	}
	r.old()
	for more := true; more; {
		before := r.store.Calls()
		var err error
		more, err = r.pass()
		require.NoError(t, err)
		require.Less(t, r.store.Calls()-before, 50)
	}
	require.Len(t, r.committed(0, 0), 5)
}
