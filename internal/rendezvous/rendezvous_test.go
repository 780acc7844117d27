package rendezvous

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever the order in which the members are listed, the same one wins; when one leaves, only its share moves.
func TestOnlyTheShareMoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfNDistinct(rapid.Int64(), 2, 12, rapid.ID).Draw(t, "members")
		leaver := rapid.SampledFrom(members).Draw(t, "leaver")
		shuffled := rapid.Permutation(members).Draw(t, "shuffled")
		rest := slices.DeleteFunc(slices.Clone(members), func(m int64) bool { return m == leaver })
		for w := range uint64(50) {
			before := members[Winner(Mix(w), members)]
			if got := shuffled[Winner(Mix(w), shuffled)]; got != before {
				t.Fatalf("work %d: %d and %d", w, before, got)
			}
			if after := rest[Winner(Mix(w), rest)]; before != leaver && after != before {
				t.Fatalf("work %d moved from %d to %d although %d left", w, before, after, leaver)
			}
		}
	})
}

func TestSpread(t *testing.T) {
	require.Equal(t, -1, Winner(1, []int64(nil)))
	members, won := []int64{1, 2, 3, 4}, make([]int, 4)
	for w := range uint64(4000) {
		won[Winner(Mix(w), members)]++
	}
	for _, n := range won {
		require.InDelta(t, 1000, n, 120)
	}
}
