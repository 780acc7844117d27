package api

import (
	"fmt"
	"slices"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"wadi/internal/rendezvous"
)

func brokersOf(ids ...int32) []Broker {
	out := make([]Broker, len(ids))
	for i, id := range ids {
		out[i].NodeID = id
	}
	return out
}

// place against sorting by score.
func TestPlaceEqualsSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.Int32Range(0, 1000), 0, 20, rapid.ID[int32]).Draw(t, "brokers")
		k := placeKey(rapid.Uint64().Draw(t, "key"))
		n := rapid.IntRange(0, 3).Draw(t, "n")
		want := append([]int32(nil), ids...)
		score := func(id int32) uint64 { return rendezvous.Mix(uint64(k) ^ rendezvous.Mix(uint64(uint32(id)))) }
		sort.Slice(want, func(i, j int) bool { return score(want[i]) > score(want[j]) })
		want = want[:min(n, len(want))]
		got := place(k, brokersOf(ids...), n, []int32{-7})
		if len(got) != len(want)+1 || got[0] != -7 {
			t.Fatalf("got %v, want %v", got, want)
		}
		for i := range want {
			if got[i+1] != want[i] {
				t.Fatalf("got %v, want %v", got[1:], want)
			}
		}
	})
}

// When a broker leaves, only what it led moves; the load is spread.
func TestPlaceMovesLittle(t *testing.T) {
	before, after := brokersOf(0, 1, 2, 3, 4), brokersOf(0, 1, 3, 4)
	led := map[int32]int{}
	for p := range int32(5000) {
		k := partitionKey([16]byte{1, 2, 3}, p)
		was, is := place(k, before, 1, nil)[0], place(k, after, 1, nil)[0]
		led[was]++
		if was != 2 {
			require.Equal(t, was, is)
		}
	}
	for id, n := range led {
		require.InDelta(t, 1000, n, 200, "broker %d", id)
	}
}

// Agents of different releases must agree: these numbers never change.
func TestRoutingIsFixed(t *testing.T) {
	require.Equal(t, []int32{2, 1, 3}, place(partitionKey([16]byte{0xde, 0xad, 15: 1}, 7), brokersOf(0, 1, 2, 3), 3, nil))
	c, ok := coordinator(0, "group-a", brokersOf(0, 1, 2, 3, 4, 5, 6, 7))
	require.True(t, ok)
	require.Equal(t, int32(3), c.NodeID)
}

// Exactly one broker coordinates an id, the same that clients are told, and the two behind it stand in, each in its turn.
func TestTxnRank(t *testing.T) {
	brokers := []Broker{{NodeID: 1}, {NodeID: 2}, {NodeID: 5}, {NodeID: 9}, {NodeID: 11}}
	for i := range 100 {
		id := fmt.Sprintf("txn-%d", i)
		ranks := map[int]int{}
		for _, b := range brokers {
			ranks[TxnRank(id, brokers, b.NodeID)]++
		}
		require.Equal(t, map[int]int{0: 1, 1: 1, 2: 1, 3: 2}, ranks, id)
		c, ok := TxnCoordinator(id, brokers)
		require.True(t, ok)
		require.Zero(t, TxnRank(id, brokers, c.NodeID))
		rest := slices.DeleteFunc(slices.Clone(brokers), func(b Broker) bool { return b.NodeID == c.NodeID })
		next, _ := TxnCoordinator(id, rest)
		require.Equal(t, 1, TxnRank(id, brokers, next.NodeID), "who stands in is who comes next")
	}
	require.Equal(t, maxReplicas, TxnRank("x", nil, 1))
	_, ok := TxnCoordinator("x", nil)
	require.False(t, ok)
}
