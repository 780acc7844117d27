package semantics

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Semantics line 27: what was aborted is no duplicate's original. A TV2 client has the same sequences again in its next
// transaction, under another epoch; one of TV1 goes on with its sequences, and one that goes back is refused (Apache
// Kafka calls it a duplicate of what was aborted, and loses the batch). At every agent.
func TestLine27AbortedBatchesAreNoDuplicates(t *testing.T) {
	t.Parallel()
	cl := newCluster(t)
	nodes := []*node{cl.start(t, nil), cl.start(t, nil)}
	c := dial(t, nodes[0])
	for i, writesAt := range nodes {
		bothVersions(t, func(t *testing.T, tv int) {
			to := create(c, fmt.Sprint("line27-", i, "-", tv), 1)
			x := transactorOf(t, coordinator(t, to.name, nodes...), tv, to.name)
			require.Equal(t, int64(0), x.puts(to, 0, "a", "b"))
			x.ends(false) // 2
			writer := x.twin(writesAt)
			seq := int32(0)
			if tv == 1 {
				require.Equal(t, []int16{0}, x.register(to, 0))
				p := writer.writeBatch(11, to, 0, transactional(x.pid, x.epoch, 0, "c", "d"))
				require.Equal(t, []int64{45, -1}, []int64{int64(p.ErrorCode), p.BaseOffset}, "a sequence that was used")
				seq = 2
			}
			next := transactional(x.pid, x.epoch, seq, "c", "d")
			p := writer.writeBatch(x.produceVersion(), to, 0, next)
			require.Zero(t, p.ErrorCode, text(p.ErrorMessage))
			require.Equal(t, int64(3), p.BaseOffset)
			// Within the transaction a repetition is one, wherever it comes.
			for _, n := range nodes {
				p := x.twin(n).writeBatch(x.produceVersion(), to, 0, next)
				require.Zero(t, p.ErrorCode, text(p.ErrorMessage))
				require.Equal(t, int64(3), p.BaseOffset)
			}
			x.ends(true)
			require.Equal(t, int64(6), end(c, to)) // behind a barrier: this agent has heard of it too
			require.Equal(t, []string{"c", "d"}, committedValues(c, to, 0))
			lso, high := stable(c, to, 0)
			require.Equal(t, []int64{6, 6}, []int64{lso, high})
		})
	}
}
