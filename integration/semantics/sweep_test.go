package semantics

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// runBytes is what a node says that its runs take, -1 before it has said anything.
func runBytes(t *testing.T, n *node) float64 {
	t.Helper()
	families, err := n.stats.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "wadi_state_bytes" && m.Label[0].GetValue() == "runs" {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

// Semantics line 92: what deleted topics and moved log starts leave behind goes from every agent's memory, whoever of
// them lives, and only that: the records that are left can be read, and a fetch of the others tells where the log starts.
func TestLine92DeletionsAreSwept(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	a, b := cluster.start(t, nil), cluster.start(t, nil)
	for round, nodes := range [][]*node{{a, b}, {b}} {
		c := dial(t, nodes[len(nodes)-1])
		kept := create(c, fmt.Sprintf("line92-kept-%d", round), 1)
		gone := create(c, fmt.Sprintf("line92-gone-%d", round), 1)
		for i := range int64(50) {
			stored(c, kept, plain("v"), i)
			stored(c, gone, plain("v"), i)
		}
		eventually(t, "the runs are counted", func() bool { return runBytes(t, nodes[0]) >= 100*48 })
		remove(c, gone.name)
		require.Equal(t, [2]int64{0, 49}, deleteRecords(c, kept, 0, 49))
		for _, n := range nodes {
			eventually(t, "one run of each topic that is left", func() bool { return runBytes(t, n) == float64(round+1)*48 })
			p := fetch(dial(t, n), kept, 48)
			require.Equal(t, []int64{1, 49, 50}, []int64{int64(p.ErrorCode), p.LogStartOffset, p.HighWatermark})
			require.Equal(t, []string{"v"}, valuesOf(t, fetch(dial(t, n), kept, 49)))
		}
		if round == 0 {
			require.NoError(t, a.stop()) // the one that swept
		}
	}
}
