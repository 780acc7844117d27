package keycompact

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/internal/batch"
)

// A tombstone in a batch with more keys than the map takes deletes what lies before it for good.
func TestTombstoneThatTheMapHasNoRoomFor(t *testing.T) {
	r := newRig(t, 1, Config{Memory: 2 * 4 * slotBytes})
	r.write(nil, 0, batch.None, false, kv{"d", "1"})
	r.old()
	r.settle()
	r.write(nil, 0, batch.None, false, kv{"a", "1"}, kv{"b", "1"}, kv{"c", "1"}, tombstone("d"), kv{"e", "1"})
	r.old()
	r.settle()
	r.old()
	r.write(nil, 0, batch.None, false, kv{"f", "1"})
	r.old()
	r.settle()
	for _, x := range r.committed(0, 0) {
		require.False(t, x.key == "d" && !x.tomb, "%v was deleted", x)
	}
}
